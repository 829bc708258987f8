"""DTU: objects on a table before a camera on a robot's arm, in MVSNet's layout; millimetres."""

from pathlib import Path

from da3_ros.errors import InputError
from da3_ros.evaluation.datasets.dataset import Dataset, folders, needed, Scene, with_frames
from da3_ros.evaluation.dtu_surface import DtuSurface
from da3_ros.evaluation.frame_choice import Sampled
from da3_ros.evaluation.ply import read_ply
from da3_ros.evaluation.sequences import image_files, read_grey, read_rgb
from da3_ros.geometry.transforms import invert
import numpy as np
from scipy.io import loadmat

# The 22 scans of reconstruction, and the 13 of poses, whose scans are of their own archive.
_SCANS = tuple(
    f'scan{number}'
    for number in (
        *(1, 4, 9, 10, 11, 12, 13, 15, 23, 24, 29, 32, 33, 34, 48, 49, 62, 75, 77, 110, 114, 118),
    )
)
_SCANS_64 = tuple(
    f'scan{number}' for number in (105, 114, 118, 122, 24, 37, 40, 55, 63, 65, 69, 83, 97)
)
# The picture that comes first: a view from the middle.
_FIRST = 33
_VALID_ABOVE = 10


def _middle_first(paths: tuple[Path, ...]) -> list[Path]:
    if len(paths) <= _FIRST:
        return list(paths)
    return [paths[_FIRST], *paths[:_FIRST], *paths[_FIRST + 1 :]]


def _camera(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read K (3, 3) and world_from_camera (4, 4) of a camera's file."""
    lines = needed(path).read_text().splitlines()
    try:
        camera_from_world = np.array(' '.join(lines[1:5]).split(), float).reshape(4, 4)
        intrinsics = np.array(' '.join(lines[7:10]).split(), float).reshape(3, 3)
    except ValueError as error:
        raise InputError(
            f"{path} is no camera; expected 'extrinsic', 4 x 4 numbers, 'intrinsic', 3 x 3."
        ) from error
    return intrinsics, invert(camera_from_world)


def _scan(
    name: str, pictures: list[Path], numbers: list[int], cameras: Path, **parts: object
) -> Scene:
    read = [_camera(cameras / f'{number:08d}_cam.txt') for number in numbers]
    return Scene(
        name=name,
        world_from_camera=np.stack([pose for _, pose in read]),
        intrinsics=np.stack([k for k, _ in read]),
        rgb=lambda frame: read_rgb(pictures[frame]),
        **parts,
    )


def _number(path: Path, places: int) -> int:
    """Return the number in a picture's name: rect_001_3_r5000.png, or 00000001.png."""
    try:
        return int(path.stem.split('_')[places])
    except (ValueError, IndexError) as error:
        raise InputError(f'{path} is not named as a picture of DTU.') from error


def _read(root: Path, name: str) -> Scene:
    folder = needed(root / 'Rectified' / name)
    pictures = _middle_first(tuple(p for p in image_files(folder) if p.suffix == '.png'))
    with_frames(folder, len(pictures))
    numbers = [_number(path, 1) - 1 for path in pictures]
    masks = root / 'depth_raw' / 'Depths' / name

    def is_valid(frame: int) -> np.ndarray:
        path = needed(masks / f'depth_visual_{numbers[frame]:04d}.png')
        return read_grey(path) > _VALID_ABOVE

    return _scan(
        name,
        pictures,
        numbers,
        root / 'Cameras',
        is_valid=is_valid,
        surface=lambda frames: _surface(root, int(name.removeprefix('scan'))),
    )


def _surface(root: Path, number: int) -> DtuSurface:
    """Read the scanned points of a scan, and what was observed."""
    points, _ = read_ply(needed(root / 'Points' / 'stl' / f'stl{number:03d}_total.ply'))
    folder = root / 'SampleSet' / 'mvs_data' / 'ObsMask'
    mask = needed(folder / f'ObsMask{number}_10.mat')
    plane = needed(folder / f'Plane{number}.mat')
    try:
        observed, plane_of = loadmat(mask), loadmat(plane)
        return DtuSurface(
            points=points,
            observed=observed['ObsMask'].astype(bool),
            box_mm=observed['BB'].astype(np.float64),
            resolution_mm=float(observed['Res'].squeeze()),
            plane=plane_of['P'].astype(np.float64).ravel(),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f'{mask} and {plane} do not hold ObsMask, BB, Res and P.') from error


def _read_64(root: Path, name: str) -> Scene:
    folder = needed(root / name / 'image')
    pictures = _middle_first(tuple(p for p in image_files(folder) if p.suffix == '.png'))
    with_frames(folder, len(pictures))
    return _scan(name, pictures, [_number(p, 0) for p in pictures], root / 'Cameras')


DTU = Dataset(
    'dtu',
    'Rectified/SCAN, Cameras, depth_raw/Depths/SCAN, Points/stl and SampleSet/mvs_data/ObsMask, '
    'SCAN like scan1',
    lambda root: folders(root / 'Rectified', _SCANS),
    _read,
    Sampled(),
    unit='mm',
)
DTU64 = Dataset(
    'dtu64',
    'SCAN/image/00000000.png and Cameras/00000000_cam.txt, SCAN like scan105; poses alone',
    lambda root: folders(root, _SCANS_64),
    _read_64,
    Sampled(),
)
