"""KITTI odometry: the left colour camera of a car, with the truth of GPS and IMU; poses alone."""

from pathlib import Path

from da3_ros.errors import InputError
from da3_ros.evaluation.datasets.dataset import Dataset, inside, needed, Scene, with_frames
from da3_ros.evaluation.frame_choice import Stretches
from da3_ros.evaluation.sequences import image_files, read_rgb
from da3_ros.geometry.transforms import invert, rigid
import numpy as np


def _scenes(root: Path) -> list[str]:
    root = inside(root, 'dataset')
    named = sorted(path.stem for path in (root / 'poses').glob('*.txt'))
    return [name for name in named if (root / 'sequences' / name / 'image_2').is_dir()]


def _projection(path: Path) -> np.ndarray:
    """Read P2 (3, 4): what projects points of the first camera into the left colour picture."""
    for line in needed(path).read_text().splitlines():
        name, _, numbers = line.partition(':')
        if name.strip() == 'P2':
            try:
                return np.array(numbers.split(), dtype=np.float64).reshape(3, 4)
            except ValueError:
                break
    raise InputError(f"{path} has no line 'P2:' with twelve numbers.")


def _read(root: Path, name: str) -> Scene:
    root = inside(root, 'dataset')
    folder = root / 'sequences' / name
    pictures = image_files(folder / 'image_2')
    path = root / 'poses' / f'{name}.txt'
    try:
        rows = np.loadtxt(path, dtype=np.float64, ndmin=2).reshape(-1, 3, 4)
    except ValueError as error:
        raise InputError(f'{path} does not hold lines of twelve numbers.') from error
    with_frames(folder, min(len(rows), len(pictures)))
    if len(rows) != len(pictures):
        raise InputError(f'{folder} has {len(pictures)} pictures and {len(rows)} poses.')
    projection = _projection(folder / 'calib.txt')
    k = projection[:, :3]
    # Poses are the first camera's, which is grey; the left colour camera is beside it.
    camera_from_first = rigid(np.eye(3), np.linalg.solve(k, projection[:, 3]))
    world_from_first = np.tile(np.eye(4), (len(rows), 1, 1))
    world_from_first[:, :3] = rows
    return Scene(
        name=name,
        world_from_camera=world_from_first @ invert(camera_from_first),
        intrinsics=np.tile(k, (len(rows), 1, 1)),
        rgb=lambda frame: read_rgb(pictures[frame]),
    )


KITTI = Dataset(
    'kitti',
    'sequences/00/image_2, sequences/00/calib.txt and poses/00.txt',
    _scenes,
    _read,
    Stretches(stride=2),
)
