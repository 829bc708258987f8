"""
Metres from canonical depth, and the scale that makes another network's depth agree with them.

Shapes: B windows, V views, H x W pixels.
"""

from da3_ros.model.sky import is_sky, masked_quantile
import torch
from torch import Tensor

_MIN_DEPTH = 1e-3  # network units
_MIN_METRIC_DEPTH_M = 1e-2
_MIN_PIXELS = 10


def metres_per_unit(intrinsics: Tensor, canonical_focal_px: float = 300.0) -> Tensor:
    """
    Return metres per unit of canonical depth, (...,).

    Args:
        intrinsics: (..., 3, 3), in pixels of the very image that the network saw: its focal
            length changes with every resize.
        canonical_focal_px: focal length for which canonical depth is in metres.

    """
    focal_px = (intrinsics[..., 0, 0] + intrinsics[..., 1, 1]) / 2
    return focal_px / canonical_focal_px


def metric_depth(depth: Tensor, intrinsics: Tensor, canonical_focal_px: float = 300.0) -> Tensor:
    """Turn canonical depth (..., H, W) into metres by the intrinsics (..., 3, 3) of its image."""
    return depth * metres_per_unit(intrinsics, canonical_focal_px)[..., None, None]


def window_scale(depth: Tensor, confidence: Tensor, metric_depth_m: Tensor, sky: Tensor) -> Tensor:
    """
    Return metres per unit of an any-view network's depth, by least squares (spec §7.3).

    Taken over the more confident half of all pixels that are not sky. The official code takes one
    scale for a whole batch, and raises where there is nothing but sky.

    Args:
        depth: (B, V, H, W), up to scale.
        confidence: (B, V, H, W) of ``depth``.
        metric_depth_m: (B, V, H, W), from the metric network.
        sky: (B, V, H, W), its sky score.

    Returns:
        (B,); NaN for a window in which ten or fewer pixels are not sky.

    """
    depth, confidence, metric_depth_m, ground = (
        x.flatten(1) for x in (depth, confidence, metric_depth_m, ~is_sky(sky))
    )
    median = masked_quantile(confidence, ground, 0.5)
    used = ground & (confidence >= median[:, None])
    used &= (metric_depth_m > _MIN_METRIC_DEPTH_M) & (depth > _MIN_DEPTH)
    depth = torch.where(used, depth, 0)
    metric_depth_m = torch.where(used, metric_depth_m, 0)
    scale = (metric_depth_m * depth).sum(dim=1) / depth.square().sum(dim=1).clamp(min=1e-12)
    return torch.where(ground.sum(dim=1) > _MIN_PIXELS, scale, torch.nan)
