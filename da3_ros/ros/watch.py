"""A wait set of rclpy over a few subscriptions, for a thread that serves them itself."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial

from rclpy.context import Context
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.subscription import Subscription
from rclpy.waitable import Waitable

# A context may end without a word to those who wait: rclpy's signal handlers do that.
_LOOK_NS = 1_000_000_000

Task = tuple[Subscription, Callable[[], None]]


class Watch:
    """
    Waits for messages of subscriptions and for events of their QoS, time and again, in one thread.

    Whatever is held here is destroyed only when it is let go, whoever asks for that.

    Events cannot be left to the executor: in Fast DDS they share a condition with the messages, so
    that whoever waits for an event is woken by each message, and again until it is taken.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._alarm = GuardCondition(None, None, context=context)
        self._held = ExitStack()
        self._wait_set: _rclpy.WaitSet | None = None
        self._inputs: list[Subscription] = []
        self._events: list[tuple[Subscription, Waitable]] = []
        self.subscriptions: tuple[Subscription, ...] = ()

    def wake(self) -> None:
        """End the wait, or the next one; from any thread, and harmless when all this is over."""
        with suppress(_rclpy.InvalidHandle):
            self._alarm.trigger()

    def hold(self, subscriptions: tuple[Subscription, ...]) -> None:
        """Wait for these from now on; those that are destroyed already are never ready."""
        if self._wait_set is not None and subscriptions == self.subscriptions:
            return
        self.release()
        for handle in (self._context.handle, self._alarm.handle):
            self._held.enter_context(handle)
        for subscription in subscriptions:
            with suppress(_rclpy.InvalidHandle):
                self._held.enter_context(subscription.handle)
                self._inputs.append(subscription)
                for event in subscription.event_handlers:
                    self._held.enter_context(event)
                    self._events.append((subscription, event))
        self.subscriptions = subscriptions
        self._wait_set = _rclpy.WaitSet(
            len(self._inputs), 1, 0, 0, 0, len(self._events), self._context.handle
        )

    def wait(self) -> list[Task]:
        """Wait until something came, or for a second; returns what there is to do, and of whom."""
        wait_set = self._wait_set
        wait_set.clear_entities()  # it has forgotten all that were not ready
        wait_set.add_guard_condition(self._alarm.handle)
        for subscription in self._inputs:
            wait_set.add_subscription(subscription.handle)
        for _, event in self._events:
            event.add_to_wait_set(wait_set)
        wait_set.wait(_LOOK_NS)
        ready = wait_set.get_ready_entities('subscription')
        tasks = [(s, partial(_hear, s)) for s in self._inputs if s.handle.pointer in ready]
        return tasks + [(s, partial(_note, e)) for s, e in self._events if e.is_ready(wait_set)]

    def release(self) -> None:
        """Let go of everything."""
        self.subscriptions, self._wait_set = (), None
        self._inputs, self._events = [], []
        self._held.close()

    def destroy(self) -> None:
        """Let go of everything for good; from the thread that waits, or when it has ended."""
        self.release()
        self._alarm.destroy()


def _hear(subscription: Subscription) -> None:
    """Take a message, if it is still there, and call back."""
    taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
    if taken is not None:
        subscription.callback(taken[0])


def _note(event: Waitable) -> None:
    """Take an event and call back."""
    taken = event.take_data()
    if taken is not None:
        event.callback(taken)
