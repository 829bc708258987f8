"""
How thick the surfaces of a map are: the same wall, put in different places by different frames.

The truth says which points are the same piece of surface, so neither noise inside one view nor an
error that all views share counts as thickness.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from da3_ros.geometry.cameras import unproject
from da3_ros.geometry.transforms import Sim3
import numpy as np

# Points that a piece of surface needs in a view, and views that it needs.
_MIN_POINTS = 4
_MIN_VIEWS = 2
# A piece is flat when its thinnest direction holds at most this share of its variance.
_FLAT = 0.02


@dataclass(frozen=True)
class Thickness:
    """
    Standard deviation, along its normal, of where the views put a piece of surface.

    ``median_m`` and ``p90_m`` over all ``pieces`` that are flat and seen by at least two views;
    NaN without any.
    """

    median_m: float
    p90_m: float
    pieces: int


def map_thickness(
    depth_m: Sequence[np.ndarray],
    world_from_camera: np.ndarray,
    true_depth_m: Sequence[np.ndarray],
    true_world_from_camera: np.ndarray,
    intrinsics: Sequence[np.ndarray],
    cell_m: float = 0.2,
) -> Thickness:
    """
    Measure a map of V views, already aligned to the truth and in metres.

    Args:
        depth_m: Estimated depth (V, H, W).
        world_from_camera: Estimated poses (V, 4, 4).
        true_depth_m: (V, H, W).
        true_world_from_camera: (V, 4, 4).
        intrinsics: True K (V, 3, 3) in pixels of the depth.
        cell_m: Side of the cubes that cut the true surface into pieces.

    """
    true, moved, views = [], [], []
    for view, (depth, true_depth, k) in enumerate(
        zip(depth_m, true_depth_m, intrinsics, strict=True)
    ):
        points = Sim3.from_rigid(world_from_camera[view]).apply(_points(depth, k))
        true_points = Sim3.from_rigid(true_world_from_camera[view]).apply(_points(true_depth, k))
        valid = np.isfinite(points).all(axis=1) & np.isfinite(true_points).all(axis=1)
        true.append(true_points[valid])
        moved.append((points - true_points)[valid])
        views.append(np.full(int(valid.sum()), view))
    points, errors, view_of = (np.concatenate(parts) for parts in (true, moved, views))
    cells = np.floor(points / cell_m).astype(np.int64)
    _, cell_of = np.unique(cells, axis=0, return_inverse=True)
    spread = _spread_by_cell(cell_of.ravel(), view_of, errors, _normals(cell_of.ravel(), points))
    if not len(spread):
        return Thickness(float('nan'), float('nan'), 0)
    return Thickness(float(np.median(spread)), float(np.quantile(spread, 0.9)), len(spread))


def _points(depth: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    return unproject(depth, intrinsics).reshape(-1, 3).astype(np.float64)


def _normals(cell_of: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the normal (C, 3) of the surface in each cell, NaN where it is not flat."""
    count = np.bincount(cell_of)[:, None]
    mean = _sums(cell_of, points) / count
    centred = points - mean[cell_of]
    outer = (centred[:, :, None] * centred[:, None, :]).reshape(-1, 9)
    variances, axes = np.linalg.eigh(_sums(cell_of, outer).reshape(-1, 3, 3))
    is_flat = variances[:, 0] <= _FLAT * variances.sum(axis=1)
    return np.where(is_flat[:, None], axes[:, :, 0], np.nan)


def _spread_by_cell(
    cell_of: np.ndarray, view_of: np.ndarray, errors: np.ndarray, normals: np.ndarray
) -> np.ndarray:
    """Return the deviation between views of the mean error along the normal, one a valid cell."""
    pairs, pair_of, count = np.unique(
        np.stack([cell_of, view_of], axis=1), axis=0, return_inverse=True, return_counts=True
    )
    along = np.sum(errors * normals[cell_of], axis=1)
    mean = np.bincount(pair_of.ravel(), weights=along) / count
    used = (count >= _MIN_POINTS) & np.isfinite(mean)
    cell, mean = pairs[used, 0], mean[used]
    views = np.bincount(cell, minlength=len(normals))
    centre = np.bincount(cell, weights=mean, minlength=len(normals)) / np.maximum(views, 1)
    squares = np.bincount(cell, weights=(mean - centre[cell]) ** 2, minlength=len(normals))
    seen = views >= _MIN_VIEWS
    return np.sqrt(squares[seen] / (views[seen] - 1))


def _sums(cell_of: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the sums (C, D) of values (N, D) in each cell."""
    return np.stack([np.bincount(cell_of, weights=column) for column in values.T], axis=1)
