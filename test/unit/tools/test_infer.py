"""``da3 infer`` on tiny inputs: what it writes, what it counts, and what a bad input says."""

from collections.abc import Callable
import json
from pathlib import Path
import signal
import subprocess
import sys
import time

import cv2
from da3_ros.engine import StreamingEngine
from da3_ros.geometry.cameras import unproject
from da3_ros.geometry.tum import read_tum
from da3_ros.tools.main import main
import numpy as np
from pages import documented_keys
import pytest

WIDTH, HEIGHT, COUNT = 84, 56, 4


def pictures(count: int = COUNT) -> list[np.ndarray]:
    """Return BGR images of blobs that wander to the left."""
    rng = np.random.default_rng(0)
    wide = cv2.resize(rng.integers(0, 256, (8, 24, 3), dtype=np.uint8), (3 * WIDTH, HEIGHT))
    return [np.ascontiguousarray(wide[:, 4 * i : 4 * i + WIDTH]) for i in range(count)]


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return a folder of images."""
    path = tmp_path / 'images_in'
    path.mkdir()
    for i, picture in enumerate(pictures()):
        cv2.imwrite(str(path / f'{i:03d}.png'), picture)
    return path


def infer(source: Path, output: Path, *more: str) -> int:
    return main(
        ['infer', str(source), '--output', str(output), '--device', 'cpu']
        + ['--resolution', str(WIDTH), '--window', '2', *more]
    )


def frames(output: Path) -> list[dict]:
    return [dict(np.load(path)) for path in sorted((output / 'frames').iterdir())]


def test_folder(folder, tmp_path, capsys):
    output = tmp_path / 'out'
    assert infer(folder, output) == 0
    text = capsys.readouterr().out
    assert f'{COUNT} frames in' in text and 'not metres' in text
    stamps_ns, poses = read_tum(output / 'poses.txt')
    assert stamps_ns.tolist() == [0, 100_000_000, 200_000_000, 300_000_000]
    cameras = json.loads((output / 'intrinsics.json').read_text())['per_image']
    saved = frames(output)
    assert len(saved) == len(cameras) == COUNT
    for frame, pose, camera in zip(saved, poses, cameras):
        assert frame['depth'].shape == frame['confidence'].shape == frame['rgb'].shape[:2]
        assert frame['depth'].shape == (camera['height'], camera['width'])
        assert frame['depth'].dtype == np.float32 and frame['confidence'].min() >= 1.0
        assert camera['fx'] == frame['intrinsics'][0, 0]
        np.testing.assert_allclose(frame['map_from_camera'], pose, atol=1e-6)
        assert np.isfinite(unproject(frame['depth'], frame['intrinsics'])).any()
    assert (output / 'map' / 'map.ply').stat().st_size > 1000
    page = (output / 'report.html').read_text()
    assert len(page) < 10_000_000
    for words in ('images_in', f'<b>{COUNT}</b>', 'Way of the camera', 'keyframes', 'resolution'):
        assert words in page, words


def test_every_second_frame_keeps_the_numbers_of_the_input(folder, tmp_path):
    assert infer(folder, tmp_path / 'out', '--every', '2', '--fps', '5') == 0
    names = sorted(path.name for path in (tmp_path / 'out' / 'frames').iterdir())
    assert names == ['000000.npz', '000002.npz']
    stamps_ns, _ = read_tum(tmp_path / 'out' / 'poses.txt')
    assert stamps_ns.tolist() == [0, 400_000_000]


def test_a_bad_image_is_a_counted_drop(folder, tmp_path, capsys):
    (folder / '001.png').write_bytes(b'no image')
    assert infer(folder, tmp_path / 'out') == 0
    text = capsys.readouterr().out
    assert f'{COUNT - 1} frames in' in text
    assert '1 dropped, frame_decode; the first: frame 1' in text
    assert not (tmp_path / 'out' / 'frames' / '000001.npz').exists()


def test_video(tmp_path):
    path = tmp_path / 'film.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 20.0, (WIDTH, HEIGHT))
    for picture in pictures():
        writer.write(picture)
    writer.release()
    assert infer(path, tmp_path / 'out') == 0
    stamps_ns, _ = read_tum(tmp_path / 'out' / 'poses.txt')
    assert np.diff(stamps_ns).tolist() == [50_000_000] * (COUNT - 1)
    original = cv2.cvtColor(pictures()[0], cv2.COLOR_BGR2RGB).astype(float)
    decoded = frames(tmp_path / 'out')[0]['rgb'].astype(float)
    assert np.abs(decoded - original).mean() < 12  # not with red and blue exchanged


def test_field_of_view_sets_the_intrinsics(folder, tmp_path):
    assert infer(folder, tmp_path / 'out', '--fov', '90') == 0
    for frame in frames(tmp_path / 'out'):
        assert frame['intrinsics'][0, 0] == pytest.approx(WIDTH / 2)


def test_calibration_of_camera_calibration(folder, tmp_path, capsys):
    path = tmp_path / 'camera.yaml'
    k = [60.0, 0.0, 41.0, 0.0, 61.0, 27.0, 0.0, 0.0, 1.0]
    calibration = {
        'image_width': WIDTH,
        'image_height': HEIGHT,
        'camera_matrix': {'rows': 3, 'cols': 3, 'data': k},
        'distortion_model': 'plumb_bob',
        'distortion_coefficients': {'rows': 1, 'cols': 5, 'data': [0.01, 0.0, 0.0, 0.0, 0.0]},
    }
    path.write_text(json.dumps(calibration))  # JSON is YAML
    assert infer(folder, tmp_path / 'out', '--camera-info', str(path)) == 0
    assert frames(tmp_path / 'out')[0]['intrinsics'].ravel().tolist() == pytest.approx(k)
    path.write_text(json.dumps(calibration | {'image_width': 640}))
    assert infer(folder, tmp_path / 'other', '--camera-info', str(path)) == 2
    assert 'for images of 640x56, but an image is 84x56' in capsys.readouterr().err
    path.write_text('[1, 2]')
    assert infer(folder, tmp_path / 'third', '--camera-info', str(path)) == 2
    assert 'is not a calibration' in capsys.readouterr().err


def test_interrupt_leaves_what_was_done(folder, tmp_path, monkeypatch):
    push, pushed = StreamingEngine.push, []

    def interrupted(self, new):
        if len(pushed) == 2:
            raise KeyboardInterrupt
        pushed.append(new)
        return push(self, new)

    monkeypatch.setattr(StreamingEngine, 'push', interrupted)
    assert infer(folder, tmp_path / 'out') == 130
    assert len(frames(tmp_path / 'out')) == 2
    assert len(read_tum(tmp_path / 'out' / 'poses.txt')[0]) == 2
    assert (tmp_path / 'out' / 'map' / 'map.ply').is_file()
    assert len(json.loads((tmp_path / 'out' / 'intrinsics.json').read_text())['per_image']) == 2


def test_ctrl_c_in_a_terminal_leaves_what_was_done(folder, tmp_path):
    for i in range(COUNT, 2000):  # more than it will get to
        (folder / f'{i:03d}.png').symlink_to(folder / f'{i % COUNT:03d}.png')
    output = tmp_path / 'out'
    words = ['infer', str(folder), '--output', str(output), '--resolution', str(WIDTH)]
    command = [sys.executable, '-m', 'da3_ros.tools.main', *words, '--json', '--device', 'cpu']
    pipes = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True}
    with subprocess.Popen(command, **pipes) as process:
        wait_until(lambda: (output / 'frames' / '000001.npz').exists(), process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    summary = json.loads(out)
    assert summary['is_interrupted'] and 2 <= summary['frames'] < 2000
    saved = frames(output)
    assert len(saved) == summary['frames'] == len(read_tum(output / 'poses.txt')[0])
    assert (output / 'map' / 'map.ply').is_file()


def wait_until(is_true: Callable[[], bool], process: subprocess.Popen) -> None:
    """Wait for something that a process does."""
    deadline = time.monotonic() + 120
    while not is_true():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


def test_interrupt_while_a_frame_is_written_leaves_no_half_of_one(folder, tmp_path, monkeypatch):
    save, saved = np.savez, []

    def interrupted(file, **arrays):
        if len(saved) == 1:
            file.write(b'half')
            raise KeyboardInterrupt
        saved.append(arrays)
        save(file, **arrays)

    monkeypatch.setattr(np, 'savez', interrupted)
    assert infer(folder, tmp_path / 'out') == 130
    names = [path.name for path in (tmp_path / 'out' / 'frames').glob('*.npz')]
    assert names == ['000000.npz']
    assert len(read_tum(tmp_path / 'out' / 'poses.txt')[0]) == 1


def test_json_is_all_that_stdout_has(folder, tmp_path, capsys):
    (folder / '001.png').write_bytes(b'no image')
    assert infer(folder, tmp_path / 'out', '--json') == 0
    told = capsys.readouterr()
    summary = json.loads(told.out)
    assert set(summary) == documented_keys('infer')
    assert summary['frames'] == COUNT - 1 and summary['drops'] == {'frame_decode': 1}
    assert summary['model'] == 'embedded' and summary['is_metric'] is False
    assert summary['is_interrupted'] is False and summary['keyframes'] >= 1
    assert Path(summary['output']) == tmp_path / 'out'
    assert '1 dropped, frame_decode' in told.err


def test_results_are_not_overwritten_unless_told(folder, tmp_path, capsys):
    output = tmp_path / 'out'
    assert infer(folder, output, '--every', '4') == 0
    (output / 'notes.txt').write_text('mine')
    assert infer(folder, output) == 2
    assert 'already holds results' in capsys.readouterr().err
    assert len(frames(output)) == 1
    assert infer(folder, output, '--overwrite') == 0
    assert len(frames(output)) == COUNT
    assert (output / 'notes.txt').read_text() == 'mine'


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (['--every', '0'], '--every is 0; expected at least 1.'),
        (['--fps', '0'], '--fps is 0; expected a positive number.'),
        (['--fov', '200'], 'field of view is 200 degrees'),
        (['--set', 'keyframe.max_overlap'], 'expected NAME=VALUE'),
        (['--set', 'keyframe.max_overlap=many'], "'keyframe.max_overlap' is 'many'"),
        (['--set', 'no.such=1'], "no parameter 'no.such'"),
        (['--model', '/no/such/weights.safetensors'], '/no/such/weights.safetensors'),
    ],
)
def test_wrong_arguments_are_sentences(arguments, sentence, folder, tmp_path, capsys):
    assert infer(folder, tmp_path / 'out', *arguments) == 2
    message = capsys.readouterr().err
    assert sentence in message and 'Traceback' not in message
    assert not (tmp_path / 'out').exists()


def test_inputs_that_are_none(tmp_path, capsys):
    assert infer(tmp_path / 'nothing', tmp_path / 'out') == 2
    assert 'does not exist' in capsys.readouterr().err
    (tmp_path / 'empty').mkdir()
    assert infer(tmp_path / 'empty', tmp_path / 'out') == 2
    assert 'holds no image' in capsys.readouterr().err
    (tmp_path / 'film.mp4').write_bytes(b'no film')
    assert infer(tmp_path / 'film.mp4', tmp_path / 'out') == 2
    assert 'is not a video' in capsys.readouterr().err
