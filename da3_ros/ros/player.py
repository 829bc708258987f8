"""Plays a bag over DDS: its messages as they are, at their pace, with /clock."""

from collections.abc import Collection, Mapping
import threading
import time

from da3_ros.errors import InputError
from da3_ros.ros.bag import BagReader
from da3_ros.ros.message_types import message_class
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

_CLOCK_HZ = 100.0


class BagPlayer:
    """
    Publishes the messages of a bag from a thread of its own.

    Reliably, however they were recorded: that serves every subscriber, and one that is reliable
    too gets what was sent before it had found the player.

    The clock starts at the bag's first stamp when playing starts and keeps running after the last
    message, until the player is closed: who is still at work on that message has a time then.
    """

    def __init__(
        self,
        node: Node,
        bag: BagReader,
        topics: Collection[str],
        remappings: Mapping[str, str] | None = None,
        rate: float = 1.0,
    ) -> None:
        """
        Make the publishers of ``topics``, renamed by ``remappings``.

        Args:
            node: Whose publishers they are; it need not spin.
            bag: Open for as long as it plays.
            topics: Those to play; the bag must have them.
            remappings: New names of topics.
            rate: Seconds of the bag in a second.

        Raises:
            InputError: if the bag lacks a topic, a message package is not installed, or the rate
                is not positive.

        """
        missing = sorted(set(topics) - set(bag.topics))
        if missing or not topics:
            raise InputError(
                f'{bag.path} has no topic {", ".join(missing) or "to play"}; '
                f'it has {", ".join(sorted(bag.topics))}.'
            )
        if not rate > 0:
            raise InputError(f'The rate is {rate:g}; expected a positive number.')
        self._node = node
        self._bag = bag
        self._rate = rate
        self._clock = node.create_publisher(Clock, '/clock', QoSProfile(depth=1))
        self._publishers: dict[str, Publisher] = {
            topic: node.create_publisher(
                message_class(bag.topics[topic]),
                (remappings or {}).get(topic, topic),
                _reliable(bag.qos(topic)),
            )
            for topic in topics
        }
        self._closing = threading.Event()
        self._played_all = threading.Event()
        self._problem: Exception | None = None
        self._thread = threading.Thread(target=self._run, name='bag player', daemon=True)
        self.played = 0

    def is_heard(self) -> bool:
        """Tell whether every topic and the clock have a subscriber, as far as is known here."""
        publishers = (*self._publishers.values(), self._clock)
        return all(p.get_subscription_count() > 0 for p in publishers)

    def start(self) -> None:
        """Start the clock and the messages."""
        self._thread.start()

    def is_done(self) -> bool:
        """Tell whether the last message is out; raises what stopped the player before that."""
        if self._problem is not None:
            raise self._problem
        return self._played_all.is_set()

    def close(self) -> None:
        """Stop messages and clock, wherever they are."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        for publisher in (*self._publishers.values(), self._clock):
            self._node.destroy_publisher(publisher)

    def _run(self) -> None:
        """Publish everything at its time; what goes wrong is raised by ``is_done``."""
        try:
            pace = _Pace(self._bag.start_ns, self._rate)
            for message in self._bag.messages(self._publishers):
                if self._tick_until(pace, message.stamp_ns):
                    return
                self._publishers[message.topic].publish(message.data)
                self.played += 1
            self._played_all.set()
            self._tick_until(pace, None)
        except Exception as error:  # the thread's only way to say so
            self._problem = error

    def _tick_until(self, pace: '_Pace', stamp_ns: int | None) -> bool:
        """Publish the clock until it shows ``stamp_ns``, or for ever; True when told to stop."""
        while True:
            now_ns = pace.now_ns()
            is_due = stamp_ns is not None and now_ns >= stamp_ns
            clock = Clock()
            shown_ns = max(stamp_ns, pace.shown_ns) if is_due else now_ns
            clock.clock.sec, clock.clock.nanosec = divmod(shown_ns, 10**9)
            self._clock.publish(clock)
            pace.shown_ns = shown_ns
            if is_due:
                return self._closing.is_set()
            left_s = 1.0 / _CLOCK_HZ
            if stamp_ns is not None:
                left_s = min(left_s, (stamp_ns - now_ns) / 1e9 / self._rate)
            if self._closing.wait(left_s):
                return True


def _reliable(qos: QoSProfile) -> QoSProfile:
    qos.reliability = ReliabilityPolicy.RELIABLE
    return qos


class _Pace:
    """Time of the bag as it passes, from now on."""

    def __init__(self, start_ns: int, rate: float) -> None:
        """Let the bag's time start at ``start_ns`` now."""
        self._start_ns = start_ns
        self._rate = rate
        self._started = time.monotonic_ns()
        self.shown_ns = start_ns

    def now_ns(self) -> int:
        """Return the bag's time, never less than was shown before."""
        elapsed_ns = round((time.monotonic_ns() - self._started) * self._rate)
        return max(self._start_ns + elapsed_ns, self.shown_ns)
