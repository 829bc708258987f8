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
# stamps say; and how likely each model is to give way to each, (from, to).
_PUSHES = np.array([[0.05, 0.3, 2.0, 50.0], [0.1, 0.6, 4.0, 100.0]])
_JUMPS = np.array([0.0, 0.0, 0.0, 1.0])
_SWITCH = 0.05
_GIVES_WAY = np.where(np.eye(4, dtype=bool), 1.0 - _SWITCH, _SWITCH / 3)
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
        self._models: _Models | None = None

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
        variances = covariance.diagonal().reshape(2, 3).mean(axis=1)
        units = np.array([distance, 1.0])
        if self._pose is None or not 0.0 < seconds <= _MAX_GAP_S:
            self._models = _Models(variances, _FIRST_RATE * units)
            self._stamp_ns, self._pose = stamp_ns, map_from_camera
            return map_from_camera, covariance
        moved = map_from_camera[:3, 3] - self._pose[:3, 3]
        turned = Rotation.from_matrix(map_from_camera[:3, :3] @ self._pose[:3, :3].T).as_rotvec()
        (step, turn), believed = self._models.update(
            np.stack([moved, turned]),
            variances,
            seconds,
            units[:, None] * _PUSHES,
            units[:, None] * _JUMPS,
        )
        self._stamp_ns = stamp_ns
        self._pose = rigid(
            Rotation.from_rotvec(turn).as_matrix() @ self._pose[:3, :3], self._pose[:3, 3] + step
        )
        shrunk = np.sqrt(np.repeat(believed / variances, 3))
        return self._pose, covariance * np.outer(shrunk, shrunk)


class _Models:
    """
    Position and rotation (P = 2), each from the last one believed on, as each model has them.

    ``means`` (P, M, 2, 3) of value and rate, ``covariances`` (P, M, 2, 2), ``shares`` (P, M). The
    two have nothing to do with each other but that they are worked out at once.
    """

    def __init__(self, variances: np.ndarray, rates: np.ndarray) -> None:
        """Begin at measurements with ``variances`` (P,), with any rates, deviations (P,)."""
        parts, count = len(variances), _PUSHES.shape[1]
        self.means = np.zeros((parts, count, 2, 3))
        self.covariances = np.zeros((parts, count, 2, 2))
        self.covariances[..., 0, 0] = variances[:, None]
        self.covariances[..., 1, 1] = rates[:, None] ** 2
        self.shares = np.full((parts, count), 1.0 / count)

    def update(
        self,
        measured: np.ndarray,
        variances: np.ndarray,
        seconds: float,
        pushes: np.ndarray,
        jumps: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """
        Take in values measured (P, 3), and return those believed and their variances (P,).

        ``pushes`` and ``jumps`` (P, M) are as in the tables above.
        """
        self._mix()
        # Constant rate, white noise on its change.
        forward = np.array([[1.0, seconds], [0.0, 1.0]])
        pushed = np.array([[seconds**3 / 3, seconds**2 / 2], [seconds**2 / 2, seconds]])
        means = forward @ self.means
        covariances = forward @ self.covariances @ forward.T
        covariances += pushes[..., None, None] ** 2 * pushed
        covariances[..., 0, 0] += jumps**2
        surprise = measured[:, None] - means[:, :, 0]
        expected = covariances[..., 0, 0] + variances[:, None]
        gains = covariances[..., 0] / expected[..., None]
        self.means = means + gains[..., None] * surprise[:, :, None]
        self.covariances = covariances - expected[..., None, None] * (
            gains[..., None] * gains[..., None, :]
        )
        log = np.log(self.shares) - 0.5 * (
            np.sum(surprise**2, axis=2) / expected + 3.0 * np.log(expected)
        )
        shares = np.exp(log - log.max(axis=1, keepdims=True))
        self.shares = shares / shares.sum(axis=1, keepdims=True)
        believed = np.sum(self.shares[..., None] * self.means[:, :, 0], axis=1)
        self.means[:, :, 0] -= believed[:, None]
        apart = np.sum(self.means[:, :, 0] ** 2, axis=2) / 3.0
        return believed, np.sum(self.shares * (self.covariances[..., 0, 0] + apart), axis=1)

    def _mix(self) -> None:
        """Let each model begin where those that may have given way to it were."""
        joint = self.shares[..., None] * _GIVES_WAY  # (P, from, to)
        self.shares = joint.sum(axis=1)
        weights = joint / self.shares[:, None]
        # Moments of a mixture: what is left of the second ones once the new mean is taken away.
        moments = self.covariances + self.means @ np.swapaxes(self.means, 2, 3) / 3.0
        flat = np.concatenate([self.means, moments], axis=3)
        mixed = np.swapaxes(weights, 1, 2) @ flat.reshape(*self.shares.shape, -1)
        mixed = mixed.reshape(flat.shape)
        self.means, moments = mixed[..., :3], mixed[..., 3:]
        self.covariances = moments - self.means @ np.swapaxes(self.means, 2, 3) / 3.0
