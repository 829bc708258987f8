"""7-Scenes: hand-held RGB-D of rooms, tracked and meshed by KinectFusion."""

from pathlib import Path

from da3_ros.errors import InputError
from da3_ros.evaluation.datasets.dataset import (
    Dataset,
    folders,
    inside,
    needed,
    Scene,
    with_frames,
)
from da3_ros.evaluation.datasets.true_points import true_points
from da3_ros.evaluation.frame_choice import Sampled
from da3_ros.evaluation.sequences import read_depth, read_rgb
from da3_ros.evaluation.surface_rules import ROOM, SampledSurface
import numpy as np

_SCENES = ('chess', 'fire', 'heads', 'office', 'pumpkin', 'redkitchen', 'stairs')
# The sequence of a scene and how many of its frames the benchmark takes.
_SEQUENCE, _FRAMES = 'seq-01', 1000
_SEQUENCE_OF, _FRAMES_OF = {'stairs': 'seq-02'}, {'stairs': 500}
# One camera for all, as the benchmark has it.
_K = np.array([[585.0, 0.0, 320.0], [0.0, 585.0, 240.0], [0.0, 0.0, 1.0]])
_UNITS_PER_METRE, _INVALID = 1000.0, 65535


def _scenes(root: Path) -> list[str]:
    return folders(inside(root, '7Scenes'), _SCENES)


def _pose(path: Path) -> np.ndarray:
    """Read world_from_camera (4, 4)."""
    try:
        return np.loadtxt(path, dtype=np.float64).reshape(4, 4)
    except ValueError as error:
        raise InputError(f'{path} does not hold a matrix of 4 x 4 numbers.') from error


def _read(root: Path, name: str) -> Scene:
    root = inside(root, '7Scenes')
    folder = needed(root / name / _SEQUENCE_OF.get(name, _SEQUENCE))
    stems = [folder / f'frame-{i:06d}' for i in range(_FRAMES_OF.get(name, _FRAMES))]
    parts = ('color.png', 'pose.txt')
    stems = [stem for stem in stems if all(_part(stem, part).is_file() for part in parts)]
    with_frames(folder, len(stems))

    def depth_m(frame: int) -> np.ndarray:
        return read_depth(needed(_part(stems[frame], 'depth.png')), _UNITS_PER_METRE, _INVALID)

    def is_valid(frame: int) -> np.ndarray | None:
        return np.isfinite(depth_m(frame)) if _part(stems[frame], 'depth.png').is_file() else None

    return Scene(
        name=name,
        world_from_camera=np.stack([_pose(_part(s, 'pose.txt')) for s in stems]),
        intrinsics=np.tile(_K, (len(stems), 1, 1)),
        rgb=lambda frame: read_rgb(_part(stems[frame], 'color.png')),
        depth_m=depth_m,
        is_valid=is_valid,
        surface=lambda frames: SampledSurface(
            true_points(needed(root / 'meshes' / f'{name}.ply')), ROOM
        ),
    )


def _part(stem: Path, part: str) -> Path:
    return stem.with_name(f'{stem.name}.{part}')


SEVEN_SCENES = Dataset(
    '7scenes',
    'SCENE/seq-01/frame-000000.color.png, .pose.txt, .depth.png and meshes/SCENE.ply, '
    'SCENE like chess',
    _scenes,
    _read,
    Sampled(),
)
