"""A robot, the node and a listener, each a process of its own: where the camera is by TF."""

from collections.abc import Iterator
from pathlib import Path
import subprocess
import sys
import time

from da3_ros.geometry.transforms import pose_from_quaternion, rigid
from da3_ros.ros.convert import stamp_ns
from da3_ros.ros.poses import matrix_of, transform_message
from nav_msgs.msg import Odometry
import numpy as np
from peer import end, Peer, wait_for
import pytest
from rclpy.qos import QoSProfile
from rclpy.time import Time
from rig import FRAME_ID, image
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage
from tf2_ros import (
    Buffer,
    StaticTransformBroadcaster,
    TransformBroadcaster,
    TransformListener,
)

NODE = Path(__file__).parent / 'fake_node.py'
PERIOD_S = 0.05
TOLERANCE_NS = 10**9
COUNT = 10
BASE_FROM_CAMERA = rigid(
    Rotation.from_euler('xyz', [-1.5, 0.1, -1.6]).as_matrix(), np.array([0.2, 0.05, 0.4])
)


def robot() -> None:
    """Be a robot until killed: odom → base every 50 ms, base → camera once, and its images."""
    import rclpy

    rclpy.init()
    node = rclpy.create_node('robot')
    StaticTransformBroadcaster(node).sendTransform(
        transform_message(BASE_FROM_CAMERA, 'base', FRAME_ID, 0)
    )
    broadcaster = TransformBroadcaster(node)
    images = node.create_publisher(Image, 'image', QoSProfile(depth=1))
    while True:
        now = time.time_ns()
        turn = Rotation.from_euler('z', 0.3 * now * 1e-9).as_matrix()
        odom_from_base = rigid(turn, np.array([np.sin(now * 1e-9), 0.1, 0.0]))
        images.publish(image(now - 10**7))  # between the odometry before and this one
        broadcaster.sendTransform(transform_message(odom_from_base, 'odom', 'base', now))
        time.sleep(PERIOD_S)


@pytest.fixture
def processes() -> Iterator[None]:
    """Run robot and node while the test lasts."""
    parameters = ['tf:=odom', f'tf_tolerance_s:={TOLERANCE_NS * 1e-9}']
    options = ['--ros-args', *(word for text in parameters for word in ('-p', text))]
    started = [
        subprocess.Popen([sys.executable, *map(str, command)], stderr=subprocess.DEVNULL)
        for command in ((__file__,), (NODE, '0', *options))
    ]
    yield
    for process in started:
        end(process)


def test_the_odometry_of_the_robot_and_our_map_make_our_pose(processes: None) -> None:
    """Map → odom → base → camera is what the odometry message says, at its stamp."""
    peer, odometry, corrections = Peer('listener'), {}, {}
    buffer = Buffer()
    TransformListener(buffer, peer)

    def keep_odometry(message: Odometry) -> None:
        odometry[stamp_ns(message.header)] = message.pose.pose

    def keep_corrections(message: TFMessage) -> None:
        for transform in message.transforms:
            if transform.header.frame_id == 'map':
                stamp = stamp_ns(transform.header) - TOLERANCE_NS
                corrections[stamp] = matrix_of(transform.transform)

    def known() -> list[int]:
        return [
            stamp
            for stamp in sorted(set(odometry) & set(corrections))
            if buffer.can_transform('odom', FRAME_ID, Time(nanoseconds=stamp))
        ]

    peer.create_subscription(Odometry, 'odometry', keep_odometry, QoSProfile(depth=100))
    peer.create_subscription(TFMessage, '/tf', keep_corrections, QoSProfile(depth=100))
    try:
        stamps = wait_for(
            lambda: s if len(s := known()) >= COUNT else None,
            'odometry messages with the transforms of the same image',
        )
        wait_for(
            lambda: buffer.can_transform('map', 'odom', Time(nanoseconds=time.time_ns())),
            'map → odom at the present',
        )
    finally:
        peer.destroy_node()
    for stamp in stamps:
        found = buffer.lookup_transform('odom', FRAME_ID, Time(nanoseconds=stamp))
        position, turn = odometry[stamp].position, odometry[stamp].orientation
        ours = pose_from_quaternion(
            np.array([position.x, position.y, position.z]),
            np.array([turn.x, turn.y, turn.z, turn.w]),
        )
        np.testing.assert_allclose(
            corrections[stamp] @ matrix_of(found.transform), ours, atol=1e-6
        )


if __name__ == '__main__':
    robot()
