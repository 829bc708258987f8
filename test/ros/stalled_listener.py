"""Listen reliably to ``points`` and ``status`` in a process of its own, which a test can stop."""

from da3_ros.msg import Status
import rclpy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import PointCloud2

rclpy.init()
node = rclpy.create_node('stalled_listener')
for kind, topic in ((PointCloud2, 'points'), (Status, 'status')):
    node.create_subscription(kind, topic, lambda _: None, QoSProfile(depth=1))
rclpy.spin(node)
