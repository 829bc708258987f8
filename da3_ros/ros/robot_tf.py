"""What TF says of the robot: transforms in, without those that this node sends itself."""

from collections.abc import Callable
import threading

from da3_ros.ros.family import Family
from da3_ros.ros.poses import matrix_of
from geometry_msgs.msg import TransformStamped
import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time
from tf2_msgs.msg import TFMessage
from tf2_ros import Buffer, TransformException, TransformListener

# How far back lookups may reach.
_CACHE_S = 10


class _OthersListener(TransformListener):
    """
    Takes no transform below the map frame.

    Those are this node's own (map → camera), or corrections of the odometry. A distance between
    two cameras through the map would be what the network said of it, and a scale that was measured
    by it would always find itself right. ``family`` hears of them all the same.
    """

    def __init__(
        self,
        buffer: Buffer,
        node: Node,
        map_frame: str,
        family: Family,
        on_change: Callable[[], None],
    ) -> None:
        self._map_frame = map_frame
        self._family = family
        self._on_change = on_change
        self.fixed: dict[str, TransformStamped] = {}
        super().__init__(buffer, node, spin_thread=False)

    def callback(self, data: TFMessage) -> None:
        """Keep the transforms of one message on /tf that are not below the map."""
        for transform in data.transforms:
            self._family.hear(transform, is_static=False)
        data.transforms = [
            t for t in data.transforms if t.header.frame_id.lstrip('/') != self._map_frame
        ]
        super().callback(data)
        self._on_change()

    def static_callback(self, data: TFMessage) -> None:
        """Keep the transforms of one message on /tf_static, and remember them."""
        for transform in data.transforms:
            self._family.hear(transform, is_static=True)
        self.fixed |= {t.child_frame_id: t for t in data.transforms}
        super().static_callback(data)
        self._on_change()


class RobotTf:
    """
    Answers where frames of the robot are; from any thread, and without waiting.

    What is not there at a stamp yet may be there when the next image comes; whoever asks, asks
    again, or waits with ``wait_for``, which the executor's thread must not: transforms come by it.
    ``family`` knows the parent of each frame, those below the map too.
    """

    def __init__(self, node: Node, map_frame: str) -> None:
        self.family = Family()
        self._buffer = _new_buffer()
        self._changed = threading.Condition()
        self._listener = _OthersListener(self._buffer, node, map_frame, self.family, self.wake)

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
        for transform in tuple(self._listener.fixed.values()):
            buffer.set_transform_static(transform, 'default_authority')
        self._buffer = self._listener.buffer = buffer

    def destroy(self) -> None:
        """Take the subscriptions back from the node."""
        self._listener.unregister()


def _new_buffer() -> Buffer:
    return Buffer(cache_time=Duration(seconds=_CACHE_S))
