"""Sends transforms on /tf_static, for those who listen now and those who come later."""

from collections.abc import Iterable

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage


class StaticTransformBroadcaster:
    """Publishes transforms that hold at all times; each message repeats all sent so far."""

    def __init__(self, node: Node, qos: QoSProfile | int | None = None) -> None:
        if qos is None:
            qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.pub_tf = node.create_publisher(TFMessage, '/tf_static', qos)
        self._by_child: dict[str, TransformStamped] = {}

    def sendTransform(self, transform: TransformStamped | Iterable[TransformStamped]) -> None:
        """Send one or several transforms."""
        one = isinstance(transform, TransformStamped)
        for item in [transform] if one else transform:
            self._by_child[item.child_frame_id] = item
        self.pub_tf.publish(TFMessage(transforms=list(self._by_child.values())))
