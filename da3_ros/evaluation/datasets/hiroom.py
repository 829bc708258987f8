"""HiRoom: rendered rooms with exact depth, and the cloud that it makes."""

from pathlib import Path

from da3_ros.errors import InputError
from da3_ros.evaluation.datasets.dataset import Dataset, needed, Scene, with_frames
from da3_ros.evaluation.datasets.true_points import true_points
from da3_ros.evaluation.frame_choice import Sampled
from da3_ros.evaluation.sequences import image_files, read_depth, read_grey, read_rgb
from da3_ros.evaluation.surface_rules import ROOM, SampledSurface
from da3_ros.geometry.transforms import invert
import numpy as np

_LIST = 'selected_scene_list_val.txt'
# 16 bits are a hundred metres.
_UNITS_PER_METRE = 65535 / 100


def _scenes(root: Path) -> list[str]:
    if not (root / _LIST).is_file():
        return []
    names = (root / _LIST).read_text().split()
    return [name for name in names if (root / 'data' / name).is_dir()]


def _matrix(path: Path, rows: int) -> np.ndarray:
    """Read a matrix (rows, rows) of a .npy file."""
    needed(path)
    try:
        matrix = np.load(path, allow_pickle=False)
    except ValueError as error:
        raise InputError(f'{path} is not an array of numbers.') from error
    if matrix.shape != (rows, rows):
        raise InputError(f'{path} has the shape {matrix.shape}; expected {(rows, rows)}.')
    return matrix.astype(np.float64)


def _read(root: Path, name: str) -> Scene:
    folder = root / 'data' / name
    pictures = [
        path
        for path in image_files(needed(folder / 'image'))
        if (folder / 'pose' / f'{path.stem}.npy').is_file()
    ]
    with_frames(folder, len(pictures))
    poses = [_matrix(folder / 'pose' / f'{path.stem}.npy', 4) for path in pictures]

    def depth_m(frame: int) -> np.ndarray:
        path = needed(folder / 'depth' / f'{pictures[frame].stem}.png')
        return read_depth(path, _UNITS_PER_METRE)

    def is_valid(frame: int) -> np.ndarray | None:
        if not (folder / 'depth' / f'{pictures[frame].stem}.png').is_file():
            return None
        valid = np.isfinite(depth_m(frame))
        # Where thin things flicker between the picture's pixels.
        path = folder / 'aliasing_mask' / f'{pictures[frame].stem}.png'
        if path.is_file():
            valid &= read_grey(path) == 0
        return valid

    cloud = root / 'fused_pcd' / f'{"-".join(name.split("/")[-3:])}.ply'
    return Scene(
        name=name,
        world_from_camera=invert(np.stack(poses)),
        intrinsics=np.tile(_matrix(folder / 'cam_K.npy', 3), (len(pictures), 1, 1)),
        rgb=lambda frame: read_rgb(pictures[frame]),
        depth_m=depth_m,
        is_valid=is_valid,
        surface=lambda frames: SampledSurface(true_points(needed(cloud)), ROOM),
    )


HIROOM = Dataset(
    'hiroom',
    f'{_LIST}, data/SCENE with image, depth, pose and cam_K.npy, and fused_pcd',
    _scenes,
    _read,
    Sampled(),
)
