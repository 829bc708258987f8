"""Transforms out: the map above the camera, or above the odometry frame of the robot (REP 105)."""

from collections.abc import Sequence
from dataclasses import dataclass

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
_TWO_MAPS = 'set tf: none, or stop the other'


@dataclass(frozen=True)
class CameraPose:
    """Where a camera was: ``map_from_camera`` (4, 4), its optical frame and the stamp [ns]."""

    map_from_camera: np.ndarray
    frame_id: str
    stamp_ns: int


class MapTf:
    """
    Sends the map's place above a frame that nobody else places, each frame once in a set.

    Stamps are ``tf_tolerance_s`` later than those of the images, so that who asks for the present
    is answered while the next image is in the network.
    """

    def __init__(self, node: Node, config: NodeConfig, drops: DropLog, robot_tf: RobotTf) -> None:
        self._node = node
        self._map_frame = config.frames.map
        self._tolerance_ns = round(config.tf_tolerance_s * 1e9)
        self._drops = drops
        self._robot_tf = robot_tf
        self._broadcaster = TransformBroadcaster(node)

    def destroy(self) -> None:
        """Take the publisher back from the node."""
        self._node.destroy_publisher(self._broadcaster.pub_tf)

    def _broadcast(self, map_from_child: np.ndarray, child: str, stamp_ns: int) -> None:
        if child in (parent.frame for parent in self._robot_tf.family.above(self._map_frame)):
            self._drops.drop(
                'tf_parent',
                f"'{self._map_frame}' to '{child}' is not sent, because another node has "
                f"'{self._map_frame}' below '{child}': TF has no loops; set tf: none.",
            )
            return
        message = transform_message(
            map_from_child, self._map_frame, child, stamp_ns + self._tolerance_ns
        )
        self._robot_tf.family.note_own(message)
        self._broadcaster.sendTransform(message)

    def _refuse(self, child: str, parent: str, advice: str) -> None:
        """Count a transform that would give a frame another parent, or another place."""
        self._drops.drop(
            'tf_parent',
            f"'{self._map_frame}' to '{child}' is not sent, because another node sends "
            f"'{parent}' to '{child}' and a frame has one parent in TF; {advice}.",
        )


class CameraTf(MapTf):
    """
    Sends map → optical frame of each camera.

    Where TF has a camera mounted on something, at the end of static transforms, the map is sent
    above the topmost of these frames, base_link for instance, so that what is mounted beside the
    camera is in the map, too. Whatever else has a parent that moves is left to ``OdomTf``.
    """

    def __init__(self, node: Node, config: NodeConfig, drops: DropLog, robot_tf: RobotTf) -> None:
        super().__init__(node, config, drops, robot_tf)
        self._said: set[str] = set()

    def send(self, poses: Sequence[CameraPose]) -> None:
        """Send each camera's pose; cameras on one mount have one between them, the first one's."""
        sent: set[str] = set()
        for pose in poses:
            root = self._root(pose)
            if root is None or root in sent:
                continue
            map_from_root = pose.map_from_camera
            if root != pose.frame_id:
                camera_from_root = self._robot_tf.find(pose.frame_id, root, pose.stamp_ns)
                if camera_from_root is None:  # heard of, but not yet in the buffer
                    continue
                map_from_root = map_from_root @ camera_from_root
                self._tell(root, pose.frame_id)
            sent.add(root)
            self._broadcast(map_from_root, root, pose.stamp_ns)

    def _root(self, pose: CameraPose) -> str | None:
        """Return the frame to send the map above, or None, counted, where that must not be."""
        if pose.frame_id == self._map_frame or not _is_frame_id(pose.frame_id):
            self._drops.drop(
                'tf_frame',
                f'The images have frame_id {pose.frame_id!r}, which cannot be a child of '
                f"'{self._map_frame}' in TF; set it in the driver, or set frames.cameras.",
            )
            return None
        way = self._robot_tf.family.above(pose.frame_id)
        names = [pose.frame_id, *(parent.frame for parent in way)]
        if self._map_frame in names:
            self._refuse(names[names.index(self._map_frame) - 1], self._map_frame, _TWO_MAPS)
            return None
        for child, parent in zip(names, way, strict=False):
            if not parent.is_static:
                advice = (
                    f"set tf: odom with frames.odom: '{names[-1]}' (and leave odometry out of "
                    'scale.sources if that frame is no odometry), or tf: none'
                )
                self._refuse(child, parent.frame, advice)
                return None
        return names[-1]

    def _tell(self, root: str, camera_frame: str) -> None:
        """Say once which frame the map is sent above in the place of a camera's."""
        if camera_frame not in self._said:
            self._said.add(camera_frame)
            self._node.get_logger().info(
                f"'{camera_frame}' is mounted below '{root}', so TF gets '{self._map_frame}' to "
                f"'{root}'."
            )


class OdomTf(MapTf):
    """
    Sends map → odom so that map → odom → camera is our pose; the robot sends odom → camera.

    Odometry that comes after the image has its turn with the next image; only then is it missing.
    """

    def __init__(self, node: Node, config: NodeConfig, drops: DropLog, robot_tf: RobotTf) -> None:
        super().__init__(node, config, drops, robot_tf)
        self._odom_frame = config.frames.odom
        self._late: CameraPose | None = None

    def send(self, poses: Sequence[CameraPose]) -> None:
        """Send the correction of the odometry, by the first camera that TF has, or count none."""
        late, self._late = self._late, None
        if late is not None and (error := self._error(late)):
            self._drops.drop(
                'tf_odom',
                f"TF has no '{self._odom_frame}' from '{late.frame_id}' at an image's stamp, also "
                f"not one image later, so none from '{self._map_frame}' is sent: {error}.",
            )
        for pose in poses:
            if not self._error(pose):
                return
        self._late = poses[0] if poses else None

    def _error(self, pose: CameraPose) -> str:
        """Send the correction that follows from a pose, or return why there is none."""
        try:
            odom_from_camera = self._robot_tf.lookup(
                self._odom_frame, pose.frame_id, pose.stamp_ns
            )
        except TransformException as error:
            return str(error) or type(error).__name__
        way = self._robot_tf.family.above(self._odom_frame)
        if way:
            is_map = way[0].frame == self._map_frame
            advice = _TWO_MAPS if is_map else f"set frames.odom: '{way[-1].frame}', or tf: none"
            self._refuse(self._odom_frame, way[0].frame, advice)
            return ''
        map_from_odom = pose.map_from_camera @ invert(odom_from_camera)
        self._broadcast(map_from_odom, self._odom_frame, pose.stamp_ns)
        return ''


def _is_frame_id(name: str) -> bool:
    """Tell whether a name can be a frame's: something to read, in one word, of bounded length."""
    return 0 < len(name) <= _MAX_FRAME_ID and name.isprintable() and not name.count(' ')


def make_tf(
    node: Node, config: NodeConfig, drops: DropLog, robot_tf: RobotTf
) -> CameraTf | OdomTf | None:
    """Return what the parameter ``tf`` asks for."""
    if config.tf == 'none':
        return None
    kind = OdomTf if config.tf == 'odom' else CameraTf
    return kind(node, config, drops, robot_tf)
