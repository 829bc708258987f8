"""EuRoC MAV: a drone's left camera, with the truth of a tracker; poses alone."""

from pathlib import Path
import re

from da3_ros.errors import InputError
from da3_ros.evaluation.datasets.dataset import Dataset, needed, Scene, with_frames
from da3_ros.evaluation.euroc import read_euroc
from da3_ros.evaluation.frame_choice import Stretches
from da3_ros.evaluation.sequences import read_rgb
from da3_ros.evaluation.truth import nearest_stamps
from da3_ros.geometry.cameras import camera_matrix, Distortion, undistort
import numpy as np

# The truth has 200 states a second: a picture's is no farther away than this.
_TOGETHER_NS = 5_000_000


def _scenes(root: Path) -> list[str]:
    return sorted(path.parents[2].name for path in root.glob('*/mav0/cam0/sensor.yaml'))


def _numbers(path: Path, text: str, key: str, count: int) -> np.ndarray:
    """Return the list of numbers that follows a key of a sensor's file, or 'key: inner key'."""
    # Between a key and an inner one there may be others: rows and cols.
    pattern = r'\b[^\[]*?\b'.join(map(re.escape, key.split(': ')))
    found = re.search(rf'^\s*{pattern}:[^\[]*\[([^\]]*)\]', text, re.MULTILINE)
    try:
        numbers = np.array(found[1].split(','), dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if len(numbers) != count:
        raise InputError(f"{path} has no '{key}' with {count} numbers.")
    return numbers


def _listed(path: Path) -> tuple[np.ndarray, list[Path]]:
    """Read stamps (N,) int64 nanoseconds and files of a camera."""
    lines = needed(path).read_text().splitlines()
    rows = [x.strip().split(',') for x in lines if x.strip() and x[0] != '#']
    try:
        stamps = np.array([int(row[0]) for row in rows], dtype=np.int64)
        return stamps, [path.parent / 'data' / row[1] for row in rows]
    except (ValueError, IndexError) as error:
        raise InputError(f"{path} does not hold lines of 'stamp,file'.") from error


def _read(root: Path, name: str) -> Scene:
    folder = root / name / 'mav0'
    path = folder / 'cam0' / 'sensor.yaml'
    text = path.read_text()
    body_from_camera = _numbers(path, text, 'T_BS: data', 16).reshape(4, 4)
    k = camera_matrix(*_numbers(path, text, 'intrinsics', 4))
    lens = Distortion('plumb_bob', tuple(_numbers(path, text, 'distortion_coefficients', 4)))
    states = needed(folder / 'state_groundtruth_estimate0' / 'data.csv')
    state_stamps, world_from_body = read_euroc(states)
    stamps, files = _listed(folder / 'cam0' / 'data.csv')
    nearest = nearest_stamps(state_stamps, stamps, _TOGETHER_NS)
    used = np.flatnonzero(nearest >= 0)
    with_frames(folder, len(used))
    return Scene(
        name=name,
        world_from_camera=world_from_body[nearest[used]] @ body_from_camera,
        intrinsics=np.tile(k, (len(used), 1, 1)),
        rgb=lambda frame: undistort(read_rgb(files[used[frame]]), k, lens),
    )


EUROC = Dataset(
    'euroc',
    'SEQUENCE/mav0/cam0 and SEQUENCE/mav0/state_groundtruth_estimate0, SEQUENCE like V1_01_easy',
    _scenes,
    _read,
    Stretches(stride=10),
)
