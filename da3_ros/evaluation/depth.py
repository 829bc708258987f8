"""
Depth metrics after a stated alignment: AbsRel, pixels within 25 % (delta 1), RMSE.

What shares one alignment is what is passed in one call: (H, W) aligns a frame, (F, H, W) a window
or a whole sequence. Invalid pixels are NaN, infinite or not positive, in the prediction or the
truth alike.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal

from da3_ros.errors import InputError
import numpy as np

Alignment = Literal['none', 'median', 'scale-shift']

_ALIGNMENTS = ('none', 'median', 'scale-shift')


@dataclass(frozen=True)
class DepthMetrics:
    """
    How far a depth map is from the truth.

    ``abs_rel`` mean of ``|d - d*| / d*``; ``delta1`` share of pixels with ``max(d / d*, d* / d)``
    below 1.25; ``rmse_m`` in metres of the truth; ``scale`` and ``shift_m`` what the prediction
    was multiplied with and shifted by; ``pixels`` how many were compared. Without a common pixel
    everything is NaN.
    """

    abs_rel: float
    delta1: float
    rmse_m: float
    scale: float
    shift_m: float
    pixels: int


def common_pixels(
    predicted: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None
) -> np.ndarray:
    """
    Return the boolean mask of pixels that are valid in both and selected by ``mask``.

    Raises:
        InputError: if the shapes differ.

    """
    if predicted.shape != truth.shape or (mask is not None and mask.shape != truth.shape):
        shapes = [a.shape for a in (predicted, truth, mask) if a is not None]
        raise InputError(f'Got depth and mask of shapes {shapes}; expected equal shapes.')
    # Comparisons with NaN are False, which is what is wanted.
    valid = (predicted > 0) & (truth > 0) & np.isfinite(predicted) & np.isfinite(truth)
    return valid if mask is None else valid & mask.astype(bool)


def fit_alignment(
    predicted: np.ndarray, truth: np.ndarray, alignment: Alignment
) -> tuple[float, float]:
    """
    Return (scale, shift) that bring valid depths ``predicted`` (N,) to ``truth`` (N,).

    ``median``: the ratio of the medians, as is customary for depth without a scale.
    ``scale-shift``: the affine map of least squares in depth (not in disparity); where the
    prediction is constant, and a shift can't be told from a scale, the shift is 0.

    Raises:
        InputError: if the alignment has another name.

    """
    if alignment not in _ALIGNMENTS:
        raise InputError(f'Alignment is {alignment!r}; expected one of {", ".join(_ALIGNMENTS)}.')
    if alignment == 'none':
        return 1.0, 0.0
    predicted, truth = predicted.astype(np.float64), truth.astype(np.float64)
    if alignment == 'median' or np.ptp(predicted) == 0.0:
        return float(np.median(truth) / np.median(predicted)), 0.0
    predicted_mean, truth_mean = predicted.mean(), truth.mean()
    centred = predicted - predicted_mean
    scale = (centred @ (truth - truth_mean)) / (centred @ centred)
    return float(scale), float(truth_mean - scale * predicted_mean)


def depth_metrics(
    predicted: np.ndarray,
    truth: np.ndarray,
    alignment: Alignment = 'none',
    mask: np.ndarray | None = None,
) -> DepthMetrics:
    """
    Compare depth (..., H, W) with the truth in metres, under one alignment for all of it.

    Raises:
        InputError: if the shapes differ or the alignment is unknown.

    """
    valid = common_pixels(predicted, truth, mask)
    if not valid.any():
        nan = float('nan')
        return DepthMetrics(nan, nan, nan, nan, nan, 0)
    p, t = predicted[valid].astype(np.float64), truth[valid].astype(np.float64)
    scale, shift = fit_alignment(p, t, alignment)
    p = scale * p + shift
    # A shift can push depth behind the camera: such a pixel is wrong by any ratio.
    ratio = np.where(p > 0, np.maximum(p / t, t / np.maximum(p, 1e-12)), np.inf)
    return DepthMetrics(
        abs_rel=float(np.mean(np.abs(p - t) / t)),
        delta1=float(np.mean(ratio < 1.25)),
        rmse_m=float(np.sqrt(np.mean((p - t) ** 2))),
        scale=scale,
        shift_m=shift,
        pixels=int(valid.sum()),
    )


def mean_metrics(metrics: Iterable[DepthMetrics]) -> DepthMetrics:
    """
    Average metrics of frames or windows, each with the same weight; ``pixels`` is their sum.

    Those without a common pixel are left out; if none is left, everything is NaN.
    """
    measured = [m for m in metrics if m.pixels]
    names = [f.name for f in fields(DepthMetrics) if f.name != 'pixels']
    means = {n: float(np.mean([getattr(m, n) for m in measured] or [np.nan])) for n in names}
    return DepthMetrics(**means, pixels=sum(m.pixels for m in measured))


def at_truth(depth: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Return depth (h, w) and truth (H, W) of the same picture where the truth is known, (N,) each.

    Of each pixel of the truth it is the depth of the pixel that its corner lies in.
    """
    row, column = np.nonzero(np.isfinite(truth))
    height, width = depth.shape
    at = row * height // truth.shape[0], column * width // truth.shape[1]
    return depth[at], truth[row, column]


def resize_nearest(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """
    Resize (H, W, ...) to (height, width, ...) by taking the pixel under each new centre.

    No value is invented, so depth does not bleed over edges and NaN stays where it is.
    """
    rows = ((np.arange(height) + 0.5) * image.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * image.shape[1] / width).astype(int)
    return image[rows[:, None], columns]
