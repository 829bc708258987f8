"""
Measure image stamp to publication through the real node and DDS, with every output subscribed.

    python benchmarks/latency.py [--models embedded large ...] [--size 1280x720] [--rate 30]
        [--seconds 10] [-p NAME:=VALUE ...]

A camera, the node and a listener run in processes of their own. ``embedded`` has its weights, the
other models random ones that see a wall whatever they are shown: the node tracks it, and time is
the same. Until the window is full each image becomes a keyframe, from then on those that the
defaults choose. One row for each model joins benchmarks/results/latency.jsonl; its ``state`` is 2
where the node tracked to the end.
"""

import argparse
import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
import json
import os
from pathlib import Path
import shlex
import struct
import subprocess
import sys
import tempfile
import threading
import time

from da3_ros.errors import Da3Error
from da3_ros.msg import Status
from da3_ros.ros.domain import private_domain
from da3_ros.ros.node_process import NodeProcess
from da3_ros.tools.bench import commit
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from tf2_msgs.msg import TFMessage

RESULTS = Path(__file__).parent / 'results' / 'latency.jsonl'
OUTPUTS = {
    '/depth/image_rect': Image,
    '/depth/camera_info': CameraInfo,
    '/confidence/image_rect': Image,
    '/points': PointCloud2,
    '/odometry': Odometry,
    '/keyframes': PathMessage,
    '/map_points': PointCloud2,
    '/tf': TFMessage,
}
FILLS = {'keyframe.max_overlap': 1.0, 'keyframe.min_parallax_deg': 0.1}
DEFAULTS = {'keyframe.max_overlap': 0.75, 'keyframe.min_parallax_deg': 8.0}
# What is left of the differences that random weights see between pictures: cameras that stand
# close together, look one way and have one lens.
_LEFT = {'centre': 0.4, 'quaternion': 0.01, 'fov': 0.01}
_BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
_PICTURES = 24
_LONGEST_START_S = 300.0  # it may compile
_LONGEST_FILL_S = 25.0
_LONGEST_ANSWER_S, _ASK_AGAIN_S = 10.0, 1.0


def stamp_ns(topic: str, data: bytes) -> int:
    """Return the stamp of a serialised message, which starts with it, or with a list of such."""
    seconds, nanoseconds = struct.unpack_from('<iI', data, 8 if topic == '/tf' else 4)
    return seconds * 10**9 + nanoseconds


class Listener(Node):
    """Hears every output; notes when, without looking further into it than its stamp."""

    def __init__(self) -> None:
        super().__init__('listener')
        self.heard_ms: dict[str, list[float]] = defaultdict(list)
        self.status: Status | None = None
        qos = QoSProfile(depth=10)
        for topic, kind in OUTPUTS.items():
            self.create_subscription(kind, topic, self._note(topic), qos, raw=True)
        self.create_subscription(Status, '/status', self._on_status, qos)

    def _note(self, topic: str) -> Callable[[bytes], None]:
        def note(data: bytes) -> None:
            self.heard_ms[topic].append((time.time_ns() - stamp_ns(topic, data)) * 1e-6)

        return note

    def _on_status(self, message: Status) -> None:
        self.status = message


def run_camera(width: int, height: int, rate_hz: float) -> None:
    """Publish pictures of a moving texture, each stamped when it is sent, until killed."""
    rclpy.init()
    node = rclpy.create_node('camera')
    image = node.create_publisher(Image, '/image', _BEST_EFFORT)
    info = node.create_publisher(CameraInfo, '/camera_info', _BEST_EFFORT)
    texture = np.random.default_rng(0).integers(0, 255, (height // 16, width // 8, 3), np.uint8)
    texture = np.kron(texture, np.ones((16, 16, 1), np.uint8))
    pictures = []
    for i in range(_PICTURES):
        data = array.array('B', texture[:height, 8 * i : 8 * i + width].tobytes())
        message = Image(width=width, height=height, encoding='rgb8', step=3 * width, data=data)
        message.header.frame_id = 'camera_optical_frame'
        pictures.append(message)
    focal = 0.8 * width
    k = [focal, 0.0, width / 2, 0.0, focal, height / 2, 0.0, 0.0, 1.0]
    next_at = time.perf_counter()
    for count in range(10**9):
        next_at += 1 / rate_hz
        time.sleep(max(next_at - time.perf_counter(), 0.0))
        message = pictures[abs(count % (2 * _PICTURES) - _PICTURES) % _PICTURES]
        message.header.stamp = node.get_clock().now().to_msg()
        image.publish(message)  # first, as image_transport's CameraPublisher does
        info.publish(CameraInfo(header=message.header, width=width, height=height, k=k))


@contextmanager
def camera(size: tuple[int, int], rate_hz: float) -> Iterator[None]:
    """Run a camera in a process of its own."""
    command = [sys.executable, __file__, '--camera', *map(str, size), str(rate_hz)]
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def spinning_listener() -> Iterator[Listener]:
    """Run a listener in a thread."""
    listener, executor = Listener(), SingleThreadedExecutor()
    executor.add_node(listener)

    def spin() -> None:
        with suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    try:
        yield listener
    finally:
        executor.shutdown()
        thread.join()
        listener.destroy_node()


def measure(model: str, arguments: argparse.Namespace, folder: Path, domain_id: int) -> dict:
    """Run the node on a model in a DDS domain, ours too, and return one row."""
    parameters = {'model': weights_of(model, folder), **FILLS, **given(arguments.parameters)}
    log = folder / f'{model}.log'
    with NodeProcess(parameters, domain_id, log) as process, spinning_listener() as listener:
        wait_for(lambda: listener.status is not None, process, _LONGEST_START_S)
        with camera(arguments.size, arguments.rate):
            size = parameters.get('window.size', 8)
            wait_for(
                lambda: listener.status.views_in_window >= size, process, _LONGEST_FILL_S, False
            )
            set_parameters(listener, process, DEFAULTS)
            time.sleep(2.0)  # the latencies in the status are of the last 100 frames
            before = listener.status
            listener.heard_ms.clear()
            time.sleep(arguments.seconds)
            after, heard = listener.status, {t: list(ms) for t, ms in listener.heard_ms.items()}
        process.check()
    return row(model, arguments, before, after, heard)


def row(
    model: str,
    arguments: argparse.Namespace,
    before: Status,
    after: Status,
    heard: Mapping[str, list[float]],
) -> dict:
    """Return what was measured between two statuses, rounded."""
    earlier = dict(zip(before.drop_reasons, before.drop_counts, strict=True))
    drops = {
        reason: count - earlier.get(reason, 0)
        for reason, count in zip(after.drop_reasons, after.drop_counts, strict=True)
        if count > earlier.get(reason, 0)
    }
    import torch

    has_gpu = torch.cuda.is_available()
    return {
        'device': torch.cuda.get_device_name() if has_gpu else f'CPU, {os.cpu_count()} cores',
        'torch': torch.__version__,
        'commit': commit(),
        'date': time.strftime('%Y-%m-%d'),
        'command': shlex.join(
            ['python', 'benchmarks/latency.py', '--models', model]
            + ['--size', '{}x{}'.format(*arguments.size), '--rate', f'{arguments.rate:g}']
            + ['--seconds', f'{arguments.seconds:g}']
            + [word for text in arguments.parameters for word in ('-p', text)]
        ),
        'model': model,
        'size': 'x'.join(map(str, arguments.size)),
        'rate_hz': arguments.rate,
        'parameters': arguments.parameters,
        'views': after.views_in_window,
        'state': after.state,
        'published_hz': (after.frames_published - before.frames_published) / arguments.seconds,
        'drops': drops,
        'p50_ms': round(after.latency_p50_ms, 2),
        'p95_ms': round(after.latency_p95_ms, 2),
        'stages_ms': {
            s: round(ms, 2) for s, ms in zip(after.stages, after.stage_latency_ms, strict=True)
        },
        'heard_ms': {
            topic: [round(float(x), 2) for x in np.percentile(ms, (50, 95))]
            for topic, ms in heard.items()
        },
    }


def weights_of(model: str, folder: Path) -> str:
    """
    Return what the node loads: 'embedded', or a file of random weights that is made here.

    Depth of random weights is much the same everywhere, but their cameras look anywhere, and a
    node that is lost with each frame does not do what one that tracks does.
    """
    if model == 'embedded':
        return model
    from da3_ros.model.da3 import AnyViewNetwork
    from da3_ros.model.presets import PRESETS
    from da3_ros.model.weights import save_model
    import torch

    torch.manual_seed(0)
    path = folder / f'{model}.safetensors'
    with torch.no_grad(), torch.device('cuda' if torch.cuda.is_available() else 'cpu'):
        network = AnyViewNetwork(PRESETS[model])
        for name, left in _LEFT.items():
            network.camera_decoder.get_submodule(name).weight.mul_(left)
    save_model(network, path, torch.float16)
    return str(path)


def given(assignments: list[str]) -> dict[str, object]:
    """Return parameters from texts such as window.size:=4; numbers are written as in JSON."""
    values: dict[str, object] = {}
    for name, text in (assignment.split(':=', 1) for assignment in assignments):
        try:
            values[name] = json.loads(text)
        except json.JSONDecodeError:
            values[name] = text
    return values


def wait_for(
    condition: Callable[[], bool], process: NodeProcess, timeout_s: float, must: bool = True
) -> None:
    """Wait while the node lives; raise ``Da3Error`` after the time if it ``must`` come true."""
    end = time.monotonic() + timeout_s
    while not condition():
        process.check()
        if time.monotonic() > end:
            if must:
                raise Da3Error(f'The node is not ready; its log ends:\n{process.log_tail()}')
            return
        time.sleep(0.05)


def set_parameters(node: Node, process: NodeProcess, values: Mapping[str, float]) -> None:
    """
    Set parameters of the node from outside; raises ``Da3Error`` if it takes them not.

    The node's answer is lost while it has not discovered our client yet, so it is asked again.
    """
    client = AsyncParameterClient(node, '/da3')
    parameters = [Parameter(name, value=value) for name, value in values.items()]
    wait_for(client.services_are_ready, process, _LONGEST_ANSWER_S)
    answers = []

    def is_answered() -> bool:
        answers.append(client.set_parameters(parameters))
        wait_for(answers[-1].done, process, _ASK_AGAIN_S, must=False)
        return any(answer.done() for answer in answers)

    wait_for(is_answered, process, _LONGEST_ANSWER_S)
    results = next(answer for answer in answers if answer.done()).result().results
    problems = [result.reason for result in results if not result.successful]
    if problems:
        raise Da3Error(f'The node refused parameters: {"; ".join(problems)}')


def main() -> int:
    """Measure each model."""
    if sys.argv[1:2] == ['--camera']:
        run_camera(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
    parser = argparse.ArgumentParser(description='Image stamp to publication, through DDS.')
    parser.add_argument('--models', nargs='+', default=['embedded'])
    parser.add_argument('--size', default='1280x720', type=lambda t: tuple(map(int, t.split('x'))))
    parser.add_argument('--rate', type=float, default=30.0)
    parser.add_argument('--seconds', type=float, default=10.0)
    parser.add_argument('-p', dest='parameters', action='append', default=[])
    parser.add_argument('--results', type=Path, default=RESULTS)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix='da3_ros_latency_') as folder,
        private_domain() as domain_id,
    ):
        os.environ['ROS_DOMAIN_ID'] = str(domain_id)  # for the camera's process, too
        rclpy.init()
        for model in arguments.models:
            measured = measure(model, arguments, Path(folder), domain_id)
            print(json.dumps(measured), flush=True)
            with arguments.results.open('a') as file:
                file.write(json.dumps(measured) + '\n')
        rclpy.shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
