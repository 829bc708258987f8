"""
A robot with odometry, extrinsics and a depth sensor, and a metric network, made from the truth.

They stand for what ``da3_ros.engine.scale`` asks: each can be as wrong, late or absent as it is on
a robot.
"""

from collections.abc import Callable
from dataclasses import dataclass

from da3_ros.engine.runner import WindowView
from da3_ros.engine.scale import MetricPrediction
from da3_ros.evaluation.truth import Truth
from da3_ros.geometry.cameras import unproject
from da3_ros.geometry.transforms import invert, rigid
import numpy as np
from scipy.spatial.transform import Rotation
import torch
from torch.nn.functional import interpolate

_SENSOR_SIZE = (60, 80)


@dataclass(frozen=True)
class RobotNoise:
    """
    How wrong the robot is.

    ``odometry_drift`` error of each step as a share of its length; ``odometry_scale`` factor on
    all of it, a wheel that is larger than believed; ``lag_ns`` until odometry is there;
    ``range_noise`` relative standard deviation of each point; ``points`` measured at a time.
    """

    odometry_drift: float = 0.0
    odometry_scale: float = 1.0
    lag_ns: int = 0
    range_noise: float = 0.0
    points: int = 500


class SimulatedRobot:
    """
    Knows what the truth knows, as far as asked for; implements ``da3_ros.engine.scale.Robot``.

    ``is_there`` (camera, stamp) says whether odometry exists at a stamp; ``now_ns`` is advanced by
    whoever plays the stream, and odometry younger than its lag is not there yet. ``misplaced`` is
    true_from_wrong (4, 4) of cameras whose extrinsics are wrong.
    """

    def __init__(
        self,
        truth: Truth,
        noise: RobotNoise = RobotNoise(),
        *,
        has_odometry: bool = False,
        has_extrinsics: bool = False,
        has_ranges: bool = False,
        seed: int = 0,
    ) -> None:
        """Take the truth, what the robot has, and how wrong it is."""
        self.truth, self.noise = truth, noise
        self.has_odometry, self.has_extrinsics = has_odometry, has_extrinsics
        self.has_ranges = has_ranges
        self.now_ns = 2**62
        self.misplaced: dict[str, np.ndarray] = {}
        self.is_there: Callable[[str, int], bool] = lambda camera, stamp_ns: True
        self._rng = np.random.default_rng(seed)
        self._odom_from_world = rigid(
            Rotation.random(random_state=self._rng).as_matrix(), self._rng.normal(size=3)
        )
        self._last: dict[str, np.ndarray] = {}
        self._drift: dict[str, np.ndarray] = {}

    def odom_from_camera(self, camera: str, stamp_ns: int) -> np.ndarray | None:
        """Return the pose by odometry, which drifts with the way; None before it has come."""
        is_late = stamp_ns + self.noise.lag_ns > self.now_ns
        if not self.has_odometry or is_late or not self.is_there(camera, stamp_ns):
            return None
        pose = self._odom_from_world @ self.truth.world_from_camera(camera, stamp_ns)
        step = np.linalg.norm(pose[:3, 3] - self._last.get(camera, pose)[:3, 3])
        error = self._rng.normal(size=3) * self.noise.odometry_drift * step
        self._drift[camera] = self._drift.get(camera, np.zeros(3)) + error
        self._last[camera] = pose
        drifted = pose.copy()
        drifted[:3, 3] = self.noise.odometry_scale * pose[:3, 3] + self._drift[camera]
        return drifted

    def camera_from_other(
        self, camera: str, stamp_ns: int, other: str, other_stamp_ns: int
    ) -> np.ndarray | None:
        """Return the extrinsics, true unless misplaced; None unless the stamps are the same."""
        if not self.has_extrinsics or stamp_ns != other_stamp_ns:
            return None
        one, two = (
            self.truth.world_from_camera(name, stamp_ns) @ self.misplaced.get(name, np.eye(4))
            for name in (camera, other)
        )
        return invert(one) @ two

    def points_in_camera(self, camera: str, stamp_ns: int) -> np.ndarray | None:
        """Return points (N, 3) of the truth, each wrong by its own noise."""
        if not self.has_ranges:
            return None
        depth = self.truth.depth_m(camera, stamp_ns, *_SENSOR_SIZE)
        k = self.truth.intrinsics(camera, stamp_ns, *_SENSOR_SIZE)
        points = unproject(depth.astype(np.float32), k).reshape(-1, 3).astype(np.float64)
        chosen = points[self._rng.choice(len(points), self.noise.points)]
        return chosen * np.exp(self.noise.range_noise * self._rng.normal(size=(len(chosen), 1)))


class SimulatedMetricNetwork:
    """
    Depth in metres of single views, from the truth.

    ``field`` is the standard deviation of the logarithm of a smooth error field, ``view_scale``
    that of one factor for a whole view, and ``bias`` the logarithm of a factor on everything.
    """

    def __init__(
        self,
        truth: Truth,
        field: float = 0.0,
        view_scale: float = 0.0,
        bias: float = 0.0,
        seed: int = 0,
    ) -> None:
        """Take the truth and how wrong to be about it."""
        self._truth, self._field, self._view_scale, self._bias = truth, field, view_scale, bias
        self._rng = np.random.default_rng(seed)
        self.calls = 0

    def infer(self, view: WindowView, intrinsics: np.ndarray) -> MetricPrediction:
        """Predict a view."""
        self.calls += 1
        shape = tuple(view.image.shape[-2:])
        depth = torch.from_numpy(self._truth.depth_m(view.camera, view.stamp_ns, *shape))
        nodes = torch.from_numpy(self._rng.normal(size=(1, 1, 3, 4)))
        field = interpolate(nodes, shape, mode='bicubic', align_corners=True)[0, 0]
        error = self._bias + self._view_scale * self._rng.normal() + self._field * field
        depth_m = (depth * error.exp()).float().to(view.image.device)
        return MetricPrediction(depth_m, ~torch.isfinite(depth_m))
