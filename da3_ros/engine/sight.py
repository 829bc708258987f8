"""
Whether two views see the same surfaces where they say they do, and how sure they are of them.

What is looked at is few points, so they are NumPy's.

Shapes: K views, N points, H W network image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import math

from da3_ros.geometry.rays import is_depth, sampled
from da3_ros.geometry.transforms import invert
import numpy as np
import torch

# Depths of one surface that differ by less than this, in logarithms, are the same surface's.
_SAME_SURFACE = 0.15
_LEAST_DEPTH = 1e-9
# Pixels that confidence is looked at in, and which of them counts.
_SAMPLES = 500
_SUREST = 0.9


@dataclass(frozen=True)
class Sight:
    """
    What a view sees of points that another view placed.

    ``inside`` is the share of them in its image, in front of it; ``agreeing`` the share of those
    whose depth is the one that it sees there.
    """

    inside: float
    agreeing: float


@dataclass(frozen=True)
class Looks:
    """
    What K views see of N points.

    ``z`` (K, N) is the depth of each in each view, ``inside`` (K, N) tells which are in the image,
    and ``surface`` (K, N) is the depth that the view has there, of no meaning elsewhere.
    """

    z: np.ndarray
    inside: np.ndarray
    surface: np.ndarray

    def sight(self, view: int, every: int = 1) -> Sight:
        """Return what a view sees of every so-manieth point."""
        z, inside, surface = (x[view, ::every] for x in (self.z, self.inside, self.surface))
        compared = inside & is_depth(surface)
        agrees = np.abs(np.log(z[compared] / surface[compared])) < _SAME_SURFACE
        share = float(agrees.mean()) if len(agrees) else 0.0
        return Sight(float(inside.sum() / max(np.isfinite(z).sum(), 1)), share)


def certainty(confidence: torch.Tensor) -> float:
    """
    Return what the confidence (H, W) of the surest tenth of a view adds to 1, at least.

    Confidence is 1 + exp(.) and spreads over orders of magnitude, with the scene as well as over
    an image: its median says nothing. That of the surest pixels collapses when the network finds
    nothing in a view that goes with the others.
    """
    values = sampled(confidence, _SAMPLES)
    values = np.sort(values[~np.isnan(values)])
    if not len(values):
        return math.nan
    rank = _SUREST * (len(values) - 1)
    return float(np.interp(rank, np.arange(len(values)), values)) - 1.0


def sight(
    points: np.ndarray,
    world_from_camera: np.ndarray,
    intrinsics: np.ndarray,
    depth: torch.Tensor,
) -> Sight:
    """
    Return what a view with ``depth`` (H, W) at ``world_from_camera`` (4, 4) sees of ``points``.

    ``points`` (N, 3) are in the world; lengths of both in the same unit. Those that are NaN don't
    count, and pixels without depth neither agree nor disagree.
    """
    return look(points, world_from_camera[None], intrinsics[None], [depth]).sight(0)


def look(
    points: np.ndarray,
    world_from_camera: np.ndarray,
    intrinsics: np.ndarray,
    depths: Sequence[torch.Tensor],
) -> Looks:
    """
    Return what K views, at (K, 4, 4), with ``intrinsics`` (K, 3, 3), see of ``points`` (N, 3).

    Their ``depths`` (H, W) are of one size, lengths in one unit. Points that are NaN are in no
    image.
    """
    height, width = depths[0].shape
    image_from_world = intrinsics @ invert(world_from_camera)[:, :3]
    image = image_from_world[:, :, :3] @ points.T + image_from_world[:, :, 3:]  # (K, 3, N)
    z = image[:, 2]
    u, v = np.rint(image[:, :2] / np.maximum(z, _LEAST_DEPTH)[:, None]).swapaxes(0, 1)
    inside = (z > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    at = np.where(inside, v * width + u, 0.0).astype(np.intp)
    surface = [image.numpy().take(row) for image, row in zip(depths, at, strict=True)]
    return Looks(z, inside, np.array(surface, dtype=np.float32))
