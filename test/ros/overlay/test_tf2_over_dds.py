"""Transforms from one node reach the buffer of another, under the real type."""

from collections.abc import Callable, Iterator
import time

from geometry_msgs.msg import TransformStamped
import pytest
import rclpy
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.time import Time
from tf2_ros import Buffer, StaticTransformBroadcaster, TransformBroadcaster, TransformListener

# Of `geometry_msgs/TransformStamped[] transforms`, as every ROS 2 since Iron has it.
TF_MESSAGE_HASH = 'RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087'


@pytest.fixture
def make_node() -> Iterator[Callable[[str], Node]]:
    """Return a maker of nodes in a namespace of their own, spun by ``wait_for``."""
    executor = SingleThreadedExecutor()
    nodes = []

    def make(name: str) -> Node:
        node = rclpy.create_node(name, namespace='tf2_test')
        executor.add_node(node)
        nodes.append(node)
        return node

    make.executor = executor
    yield make
    executor.shutdown()
    for node in nodes:
        node.destroy_node()


def wait_for(make_node: Callable, condition: Callable[[], bool]) -> None:
    """Spin until a condition holds, 30 s at most."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, 'nothing came within 30 s'
        make_node.executor.spin_once(timeout_sec=0.05)


def transform(parent: str, child: str, x: float) -> TransformStamped:
    """Return a transform at 1 s that moves along x."""
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.header.stamp.sec = 1
    message.transform.translation.x = x
    message.transform.rotation.w = 1.0
    return message


def test_listener_hears_what_was_and_what_is_sent(make_node: Callable) -> None:
    speaker = make_node('speaker')
    static = StaticTransformBroadcaster(speaker)
    static.sendTransform(transform('map', 'odom', 1.0))
    static.sendTransform([transform('base', 'camera', 0.5)])  # the message repeats the first

    buffer = Buffer()
    listener = TransformListener(buffer, make_node('late_listener'))
    broadcaster = TransformBroadcaster(speaker)

    def heard() -> bool:
        broadcaster.sendTransform(transform('odom', 'base', 2.0))
        return buffer.can_transform('map', 'camera', Time(seconds=1))

    wait_for(make_node, heard)
    found = buffer.lookup_transform('map', 'camera', Time(seconds=1))
    assert found.transform.translation.x == 3.5
    listener.unregister()


def test_listener_with_a_thread_of_its_own(make_node: Callable) -> None:
    buffer = Buffer()
    node = rclpy.create_node('threaded_listener')
    listener = TransformListener(buffer, node, spin_thread=True)
    StaticTransformBroadcaster(make_node('speaker')).sendTransform(transform('hall', 'desk', 2.0))
    found = buffer.lookup_transform('hall', 'desk', Time(), timeout=Duration(seconds=30))
    assert found.transform.translation.x == 2.0
    listener.unregister()
    node.destroy_node()


def test_type_on_the_wire_is_the_real_one(make_node: Callable) -> None:
    node = make_node('speaker')
    TransformBroadcaster(node)
    wait_for(make_node, lambda: node.get_publishers_info_by_topic('/tf'))
    info = node.get_publishers_info_by_topic('/tf')[0]
    assert info.topic_type == 'tf2_msgs/msg/TFMessage'
    assert str(info.topic_type_hash) == TF_MESSAGE_HASH
