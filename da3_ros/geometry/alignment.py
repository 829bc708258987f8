"""Weighted and robust fits: medians and locations in NumPy, similarities in PyTorch."""

from da3_ros.errors import InputError
from da3_ros.geometry.transforms import Sim3
import numpy as np
import torch

# Median absolute deviation to standard deviation, for normal errors.
MAD_TO_SIGMA = 1.4826
# Huber's constant: 95 % efficiency on normal errors.
_HUBER = 1.345


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the value below which half of the weight lies; both arguments are (N,)."""
    order = np.argsort(values)
    return _middle(values[order], weights[order])


def _middle(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the weighted median of values that are in order."""
    cumulative = weights.cumsum()
    middle = cumulative.searchsorted(0.5 * cumulative[-1])
    return float(values[min(middle, len(values) - 1)])


def huber_weights(residuals: np.ndarray, sigma: float) -> np.ndarray:
    """Return the IRLS weights of Huber's loss: 1 inside 1.345 sigma, falling with 1/r outside."""
    limit = _HUBER * sigma
    return limit / np.maximum(np.abs(residuals), limit)


def robust_location(
    values: np.ndarray, weights: np.ndarray, iterations: int = 5, floor: float = 1e-6
) -> tuple[float, float]:
    """
    Return (centre, sigma) of weighted samples (N,): Huber's estimate started at the median.

    ``floor`` is the smallest sigma that is believed, so that exact data does not divide by zero.
    """
    order = np.argsort(values)
    values, weights = values[order], weights[order]
    centre = _middle(values, weights)
    away = np.abs(values - centre)
    order = np.argsort(away, kind='stable')  # two runs, which this sort only has to merge
    sigma = max(MAD_TO_SIGMA * _middle(away[order], weights[order]), floor)
    limit = _HUBER * sigma
    limited = limit * weights
    for _ in range(iterations):
        # huber_weights, times those given, in one buffer.
        np.abs(np.subtract(values, centre, out=away), out=away)
        w = np.divide(limited, np.maximum(away, limit, out=away), out=away)
        centre = float(w @ values / w.sum())
    return centre, sigma


def weighted_similarity(
    source: torch.Tensor,
    target: torch.Tensor,
    weights: torch.Tensor | None = None,
    with_scale: bool = True,
) -> Sim3:
    """
    Return the ``target_from_source`` that minimises ``sum w |target - (s R source + t)|²``.

    Closed form (Umeyama 1991); ``source`` and ``target`` are (N, 3), ``weights`` (N,) or None for
    equal ones. A reflection is never returned. Where the points leave the rotation open (all on
    one line, or all in one place) one of the best rotations is returned, and the scale of points
    that all lie in one place is 1.

    Raises:
        InputError: if the shapes differ, or no weight is positive.

    """
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 3:
        raise InputError(
            f'Got points of shapes {tuple(source.shape)} and {tuple(target.shape)}; '
            'expected two of the same shape (N, 3).'
        )
    source, target = source.double(), target.double()
    w = source.new_ones(len(source)) if weights is None else weights.double()
    total = w.sum()
    if not total > 0:
        raise InputError('No point has a positive weight; expected at least one.')
    w = (w / total)[:, None]
    source_mean, target_mean = (w * source).sum(0), (w * target).sum(0)
    source_c, target_c = source - source_mean, target - target_mean
    u, s, vt = torch.linalg.svd((w * target_c).T @ source_c)
    sign = torch.ones_like(s)
    sign[2] = torch.sign(torch.det(u) * torch.det(vt))
    rotation = (u * sign) @ vt
    variance = (w * source_c.square()).sum()
    scale = (s * sign).sum() / variance if with_scale and variance > 1e-24 else s.new_tensor(1.0)
    translation = target_mean - scale * rotation @ source_mean
    return Sim3(float(scale), _to_numpy(rotation), _to_numpy(translation))


def transformed(b_from_a: Sim3, points: torch.Tensor) -> torch.Tensor:
    """Map a tensor of points (..., 3) through a similarity, in its type and on its device."""
    rotation = points.new_tensor(b_from_a.rotation)
    return b_from_a.scale * points @ rotation.T + points.new_tensor(b_from_a.translation)


def _to_numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.cpu().numpy()
