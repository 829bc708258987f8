"""A running node as a live scene: subscribes to what it publishes, as that comes and goes."""

from collections.abc import Callable
from contextlib import suppress
import threading
from typing import Any

from da3_ros.errors import InputError
from da3_ros.ros.qos import adapted_qos
from da3_ros.ros.scene_feed import SceneFeed
from da3_ros.ros.view_topics import find_topics, SHARED, ViewTopics
from da3_ros.viewer.board import Board
from da3_ros.viewer.packets import encode
from da3_ros.viewer.scene import Scene
import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

# How often the graph is looked at for cameras that came [s].
_LOOK_S = 0.5
# Messages of one image come on five topics at slightly different times; older ones are of no use.
_IMAGES_DEPTH = 3
_WAITING = 'No depth/image_rect is published yet: waiting for da3_node.'


class LiveView:
    """
    A node that listens, in a thread of its own, and keeps a board up to date.

    Images are taken best effort, so that a viewer never makes the node send anything again; what
    is latched, keyframes and the map's points, is taken as it is offered.
    """

    def __init__(self, namespace: str | None, board: Board, domain_id: int | None = None) -> None:
        """Make the node; ``namespace`` chooses one of several da3 nodes."""
        self._namespace = namespace
        self._board = board
        self._scene = Scene(board, {'mode': 'live', 'title': namespace or 'live'})
        self._topics: ViewTopics | None = None
        self._feed: SceneFeed | None = None
        self._subscriptions: dict[str, Subscription] = {}
        self._notice = ''
        self._context = Context()
        rclpy.init(args=[], context=self._context, domain_id=domain_id)
        self._node = Node('da3_view', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name='live view', daemon=True)
        self._node.create_timer(_LOOK_S, self._look)

    def start(self) -> None:
        """Start to listen."""
        self._look()
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._executor.shutdown()
        if self._thread.is_alive():
            self._thread.join()
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()

    def _look(self) -> None:
        """Subscribe to what has a publisher by now; begin anew when it is another node."""
        names = self._node.get_topic_names_and_types()
        # Our own subscriptions keep the names of a node that is gone.
        types = {n: kinds[0] for n, kinds in names if self._node.count_publishers(n)}
        try:
            topics = find_topics(types, self._namespace)
        except InputError as error:
            return self._say(str(error))
        if topics is None:
            return self._say(_WAITING if self._topics is None else '')
        known = self._topics
        if known is None or known.namespace != topics.namespace:
            if known is not None:
                self._forget()
            self._topics = topics
            self._feed = SceneFeed(self._scene, topics)
        elif set(topics.cameras) - set(known.cameras):
            cameras = tuple(sorted({*known.cameras, *topics.cameras}))
            self._topics = ViewTopics(known.namespace, cameras)
            self._feed = SceneFeed(self._scene, self._topics)
        self._say('')
        for topic, kind in self._feed.kinds.items():
            if topic not in self._subscriptions:
                self._subscribe(topic, kind)
        return None

    def _forget(self) -> None:
        """Listen no more, and show nothing of what was heard."""
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()
        self._scene.clear()
        self._notice = ''

    def _subscribe(self, topic: str, kind: type) -> None:
        """Subscribe to a topic once it has a publisher."""
        publishers = self._node.get_publishers_info_by_topic(topic)
        if not publishers:
            return
        if topic.removeprefix(self._topics.namespace) in SHARED:
            qos = adapted_qos([p.qos_profile for p in publishers], 1)
        else:
            qos = QoSProfile(
                history=HistoryPolicy.KEEP_LAST,
                depth=_IMAGES_DEPTH,
                reliability=ReliabilityPolicy.BEST_EFFORT,
            )
        subscription = self._node.create_subscription(kind, topic, self._taker(topic), qos)
        self._subscriptions[topic] = subscription

    def _taker(self, topic: str) -> Callable[[Any], None]:
        """Return the callback of a topic."""
        return lambda message: self._feed.take(topic, lambda: message)

    def _say(self, notice: str) -> None:
        """Tell browsers why there is nothing to see; nothing when there is."""
        if notice != self._notice:
            self._notice = notice
            self._board.put('notice', encode('notice', {'text': notice}))
            if notice:
                self._node.get_logger().info(notice)
