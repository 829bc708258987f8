"""Comparing depth in metres with depth in map units, pixel by pixel."""

from dataclasses import dataclass
import math

from da3_ros.engine.scale.estimate import combine
from da3_ros.geometry.alignment import MAD_TO_SIGMA, weighted_median
from da3_ros.geometry.rays import is_depth, sampled
import numpy as np
import torch

# Pixels that the median depth is taken over.
_SAMPLES = 500
# Errors of depth are smooth: pixels inside one of so many cells along the longer side are one.
_CELLS = 8
# Depth that differs by more than this between neighbours is an edge, where a point that is seen
# from elsewhere may well lie on the other side.
_EDGE = 0.05


@dataclass(frozen=True)
class DepthRatio:
    """Logarithm of metres per map unit from one view, and its standard deviation."""

    log_scale: float
    sigma: float


def median_depth(depth: torch.Tensor) -> float:
    """Return the median of the valid pixels of a depth image (H, W); 0 if there are none."""
    samples = sampled(depth, _SAMPLES)
    valid = np.sort(samples[is_depth(samples)])
    return float(valid[(len(valid) - 1) // 2]) if len(valid) else 0.0


def depth_ratio(
    metres: torch.Tensor,
    map_depth: torch.Tensor,
    weights: torch.Tensor,
    cells: torch.Tensor,
    min_sigma: float = 0.0,
) -> DepthRatio:
    """
    Return the robust ratio of depths (N,), N >= 1, valid in both.

    ``cells`` (N,) names the part of the image that each pixel is in: those of one part err
    together, so the number of parts, not of pixels, is what an average gains from. Each part's
    weighted median is one reading.
    """
    ratios = (metres.double().log() - map_depth.double().log()).numpy()
    weights, cells = weights.double().numpy(), cells.numpy()
    parts = [cells == cell for cell in np.unique(cells)]
    centres = np.array([weighted_median(ratios[part], weights[part]) for part in parts])
    centre = weighted_median(centres, np.ones(len(centres)))
    within = MAD_TO_SIGMA * weighted_median(np.abs(ratios - centre), weights)
    estimate = combine(centres, np.full(len(centres), max(within, 1e-3)))
    return DepthRatio(estimate.log_scale, math.hypot(estimate.spread, min_sigma))


def cell_of(u: torch.Tensor, v: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return a number for the part of an image (H, W) that pixels (N,) are in."""
    side = max(height, width) / _CELLS
    return (v / side).long() * _CELLS + (u / side).long()


def is_smooth(depth: torch.Tensor) -> torch.Tensor:
    """Return where (H, W) a pixel and its neighbours have much the same depth; borders never."""
    log = depth.float().log()
    smooth = torch.zeros_like(log, dtype=torch.bool)
    around = [log[1:-1, 2:], log[1:-1, :-2], log[2:, 1:-1], log[:-2, 1:-1]]
    steps = torch.stack([(other - log[1:-1, 1:-1]).abs() for other in around])
    smooth[1:-1, 1:-1] = (steps <= _EDGE).all(dim=0)  # False for NaN
    return smooth
