"""A robot whose odometry goes wrong in a way that a test chooses."""

from collections.abc import Callable, Sequence

from da3_ros.evaluation.truth import RoomTruth
from da3_ros.geometry.transforms import rigid
import numpy as np
from scipy.spatial.transform import Rotation

# What odometry says at the i-th stamp, given the true poses (N, 4, 4); None: nothing.
Fault = Callable[[int, np.ndarray], np.ndarray | None]


def right(index: int, poses: np.ndarray) -> np.ndarray:
    """Say what is true."""
    return poses[index]


class FaultyOdometry:
    """Implements ``da3_ros.engine.scale.Robot``; knows odometry alone, through a fault."""

    def __init__(self, truth: RoomTruth, fault: Fault = right) -> None:
        """Take the truth and the fault, which may be exchanged while the robot runs."""
        self._truth = truth
        self._stamps: Sequence[int] = sorted(next(iter(truth.poses.values())))
        self.fault = fault

    def odom_from_camera(self, camera: str, stamp_ns: int) -> np.ndarray | None:
        """Return what odometry says of a camera."""
        poses = np.stack([self._truth.world_from_camera(camera, s) for s in self._stamps])
        return self.fault(self._stamps.index(stamp_ns), poses)

    def camera_from_other(self, *_: object) -> None:
        """Know no extrinsics."""

    def points_in_camera(self, *_: object) -> None:
        """Have no depth sensor."""


def turned(axis: str, deg: float) -> np.ndarray:
    """Return a pose (4, 4) that is a rotation about an axis."""
    return rigid(Rotation.from_euler(axis, deg, degrees=True).as_matrix(), np.zeros(3))
