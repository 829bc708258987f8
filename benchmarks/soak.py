"""
Run the real node for a long time under a camera at full rate, and see what it loses and keeps.

    python -m benchmarks.soak [--minutes 30] [--rate 30] [--size 256x192] [-p NAME:=VALUE ...]

The node, a camera and a listener of every output are processes of their own. The camera walks
through a rendered room, there and back, with stamps that go on growing. Images that the network is
too slow for are superseded, as they should be, and counted; of every processed one, each output
must be heard, once and in order. Memory, threads and open files of the node are looked at every
ten seconds. One row joins benchmarks/results/soak.jsonl; the exit code is 1 if anything was lost.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
import json
import os
from pathlib import Path
import resource
import subprocess
import sys
import tempfile
import time

from da3_ros.errors import Da3Error
from da3_ros.msg import Status
from da3_ros.ros.convert import byte_array, header_at, intrinsics_to_info
from da3_ros.ros.domain import private_domain
from da3_ros.ros.message_types import message_class
from da3_ros.ros.node_process import NodeProcess
from da3_ros.ros.replay import LAST_TOPIC, OUTPUT_TYPES, PER_FRAME_TOPICS
from da3_ros.tools.bench import commit
import numpy as np
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image

from benchmarks.latency import given, stamp_ns

RESULTS = Path(__file__).parent / 'results' / 'soak.jsonl'
# What two CPU cores can do; of each message DDS keeps enough for a listener that is held up.
PARAMETERS = {'resolution': 224, 'window.size': 4, 'qos.output_depth': 100}
FRAME_ID = 'camera_optical_frame'
# All outputs; LAST_TOPIC is the last.
TOPICS = {
    '/map_points': 'sensor_msgs/msg/PointCloud2',
    '/diagnostics': 'diagnostic_msgs/msg/DiagnosticArray',
    **OUTPUT_TYPES,
}
# Slow enough for the few images a second that a CPU processes to hang together [m/s].
_SPEED = 0.4
_LAP_FRAMES, _SEED = 120, 12
_READY_S, _DRAIN_S = 120.0, 60.0
_SPIN_S = 0.05


@dataclass
class Sample:
    """What the node's process holds at a moment, ``at_s`` seconds after the first image."""

    at_s: float
    rss_mib: float
    threads: int
    fds: int
    keyframes: int


@dataclass
class Heard:
    """What came on one topic: how many messages, and how many not later than the one before."""

    count: int = 0
    disordered: int = 0
    newest_ns: int = 0

    def take(self, topic: str, data: bytes) -> None:
        """Count a serialised message."""
        at_ns = stamp_ns(topic, data)
        self.count += 1
        self.disordered += at_ns <= self.newest_ns
        self.newest_ns = at_ns


@dataclass
class Listener:
    """Hears every output; looks into none but the status, so that it keeps up."""

    node: Node
    heard: dict[str, Heard] = field(default_factory=dict)
    status: Status | None = None

    def __post_init__(self) -> None:
        """Subscribe in the order of ``TOPICS``; once the last is heard, all are."""
        qos = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
        for topic, name in TOPICS.items():
            self.heard[topic] = Heard()
            self.node.create_subscription(
                message_class(name), topic, self._taker(topic), qos, raw=True
            )

    def _taker(self, topic: str) -> object:
        def take(data: bytes) -> None:
            self.heard[topic].take(topic, data)
            if topic == LAST_TOPIC:
                self.status = deserialize_message(data, Status)

        return take

    @property
    def is_settled(self) -> bool:
        """Whether all that the node has published is here, and nothing waits in it."""
        s = self.status
        return s.frames_received == s.frames_processed + s.frames_dropped and not self.lost()

    def lost(self) -> dict[str, int]:
        """Return how many messages of published frames are missing, or too many, by topic."""
        published = self.status.frames_published
        missing = {t: published - self.heard[t].count for t in PER_FRAME_TOPICS}
        return {topic: count for topic, count in missing.items() if count}

    def disordered(self) -> int:
        """Return how many messages for frames came again, or after a later one."""
        return sum(self.heard[topic].disordered for topic in PER_FRAME_TOPICS)


def sample(pid: int, at_s: float, keyframes: int) -> Sample:
    """Look at a process; Linux only."""
    folder = Path(f'/proc/{pid}')
    pages = int((folder / 'statm').read_text().split()[1])
    return Sample(
        at_s=round(at_s, 1),
        rss_mib=round(pages * resource.getpagesize() / 2**20, 1),
        threads=len(os.listdir(folder / 'task')),
        fds=len(os.listdir(folder / 'fd')),
        keyframes=keyframes,
    )


def growth(samples: Sequence[Sample]) -> float:
    """Return the growth of the memory from the second quarter to the last [MiB/h], by medians."""
    quarter = len(samples) // 4
    if quarter == 0:
        return 0.0
    held = np.array([(s.at_s, s.rss_mib) for s in samples])
    before, after = np.median(held[quarter : 2 * quarter], 0), np.median(held[-quarter:], 0)
    return 3600 * float((after[1] - before[1]) / (after[0] - before[0]))


def render(path: Path, frames: int, size: tuple[int, int], rate_hz: float) -> None:
    """Render a walk through a room into a file: pictures and intrinsics."""
    from da3_ros.training.scenes.paths import PathConfig
    from da3_ros.training.scenes.sequence import iterate_sequence, SequenceConfig
    from tqdm import tqdm

    config = SequenceConfig(
        seed=_SEED,
        frames=frames,
        width=size[0],
        height=size[1],
        fps=rate_hz,
        path=PathConfig(kind='orbit', speed_m=_SPEED / rate_hz, rest_share=0.0),
    )
    shots = list(tqdm(iterate_sequence(config), 'render', total=frames, unit='frame'))
    intrinsics = shots[0].intrinsics.numpy().astype(np.float64)
    intrinsics[:2, 2] -= 0.5  # the renderer counts from the corners of pixels
    np.savez(path, rgb=np.stack([s.rgb.numpy() for s in shots]), intrinsics=intrinsics)


def there_and_back(count: int, frames: int) -> int:
    """Return which picture is the so-manieth: 0, 1, ... frames - 1, ... 1, 0, 1, ..."""
    at = count % max(2 * (frames - 1), 1)
    return min(at, 2 * (frames - 1) - at)


def run_camera(path: Path, rate_hz: float, seconds: float) -> None:
    """Publish a film there and back for some time, once somebody listens; print how many."""
    film = np.load(path)
    rgb, intrinsics = film['rgb'], film['intrinsics']
    height, width = rgb.shape[1:3]
    data = [byte_array(picture) for picture in rgb]
    rclpy.init()
    node = rclpy.create_node('camera')
    qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    publishers = (
        node.create_publisher(CameraInfo, '/camera_info', qos),
        node.create_publisher(Image, '/image', qos),
    )
    while not all(publisher.get_subscription_count() for publisher in publishers):
        time.sleep(_SPIN_S)
    sent, start = 0, time.monotonic()
    while (due := sent / rate_hz) < seconds:
        time.sleep(max(start + due - time.monotonic(), 0.0))
        header = header_at(time.time_ns(), FRAME_ID)
        message = Image(header=header, width=width, height=height, encoding='rgb8', step=3 * width)
        message.data = data[there_and_back(sent, len(data))]
        publishers[0].publish(intrinsics_to_info(intrinsics, (width, height), header))
        publishers[1].publish(message)
        sent += 1
    print(sent, flush=True)
    node.destroy_node()
    rclpy.shutdown()


@contextmanager
def camera(path: Path, rate_hz: float, seconds: float) -> Iterator[subprocess.Popen]:
    """Run a camera in a process of its own."""
    command = [sys.executable, '-m', 'benchmarks.soak', '--camera', path, rate_hz, seconds]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def listening(domain_id: int) -> Iterator[tuple[Listener, SingleThreadedExecutor]]:
    """Have a listener, and what has to be spun for it to hear."""
    context = Context()
    rclpy.init(context=context, domain_id=domain_id)
    executor = SingleThreadedExecutor(context=context)
    node = rclpy.create_node('listener', context=context)
    executor.add_node(node)
    try:
        yield Listener(node), executor
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)


def soak(arguments: argparse.Namespace, folder: Path, domain_id: int) -> dict:
    """Run node, camera and listener; return the row."""
    seconds = 60 * arguments.minutes
    film, log = folder / 'film.npz', folder / 'node.log'
    render(film, arguments.lap, arguments.size, arguments.rate)
    parameters = {**PARAMETERS, **given(arguments.parameters)}
    samples: list[Sample] = []
    with ExitStack() as stack:
        node = stack.enter_context(NodeProcess(parameters, domain_id, log))
        listener, executor = stack.enter_context(listening(domain_id))

        def spin_until(condition: object, timeout_s: float, what: str) -> None:
            end = time.monotonic() + timeout_s
            while not condition():
                node.check()
                if time.monotonic() > end:
                    raise Da3Error(f'Waited in vain for {what}; the log ends:\n{node.log_tail()}')
                executor.spin_once(timeout_sec=_SPIN_S)

        spin_until(lambda: listener.status is not None, _READY_S, 'the node to be active')
        eyes = stack.enter_context(camera(film, arguments.rate, seconds))
        spin_until(lambda: listener.status.frames_received, _READY_S, 'the first image')
        start = time.monotonic()

        def look() -> bool:
            at_s = time.monotonic() - start
            if at_s >= len(samples) * arguments.every:
                samples.append(sample(node.pid, at_s, listener.status.keyframes))
            return eyes.poll() is not None

        spin_until(look, seconds + _DRAIN_S, 'the camera to end')
        try:
            spin_until(lambda: listener.is_settled, _DRAIN_S, 'the last messages')
        except Da3Error:
            node.check()  # else what is missing is lost, and the row says so
        samples.append(sample(node.pid, time.monotonic() - start, listener.status.keyframes))
        return row(arguments, int(eyes.stdout.read()), listener, samples)


def row(
    arguments: argparse.Namespace, sent: int, listener: Listener, samples: Sequence[Sample]
) -> dict:
    """Return what was found, rounded."""
    status = listener.status
    settled = samples[min(len(samples) // 4, len(samples) - 1)]
    return {
        'date': time.strftime('%Y-%m-%d'),
        'device': f'CPU, {os.cpu_count()} cores',
        'torch': version('torch'),
        'commit': commit(),
        'command': ' '.join(['python -m benchmarks.soak', *sys.argv[1:]]),
        'minutes': arguments.minutes,
        'size': 'x'.join(map(str, arguments.size)),
        'rate_hz': arguments.rate,
        'parameters': arguments.parameters,
        'sent': sent,
        'received': status.frames_received,
        'processed': status.frames_processed,
        'published': status.frames_published,
        'drops': dict(zip(status.drop_reasons, status.drop_counts, strict=True)),
        'heard': {topic: heard.count for topic, heard in listener.heard.items()},
        'lost': listener.lost(),
        'disordered': listener.disordered(),
        'p50_ms': round(status.latency_p50_ms, 1),
        'p95_ms': round(status.latency_p95_ms, 1),
        'state': status.state,
        'keyframes': status.keyframes,
        'map_parts': status.map_parts,
        'rss_mib': [settled.rss_mib, max(s.rss_mib for s in samples), samples[-1].rss_mib],
        'rss_growth_mib_per_h': round(growth(samples), 1),
        'threads': sorted({s.threads for s in samples}),
        'fds': sorted({s.fds for s in samples}),
        'samples': [[s.at_s, s.rss_mib, s.threads, s.fds, s.keyframes] for s in samples],
    }


def table(measured: Mapping[str, object]) -> str:
    """Return a row as text."""
    lines = [f'{"s":>8} {"MiB":>8} {"threads":>8} {"files":>8} {"keyframes":>10}']
    samples = measured['samples']
    for at_s, *values in samples[:: max(len(samples) // 20, 1)]:
        lines.append(f'{at_s:8.0f} {values[0]:8.1f} {values[1]:8d} {values[2]:8d} {values[3]:10d}')
    shown = {key: value for key, value in measured.items() if key != 'samples'}
    return '\n'.join([*lines, '', *(f'{key:22} {value}' for key, value in shown.items())])


def main() -> int:
    """Soak, print, and remember."""
    if sys.argv[1:2] == ['--camera']:
        run_camera(Path(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
        return 0
    parser = argparse.ArgumentParser(description='The real node for a long time, at full rate.')
    parser.add_argument('--minutes', type=float, default=30.0)
    parser.add_argument('--rate', type=float, default=30.0)
    parser.add_argument('--size', default='256x192', type=lambda t: tuple(map(int, t.split('x'))))
    parser.add_argument('--lap', type=int, default=_LAP_FRAMES, help='pictures, there or back')
    parser.add_argument('--every', type=float, default=10.0, help='seconds between two looks')
    parser.add_argument('-p', dest='parameters', action='append', default=[])
    parser.add_argument('--results', type=Path, default=RESULTS)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix='da3_ros_soak_') as folder,
        private_domain() as domain_id,
    ):
        os.environ['ROS_DOMAIN_ID'] = str(domain_id)  # for the camera's process
        measured = soak(arguments, Path(folder), domain_id)
    print(table(measured))
    with arguments.results.open('a') as file:
        file.write(json.dumps(measured) + '\n')
    return 1 if measured['lost'] or measured['disordered'] else 0


if __name__ == '__main__':
    sys.exit(main())
