"""What TF says of the robot: transforms in, without those that this node sends itself."""

from collections.abc import Callable
import threading

from da3_ros.ros.family import Family
from da3_ros.ros.poses import matrix_of
from da3_ros.ros.streams import Streams
from geometry_msgs.msg import TransformStamped
import numpy as np
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from tf2_msgs.msg import TFMessage
from tf2_ros import Buffer, TransformException

# How far back lookups may reach.
_CACHE_S = 10
# As those of tf2's own listener.
_QOS = QoSProfile(depth=100)
_QOS_FIXED = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# Whom the buffer names in what it says of transforms that cannot be.
_AUTHORITY = 'default_authority'


class RobotTf:
    """
    Answers where frames of the robot are; from any thread, and without waiting.

    What is not there at a stamp yet may be there when the next image comes; whoever asks, asks
    again, or waits with ``wait_for``, which the thread of ``streams`` must not: transforms come by
    it.

    No transform below the map frame is kept. Those are this node's own (map → camera), or
    corrections of the odometry. A distance between two cameras through the map would be what the
    network said of it, and a scale that was measured by it would always find itself right.
    ``family`` knows the parent of each frame, those below the map too.
    """

    def __init__(self, streams: Streams, map_frame: str) -> None:
        self.family = Family()
        self._map_frame = map_frame
        self._buffer = _new_buffer()
        self._fixed: dict[str, TransformStamped] = {}
        self._changed = threading.Condition()
        self._streams = streams
        self._subscriptions = (
            streams.subscribe(TFMessage, '/tf', self._hear, _QOS),
            streams.subscribe(TFMessage, '/tf_static', self._hear_fixed, _QOS_FIXED),
        )

    def lookup(self, target: str, source: str, stamp_ns: int) -> np.ndarray:
        """
        Return ``target_from_source`` (4, 4) at a stamp.

        Raises:
            TransformException: TF does not have it, or does not have it yet.

        """
        try:
            found = self._buffer.lookup_transform(target, source, Time(nanoseconds=stamp_ns))
        except ValueError as error:  # a quaternion of zeros, for instance
            raise TransformException(str(error)) from error
        return matrix_of(found.transform)

    def find(self, target: str, source: str, stamp_ns: int) -> np.ndarray | None:
        """Return ``target_from_source`` (4, 4) at a stamp, or None."""
        try:
            return self.lookup(target, source, stamp_ns)
        except TransformException:
            return None

    def wait_for(self, is_there: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until ``is_there``, asked anew whenever transforms come; False if it never was."""
        with self._changed:
            return self._changed.wait_for(is_there, timeout_s)

    def wake(self) -> None:
        """Have ``wait_for`` ask again."""
        with self._changed:
            self._changed.notify_all()

    def forget(self) -> None:
        """Forget all that moves: time went back, and TF keeps nothing older than it has seen."""
        self.family.forget()
        buffer = _new_buffer()
        with self._changed:  # what is fixed must not go into the old buffer meanwhile
            for transform in self._fixed.values():
                buffer.set_transform_static(transform, _AUTHORITY)
            self._buffer = buffer

    def destroy(self) -> None:
        """Take the subscriptions back from the node."""
        for subscription in self._subscriptions:
            self._streams.unsubscribe(subscription)

    def _hear(self, message: TFMessage) -> None:
        """Keep the transforms of one message on /tf that are not below the map."""
        for transform in message.transforms:
            self.family.hear(transform, is_static=False)
            if transform.header.frame_id.lstrip('/') != self._map_frame:
                self._buffer.set_transform(transform, _AUTHORITY)
        self.wake()

    def _hear_fixed(self, message: TFMessage) -> None:
        """Keep the transforms of one message on /tf_static, for good."""
        for transform in message.transforms:
            self.family.hear(transform, is_static=True)
        with self._changed:
            for transform in message.transforms:
                self._fixed[transform.child_frame_id] = transform
                self._buffer.set_transform_static(transform, _AUTHORITY)
            self._changed.notify_all()


def _new_buffer() -> Buffer:
    return Buffer(cache_time=Duration(seconds=_CACHE_S))
