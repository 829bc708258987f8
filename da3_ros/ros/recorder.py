"""Records topics into a bag as they come over DDS, without looking into the messages."""

from collections import Counter
from collections.abc import Callable, Mapping
import threading

from da3_ros.ros.bag import BagWriter
from da3_ros.ros.message_types import message_class
from da3_ros.ros.qos import adapted_qos
from rclpy.node import Node
from rclpy.subscription import Subscription

# Nothing is to be lost while the disk is slow: far more than a node publishes in the meantime.
_QUEUE = 1000


class BagRecorder:
    """
    Subscribes to topics with the quality of service of their publishers, and writes all down.

    Messages are stamped with the node's clock, so with ``use_sim_time`` the recording lies on the
    time axis of the bag that is being played; nothing is recorded before there is a clock.
    ``heard`` are the topics that a message has come on, ``counts`` what has been recorded.
    """

    def __init__(self, node: Node, writer: BagWriter, types: Mapping[str, str]) -> None:
        """
        Record the topics of ``types`` (topic to type name) once each has a publisher.

        Raises:
            InputError: if a type's package is not installed.

        """
        self._node = node
        self._writer = writer
        self._types = dict(types)
        self._classes = {topic: message_class(name) for topic, name in types.items()}
        self._subscriptions: dict[str, Subscription] = {}
        self._lock = threading.Lock()
        self._is_closed = False
        self.heard: set[str] = set()
        self.counts: Counter[str] = Counter()

    def subscribe(self) -> bool:
        """
        Subscribe to every topic that has a publisher by now; True when none is missing.

        The last one of ``types`` waits for all others. Discovery announces subscriptions in their
        order, so once that topic is heard, its publisher knows of the others too: nothing that it
        publishes on them from then on is lost.
        """
        *others, last = self._types
        for topic in (*others, last):
            if topic in self._subscriptions:
                continue
            if topic == last and len(self._subscriptions) < len(others):
                continue
            publishers = self._node.get_publishers_info_by_topic(topic)
            if not publishers:
                continue
            qos = adapted_qos([p.qos_profile for p in publishers], _QUEUE)
            with self._lock:
                self._writer.add_topic(topic, self._types[topic], qos)
            self._subscriptions[topic] = self._node.create_subscription(
                self._classes[topic], topic, self._write_to(topic), qos, raw=True
            )
        return self._types.keys() == self._subscriptions.keys()

    def close(self) -> None:
        """Stop recording; the writer may be closed then."""
        with self._lock:
            self._is_closed = True
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)

    def _write_to(self, topic: str) -> Callable[[bytes], None]:
        """Return the callback of a topic."""

        def write(data: bytes) -> None:
            stamp_ns = self._node.get_clock().now().nanoseconds
            self.heard.add(topic)
            with self._lock:
                if stamp_ns > 0 and not self._is_closed:
                    self._writer.write_serialized(topic, self._types[topic], stamp_ns, data)
                    self.counts[topic] += 1

        return write
