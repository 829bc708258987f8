"""
What a camera's motion so far says of where it is now.

A network errs in each new view by itself, while a camera has mass: it keeps its speed but for
what pushes it. How hard it is pushed changes, from a robot that rolls along to a hand that stops,
a map that is corrected or a film that is cut. So there are several answers, and each counts by how
well it foretells the next view: an interacting multiple model filter (Blom and Bar-Shalom 1988).
By the last one anything goes, which keeps the filter from ever holding on to what was.

Shapes: M models; errors are alike in all three directions, so covariances are of (value, rate).
"""

from da3_ros.geometry.transforms import rigid
import numpy as np
from scipy.spatial.transform import Rotation

# How hard motion may change, as deviations of white acceleration: of position in distances to the
# scene, of rotation in rad, each by s^1.5; how far the camera may just be elsewhere, whatever the
# stamps say; and how likely a model is to give way to another one.
_POSITION_PUSHES = np.array([0.05, 0.3, 2.0, 50.0])
_ROTATION_PUSHES = np.array([0.1, 0.6, 4.0, 100.0])
_JUMPS = np.array([0.0, 0.0, 0.0, 1.0])
_SWITCH = 0.05
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
        self._position = self._rotation = None

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
        variances = np.trace(covariance[:3, :3]) / 3.0, np.trace(covariance[3:, 3:]) / 3.0
        if self._pose is None or not 0.0 < seconds <= _MAX_GAP_S:
            first_rates = _FIRST_RATE * distance, _FIRST_RATE
            self._position, self._rotation = map(_Models, variances, first_rates)
            self._stamp_ns, self._pose = stamp_ns, map_from_camera
            return map_from_camera, covariance
        moved = map_from_camera[:3, 3] - self._pose[:3, 3]
        turned = Rotation.from_matrix(map_from_camera[:3, :3] @ self._pose[:3, :3].T).as_rotvec()
        step, position = self._position.update(
            moved, variances[0], seconds, _POSITION_PUSHES * distance, _JUMPS * distance
        )
        turn, rotation = self._rotation.update(
            turned, variances[1], seconds, _ROTATION_PUSHES, _JUMPS
        )
        self._stamp_ns = stamp_ns
        self._pose = rigid(
            Rotation.from_rotvec(turn).as_matrix() @ self._pose[:3, :3], self._pose[:3, 3] + step
        )
        shrunk = np.sqrt(np.repeat([position / variances[0], rotation / variances[1]], 3))
        return self._pose, covariance * np.outer(shrunk, shrunk)


class _Models:
    """
    Values (3,) and their rates (3,) as each model has them, from the last value believed on.

    ``means`` (M, 2, 3) of value and rate, ``covariances`` (M, 2, 2), ``shares`` (M,).
    """

    def __init__(self, variance: float, rate: float) -> None:
        """Begin at a measurement, with any rate."""
        count = len(_POSITION_PUSHES)
        self.means = np.zeros((count, 2, 3))
        self.covariances = np.tile(np.diag([variance, rate**2]), (count, 1, 1))
        self.shares = np.full(count, 1.0 / count)

    def update(
        self,
        measured: np.ndarray,
        variance: float,
        seconds: float,
        pushes: np.ndarray,
        jumps: np.ndarray,
    ) -> tuple[np.ndarray, float]:
        """Take in a value measured (3,), and return the one believed (3,) and its variance."""
        self._mix()
        # Constant rate, white noise on its change.
        forward = np.array([[1.0, seconds], [0.0, 1.0]])
        pushed = np.array([[seconds**3 / 3, seconds**2 / 2], [seconds**2 / 2, seconds]])
        means = forward @ self.means
        covariances = forward @ self.covariances @ forward.T
        covariances = covariances + pushes[:, None, None] ** 2 * pushed
        covariances[:, 0, 0] += jumps**2
        surprise = measured - means[:, 0]
        expected = covariances[:, 0, 0] + variance
        gains = covariances[:, :, 0] / expected[:, None]
        self.means = means + gains[:, :, None] * surprise[:, None]
        self.covariances = covariances - expected[:, None, None] * (
            gains[:, :, None] * gains[:, None, :]
        )
        log = np.log(self.shares) - 0.5 * (
            np.sum(surprise**2, axis=1) / expected + 3.0 * np.log(expected)
        )
        shares = np.exp(log - log.max())
        self.shares = shares / shares.sum()
        believed = self.shares @ self.means[:, 0]
        apart = np.sum((self.means[:, 0] - believed) ** 2, axis=1) / 3.0
        self.means[:, 0] -= believed
        return believed, float(self.shares @ (self.covariances[:, 0, 0] + apart))

    def _mix(self) -> None:
        """Let each model begin where those that may have given way to it were."""
        count = len(self.shares)
        joint = self.shares[:, None] * (
            (1.0 - _SWITCH) * np.eye(count) + _SWITCH / (count - 1) * (1.0 - np.eye(count))
        )  # (from, to)
        self.shares = joint.sum(axis=0)
        weights = joint / self.shares
        means = np.einsum('mn,mvi->nvi', weights, self.means)
        apart = self.means[:, None] - means[None]  # (from, to, 2, 3)
        spread = np.einsum('mnvi,mnwi->mnvw', apart, apart) / 3.0
        self.covariances = np.einsum('mn,mnvw->nvw', weights, self.covariances[:, None] + spread)
        self.means = means
