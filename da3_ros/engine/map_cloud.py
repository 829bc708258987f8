"""
The cloud of the whole map: what it is made of, and how it is made, again and again, in time.

Shapes: H W network image, N points of one keyframe, M of the map.
"""

from collections.abc import Sequence
from typing import NamedTuple

from da3_ros.cloud_config import PointsConfig
from da3_ros.engine.keyframes import Keyframe, MAX_OBSERVATIONS
from da3_ros.geometry.cameras import unproject
from da3_ros.geometry.flying import is_flying
from da3_ros.geometry.rays import is_depth
from da3_ros.geometry.transforms import Sim3
from da3_ros.geometry.voxels import voxel_means
import numpy as np
import torch

# Points of all keyframes together before they are thinned, at most; but one a keyframe at least.
MAX_POINTS = 1_000_000
# Cubes along the median depth where nobody says how large they are.
_VOXELS_PER_MEDIAN_DEPTH = 100


class Surface(NamedTuple):
    """
    What a keyframe adds to the map's cloud, as it was at one moment.

    ``depth`` (H, W) and ``weight`` (H, W), the confidence of so many ``observations``, are the
    keyframe's own tensors, which it replaces and never changes; so are ``rgb`` (H, W, 3) uint8,
    ``intrinsics`` (3, 3) and ``map_from_camera`` (4, 4). ``scaled_from_map`` makes published
    lengths of the map's own. ``key`` is the same for a keyframe each time.
    """

    key: int
    depth: torch.Tensor
    weight: torch.Tensor
    observations: int
    rgb: np.ndarray
    intrinsics: np.ndarray
    map_from_camera: np.ndarray
    scaled_from_map: Sim3


def surface(keyframe: Keyframe, scaled_from_map: Sim3) -> Surface:
    """Return the surface of a keyframe as it is now; costs no more than a few references."""
    return Surface(
        keyframe.view.key,
        keyframe.depth,
        keyframe.weight,
        min(keyframe.observations, MAX_OBSERVATIONS),
        keyframe.rgb,
        keyframe.intrinsics,
        keyframe.map_from_camera,
        scaled_from_map,
    )


class _Patch(NamedTuple):
    """Points (N, 3) of a surface in its camera, map units, their colours (N, 3) and ranges (N)."""

    depth: torch.Tensor  # what they were made from, to tell whether they still hold
    points: np.ndarray
    colours: np.ndarray
    ranges: np.ndarray


class MapCloud:
    """
    Makes the map's cloud from the surfaces of its keyframes; for one thread, any thread.

    Only where keyframes are and how large changes after they left the window, so their points are
    kept in their cameras, and what is made anew each time is where these are in the map.
    """

    def __init__(self) -> None:
        self._patches: dict[int, _Patch] = {}
        self._made_for: tuple = ()

    def fuse(
        self, surfaces: Sequence[Surface], config: PointsConfig, voxel: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """
        Return points (M, 3) float32 in the map and their colours (M, 3) uint8.

        ``config`` says which points are left out; ``voxel`` is the edge of the cubes of which each
        holds one point, 0 for a hundredth of the median depth. There are ``MAX_POINTS`` at most:
        the more keyframes, the fewer rows and columns of each are used.
        """
        stride = _stride(surfaces, config.stride)
        made_for = (stride, config.min_confidence, config.max_edge)
        if made_for != self._made_for:
            self._patches, self._made_for = {}, made_for
        self._patches = {s.key: self._patch(s, stride, config) for s in surfaces}
        clouds, colours, depths = [], [], []
        for s in surfaces:
            patch = self._patches[s.key]
            scale = np.float32(s.scaled_from_map.scale)
            placed = s.scaled_from_map @ Sim3.from_rigid(s.map_from_camera)
            kept = _in_range(patch.ranges * scale, config)
            clouds.append(_applied(placed, patch.points)[kept])
            colours.append(patch.colours[kept])
            depths.append(patch.points[kept, 2] * scale)
        if sum(map(len, clouds)) == 0:
            return np.empty((0, 3), np.float32), np.empty((0, 3), np.uint8)
        voxel = voxel or float(np.median(np.concatenate(depths))) / _VOXELS_PER_MEDIAN_DEPTH
        return voxel_means(np.concatenate(clouds), np.concatenate(colours), voxel)

    def _patch(self, s: Surface, stride: int, config: PointsConfig) -> _Patch:
        """Return the points of a surface, those from the last time where its depth is the same."""
        known = self._patches.get(s.key)
        if known is not None and known.depth is s.depth:
            return known
        depth = s.depth.float().cpu().numpy()
        thin = (slice(None, None, stride),) * 2
        is_valid = is_depth(depth[thin])
        if config.max_edge > 0:
            is_valid &= ~is_flying(depth, config.max_edge)[thin]
        if config.min_confidence > 0:
            confidence = s.weight[thin].float().cpu().numpy() / s.observations
            is_valid &= confidence >= config.min_confidence
        thinned = s.intrinsics / np.array([[stride], [stride], [1.0]])
        points = unproject(depth[thin], thinned)[is_valid]
        ranges = np.sqrt(np.einsum('ij,ij->i', points, points))
        return _Patch(s.depth, points, s.rgb[thin][is_valid], ranges)


def _stride(surfaces: Sequence[Surface], least: int) -> int:
    """Return the smallest stride, ``least`` or more, that leaves no more than ``MAX_POINTS``."""
    sizes = np.array([s.depth.shape for s in surfaces]).reshape(-1, 2)
    stride = max(least, int((sizes.prod(axis=1).sum() / MAX_POINTS) ** 0.5))
    while (-(-sizes // stride)).prod(axis=1).sum() > max(MAX_POINTS, len(sizes)):
        stride += 1
    return stride


def _in_range(ranges_m: np.ndarray, config: PointsConfig) -> np.ndarray:
    """Tell which ranges (N,) are neither too short nor too long."""
    kept = ranges_m >= config.min_range
    if config.max_range > 0:
        kept &= ranges_m <= config.max_range
    return kept


def _applied(b_from_a: Sim3, points: np.ndarray) -> np.ndarray:
    """Map points (N, 3) without leaving single precision, which ``Sim3.apply`` does."""
    matrix = (b_from_a.scale * b_from_a.rotation).astype(np.float32)
    return points @ matrix.T + b_from_a.translation.astype(np.float32)
