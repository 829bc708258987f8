"""What waits to be published, and the thread that publishes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
import threading
import traceback

from da3_ros.config import NodeConfig
from da3_ros.engine import KeyframePose, View
from da3_ros.engine.stage_clock import StageClock
from da3_ros.ros.drops import DropLog
from da3_ros.ros.engine_keeper import EngineKeeper
from da3_ros.ros.publishers import Outputs
from da3_ros.ros.statistics import Statistics


@dataclass(frozen=True)
class Parcel:
    """
    What one turn of the worker has to say.

    ``keyframes`` are None when they are where they were. ``frame_ids`` are the optical frames of
    the cameras of ``views``, ``stamp_ns`` is that of the newest processed image, ``stage_ms`` what
    the stages took that led to the parcel. ``is_last`` tells that the turn has no more to say: the
    status follows it.
    """

    config: NodeConfig
    stamp_ns: int
    views: tuple[View, ...] = ()
    frame_ids: Mapping[str, str] = field(default_factory=dict)
    keyframes: tuple[KeyframePose, ...] | None = None
    stage_ms: Mapping[str, float] = field(default_factory=dict)
    is_last: bool = True


class Outbox:
    """
    Publishes in a thread of its own, while the network is at work on the next frame.

    One parcel may wait; whoever brings another then waits, too. So all that went through the
    network is published, in order, and what a slow subscriber costs are images that have not been
    computed yet: the inbox keeps the newest. Nothing is published after ``close`` has returned.
    ``on_out`` is called, in this thread, when views are out and there is more to say.
    """

    def __init__(
        self,
        keeper: EngineKeeper,
        outputs: Outputs,
        statistics: Statistics,
        drops: DropLog,
        on_out: Callable[[], None],
    ) -> None:
        self._keeper = keeper
        self._outputs = outputs
        self._statistics = statistics
        self._drops = drops
        self._on_out = on_out
        self._changed = threading.Condition()
        self._publishing = threading.Lock()
        self._waiting: Parcel | None = None
        self._is_open = False
        self._is_shut = False
        # A daemon, as the worker is: a subscriber that blocks must not keep the process.
        self._thread = threading.Thread(target=self._run, name='da3_publisher', daemon=True)
        self._thread.start()

    def put(self, parcel: Parcel) -> None:
        """Have a parcel published; while the outbox is closed it is given up."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is None or not self._is_open)
            if self._is_open:
                self._waiting = parcel
                self._changed.notify_all()

    def open(self) -> None:  # noqa: A003
        """Publish from now on."""
        with self._changed:
            self._is_open = not self._is_shut

    def close(self) -> None:
        """Forget what waits, and wait for what is being published now."""
        with self._changed:
            self._is_open = False
            waiting, self._waiting = self._waiting, None
            self._changed.notify_all()
        if waiting is not None and waiting.views:
            self._drops.drop('publish_deactivated', count=len(waiting.views))
        with self._publishing:
            pass

    def shut(self, timeout_s: float) -> bool:
        """Close for good and end the thread; False when it is still busy after ``timeout_s``."""
        with self._changed:
            self._is_open, self._is_shut, self._waiting = False, True, None
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _take(self) -> Parcel | None:
        """Wait for a parcel and start publishing; None when the outbox is shut."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_shut or self._waiting is not None)
            parcel, self._waiting = self._waiting, None
            self._changed.notify_all()
            if parcel is not None:
                self._publishing.acquire()  # before anybody can close: released by _run
            return parcel

    def _run(self) -> None:
        """Publish until shut; survives any exception, as the worker does."""
        while (parcel := self._take()) is not None:
            try:
                self._publish(parcel)
            except Exception:
                self._drops.drop('publish_error', traceback.format_exc())
            finally:
                self._publishing.release()
                if not parcel.is_last:
                    self._on_out()

    def _publish(self, parcel: Parcel) -> None:
        clock = StageClock()
        if parcel.views:
            self._outputs.publish(parcel.views, parcel.frame_ids, parcel.config)
            clock.lap('publish')
        if parcel.keyframes is not None:
            self._outputs.publish_keyframes(parcel.keyframes, parcel.stamp_ns)
        self._statistics.time({**parcel.stage_ms, **clock.stage_ms})
        engine = self._keeper.engine
        if parcel.is_last and engine is not None:  # else it is being made anew
            self._outputs.publish_status(engine, parcel.stamp_ns)
