"""Publishers and subscriptions with overridable QoS, and a word on peers that do not fit."""

from collections.abc import Callable
from typing import Any

from da3_ros.ros.qos_overrides import QosOverrides
from da3_ros.ros.statistics import Statistics
from da3_ros.ros.streams import Streams
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.qos import qos_policy_name_from_kind, QoSProfile
from rclpy.subscription import Subscription

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

# What every peer is compatible with.
_EASIEST = {
    'publisher': {'reliability': 'reliable', 'durability': 'transient_local'},
    'subscription': {'reliability': 'best_effort', 'durability': 'volatile'},
}
_SENTENCES = {
    'publisher': "A subscriber of '{topic}' asks for another {policy} than the node offers and "
    'hears nothing; {advice}.',
    'subscription': "A publisher of '{topic}' offers another {policy} than the node asks for and "
    'is not heard; {advice}.',
}


class Endpoints:
    """
    Makes the node's publishers and subscriptions, from configure to cleanup.

    A user may override the QoS of each by ``qos_overrides``. Each peer whose QoS does not fit is
    counted (``qos_output``, ``qos_input``) and the first on each topic is warned of. Subscriptions
    are called back for in the thread of ``streams``.
    """

    def __init__(self, node: LifecycleNode, streams: Streams, statistics: Statistics) -> None:
        self._node = node
        self._streams = streams
        self._statistics = statistics
        self._overrides = QosOverrides(node)
        self._publishers: list[LifecyclePublisher] = []
        self._warned: set[tuple[str, str]] = set()

    def publisher(self, kind: type, topic: str, qos: QoSProfile) -> LifecyclePublisher:
        """Make a publisher; raises ``ConfigError`` for an override that cannot be."""
        name = self._node.resolve_topic_name(topic)
        publisher = self._node.create_lifecycle_publisher(
            kind,
            topic,
            self._overrides.apply('publisher', name, qos),
            event_callbacks=PublisherEventCallbacks(
                incompatible_qos=lambda event: self._on_misfit('publisher', name, event)
            ),
        )
        self._publishers.append(publisher)
        return publisher

    def subscription_qos(self, topic: str, qos: QoSProfile) -> QoSProfile:
        """Return the QoS for ``subscription``; raises ``ConfigError`` as ``publisher`` does."""
        return self._overrides.apply('subscription', self._node.resolve_topic_name(topic), qos)

    def subscription(
        self,
        kind: type,
        topic: str,
        callback: Callable[[Any], None],
        qos: QoSProfile,
        is_open: Callable[[], bool] = lambda: True,
    ) -> Subscription:
        """
        Make a subscription, any time after its ``subscription_qos`` was settled.

        While ``is_open`` is false its messages stay in the middleware.
        """
        name = self._node.resolve_topic_name(topic)
        return self._streams.subscribe(
            kind,
            topic,
            callback,
            qos,
            is_open,
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=lambda event: self._on_misfit('subscription', name, event)
            ),
        )

    def unsubscribe(self, subscription: Subscription) -> None:
        """Take a subscription back from the node."""
        self._streams.unsubscribe(subscription)

    def destroy(self) -> None:
        """Take publishers and parameters back from the node; subscriptions end before."""
        for publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers = []
        self._overrides.undeclare()

    def _on_misfit(self, entity: str, topic: str, event: Any) -> None:
        """Count peers that do not fit; say so once for each topic, and what to do."""
        reason = 'qos_output' if entity == 'publisher' else 'qos_input'
        self._statistics.drop(reason, event.total_count_change)
        if (entity, topic) in self._warned:
            return
        self._warned.add((entity, topic))
        policy = qos_policy_name_from_kind(event.last_policy_kind).lower()
        value = _EASIEST[entity].get(policy)
        advice = f"give the peer the node's {policy}"
        if value is not None:
            advice = (
                f"start the node with 'qos_overrides.{topic}.{entity}.{policy}' set to "
                f"'{value}', or {advice}"
            )
        sentence = _SENTENCES[entity].format(topic=topic, policy=policy, advice=advice)
        self._node.get_logger().warning(sentence)
