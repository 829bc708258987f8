"""
The real node in a process of its own, over DDS: the demo end to end, and a real recording.

What is recorded is read here with rosbags alone, from the definitions inside the bag.
"""

import json
from pathlib import Path
import signal
import subprocess
import sys
import time

from da3_ros.engine import Frame
from da3_ros.evaluation.sequences import read_sequence
from da3_ros.ros.camera_bag import write_camera_bag
from da3_ros.ros.domain import private_domain
from da3_ros.ros.replay import Replay
from da3_ros.tools.main import main
import numpy as np
import pytest
from rosbags.rosbag2 import Reader
from rosbags.typesys import get_types_from_msg, get_typestore, Stores

OFFICE = Path(__file__).parents[3] / 'shared' / 'data' / 'hololens_office_a'
PER_FRAME = (
    '/depth/image_rect',
    '/depth/camera_info',
    '/confidence/image_rect',
    '/points',
    '/odometry',
    '/tf',
)
TOPICS = {*PER_FRAME, '/keyframes', '/status'}


def read_bag(path: Path) -> dict[str, list]:
    """Return all messages of a bag by topic, in the order of recording."""
    messages: dict[str, list] = {}
    with Reader(path) as reader:
        store = get_typestore(Stores.EMPTY)
        for connection in reader.connections:
            types = get_types_from_msg(connection.msgdef.data, connection.msgtype)
            store.register({k: v for k, v in types.items() if k not in store.fielddefs})
            messages[connection.topic] = []
        for connection, _, data in reader.messages():
            messages[connection.topic].append(store.deserialize_cdr(data, connection.msgtype))
    return messages


def stamp_of(message: object) -> int:
    """Return the stamp of a message in nanoseconds; of the first transform for TF."""
    header = message.transforms[0].header if hasattr(message, 'transforms') else message.header
    return header.stamp.sec * 10**9 + header.stamp.nanosec


def image(message: object) -> np.ndarray:
    """Return a 32FC1 image (h, w)."""
    assert message.encoding == '32FC1' and message.step == 4 * message.width
    return message.data.view('<f4').reshape(message.height, message.width)


def cloud(message: object) -> np.ndarray:
    """Return the x, y, z (h, w, 3) of an organised cloud."""
    assert [(f.name, f.offset) for f in message.fields][:3] == [('x', 0), ('y', 4), ('z', 8)]
    rows = message.data.view('<f4').reshape(message.height, message.width, -1)
    assert message.point_step == 4 * rows.shape[2]
    return rows[..., :3]


def check_outputs(outputs: dict[str, list], inputs: dict[str, list]) -> None:
    """Check everything that must hold between the topics of a recording, frame by frame."""
    stamps = {topic: [stamp_of(m) for m in outputs[topic]] for topic in PER_FRAME}
    frames = stamps['/depth/image_rect']
    assert frames == sorted(set(frames)), 'stamps must grow, without duplicates'
    assert all(s == frames for s in stamps.values()), 'every topic has every frame'
    assert set(frames) <= {stamp_of(m) for m in inputs['/image']}
    info_in = inputs['/camera_info'][0]
    frame_in = inputs['/image'][0].header.frame_id
    for depth_message, info, confidence_message, points, odometry, tf in zip(
        *(outputs[topic] for topic in PER_FRAME)
    ):
        depth = image(depth_message)
        assert (info.width, info.height) == (depth.shape[1], depth.shape[0])
        assert depth_message.header.frame_id == info.header.frame_id == frame_in
        assert points.header.frame_id == confidence_message.header.frame_id == frame_in
        ratio_x, ratio_y = info.width / info_in.width, info.height / info_in.height
        scaled = info_in.k.reshape(3, 3) * [[ratio_x], [ratio_y], [1.0]]
        np.testing.assert_allclose(info.k.reshape(3, 3), scaled, rtol=1e-6)
        assert not info.d.any()
        assert image(confidence_message).min() >= 1.0
        check_cloud(cloud(points), depth, info.k.reshape(3, 3))
        check_poses(odometry, tf.transforms[0], frame_in)
    check_status(outputs, len(frames))


def check_cloud(points: np.ndarray, depth: np.ndarray, k: np.ndarray) -> None:
    """Unproject depth here, pixel by pixel, and compare."""
    valid = np.isfinite(depth)
    assert valid.mean() > 0.5
    is_point = np.isfinite(points).all(-1)
    assert not (is_point & ~valid).any()
    assert is_point.sum() > 0.9 * valid.sum(), 'no more is left out than hangs in the air'
    valid = is_point
    v, u = np.nonzero(valid)
    z = depth[valid]
    expected = np.stack([(u - k[0, 2]) / k[0, 0] * z, (v - k[1, 2]) / k[1, 1] * z, z], axis=1)
    error = np.linalg.norm(points[valid] - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert error.max() < 1e-3


def check_poses(odometry: object, transform: object, frame_in: str) -> None:
    """Check that odometry and TF say the same."""
    assert odometry.header.frame_id == transform.header.frame_id == 'map'
    assert odometry.child_frame_id == transform.child_frame_id == frame_in
    pose, other = odometry.pose.pose, transform.transform
    for a, b, axes in (
        (pose.position, other.translation, 'xyz'),
        (pose.orientation, other.rotation, 'xyzw'),
    ):
        assert [getattr(a, x) for x in axes] == [getattr(b, x) for x in axes]


def check_status(outputs: dict[str, list], frames: int) -> None:
    """Check that the node's books balance, and that keyframes are frames."""
    last = outputs['/status'][-1]
    assert last.frames_processed == last.frames_published == frames
    assert last.frames_received == last.frames_processed + last.frames_dropped
    dropped = dict(zip(last.drop_reasons, last.drop_counts))
    assert last.frames_dropped == sum(n for r, n in dropped.items() if r.startswith('frame_'))
    assert set(dropped) <= {'frame_superseded', 'frame_registration'}, dropped
    keyframes = [stamp_of(pose) for pose in outputs['/keyframes'][-1].poses]
    assert len(keyframes) == last.keyframes > 0
    assert set(keyframes) <= {stamp_of(m) for m in outputs['/odometry']}


def demo_arguments(output: Path, frames: int) -> list[str]:
    sizes = ['--width', '112', '--height', '84', '--resolution', '112', '--window', '2']
    return ['demo', '--output', str(output), '--frames', str(frames), '--fps', '4', *sizes]


def test_demo_end_to_end(tmp_path):
    output = tmp_path / 'demo'
    # An earlier demo is replaced; what is not a demo's stays.
    (output / 'output').mkdir(parents=True)
    (output / 'output' / 'output.mcap').write_text('of an earlier demo')
    (output / 'notes.txt').write_text('mine')
    options = ['--film', '--json']
    command = [sys.executable, '-m', 'da3_ros.tools.main', *demo_arguments(output, 6), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (output / 'notes.txt').read_text() == 'mine'
    numbers = json.loads(done.stdout)  # and nothing else is there
    assert (
        numbers['frames_in'] == 6 and numbers['frames_out'] + sum(numbers['drops'].values()) == 6
    )
    assert 0 < numbers['latency_p50_ms'] <= numbers['latency_p95_ms']
    assert (
        0 <= numbers['depth_one_scale']['delta1'] <= 1 and numbers['trajectory']['path_length_m']
    )
    text = (output / 'report.txt').read_text()
    assert text.splitlines()[0].startswith('model')
    assert text in done.stderr
    for words in ('frames in', 'frames dropped', 'latency', 'delta1', 'ATE RMSE', 'rotation'):
        assert words in text
    outputs = read_bag(output / 'output')
    assert set(outputs) == TOPICS
    check_outputs(outputs, read_bag(output / 'input'))
    assert 'Traceback' not in (output / 'node.log').read_text()
    assert (output / 'contact_sheet.png').read_bytes()[:4] == b'\x89PNG'
    assert (output / 'film.gif').read_bytes()[:6] == b'GIF89a'
    page = (output / 'report.html').read_text()
    assert len(page) < 10_000_000
    for words in ('true depth', 'trajectory ATE', 'Scale of the map', 'Depth error', 'embedded'):
        assert words in page, words
    assert len(read_sequence(output / 'scene')) == 6


@pytest.mark.skipif(not OFFICE.is_dir(), reason=f'the real recording is not at {OFFICE}')
def test_real_recording_at_its_own_rate(tmp_path):
    # Its stamps count the frames of a 30 Hz camera, of which every third is there.
    sequence = read_sequence(OFFICE, stamps_per_second=30.0)
    frames = (
        Frame('', int(sequence.stamps_ns[i]), sequence.rgb(i), sequence.intrinsics[i])
        for i in range(len(sequence))
    )
    write_camera_bag(tmp_path / 'input', frames, 'hololens')
    with private_domain() as domain_id:
        replay = Replay(
            bag=tmp_path / 'input',
            output=tmp_path / 'output',
            log=tmp_path / 'node.log',
            domain_id=domain_id,
            parameters={'resolution': 140, 'device': 'cpu', 'window.size': 3},
        )
        counts = replay.run()
    assert counts.sent == len(sequence) == counts.status.frames_received + counts.lost
    assert counts.status.frames_published >= 3
    check_outputs(read_bag(tmp_path / 'output'), read_bag(tmp_path / 'input'))
    log = (tmp_path / 'node.log').read_text()
    assert 'Traceback' not in log and 'ERROR' not in log


def children_of(pid: int) -> set[int]:
    """Return the processes whose parent is ``pid``."""
    found = set()
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = stat.read_text().rpartition(')')[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(fields[1]) == pid and fields[0] != 'Z':
            found.add(int(stat.parent.name))
    return found


def wait_until(condition, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, 'it did not come about in time'
        time.sleep(0.05)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_child_outlives_the_demo(number, tmp_path):
    arguments = [*demo_arguments(tmp_path / 'demo', 20), '--fps', '1']
    command = [sys.executable, '-m', 'da3_ros.tools.main', *arguments]
    output, progress = tmp_path / 'demo' / 'output', tmp_path / 'progress.txt'
    streams = {'stdout': progress.open('w'), 'stderr': subprocess.STDOUT}
    with streams['stdout'], subprocess.Popen(command, **streams) as demo:
        # A recording grows by chunks, which may be long in coming; the bar tells of every frame.
        wait_until(lambda: ' 3/20 ' in progress.read_text().partition('node:')[2], 240)
        children = children_of(demo.pid)
        assert children
        demo.send_signal(number)
        demo.wait(timeout=60)
    text = progress.read_text()
    expected = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}
    assert demo.returncode == expected[number], text
    assert 'Traceback' not in text
    wait_until(lambda: not any(Path(f'/proc/{child}').exists() for child in children), 30)
    if number != signal.SIGKILL:
        assert read_bag(output)['/depth/image_rect']


def test_a_node_that_cannot_start_is_a_sentence(tmp_path, capsys):
    arguments = [*demo_arguments(tmp_path / 'demo', 2), '--model', '/no/such/model.safetensors']
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert '/no/such/model.safetensors' in message and 'Traceback' not in message
