"""The thread that serves what comes with every frame, so that the executor sleeps meanwhile."""

import atexit
from collections.abc import Callable
import threading
from typing import Any

from da3_ros.ros.watch import Watch
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

_END_TIMEOUT_S = 1.0


class ServedElsewhere(MutuallyExclusiveCallbackGroup):
    """A callback group that executors pass by: a thread of ours serves it."""

    def can_execute(self, entity: Any) -> bool:
        """Tell the executor not to wait for an entity of the group."""
        return False


class Streams:
    """
    Makes subscriptions and calls back for them, one at a time, in a thread of its own.

    At each wake rclpy's executor looks at all that a node has, services and timers too, and keeps
    the interpreter from the threads that compute. Here are a few subscriptions only.

    One may have a gate: while it is closed messages wait in DDS, and whoever opens it calls
    ``wake``. What a callback raises goes to ``on_failure``, in this thread, which then goes on.
    """

    def __init__(self, node: Node, on_failure: Callable[[Exception], None]) -> None:
        self._node = node
        self._context = node.context
        self._on_failure = on_failure
        self._group = ServedElsewhere()
        self._changed = threading.Condition()
        self._gates: dict[Subscription, Callable[[], bool]] = {}
        self._is_a_gate_closed = False
        self._is_over = False
        self._watch = Watch(self._context)
        self._context.on_shutdown(self._watch.wake)
        # The interpreter must not end while the thread is in native code.
        atexit.register(self.shut)
        # A daemon: a callback that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name='da3_streams', daemon=True)
        self._thread.start()

    def subscribe(
        self,
        kind: type,
        topic: str,
        callback: Callable[[Any], None],
        qos: QoSProfile,
        is_open: Callable[[], bool] = lambda: True,
        **options: Any,
    ) -> Subscription:
        """Make a subscription of the node, with a gate and with options of rclpy's."""
        subscription = self._node.create_subscription(
            kind, topic, callback, qos, callback_group=self._group, **options
        )
        with self._changed:
            self._gates[subscription] = is_open
        self._watch.wake()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Destroy a subscription; no callback runs for it any more when this returns."""
        with self._changed:
            self._gates.pop(subscription, None)
            self._watch.wake()
            if threading.current_thread() is not self._thread:
                self._changed.wait_for(
                    lambda: self._is_over or subscription not in self._watch.subscriptions
                )
        self._node.destroy_subscription(subscription)

    def wake(self) -> None:
        """Have the gates asked again."""
        if self._is_a_gate_closed:
            self._watch.wake()

    def shut(self, timeout_s: float = _END_TIMEOUT_S) -> bool:
        """End the thread; False when it is still busy after ``timeout_s``."""
        atexit.unregister(self.shut)
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self._watch.wake()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        """Serve until shut, or until the context is."""
        try:
            while not self._is_over and self._context.ok():
                self._turn()
        except Exception as error:
            if self._context.ok():  # else nothing can be waited for any more, and all is well
                self._on_failure(error)
        finally:
            with self._changed:
                self._is_over = True
                self._watch.destroy()
                self._changed.notify_all()

    def _turn(self) -> None:
        """Wait once, and do what there is to do."""
        with self._changed:
            self._watch.hold(self._open())
            self._changed.notify_all()
        for subscription, task in self._watch.wait():
            if subscription not in self._gates:
                continue
            try:
                task()
            except Exception as error:
                self._on_failure(error)

    def _open(self) -> tuple[Subscription, ...]:
        """Return the subscriptions whose gates are open."""
        self._is_a_gate_closed = True  # first: whoever opens one while they are asked must wake us
        found = tuple(s for s, is_open in self._gates.items() if is_open())
        self._is_a_gate_closed = len(found) < len(self._gates)
        return found
