"""The tree of frames over time."""

from collections.abc import Callable
import threading
import time as wall

from geometry_msgs.msg import TransformStamped
import numpy as np
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.time import Time

from tf2_ros.exceptions import (
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    TransformException,
)
from tf2_ros.history import History, Link, StaticHistory
from tf2_ros.rigid import from_message, IDENTITY, Rigid

DEFAULT_CACHE_TIME = Duration(seconds=10)
# How far from 1 the squared norm of a quaternion may be.
NORM_TOLERANCE = 1e-2


class Buffer:
    """Keeps transforms for ``cache_time`` and answers what lies between any two frames."""

    def __init__(self, cache_time: Duration | None = None, node: Node | None = None) -> None:
        self._cache_ns = (cache_time or DEFAULT_CACHE_TIME).nanoseconds
        self._histories: dict[str, History | StaticHistory] = {}
        self._frames: set[str] = set()
        self._changed = threading.Condition(threading.RLock())
        if node is not None:
            # Time that goes back (a bag that starts again) makes everything here future.
            threshold = JumpThreshold(
                min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True
            )
            self._jump_handle = node.get_clock().create_jump_callback(
                threshold, post_callback=lambda _: self.clear()
            )

    def clear(self) -> None:
        """Forget all transforms."""
        with self._changed:
            self._histories.clear()

    def set_transform(self, transform: TransformStamped, authority: str) -> bool:
        """Add a transform that holds at its stamp; return False and log when it is refused."""
        return self._insert(transform, authority, lambda: History(self._cache_ns), History)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> bool:
        """Add a transform that holds at all times; return False and log when it is refused."""
        return self._insert(transform, authority, StaticHistory, StaticHistory)

    def can_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: Time,
        timeout: Duration = Duration(),
        return_debug_tuple: bool = False,
    ) -> bool | tuple[bool, str]:
        """Tell whether ``lookup_transform`` would succeed within ``timeout``."""
        try:
            self.lookup_transform(target_frame, source_frame, time, timeout)
        except TransformException as error:
            return (False, str(error)) if return_debug_tuple else False
        return (True, '') if return_debug_tuple else True

    def lookup_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: Time,
        timeout: Duration = Duration(),
    ) -> TransformStamped:
        """
        Return what maps points in ``source_frame`` to ``target_frame``; time 0 is the latest.

        Raises:
            InvalidArgumentException: A frame name is empty or begins with a slash.
            LookupException: A frame was never heard of.
            ConnectivityException: The frames are in different trees.
            ExtrapolationException: The time is outside what is kept.

        """
        deadline = wall.monotonic() + timeout.nanoseconds / 1e9
        with self._changed:
            while True:
                try:
                    return self._lookup(target_frame, source_frame, time.nanoseconds)
                except TransformException:
                    if not self._changed.wait(max(0.0, deadline - wall.monotonic())):
                        raise

    def lookup_transform_full(
        self,
        target_frame: str,
        target_time: Time,
        source_frame: str,
        source_time: Time,
        fixed_frame: str,
        timeout: Duration = Duration(),
    ) -> TransformStamped:
        """Return what maps from a frame at one time to a frame at another, through a fixed one."""
        fixed_from_source = self.lookup_transform(fixed_frame, source_frame, source_time, timeout)
        target_from_fixed = self.lookup_transform(target_frame, fixed_frame, target_time, timeout)
        chained = from_message(target_from_fixed.transform) @ from_message(
            fixed_from_source.transform
        )
        target_from_fixed.child_frame_id = source_frame
        target_from_fixed.transform = chained.message()
        return target_from_fixed

    def get_latest_common_time(self, target_frame: str, source_frame: str) -> Time:
        """Return the newest time at which all links between two frames are known."""
        with self._changed:
            return Time(nanoseconds=self._latest_common_ns(target_frame, source_frame))

    def _insert(
        self,
        transform: TransformStamped,
        authority: str,
        new_history: Callable[[], History | StaticHistory],
        kind: type,
    ) -> bool:
        parent = transform.header.frame_id.lstrip('/')
        child = transform.child_frame_id.lstrip('/')
        pose = from_message(transform.transform)
        problem = _problem_with(parent, child, pose)
        if problem:
            get_logger('tf2').error(f"Ignoring transform from '{authority}': {problem}")
            return False
        stamp = transform.header.stamp
        with self._changed:
            if not isinstance(self._histories.get(child), kind):
                self._histories[child] = new_history()
            self._frames |= {parent, child}
            kept = self._histories[child].insert(
                stamp.sec * 10**9 + stamp.nanosec, Link(parent, pose)
            )
            self._changed.notify_all()
        if not kept:
            get_logger('tf2').warning(f"Ignoring old data for frame '{child}' of '{authority}'")
        return kept

    def _lookup(self, target: str, source: str, stamp_ns: int) -> TransformStamped:
        for frame in (target, source):
            self._check_frame(frame)
        stamp_ns = stamp_ns or self._latest_common_ns(target, source)
        from_source, source_end = self._ancestors(source, stamp_ns)
        from_target, target_end = self._ancestors(target, stamp_ns)
        shared = next((frame for frame in from_source if frame in from_target), None)
        if shared is None:
            raise source_end or target_end or _not_connected(target, source)
        result = TransformStamped()
        result.header.stamp = Time(nanoseconds=stamp_ns).to_msg()
        result.header.frame_id = target
        result.child_frame_id = source
        result.transform = (from_target[shared].inverse() @ from_source[shared]).message()
        return result

    def _check_frame(self, frame: str) -> None:
        if not frame or frame.startswith('/'):
            raise InvalidArgumentException(
                f"Invalid frame '{frame}': tf2 frame_ids cannot be empty or start with a '/'"
            )
        if frame not in self._frames:
            raise LookupException(f"'{frame}' does not exist")

    def _ancestors(
        self, frame: str, stamp_ns: int
    ) -> tuple[dict[str, Rigid], ExtrapolationException | None]:
        """Return ``ancestor_from_frame`` by name, nearest first, and what ended the way up."""
        poses = {frame: IDENTITY}
        current = frame
        while current in self._histories:
            try:
                link = self._histories[current].at(stamp_ns)
            except ExtrapolationException as error:
                return poses, error
            if link.parent in poses:
                raise LookupException(f"The tf tree is invalid: a loop through '{current}'")
            poses[link.parent] = link.parent_from_frame @ poses[current]
            current = link.parent
        return poses, None

    def _latest_common_ns(self, target: str, source: str) -> int:
        """Return the oldest of the newest stamps on the way, 0 when all of it is static."""
        from_source, _ = self._ancestors(source, 0)
        from_target, _ = self._ancestors(target, 0)
        shared = next((frame for frame in from_source if frame in from_target), None)
        if shared is None:
            raise _not_connected(target, source)
        way = [*_until(from_source, shared), *_until(from_target, shared)]
        newest = [self._histories[frame].latest_ns for frame in way]
        return min((stamp for stamp in newest if stamp is not None), default=0)


def _until(poses: dict[str, Rigid], last: str) -> list[str]:
    """Return the frames before ``last``."""
    frames = list(poses)
    return frames[: frames.index(last)]


def _not_connected(target: str, source: str) -> ConnectivityException:
    return ConnectivityException(
        f"Could not find a connection between '{target}' and '{source}' because they are not "
        'part of the same tree'
    )


def _problem_with(parent: str, child: str, pose: Rigid) -> str:
    """Return why a transform cannot be kept, or an empty string."""
    if not parent or not child:
        return f"frame_id '{parent}' and child_frame_id '{child}' must both be set"
    if parent == child:
        return f"frame_id and child_frame_id are both '{child}'"
    if np.isnan(pose.translation).any() or np.isnan(pose.rotation).any():
        return f"a NaN in the transform of '{child}'"
    if abs(pose.rotation @ pose.rotation - 1.0) >= NORM_TOLERANCE:
        return f"the quaternion {pose.rotation.tolist()} of '{child}' is not of unit length"
    return ''
