"""
Scale and shift that bring predicted depth to measured depth in spite of outliers.

RANSAC as the paper aligns its teacher (section 3, "teacher"): least squares in depth, scale above
0, an inlier within the mean absolute deviation of residuals from their median. Batched, with a
fixed number of hypotheses and nothing read back, so that it can be captured in a CUDA graph.

Shapes: N pictures, P pixels, S samples of a picture, J hypotheses of a picture.
"""

from typing import NamedTuple

import torch
from torch import Tensor

SAMPLES = 1024
HYPOTHESES = 64
FEWEST_INLIERS = 16
# Two depths that differ by less, relative to the larger one, tell no scale.
LEAST_DIFFERENCE = 1e-2
# An error below this share of the mean depth is no outlier, even where nearly all fit exactly.
LEAST_THRESHOLD = 1e-3


class ScaleShift(NamedTuple):
    """
    ``scale`` * predicted + ``shift`` is close to what was measured, (N,) each.

    ``found`` (N,) bool is False where too little was measured, or where no positive scale fits.
    """

    scale: Tensor
    shift: Tensor
    found: Tensor


def draw_pixels(valid: Tensor, count: int) -> Tensor:
    """Draw (N, count) places of True in each row of ``valid`` (N, P), with replacement."""
    rank = valid.cumsum(1, dtype=torch.int32)
    total = rank[:, -1:]
    wanted = (torch.rand(len(valid), count, device=valid.device) * total).int()
    wanted = torch.minimum(wanted, (total - 1).clamp_min(0))
    place = torch.searchsorted(rank, wanted, right=True)
    return place.clamp_max(valid.shape[1] - 1)


def least_squares(predicted: Tensor, measured: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and shift (N,) of least weighted squares of s predicted + t - measured (N, P)."""
    total = weight.sum(1).clamp_min(1e-9)
    mean = (weight * predicted).sum(1) / total
    mean_measured = (weight * measured).sum(1) / total
    centred = weight * (predicted - mean[:, None])
    spread = (centred * predicted).sum(1)
    scale = (centred * (measured - mean_measured[:, None])).sum(1) / spread.clamp_min(1e-12)
    return scale, mean_measured - scale * mean


def _hypotheses(predicted: Tensor, measured: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Lines through pairs of samples (N, S): scale, shift and whether they may be, (N, J) each."""
    one, other = (slice(0, HYPOTHESES), slice(HYPOTHESES, 2 * HYPOTHESES))
    run = predicted[:, other] - predicted[:, one]
    larger = torch.maximum(predicted[:, other].abs(), predicted[:, one].abs())
    is_told = run.abs() > LEAST_DIFFERENCE * larger
    scale = (measured[:, other] - measured[:, one]) / torch.where(is_told, run, 1.0)
    return scale, measured[:, one] - scale * predicted[:, one], is_told & (scale > 0)


def fit_scale_shift(predicted: Tensor, measured: Tensor, drawn: Tensor) -> ScaleShift:
    """
    Fit each picture by itself.

    Args:
        predicted: (N, P) depth, positive.
        measured: (N, P) depth, NaN where there is none.
        drawn: (N, S) places of valid pixels, from ``draw_pixels``; pairs of the first 2 J make the
            hypotheses, all of them judge.

    """
    valid = measured.isfinite() & predicted.isfinite()
    measured = torch.where(valid, measured, 0)
    some, some_measured = predicted.gather(1, drawn), measured.gather(1, drawn)  # (N, S)
    scale, shift = least_squares(some, some_measured, torch.ones_like(some))
    residual = scale[:, None] * some + shift[:, None] - some_measured
    threshold = (residual - residual.median(1, keepdim=True).values).abs().mean(1)
    threshold = torch.maximum(threshold, LEAST_THRESHOLD * some_measured.mean(1))
    scales, shifts, allowed = _hypotheses(some, some_measured)
    error = scales[..., None] * some[:, None] + shifts[..., None] - some_measured[:, None]
    inliers = (error.abs() <= threshold[:, None, None]).sum(2)  # (N, J)
    best = torch.where(allowed, inliers, -1).argmax(1, keepdim=True)
    scale, shift = scales.gather(1, best), shifts.gather(1, best)  # (N, 1)
    error = (scale * predicted + shift - measured).abs()
    inlier = valid & (error <= threshold[:, None])
    scale, shift = least_squares(predicted, measured, inlier.float())
    count = inlier.sum(1)
    found = allowed.gather(1, best)[:, 0] & (count >= FEWEST_INLIERS) & (scale > 0)
    return ScaleShift(scale, shift, found)
