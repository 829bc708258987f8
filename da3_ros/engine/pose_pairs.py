"""
The poses that two frames give to the same cameras, and the gauge between the frames.

What fits ask of them again and again is made ready once, so that each step is a few calls.

Shapes: K cameras. A gauge is ``b_from_a``.
"""

from dataclasses import dataclass

from da3_ros.geometry.rotations import best_rotation
from da3_ros.geometry.transforms import Sim3
import numpy as np


@dataclass(frozen=True, eq=False)
class Centres:
    """
    Weighted moments of camera centres: of all ``weight``, with means (3,) in both frames.

    About the means, ``spread_a`` and ``spread_b`` (3, 3) are the sums of products of coordinates
    in one frame, and ``spread_ba`` (3, 3) those of coordinates in b with those in a.
    """

    weight: float
    mean_a: np.ndarray
    mean_b: np.ndarray
    spread_a: np.ndarray
    spread_ba: np.ndarray
    spread_b: np.ndarray

    def squares_a(self) -> float:
        """Return the sum of squared distances from the mean in a."""
        return float(self.spread_a.trace())

    def squares_b(self) -> float:
        """Return the sum of squared distances from the mean in b."""
        return float(self.spread_b.trace())

    def products(self, rotation: np.ndarray) -> float:
        """Return the sum of products of what is in b with what is in a, turned into b's axes."""
        return float(np.vdot(rotation, self.spread_ba))

    def gauge(self, scale: float, rotation: np.ndarray) -> Sim3:
        """Return the gauge with a scale and a rotation that takes mean to mean."""
        return Sim3(scale, rotation, self.mean_b - scale * (rotation @ self.mean_a))


class PosePairs:
    """Poses (K, 4, 4) of the same cameras in a and in b."""

    def __init__(
        self, a_from_camera: np.ndarray, b_from_camera: np.ndarray, sigma: np.ndarray
    ) -> None:
        """Take the poses, and the expected errors (2,) of a centre in b and of a direction."""
        self._a = a_from_camera
        self._b = b_from_camera[:, :3]
        self._turns = self._b[:, :, :3] @ a_from_camera[:, :3, :3].swapaxes(1, 2)
        self._centres = np.concatenate([a_from_camera[:, :3, 3], self._b[:, :, 3]], axis=1)
        self._per_square, self._per_angle = (sigma**-2.0).tolist()
        # Half the squared chord between rotations is the squared angle, as long as that is small.
        per_entry = [0.5 * self._per_angle] * 3 + [self._per_square]
        self._per_entry = np.array(3 * per_entry) / 6.0

    def squared_errors(self, gauge: Sim3) -> np.ndarray:
        """Return the mean (K,) of the squared errors of each pose's coordinates, in variances."""
        b_from_a = np.empty((3, 4))
        b_from_a[:, :3] = gauge.rotation
        b_from_a[:, 3] = gauge.translation
        return self._squared_errors(b_from_a, gauge.scale)

    def _squared_errors(self, b_from_a: np.ndarray, scale: float) -> np.ndarray:
        """Return those of gauges (..., 3, 4), (..., K)."""
        scaled = self._a.copy()
        scaled[:, :3, 3] *= scale
        errors = b_from_a @ scaled
        errors -= self._b
        errors *= errors
        return errors.reshape(*errors.shape[:-2], 12) @ self._per_entry

    def most_agreed(self, weights: np.ndarray, scale: float) -> Sim3:
        """Return the gauge in which one camera is right and the others are least wrong in sum."""
        each = np.empty((len(weights), 1, 3, 4))
        each[:, 0, :, :3] = self._turns
        turned = self._turns @ self._a[:, :3, 3:]
        each[:, 0, :, 3] = self._b[:, :, 3] - scale * turned[..., 0]
        costs = np.sqrt(self._squared_errors(each, scale)) @ weights
        best = each[costs.argmin(), 0]
        return Sim3(scale, best[:, :3], best[:, 3])

    def centres(self, weights: np.ndarray) -> Centres:
        """Return the moments of the centres with weights (K,)."""
        total = float(weights.sum())
        mean = weights @ self._centres / total
        apart = self._centres - mean
        spread = (apart.T * weights) @ apart
        return Centres(total, mean[:3], mean[3:], spread[:3, :3], spread[3:, :3], spread[3:, 3:])

    def rotation(self, weights: np.ndarray, centres: Centres, scale: float) -> np.ndarray:
        """Return what turns directions and distances best (3, 3): Wahba's problem."""
        turns = (weights @ self._turns.reshape(-1, 9)).reshape(3, 3)
        return best_rotation(
            (0.5 * self._per_angle) * turns + (scale * self._per_square) * centres.spread_ba
        )
