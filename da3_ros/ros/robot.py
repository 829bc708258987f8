"""What the engine may ask of the robot, answered from TF and from the depth sensor."""

from collections.abc import Callable, Iterable, Mapping

from da3_ros.engine.scale.robot import SIMULTANEOUS_NS
from da3_ros.geometry.transforms import invert
from da3_ros.ros.depth_sensor import DepthSensorInput
from da3_ros.ros.robot_tf import RobotTf
import numpy as np


class RosRobot:
    """
    Implements ``da3_ros.engine.scale.Robot``; asked from the worker's thread.

    Answers are never waited for, but by ``wait_for``. ``learn`` tells which optical frame each
    camera has, as its images say.
    """

    def __init__(self, tf: RobotTf, odom_frame: str, sensor: DepthSensorInput | None) -> None:
        self._tf = tf
        self._odom_frame = odom_frame
        self._sensor = sensor
        self._frame_ids: dict[str, str] = {}

    def learn(self, frame_ids: Mapping[str, str]) -> None:
        """Take the optical frames of cameras."""
        self._frame_ids |= frame_ids

    def forget(self) -> None:
        """Forget what moved: time went back."""
        self._tf.forget()

    def wait_for(self, is_there: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until ``is_there``, asked anew whenever transforms come; False if it never was."""
        return self._tf.wait_for(is_there, timeout_s)

    def wake(self) -> None:
        """Have ``wait_for`` ask again."""
        self._tf.wake()

    def has_odometry(self, cameras: Iterable[str]) -> bool:
        """Tell whether odometry of all these cameras was ever heard of."""
        newest = 0  # for TF
        return all(self.odom_from_camera(camera, newest) is not None for camera in cameras)

    def knows_odometry(self, stamps_ns: Mapping[str, int]) -> bool:
        """Tell whether there is odometry of all these cameras at their stamps."""
        return all(self.odom_from_camera(*pair) is not None for pair in stamps_ns.items())

    def odom_from_camera(self, camera: str, stamp_ns: int) -> np.ndarray | None:
        """Return where a camera is in the odometry frame."""
        return self._tf.find(self._odom_frame, self._frame_ids[camera], stamp_ns)

    def camera_from_other(
        self, camera: str, stamp_ns: int, other: str, other_stamp_ns: int
    ) -> np.ndarray | None:
        """Return where another camera is; at another time only where odometry can tell."""
        if abs(stamp_ns - other_stamp_ns) <= SIMULTANEOUS_NS:
            return self._tf.find(self._frame_ids[camera], self._frame_ids[other], stamp_ns)
        odom_from_camera = self.odom_from_camera(camera, stamp_ns)
        odom_from_other = self.odom_from_camera(other, other_stamp_ns)
        if odom_from_camera is None or odom_from_other is None:
            return None
        return invert(odom_from_camera) @ odom_from_other

    def points_in_camera(self, camera: str, stamp_ns: int) -> np.ndarray | None:
        """Return the sensor's points (N, 3) in a camera's frame at a stamp."""
        measured = self._sensor.at(stamp_ns) if self._sensor else None
        if measured is None:
            return None
        odom_from_camera = self.odom_from_camera(camera, stamp_ns)
        odom_from_sensor = self._tf.find(self._odom_frame, measured.frame_id, measured.stamp_ns)
        if odom_from_camera is not None and odom_from_sensor is not None:
            camera_from_sensor = invert(odom_from_camera) @ odom_from_sensor
        else:
            camera_from_sensor = self._tf.find(
                self._frame_ids[camera], measured.frame_id, stamp_ns
            )
        if camera_from_sensor is None:
            return None
        return measured.points @ camera_from_sensor[:3, :3].T + camera_from_sensor[:3, 3]
