"""
Whether two views see the same surfaces where they say they do, and how sure they are of them.

Shapes: N points, H W network image.
"""

from dataclasses import dataclass

from da3_ros.geometry.rays import pixel_grid
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


def certainty(confidence: torch.Tensor) -> float:
    """
    Return what the confidence (H, W) of the surest tenth of a view adds to 1, at least.

    Confidence is 1 + exp(.) and spreads over orders of magnitude, with the scene as well as over
    an image: its median says nothing. That of the surest pixels collapses when the network finds
    nothing in a view that goes with the others.
    """
    u, v = pixel_grid(*confidence.shape, _SAMPLES, confidence.device)
    return float(confidence[v, u].nanquantile(_SUREST)) - 1.0


def sight(
    points: torch.Tensor,
    world_from_camera: np.ndarray,
    intrinsics: np.ndarray,
    depth: torch.Tensor,
) -> Sight:
    """
    Return what a view with ``depth`` (H, W) at ``world_from_camera`` (4, 4) sees of ``points``.

    ``points`` (N, 3) are in the world; lengths of both in the same unit. Those that are NaN don't
    count, and pixels without depth neither agree nor disagree.
    """
    if len(points) == 0:
        return Sight(0.0, 0.0)
    z, inside, surface = looked_up(points, world_from_camera, intrinsics, depth)
    compared = inside & torch.isfinite(surface) & (surface > 0)
    agrees = compared & ((z.clamp_min(_LEAST_DEPTH) / surface).log().abs() < _SAME_SURFACE)
    there = torch.isfinite(z)
    counts = torch.stack([x.sum() for x in (inside, compared, agrees, there)]).tolist()
    return Sight(counts[0] / max(counts[3], 1), counts[2] / max(counts[1], 1))


def looked_up(
    points: torch.Tensor,
    world_from_camera: np.ndarray,
    intrinsics: np.ndarray,
    depth: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """
    Return the depth (N,) of points (N, 3), which of them are in the image, and what is seen there.

    What a view with ``depth`` (H, W) sees is of no meaning where a point is not in its image.
    """
    height, width = depth.shape
    camera_from_world = points.new_tensor(invert(world_from_camera))
    in_camera = points @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
    x, y, z = in_camera.unbind(1)
    k, ahead = intrinsics, z.clamp_min(_LEAST_DEPTH)
    u = (k[0, 0] * x / ahead + k[0, 2]).round().clamp(-1, width).long()
    v = (k[1, 1] * y / ahead + k[1, 2]).round().clamp(-1, height).long()
    inside = (z > 0) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    return z, inside, depth[v.clamp(0, height - 1), u.clamp(0, width - 1)].to(z.dtype)
