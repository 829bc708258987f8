"""How long images wait for odometry: as long as it helps, interruptibly, and not for ever."""

from collections.abc import Callable, Mapping
import threading

from da3_ros.config import NodeConfig
from da3_ros.geometry.transforms import rigid
from da3_ros.ros.pose_wait import PoseWait
from da3_ros.ros.poses import transform_message
from da3_ros.ros.robot import RosRobot
from da3_ros.ros.robot_tf import RobotTf
from da3_ros.ros.streams import Streams
import numpy as np
from peer import PATIENCE_S, Peer, wait_for
import pytest
from tf2_ros import TransformBroadcaster

CONFIG = NodeConfig(pose_prior='odometry', pose_prior_wait_s=0.04)
STAMP_NS = 1_000_000_000_000


class PatientRobot:
    """Answers as told, waits for nothing, and remembers for how long it should have."""

    def __init__(self) -> None:
        self.is_heard = self.is_known = False
        self.waits: list[float] = []

    def wait_for(self, is_there: Callable[[], bool], timeout_s: float) -> bool:
        self.waits.append(timeout_s)
        return is_there()

    def has_odometry(self, _: Mapping[str, int]) -> bool:
        return self.is_heard

    def knows_odometry(self, _: Mapping[str, int]) -> bool:
        return self.is_known

    def images(self, wait: PoseWait, count: int) -> list[float]:
        """Return how long so many images waited."""
        self.waits.clear()
        for _ in range(count):
            wait.wait({'': STAMP_NS}, lambda: False)
        return list(self.waits)


def test_nobody_waits_for_odometry_that_was_never_heard_of_but_a_few_at_the_start() -> None:
    robot = PatientRobot()
    assert robot.images(PoseWait(robot, CONFIG), 40) == [0.04] * 3 + [0.0] * 37


def test_odometry_that_appears_is_waited_for_at_once() -> None:
    robot = PatientRobot()
    wait = PoseWait(robot, CONFIG)
    robot.images(wait, 40)
    robot.is_heard = True
    assert robot.images(wait, 1) == [0.04]
    robot.is_known = True
    robot.images(wait, 1)
    assert robot.images(wait, 5) == [0.04] * 5


def test_odometry_that_has_ended_or_lags_too_much_is_tried_now_and_then() -> None:
    robot = PatientRobot()
    robot.is_heard = True
    waits = robot.images(PoseWait(robot, CONFIG), 3 + 1 + 17 + 17)
    assert waits == [0.04] * 4 + ([0.0] * 16 + [0.04]) * 2


def test_a_wait_that_was_broken_off_is_no_failure() -> None:
    robot = PatientRobot()
    wait = PoseWait(robot, CONFIG)
    for _ in range(10):
        wait.wait({'': STAMP_NS}, lambda: True)
    assert robot.waits == [0.04] * 10


@pytest.mark.parametrize('prior', ['none', 'rig'])
def test_nobody_waits_who_needs_no_odometry(prior: str) -> None:
    robot = PatientRobot()
    wait = PoseWait(robot, NodeConfig(pose_prior=prior))
    assert wait.wait({'': STAMP_NS}, lambda: False) == {}
    assert robot.waits == []


@pytest.fixture
def listening() -> object:
    """Return a robot that hears of TF, and who sends it."""
    peer = Peer()
    streams = Streams(peer, pytest.fail)
    tf = RobotTf(streams, 'map')
    robot = RosRobot(tf, 'odom', None)
    robot.learn({'': 'camera'})
    yield robot, peer
    tf.destroy()
    assert streams.shut()
    peer.destroy_node()


def start(robot: RosRobot, is_over: object) -> threading.Thread:
    """Have a thread wait for odometry, much longer than any test."""
    wait = PoseWait(robot, CONFIG)
    wait._timeout_s = 10 * PATIENCE_S
    thread = threading.Thread(target=wait.wait, args=({'': STAMP_NS}, is_over), daemon=True)
    thread.start()
    wait_for(lambda: len(robot._tf._changed._waiters) == 1, 'the thread to wait')
    return thread


def test_the_transform_that_comes_ends_the_wait(listening: tuple[RosRobot, Peer]) -> None:
    robot, peer = listening
    broadcaster = TransformBroadcaster(peer)
    wait_for(broadcaster.pub_tf.get_subscription_count, 'a subscription to /tf')
    thread = start(robot, lambda: False)
    pose = rigid(np.eye(3), np.array([1.0, 2.0, 3.0]))
    broadcaster.sendTransform(transform_message(pose, 'odom', 'camera', STAMP_NS - 10))
    wait_for(lambda: robot.has_odometry(['']), 'odometry from before the image')
    assert thread.is_alive()
    broadcaster.sendTransform(transform_message(pose, 'odom', 'camera', STAMP_NS + 10))
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_whoever_does_not_want_the_image_any_more_ends_the_wait(
    listening: tuple[RosRobot, Peer],
) -> None:
    robot, _ = listening
    over = threading.Event()
    thread = start(robot, over.is_set)
    over.set()
    robot.wake()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
