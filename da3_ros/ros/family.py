"""Which frame is whose child in TF, as everybody but this node says."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
import threading
import time

from da3_ros.ros.convert import stamp_ns
from geometry_msgs.msg import TransformStamped

# A parent on /tf that was not heard of for so long is one no more: listeners keep 10 s, too.
_FORGET_AFTER_S = 10.0
# Transforms of ours that may still be on their way back to us.
_MAX_SENT = 300
# Children that are remembered: more frames no robot has, and whoever sends them may be anybody.
_MAX_CHILDREN = 10_000


@dataclass(frozen=True)
class Parent:
    """What a frame hangs under, whether for good (/tf_static), and when that was heard [s]."""

    frame: str
    is_static: bool
    heard_at: float


class Family:
    """
    Remembers the parent of each frame; written and asked by several threads.

    Whoever sends on /tf hears it, too. ``note_own`` tells beforehand what this node sends, so that
    it is not taken for somebody else's; the same frames from another node are.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._own: deque[tuple] = deque(maxlen=_MAX_SENT)
        self._own_frame = ''  # what all that this node sends hangs under
        self._parents: dict[str, Parent] = {}

    def note_own(self, transform: TransformStamped) -> None:
        """Remember a transform that is about to be sent."""
        with self._lock:
            self._own.appendleft(_key(transform))
            self._own_frame = transform.header.frame_id

    def hear(self, transform: TransformStamped, is_static: bool) -> None:
        """Take a transform that came in."""
        parent = transform.header.frame_id.lstrip('/')
        child = transform.child_frame_id.lstrip('/')
        with self._lock:
            if parent == self._own_frame and _key(transform) in self._own:
                return
            if child in self._parents or len(self._parents) < _MAX_CHILDREN:
                self._parents[child] = Parent(parent, is_static, self._clock())

    def above(self, frame: str) -> list[Parent]:
        """Return the parent of a frame, its parent and so on; each frame once, if they loop."""
        way: list[Parent] = []
        seen = {frame}
        too_old = self._clock() - _FORGET_AFTER_S
        with self._lock:
            while (parent := self._parents.get(frame)) is not None and parent.frame not in seen:
                if not parent.is_static and parent.heard_at < too_old:
                    break
                way.append(parent)
                frame = parent.frame
                seen.add(frame)
        return way

    def forget(self) -> None:
        """Forget the parents of what moves: time went back, and another run is heard."""
        with self._lock:
            self._parents = {c: parent for c, parent in self._parents.items() if parent.is_static}


def _key(transform: TransformStamped) -> tuple:
    """Return what tells transforms apart."""
    t, q = transform.transform.translation, transform.transform.rotation
    return (
        stamp_ns(transform.header),
        transform.header.frame_id,
        transform.child_frame_id,
        (t.x, t.y, t.z, q.x, q.y, q.z, q.w),
    )
