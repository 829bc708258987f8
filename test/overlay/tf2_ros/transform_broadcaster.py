"""Sends transforms on /tf."""

from collections.abc import Iterable

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile
from tf2_msgs.msg import TFMessage


class TransformBroadcaster:
    """Publishes transforms that hold at their stamps."""

    def __init__(self, node: Node, qos: QoSProfile | int | None = None) -> None:
        qos = QoSProfile(depth=100) if qos is None else qos
        self.pub_tf = node.create_publisher(TFMessage, '/tf', qos)

    def sendTransform(self, transform: TransformStamped | Iterable[TransformStamped]) -> None:
        """Send one transform, or several in one message."""
        one = isinstance(transform, TransformStamped)
        self.pub_tf.publish(TFMessage(transforms=[transform] if one else list(transform)))
