"""Transforms out: the map above the camera, or above the odometry frame of the robot (REP 105)."""

from da3_ros.config import NodeConfig
from da3_ros.geometry.transforms import invert
from da3_ros.ros.drops import DropLog
from da3_ros.ros.poses import transform_message
from da3_ros.ros.robot_tf import RobotTf
import numpy as np
from rclpy.node import Node
from tf2_ros import TransformBroadcaster, TransformException

# Every listener keeps every frame that it ever heard of, by name.
_MAX_FRAME_ID = 255


class CameraTf:
    """Sends map → camera optical frame, for a camera that has no other parent."""

    def __init__(self, node: Node, map_frame: str, drops: DropLog) -> None:
        self._node = node
        self._map_frame = map_frame
        self._drops = drops
        self._broadcaster = TransformBroadcaster(node)

    def send(self, map_from_camera: np.ndarray, camera_frame: str, stamp: int) -> None:
        """Send the pose of a camera; a frame name that tf2 cannot hold is a counted drop."""
        if camera_frame == self._map_frame or not _is_frame_id(camera_frame):
            self._drops.drop(
                'tf_frame',
                f'The images have frame_id {camera_frame!r}, which cannot be a child of '
                f"'{self._map_frame}' in TF; set it in the driver, or set frames.camera.",
            )
            return
        self._broadcast(map_from_camera, camera_frame, stamp)

    def _broadcast(self, map_from_child: np.ndarray, child: str, stamp: int) -> None:
        message = transform_message(map_from_child, self._map_frame, child, stamp)
        self._broadcaster.sendTransform(message)

    def destroy(self) -> None:
        """Take the publisher back from the node."""
        self._node.destroy_publisher(self._broadcaster.pub_tf)


class OdomTf(CameraTf):
    """Sends map → odom so that map → odom → camera is our pose; the robot sends odom → camera."""

    def __init__(
        self, node: Node, map_frame: str, odom_frame: str, drops: DropLog, robot_tf: RobotTf
    ) -> None:
        super().__init__(node, map_frame, drops)
        self._odom_frame = odom_frame
        self._robot_tf = robot_tf

    def send(self, map_from_camera: np.ndarray, camera_frame: str, stamp: int) -> None:
        """Send the correction of the odometry, or count that TF lacks it at this stamp."""
        try:
            odom_from_camera = self._robot_tf.lookup(self._odom_frame, camera_frame, stamp)
        except TransformException as error:
            self._drops.drop(
                'tf_odom',
                f"TF has no '{self._odom_frame}' from '{camera_frame}' at the image's stamp, so "
                f"none from '{self._map_frame}' is sent: {error}.",
            )
            return
        self._broadcast(map_from_camera @ invert(odom_from_camera), self._odom_frame, stamp)


def _is_frame_id(name: str) -> bool:
    """Tell whether a name can be a frame's: something to read, in one word, of bounded length."""
    return 0 < len(name) <= _MAX_FRAME_ID and name.isprintable() and not name.count(' ')


def make_tf(node: Node, config: NodeConfig, drops: DropLog, robot_tf: RobotTf) -> CameraTf | None:
    """Return what the parameter ``tf`` asks for."""
    if config.tf == 'none':
        return None
    if config.tf == 'odom':
        return OdomTf(node, config.frames.map, config.frames.odom, drops, robot_tf)
    return CameraTf(node, config.frames.map, drops)
