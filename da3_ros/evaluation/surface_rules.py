"""How a benchmark turns depth images into a surface, and scores it against the true one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from da3_ros.evaluation.mesh import sampled_points
from da3_ros.evaluation.surface_scores import (
    NOTHING,
    surface_scores,
    SurfaceScores,
    thinned,
    within_bounds,
)
from da3_ros.evaluation.tsdf import DepthView, fused_surface
import numpy as np

# Points that are drawn on a fused surface, and on a true one that is a mesh.
SAMPLES = 1_000_000


class TrueSurface(Protocol):
    """The true surface of a scene; it knows how its benchmark compares another one with it."""

    def score(self, views: Sequence[DepthView], is_posed: bool) -> SurfaceScores:
        """Fuse depth images in the surface's frame and unit, and score what comes of them."""
        ...


@dataclass(frozen=True)
class TsdfRule:
    """
    Fusion by truncated signed distance; all lengths are in metres.

    ``voxel_m`` and ``truncation_m`` of the fusion, which ends at ``max_depth_m``; ``threshold_m``
    of precision and recall; ``thinning_m`` is the side of the cubes to which clouds are thinned;
    points outside the truth's box, made larger by ``margin_m``, are left out; None keeps all.
    """

    voxel_m: float
    truncation_m: float
    threshold_m: float
    thinning_m: float
    max_depth_m: float = np.inf
    margin_m: float | None = None


# Of rooms, after the benchmark's HiRoom and 7Scenes, and five times as coarse, after its ETH3D.
ROOM = TsdfRule(4 / 512, 0.04, 0.05, 4 / 512)
OUTDOORS = TsdfRule(5 * 4 / 512, 0.2, 0.25, 5 * 4 / 512)
# Of rooms whose truth is what a depth sensor saw, which is no finer and sees no farther than that.
SENSED_ROOM = TsdfRule(0.02, 0.15, 0.05, 0.02, max_depth_m=10.0)


@dataclass(frozen=True)
class SampledSurface:
    """A true surface as points (N, 3) in metres, compared by a rule."""

    points: np.ndarray
    rule: TsdfRule

    def score(self, views: Sequence[DepthView], is_posed: bool) -> SurfaceScores:
        """Fuse, draw points, compare; known and predicted poses are treated alike."""
        rule = self.rule
        triangles = fused_surface(views, rule.voxel_m, rule.truncation_m, rule.max_depth_m)
        points = sampled_points(triangles, SAMPLES)
        if rule.margin_m is not None and len(self.points):
            points = within_bounds(points, self.points, rule.margin_m)
        if not len(points):
            return NOTHING
        return surface_scores(points, self.points, rule.threshold_m, rule.thinning_m)


def seen_surface(views: Sequence[DepthView], rule: TsdfRule) -> SampledSurface:
    """Return what true depth images see, where no other surface is known."""
    points = [thinned(view.points(), rule.thinning_m) for view in views]
    return SampledSurface(np.concatenate(points), rule)
