"""Pose priors between processes: the node as it is shipped, a camera, and odometry behind it."""

from collections.abc import Iterator
import os
from pathlib import Path

from da3_ros.geometry.transforms import rigid
from da3_ros.msg import Status
from da3_ros.ros.convert import byte_array, header_at, intrinsics_to_info
from da3_ros.ros.node_process import NodeProcess
from da3_ros.ros.poses import transform_message
from da3_ros.training.scenes.make import held_out_config, held_out_seed
from da3_ros.training.scenes.paths import PathConfig
from da3_ros.training.scenes.sequence import render_sequence, Sequence, SequenceConfig
from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
from peer import Peer, wait_for
import pytest
from rclpy.duration import Duration
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from tf2_ros import TransformBroadcaster

FRAMES = 8
SIZE = (224, 168)
# The embedded network takes a while for a window where others have things to do as well.
PATIENT_S = 60.0
PARAMETERS = {
    'pose_prior': 'odometry',
    'pose_prior_wait_s': 1.0,
    'qos.input_reliability': 'reliable',
    'device': 'cpu',
    'tf': 'none',
}
BODY_AXES = rigid(np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]), np.zeros(3))


@pytest.fixture(scope='module')
def film() -> Sequence:
    """Return the start of a robot's lap through a room that the network has not seen."""
    # Fast, so that within few frames it turns far enough for false odometry to show.
    scene, path = held_out_config(), PathConfig(kind='robot', speed_m=0.08)
    return render_sequence(
        SequenceConfig(held_out_seed(5002), FRAMES, *SIZE, path=path, scene=scene)
    )


@pytest.fixture
def node(tmp_path: Path) -> Iterator[None]:
    """Run the node in a process of its own."""
    with NodeProcess(PARAMETERS, int(os.environ['ROS_DOMAIN_ID']), tmp_path / 'node.log'):
        yield


class Robot:
    """A camera, and odometry that is sent after each image."""

    def __init__(self, film: Sequence) -> None:
        self.film = film
        self.k = film.intrinsics.double().numpy()
        self.peer = Peer()
        self.statuses: list[Status] = []
        self.diagnoses: list[DiagnosticArray] = []
        self.peer.create_subscription(Status, 'status', self.statuses.append, 100)
        self.peer.create_subscription(DiagnosticArray, '/diagnostics', self.diagnoses.append, 10)
        self._images = self.peer.create_publisher(Image, 'image', QoSProfile(depth=10))
        self._infos = self.peer.create_publisher(CameraInfo, 'camera_info', QoSProfile(depth=10))
        self._broadcaster = TransformBroadcaster(self.peer)
        for publisher in (self._images, self._infos, self._broadcaster.pub_tf):
            wait_for(publisher.get_subscription_count, 'the node', PATIENT_S)

    def drive(self, optical_from_told: np.ndarray) -> dict[str, str]:
        """Send all images, each with odometry behind it; return the diagnostics after the last."""
        for i in range(FRAMES):
            stamp = int(self.film.stamp_ns[i])
            header = header_at(stamp, 'camera_optical')
            self._infos.publish(intrinsics_to_info(self.k, SIZE, header))
            assert self._infos.wait_for_all_acked(Duration(seconds=PATIENT_S))
            picture = Image(header=header, width=SIZE[0], height=SIZE[1], encoding='rgb8')
            picture.step, picture.data = 3 * SIZE[0], byte_array(self.film.rgb[i].numpy())
            self._images.publish(picture)
            pose = self.film.world_from_camera[i].double().numpy() @ optical_from_told
            message = transform_message(pose, 'odom', 'camera_optical', stamp)
            self._broadcaster.sendTransform(message)
            wait_for(lambda n=i + 1: self._settled() == n, f'image {i}', PATIENT_S)
        self.diagnoses.clear()
        wait_for(lambda: self.diagnoses, 'diagnostics')
        status = self.diagnoses[-1].status[0]
        return {v.key: v.value for v in status.values} | {'message': status.message}

    def _settled(self) -> int:
        newest = self.statuses[-1] if self.statuses else Status()
        return newest.frames_processed + newest.frames_dropped


@pytest.fixture
def robot(film: Sequence, node: None) -> Iterator[Robot]:
    """Return a robot that the node listens to."""
    robot = Robot(film)
    yield robot
    robot.peer.destroy_node()


def test_odometry_behind_the_images_is_waited_for_and_used(robot: Robot) -> None:
    values = robot.drive(np.eye(4))
    assert int(values['windows with pose prior']) >= FRAMES - 2
    assert values['windows without pose prior: alone'] == '1'
    assert float(values['pose prior off by [deg]']) < 1.0


def test_false_odometry_is_dropped_and_said(robot: Robot) -> None:
    values = robot.drive(BODY_AXES)
    assert int(values['windows with pose prior']) <= FRAMES // 2
    assert int(values['windows without pose prior: images']) >= 1
    assert values['message'].startswith('The pose prior is off: the network sees the new view')
