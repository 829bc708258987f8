"""TUM RGB-D: hand-held RGB-D with the truth of a motion capture system."""

from functools import cache
from pathlib import Path
import re

import cv2
from da3_ros.errors import InputError
from da3_ros.evaluation.datasets.dataset import Dataset, needed, Scene, with_frames
from da3_ros.evaluation.frame_choice import Stretches
from da3_ros.evaluation.sequences import read_depth, read_rgb
from da3_ros.evaluation.surface_rules import seen_surface, SENSED_ROOM
from da3_ros.evaluation.truth import nearest_stamps
from da3_ros.evaluation.tsdf import DepthView
from da3_ros.geometry.cameras import camera_matrix
from da3_ros.geometry.tum import read_tum
import numpy as np

# The three cameras: fx fy cx cy, and k1 k2 p1 p2 k3 (the third one's pictures are rectified).
_CAMERAS = {
    1: ((517.3, 516.5, 318.6, 255.3), (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
    2: ((520.9, 521.0, 325.1, 249.7), (0.2312, -0.7849, -0.0033, -0.0001, 0.9172)),
    3: ((535.4, 539.2, 320.1, 247.6), (0.0, 0.0, 0.0, 0.0, 0.0)),
}
_UNITS_PER_METRE = 5000.0
# Pictures, depth and poses belong together if their stamps are no farther apart.
_TOGETHER_NS = 20_000_000


def _scenes(root: Path) -> list[str]:
    return sorted(path.parent.name for path in root.glob('*freiburg[123]*/groundtruth.txt'))


def _listed(path: Path) -> tuple[np.ndarray, list[Path]]:
    """Read stamps (N,) int64 nanoseconds and files of rgb.txt or depth.txt."""
    rows = [x.split() for x in needed(path).read_text().splitlines() if x and x[0] != '#']
    try:
        stamps = np.array([round(float(row[0]) * 1e9) for row in rows], dtype=np.int64)
        return stamps, [path.parent / row[1] for row in rows]
    except (ValueError, IndexError) as error:
        raise InputError(f"{path} does not hold lines of 'stamp file'.") from error


def _read(root: Path, name: str) -> Scene:
    folder = root / name
    stamps, pictures = _listed(folder / 'rgb.txt')
    depth_stamps, depths = _listed(folder / 'depth.txt')
    pose_stamps, poses = read_tum(needed(folder / 'groundtruth.txt'))
    depth_of, pose_of = (
        nearest_stamps(found, stamps, _TOGETHER_NS) for found in (depth_stamps, pose_stamps)
    )
    used = np.flatnonzero((depth_of >= 0) & (pose_of >= 0))
    with_frames(folder, len(used))
    numbers, coefficients = _CAMERAS[int(re.search(r'freiburg([123])', name)[1])]
    k = camera_matrix(*numbers)

    @cache
    def maps(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        lens = np.array(coefficients)
        return cv2.initUndistortRectifyMap(k, lens, np.eye(3), k, size, cv2.CV_32FC1)

    def undistorted(image: np.ndarray, interpolation: int) -> np.ndarray:
        if not any(coefficients):
            return image
        nothing = np.nan if image.dtype == np.float32 else 0
        size = image.shape[1], image.shape[0]
        return cv2.remap(image, *maps(size), interpolation, borderValue=nothing)

    def depth_m(frame: int) -> np.ndarray:
        depth = read_depth(depths[depth_of[used[frame]]], _UNITS_PER_METRE)
        return undistorted(depth, cv2.INTER_NEAREST)

    world_from_camera = poses[pose_of[used]]

    def view(frame: int) -> DepthView:
        depth = depth_m(frame)
        return DepthView(depth, (depth.shape[1], depth.shape[0]), k, world_from_camera[frame])

    return Scene(
        name=name,
        world_from_camera=world_from_camera,
        intrinsics=np.tile(k, (len(used), 1, 1)),
        rgb=lambda frame: undistorted(read_rgb(pictures[used[frame]]), cv2.INTER_LINEAR),
        depth_m=depth_m,
        is_valid=lambda frame: np.isfinite(depth_m(frame)),
        surface=lambda frames: seen_surface([view(frame) for frame in frames], SENSED_ROOM),
    )


TUM = Dataset(
    'tum',
    'SEQUENCE/rgb.txt, depth.txt and groundtruth.txt, SEQUENCE like rgbd_dataset_freiburg1_desk',
    _scenes,
    _read,
    Stretches(stride=10),
)
