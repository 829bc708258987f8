"""
From readings of a scale to an estimate with its spread: robust, and in logarithms.

A reading is the logarithm of metres per map unit with a standard deviation, its sigma. Errors of a
scale are relative, so in logarithms they add up, and too large is as bad as too small.
"""

from collections import deque
from dataclasses import dataclass
import math

from da3_ros.geometry.alignment import huber_weights, MAD_TO_SIGMA, weighted_median
import numpy as np

# Readings further than so many standard deviations from the median are not used at all.
_GATE = 3.0
# With fewer readings, their scatter says less than what was expected of them.
_MIN_FOR_SCATTER = 5
# Readings may agree better than expected, but believed is at most this share of their sigma.
_MIN_SCATTER = 0.5


@dataclass(frozen=True)
class ScaleEstimate:
    """Logarithm of metres per map unit, and its standard deviation (so, a relative one)."""

    log_scale: float
    spread: float


def combine(
    log_scales: np.ndarray, sigmas: np.ndarray, redundancy: float = 1.0, floor: float = 0.0
) -> ScaleEstimate:
    """
    Return the estimate that readings (N,), N >= 1, oldest first, add up to.

    The weighted median, a gate around it, and a Huber mean of what is inside. The spread follows
    from the sigmas, corrected by how much the readings really scatter, and by how much the newer
    half differs from the older one beyond chance: the map's own scale may drift. ``redundancy`` is
    the number of readings that share one error; ``floor`` is what all of them have in common, and
    no number of readings averages out.
    """
    weights = sigmas**-2.0
    deviations = (log_scales - weighted_median(log_scales, weights)) / sigmas
    scatter = 1.0
    if len(log_scales) >= _MIN_FOR_SCATTER:
        usual = weighted_median(np.abs(deviations), np.ones(len(log_scales)))
        scatter = max(MAD_TO_SIGMA * usual, _MIN_SCATTER)
    is_inside = np.abs(deviations) <= _GATE * scatter
    weights = weights * is_inside * huber_weights(deviations, scatter)
    centre = weights @ log_scales / weights.sum()
    variance = scatter**2 * redundancy / weights.sum()
    drift = _half_difference(log_scales, weights) / 2.0
    return ScaleEstimate(float(centre), math.sqrt(max(variance, drift**2) + floor**2))


def _half_difference(values: np.ndarray, weights: np.ndarray) -> float:
    """Return how much newer readings (N,) exceed older ones; 0 if there are few."""
    half = len(values) // 2
    older, newer = weights[:half].sum(), weights[half:].sum()
    if half < _MIN_FOR_SCATTER or not (older > 0 and newer > 0):
        return 0.0
    mean_older = (weights * values)[:half].sum() / older
    mean_newer = (weights * values)[half:].sum() / newer
    return float(mean_newer - mean_older)


class Readings:
    """The newest readings of a source, and what they add up to."""

    def __init__(self, floor: float, capacity: int = 24) -> None:
        """Take the spread that no number of readings gets below, and how many count."""
        self._floor = floor
        self._readings: deque[tuple[float, float]] = deque(maxlen=capacity)

    def __len__(self) -> int:
        """Return the number of readings kept."""
        return len(self._readings)

    def add(self, log_scale: float, sigma: float) -> None:
        """Keep a reading; the oldest one goes when there are too many."""
        self._readings.append((log_scale, sigma))

    def shift(self, by: float) -> None:
        """Add to all readings: the unit of the map is another."""
        shifted = [(log_scale + by, sigma) for log_scale, sigma in self._readings]
        self._readings.clear()
        self._readings.extend(shifted)

    def clear(self) -> None:
        """Forget all readings."""
        self._readings.clear()

    @property
    def estimate(self) -> ScaleEstimate | None:
        """What the readings add up to; None while there are none."""
        if not self._readings:
            return None
        log_scales, sigmas = np.array(self._readings).T
        return combine(log_scales, sigmas, floor=self._floor)
