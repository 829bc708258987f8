"""What the engine may ask of the robot, answered from TF and from the depth sensor."""

from collections.abc import Mapping

from da3_ros.geometry.transforms import invert
from da3_ros.ros.depth_sensor import DepthSensorInput
from da3_ros.ros.robot_tf import RobotTf
import numpy as np

# Images that are this near in time were taken at the same time, for a robot at walking pace.
_SIMULTANEOUS_NS = 5_000_000


class RosRobot:
    """
    Implements ``da3_ros.engine.scale.Robot``; asked from the worker's thread, never waiting.

    ``learn`` tells which optical frame each camera has, as its images say.
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

    def odom_from_camera(self, camera: str, stamp_ns: int) -> np.ndarray | None:
        """Return where a camera is in the odometry frame."""
        return self._tf.find(self._odom_frame, self._frame_ids[camera], stamp_ns)

    def camera_from_other(
        self, camera: str, stamp_ns: int, other: str, other_stamp_ns: int
    ) -> np.ndarray | None:
        """Return where another camera is; at another time only where odometry can tell."""
        if abs(stamp_ns - other_stamp_ns) <= _SIMULTANEOUS_NS:
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
