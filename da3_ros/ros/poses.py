"""Poses to and from messages: odometry, keyframe path and transforms."""

from da3_ros.engine import KeyframePose
from da3_ros.geometry.rotations import quaternion_of
from da3_ros.geometry.transforms import pose_from_quaternion
from da3_ros.ros.convert import header_at
from geometry_msgs.msg import (
    Point,
    Pose,
    PoseStamped,
    Quaternion,
    Transform,
    TransformStamped,
    Vector3,
)
from nav_msgs.msg import Odometry, Path
import numpy as np
from std_msgs.msg import Header

# Variance of a twist that nobody estimated [(m/s)², (rad/s)²]: a filter that fuses it learns
# nothing, while a negative one, the other convention for "unknown", makes robot_localization
# diverge.
UNKNOWN_VARIANCE = 1e9
_UNKNOWN_TWIST = (UNKNOWN_VARIANCE * np.eye(6)).ravel()
_UNKNOWN_TWIST.flags.writeable = False  # up to Jazzy, all messages share it


def pose_message(b_from_a: np.ndarray) -> Pose:
    """Return the pose of frame ``a`` in frame ``b`` of a rigid transform (4, 4)."""
    pose = Pose()
    _fill(pose.position, pose.orientation, b_from_a)
    return pose


def pose_messages(b_from_a: np.ndarray) -> list[Pose]:
    """Return the poses of rigid transforms (N, 4, 4)."""
    return [pose_message(each) for each in b_from_a]


def transform_message(
    parent_from_child: np.ndarray, parent: str, child: str, stamp: int
) -> TransformStamped:
    """Return a rigid transform (4, 4) with its frames and its stamp in nanoseconds."""
    message = TransformStamped()
    message.header = header_at(stamp, parent)
    message.child_frame_id = child
    _fill(message.transform.translation, message.transform.rotation, parent_from_child)
    return message


def _fill(position: Point | Vector3, orientation: Quaternion, b_from_a: np.ndarray) -> None:
    """Put a rigid transform (4, 4) into parts of a message: making new ones takes longer."""
    rows = b_from_a.tolist()
    position.x, position.y, position.z = rows[0][3], rows[1][3], rows[2][3]
    quaternion = quaternion_of([row[:3] for row in rows[:3]])
    orientation.x, orientation.y, orientation.z, orientation.w = quaternion


def matrix_of_pose(pose: Pose) -> np.ndarray:
    """Return the rigid transform (4, 4) of a pose message."""
    p, q = pose.position, pose.orientation
    return pose_from_quaternion(np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w]))


def matrix_of(transform: Transform) -> np.ndarray:
    """Return the rigid transform (4, 4) of a message."""
    t, q = transform.translation, transform.rotation
    return pose_from_quaternion(np.array([t.x, t.y, t.z]), np.array([q.x, q.y, q.z, q.w]))


def odometry_message(
    map_from_camera: np.ndarray, covariance: np.ndarray, header: Header, child: str
) -> Odometry:
    """Return a pose (4, 4) and its covariance (6, 6) as odometry without a twist."""
    message = Odometry(header=header, child_frame_id=child)
    pose = message.pose
    _fill(pose.pose.position, pose.pose.orientation, map_from_camera)
    pose.covariance = covariance.astype(np.float64).ravel()
    message.twist.covariance = _UNKNOWN_TWIST
    return message


class PathBuilder:
    """Makes the Path of the keyframes, reusing the messages of those that did not move."""

    def __init__(self) -> None:
        self._poses: dict[tuple[str, int], tuple[np.ndarray, PoseStamped]] = {}

    def build(self, keyframes: tuple[KeyframePose, ...], header: Header) -> Path:
        """Return every keyframe's pose, each with the stamp of its image."""
        moved = [k for k in keyframes if not self._is_known(k)]
        if moved:
            matrices = np.stack([k.map_from_camera for k in moved])
            for k, matrix, pose in zip(moved, matrices, pose_messages(matrices), strict=True):
                stamped = PoseStamped(header=header_at(k.stamp_ns, header.frame_id), pose=pose)
                self._poses[_key(k)] = (matrix, stamped)
        self._poses = {_key(k): self._poses[_key(k)] for k in keyframes}
        return Path(header=header, poses=[message for _, message in self._poses.values()])

    def _is_known(self, keyframe: KeyframePose) -> bool:
        """Tell whether there is a message of this keyframe where it is now."""
        known = self._poses.get(_key(keyframe))
        return known is not None and np.array_equal(known[0], keyframe.map_from_camera)


def _key(keyframe: KeyframePose) -> tuple[str, int]:
    return keyframe.camera, keyframe.stamp_ns
