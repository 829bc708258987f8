"""
What a camera's motion so far says of where it is now.

A network errs in each new view by itself, while a camera has mass: it keeps its speed but for
what pushes it. How hard it is pushed changes, from a robot that rolls along to a hand that stops,
a map that is corrected or a film that is cut. So there are several answers, and each counts by how
well it foretells the next view: an interacting multiple model filter (Blom and Bar-Shalom 1988).
By the last one anything goes, which keeps the filter from ever holding on to what was.

Plain floats: there are a few hundred of them, and NumPy takes longer to be called than to add up.
"""

from collections.abc import Sequence
import math
from typing import NamedTuple

from da3_ros.geometry.rotations import (
    quaternion_of,
    quaternion_of_vector,
    rows_of,
    Vector,
    vector_of,
)
from da3_ros.geometry.transforms import rigid
import numpy as np

# How hard motion may change, as deviations of white acceleration: of position in distances to the
# scene, of rotation in rad, each by s^1.5; how far the camera may just be elsewhere, whatever the
# stamps say; how likely each model is to stay, and to give way to any one of the others.
_POSITION_PUSHES = (0.05, 0.3, 2.0, 50.0)
_ROTATION_PUSHES = (0.1, 0.6, 4.0, 100.0)
_JUMPS = (0.0, 0.0, 0.0, 1.0)
_STAYS = 0.95
_GIVES_WAY = (1.0 - _STAYS) / (len(_JUMPS) - 1)
# Rates that a camera may begin with, in distances to the scene or rad, by s.
_FIRST_RATE = 1.0
# Time after which nothing is known of the motion any more.
_MAX_GAP_S = 1.0


class MotionFilter:
    """The motion of one camera through the map."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._stamp_ns = 0
        self._pose: np.ndarray | None = None
        self._position: _Track | None = None
        self._rotation: _Track | None = None

    def update(
        self, stamp_ns: int, map_from_camera: np.ndarray, covariance: np.ndarray, distance: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """
        Take in a measured pose and return what to believe, pose (4, 4) and covariance (6, 6).

        Args:
            stamp_ns: When; stamps grow.
            map_from_camera: The measured pose (4, 4).
            covariance: Of its position and rotation about the map's axes (6, 6).
            distance: To what the camera sees: motion is judged by it, since a map has no metres.

        """
        seconds = 1e-9 * (stamp_ns - self._stamp_ns)
        xx, yy, zz, rr, pp, ww = covariance.diagonal().tolist()
        variances = (xx + yy + zz) / 3.0, (rr + pp + ww) / 3.0
        if self._pose is None or not 0.0 < seconds <= _MAX_GAP_S:
            self._position = _Track(variances[0], _FIRST_RATE * distance)
            self._rotation = _Track(variances[1], _FIRST_RATE)
            self._stamp_ns, self._pose = stamp_ns, map_from_camera
            return map_from_camera, covariance
        rotation, position = self._pose[:3, :3], self._pose[:3, 3]
        moved = (map_from_camera[:3, 3] - position).tolist()
        turned = vector_of(quaternion_of((map_from_camera[:3, :3] @ rotation.T).tolist()))
        pushes = [distance * push for push in _POSITION_PUSHES]
        jumps = [distance * jump for jump in _JUMPS]
        step, off = self._position.update(moved, variances[0], seconds, pushes, jumps)
        turn, askew = self._rotation.update(
            turned, variances[1], seconds, _ROTATION_PUSHES, _JUMPS
        )
        self._stamp_ns = stamp_ns
        turned = np.array(rows_of(quaternion_of_vector(turn)))
        self._pose = rigid(turned @ rotation, position + step)
        of_position, of_rotation = math.sqrt(off / variances[0]), math.sqrt(askew / variances[1])
        shrunk = np.array([of_position] * 3 + [of_rotation] * 3)
        return self._pose, covariance * (shrunk[:, None] * shrunk)


class _Model(NamedTuple):
    """
    What one model makes of three values and their rates, and its share of the truth.

    Errors are alike in all three directions: ``xx``, ``xv`` and ``vv`` are the covariance of
    (value, rate).
    """

    share: float
    value: Vector
    rate: Vector
    xx: float
    xv: float
    vv: float


class _Track:
    """Three values, each from the last one believed on, as each model has them."""

    def __init__(self, variance: float, rate: float) -> None:
        """Begin at a measurement with a variance, with any rates, of that deviation."""
        zero = (0.0, 0.0, 0.0)
        count = len(_JUMPS)
        self._models = [_Model(1.0 / count, zero, zero, variance, 0.0, rate**2)] * count

    def update(
        self,
        measured: Vector,
        variance: float,
        seconds: float,
        pushes: Sequence[float],
        jumps: Sequence[float],
    ) -> tuple[Vector, float]:
        """
        Take in what is measured, and return what is believed and its variance.

        ``pushes`` and ``jumps`` are as in the tables above.
        """
        logs, models = [], []
        for model, push, jump in zip(self._mixed(), pushes, jumps, strict=True):
            share, (x, y, z), (u, v, w), xx, xv, vv = model
            # Constant rate, white noise on its change.
            x, y, z = x + seconds * u, y + seconds * v, z + seconds * w
            noise = push * push * seconds
            xx += seconds * (2.0 * xv + seconds * (vv + noise / 3.0)) + jump * jump
            xv += seconds * (vv + 0.5 * noise)
            vv += noise
            expected = xx + variance
            gain, rate_gain = xx / expected, xv / expected
            dx, dy, dz = measured[0] - x, measured[1] - y, measured[2] - z
            value = (x + gain * dx, y + gain * dy, z + gain * dz)
            rate = (u + rate_gain * dx, v + rate_gain * dy, w + rate_gain * dz)
            surprise = (dx * dx + dy * dy + dz * dz) / expected
            logs.append(math.log(share) - 0.5 * (surprise + 3.0 * math.log(expected)))
            models.append(
                (value, rate, gain * variance, rate_gain * variance, vv - rate_gain * xv)
            )
        most = max(logs)
        likely = [math.exp(log - most) for log in logs]
        total = sum(likely)
        shares = [each / total for each in likely]
        a = b = c = 0.0
        for share, ((x, y, z), *_) in zip(shares, models, strict=True):
            a, b, c = a + share * x, b + share * y, c + share * z
        self._models, believed = [], 0.0
        for share, ((x, y, z), rate, xx, xv, vv) in zip(shares, models, strict=True):
            value = (x - a, y - b, z - c)
            believed += share * (xx + _product(value, value))
            self._models.append(_Model(share, value, rate, xx, xv, vv))
        return (a, b, c), believed

    def _mixed(self) -> list[_Model]:
        """Return the models, each where those that may have given way to it were."""
        moments = []
        for share, value, rate, xx, xv, vv in self._models:
            xx, xv, vv = (
                xx + _product(value, value),
                xv + _product(value, rate),
                vv + _product(rate, rate),
            )
            moments.append([share * x for x in (1.0, *value, *rate, xx, xv, vv)])
        given = [_GIVES_WAY * sum(of_all) for of_all in zip(*moments, strict=True)]
        mixed = []
        for own in moments:
            joint = [g + (_STAYS - _GIVES_WAY) * x for g, x in zip(given, own, strict=True)]
            share = joint[0]
            _, x, y, z, u, v, w, xx, xv, vv = [moment / share for moment in joint]
            value, rate = (x, y, z), (u, v, w)
            # What is left of the second moments once the new means are taken away.
            xx -= _product(value, value)
            xv -= _product(value, rate)
            vv -= _product(rate, rate)
            mixed.append(_Model(share, value, rate, xx, xv, vv))
        return mixed


def _product(a: Vector, b: Vector) -> float:
    """Return the mean product of the coordinates of two vectors."""
    return (a[0] * b[0] + a[1] * b[1] + a[2] * b[2]) / 3.0
