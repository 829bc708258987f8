"""
The true surface of a DTU scan and how it is compared, in millimetres, after MVSNet's evaluation.

Reconstructed points count where the scanner could see (the observation mask), true ones where they
are above the table; pairs farther apart than 20 mm are left out of both means.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from da3_ros.evaluation.consistency import consistent_points, lifted, projections
from da3_ros.evaluation.surface_scores import SurfaceScores
from da3_ros.evaluation.tsdf import DepthView
import numpy as np
from scipy.spatial import cKDTree
import torch

_SEED = 42
_MAX_POINTS = 4_000_000
_SPACING_MM = 0.2
_AGREE_MM = 0.2
_AGREEING_VIEWS = 4
_FARTHEST_MM = 20.0
_PATCH_MM = 60.0
_LEAST_DEPTH_MM = 0.001
# Points whose neighbours are looked up at once.
_AT_ONCE = 50_000


@dataclass(frozen=True)
class DtuSurface:
    """
    A scan's points (N, 3) in millimetres and what of space was observed.

    ``observed`` (X, Y, Z) bool, cells of side ``resolution_mm`` from the lower corner of
    ``box_mm`` (2, 3); ``plane`` (4,), positive above the table.
    """

    points: np.ndarray
    observed: np.ndarray
    box_mm: np.ndarray
    resolution_mm: float
    plane: np.ndarray

    def score(self, views: Sequence[DepthView], is_posed: bool) -> SurfaceScores:
        """Merge and compare; of predicted poses every point counts, of known ones the agreed."""
        depth = torch.from_numpy(np.stack([_full_depth(view) for view in views])).float()
        matrices = projections(
            np.stack([view.intrinsics for view in views]),
            np.stack([view.world_from_camera for view in views]),
        )
        parts = []
        for i in range(len(depth)):
            if is_posed:
                part = consistent_points(depth, matrices, i, _AGREE_MM, _AGREEING_VIEWS)
            else:
                every = lifted(depth[i : i + 1], matrices[i : i + 1])[0]
                part = every[:, depth[i] > _LEAST_DEPTH_MM].T.numpy()
            parts.append(part)
        points = np.concatenate(parts)
        if len(points) > _MAX_POINTS:
            generator = np.random.default_rng(_SEED)
            points = points[generator.choice(len(points), _MAX_POINTS, replace=False)]
        return self.compared(points)

    def compared(self, points: np.ndarray) -> SurfaceScores:
        """Score points (N, 3) in millimetres; precision, recall and F1 are not defined."""
        points = spaced(points, _SPACING_MM)
        low, high = self.box_mm.astype(np.float32)
        near = (points >= low - _PATCH_MM) & (points < high + 2 * _PATCH_MM)
        points = points[near.all(axis=1)]
        cells = np.around((points - low) / self.resolution_mm).astype(np.int32)
        inside = ((cells >= 0) & (cells < self.observed.shape)).all(axis=1)
        seen = points[inside][self.observed[tuple(cells[inside].T)]]
        above = self.points[self.points @ self.plane[:3] + self.plane[3] > 0]
        accuracy = _mean_within(seen, self.points)
        completeness = _mean_within(above, points)
        nan = float('nan')
        chamfer = (accuracy + completeness) / 2
        return SurfaceScores(accuracy, completeness, chamfer, nan, nan, nan)


def _full_depth(view: DepthView) -> np.ndarray:
    """Return the depth (H, W) of all pixels of a view's picture, 0 where there is none."""
    width, height = view.size
    return view.at(*np.meshgrid(np.arange(width), np.arange(height)))


def _mean_within(points: np.ndarray, others: np.ndarray) -> float:
    """Return the mean distance from others of points that have one near; infinite if none."""
    if not len(points) or not len(others):
        return float('inf')
    found = cKDTree(others).query(points, distance_upper_bound=_FARTHEST_MM, workers=-1)[0]
    distances = found[np.isfinite(found)]
    return float(distances.mean()) if len(distances) else float('inf')


def spaced(points: np.ndarray, spacing: float) -> np.ndarray:
    """Return some points of (N, 3), in random order, none nearer to another than ``spacing``."""
    points = points.copy()
    np.random.default_rng(_SEED).shuffle(points, axis=0)
    kept = np.ones(len(points), dtype=bool)
    if not len(points):
        return points
    tree = cKDTree(points)
    for start in range(0, len(points), _AT_ONCE):
        some = np.arange(start, min(start + _AT_ONCE, len(points)))
        some = some[kept[some]]
        for place, near in zip(some, tree.query_ball_point(points[some], spacing), strict=True):
            if kept[place]:
                kept[near] = False
                kept[place] = True
    return points[kept]
