"""Rigs in the node, over DDS: extrinsics from TF, each camera its outputs, one rig, one map."""

from collections.abc import Callable, Mapping
import os
from pathlib import Path
from typing import Any

from da3_ros.engine import StreamingEngine
from da3_ros.evaluation.courses import corridor
from da3_ros.evaluation.rigs import rig_truth, rigidity_errors, ring
from da3_ros.evaluation.sequences import read_sequence
from da3_ros.evaluation.simulator import NetworkSimulator, REALISTIC
from da3_ros.evaluation.truth import RoomTruth
from da3_ros.geometry.cameras import scale_intrinsics
from da3_ros.geometry.transforms import invert, pose_from_quaternion
from da3_ros.msg import Status
from da3_ros.ros.convert import byte_array, header_at, intrinsics_to_info, stamp_ns
from da3_ros.ros.node_process import NodeProcess
from da3_ros.ros.poses import transform_message
from doubles.rendered_rig import rendered_rig
from nav_msgs.msg import Odometry
import numpy as np
from peer import Peer, wait_for
import pytest
from rclpy.qos import QoSProfile
from rig import image, Rig
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage
from tf2_ros import StaticTransformBroadcaster

REAL = Path(__file__).parents[3] / 'shared' / 'data' / 'dgp_rig_scene_01'
YAWS = {'front': 0.0, 'left': 90.0, 'back': 180.0, 'right': -90.0}
AHEAD = {'front': 0.0, 'left': 20.0, 'far_left': 40.0, 'right': -20.0}
# Of different sizes and aspects, and that which each has for the network.
SIZES = {'front': (84, 56), 'left': (168, 112), 'back': (60, 80), 'right': (100, 100)}
NETWORK_SIZES = {'front': (84, 56), 'left': (84, 56), 'back': (42, 56), 'right': (56, 56)}
STEP_NS = 100_000_000
DEEP = QoSProfile(depth=200)


def picture(rgb: np.ndarray, stamp: int, frame_id: str) -> Image:
    """Return a picture (H, W, 3) as a message."""
    height, width = rgb.shape[:2]
    message = Image(header=header_at(stamp, frame_id), width=width, height=height)
    message.encoding, message.step, message.data = 'rgb8', 3 * width, byte_array(rgb)
    return message


def odometry_pose(message: Odometry) -> np.ndarray:
    """Return map_from_camera (4, 4)."""
    p, q = message.pose.pose.position, message.pose.pose.orientation
    return pose_from_quaternion(np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w]))


def send_tf(broadcaster: StaticTransformBroadcaster, on_base: Mapping[str, np.ndarray]) -> None:
    """Send where cameras are on the base, each in its own optical frame."""
    broadcaster.sendTransform(
        [
            transform_message(pose, 'base_link', f'{name}_optical', 0)
            for name, pose in on_base.items()
        ]
    )


class Stage:
    """A node on a simulated network, and a peer that is a robot with four cameras."""

    def __init__(self, make_rig: Callable[..., Rig], frames: int, **parameters: Any) -> None:
        self.on_base = ring(YAWS)
        self.matrices = {
            name: np.array([[0.35 * w, 0, w / 2], [0, 0.35 * w, h / 2], [0, 0, 1.0]])
            for name, (w, h) in SIZES.items()
        }
        course = corridor(frames, laps=0.006 * frames).truth
        self.truth = rig_truth(course, self.on_base, self.matrices, SIZES)
        self.stamps = sorted(self.truth.poses['front'])
        truth = RoomTruth(  # the node's warm-up names no camera
            self.truth.room,
            {'': self.truth.poses['front']} | self.truth.poses,
            {'': self.matrices['front']} | self.matrices,
            {'': SIZES['front']} | SIZES,
        )

        def engine(config: Any, robot: Any) -> StreamingEngine:
            return StreamingEngine(config, NetworkSimulator(truth, REALISTIC), robot=robot)

        given = {'cameras': list(YAWS), 'resolution': 84, 'device': 'cpu', 'window.size': 10}
        given |= {'rig.max_wait_s': 10.0}
        self.rig = make_rig(parameters=given | parameters, engine=engine)
        self.rig.listen('status', '/tf')
        for name, size in SIZES.items():
            for topic in ('depth/image_rect', 'depth/camera_info', 'odometry'):
                self.rig.listen(f'{name}/{topic}', camera=name)
            info = intrinsics_to_info(self.matrices[name], size, header_at(0, ''))
            self.rig.send_info(info, f'{name}/camera_info')
        self.static = StaticTransformBroadcaster(self.rig.peer)

    def fix(self) -> None:
        """Send the extrinsics, and wait until the node has them."""
        send_tf(self.static, self.on_base)
        tf = self.rig.node._robot_tf
        for name in YAWS:
            wait_for(
                lambda name=name: tf.find('front_optical', f'{name}_optical', 0) is not None,
                f'{name} in TF',
            )

    def look(self, index: int, without: str = '') -> Status:
        """Send an image of each camera but one, and return the status after they are through."""
        before = self.rig.counts().frames_processed
        cameras = [name for name in YAWS if name != without]
        for name in cameras:
            message = image(self.stamps[index], *SIZES[name])
            message.header.frame_id = f'{name}_optical'
            self.rig.publish(message, f'{name}/image')
        count = before + len(cameras)
        heard = self.rig.messages['status']
        wait_for(lambda: any(s.frames_published == count for s in heard), f'set {index}')
        return [s for s in heard if s.frames_published == count][0]

    def poses(self, stamp: int) -> dict[str, np.ndarray]:
        """Return what was published as odometry of each camera at a stamp."""
        found = {}
        for name in YAWS:
            heard = self.rig.messages[f'{name}/odometry']
            messages = [m for m in heard if stamp_ns(m.header) == stamp]
            if messages:
                assert messages[0].header.frame_id == 'map'
                assert messages[0].child_frame_id == f'{name}_optical'
                found[name] = odometry_pose(messages[0])
        return found

    def rigidity(self, stamp: int) -> tuple[float, float]:
        """Return degrees and metres by which what was published is not the rig of TF."""
        poses = self.poses(stamp)
        return rigidity_errors(list(poses.values()), [self.on_base[name] for name in poses])


def test_four_cameras_of_all_sizes_are_one_rig_in_one_map(make_rig: Callable[..., Rig]) -> None:
    """Each has its own frame, intrinsics and resolution; together they are as TF says."""
    stage = Stage(make_rig, 12)
    stage.fix()
    statuses = [stage.look(i) for i in range(12)]
    last, stamp = statuses[-1], stage.stamps[-1]
    assert last.rig_cameras == 4 and last.is_metric and last.scale_source == 'rig'
    assert 0.0 < last.rig_rotation_error_deg < 2.0
    assert 0.0 < last.rig_translation_error < 0.2
    assert last.rig_problem == '' and last.map_parts == 1
    assert last.frames_dropped == 0 and not last.cameras
    for name, (width, height) in NETWORK_SIZES.items():
        (depth,) = [
            m
            for m in stage.rig.heard(f'{name}/depth/image_rect', 12)
            if stamp_ns(m.header) == stamp
        ]
        info = stage.rig.heard(f'{name}/depth/camera_info', 12)[-1]
        assert (depth.width, depth.height) == (info.width, info.height) == (width, height)
        assert depth.header.frame_id == info.header.frame_id == f'{name}_optical'
        expected = scale_intrinsics(stage.matrices[name], SIZES[name], (width, height))
        np.testing.assert_allclose(info.k.reshape(3, 3), expected)
        pixels = np.frombuffer(depth.data, np.float32).reshape(height, width)
        assert np.isfinite(pixels).all()
    wait_for(lambda: len(stage.poses(stamp)) == 4, 'the odometry of all')
    turned, off = stage.rigidity(stamp)
    assert turned < 1e-3 and off < 1e-5
    sent = {t.child_frame_id for m in stage.rig.messages['/tf'] for t in m.transforms}
    assert {t.header.frame_id for m in stage.rig.messages['/tf'] for t in m.transforms} == {'map'}
    assert sent == {'base_link'}, 'the cameras hang below it for good'


def test_extrinsics_that_come_late_make_a_rig_of_what_was_none(
    make_rig: Callable[..., Rig],
) -> None:
    stage = Stage(make_rig, 8)
    statuses = [stage.look(i) for i in range(4)]
    assert [s.rig_cameras for s in statuses] == [0] * 4
    assert all(np.isnan(s.rig_rotation_error_deg) for s in statuses)
    stage.fix()
    assert [stage.look(i).rig_cameras for i in range(4, 8)] == [4] * 4


def test_a_camera_that_is_missing_is_counted_and_the_others_stay_a_rig(
    make_rig: Callable[..., Rig],
) -> None:
    stage = Stage(make_rig, 10, **{'rig.max_wait_s': 0.1})
    stage.fix()
    for i in range(3):
        stage.look(i)
    statuses = [stage.look(i, without='front') for i in range(3, 8)]
    assert [s.rig_cameras for s in statuses] == [3] * 5
    wait_for(lambda: stage.rig.counts().sets_missed == {'front': 5}, 'the count')
    wait_for(lambda: len(stage.poses(stage.stamps[7])) == 3, 'the odometry of three')
    turned, off = stage.rigidity(stage.stamps[7])
    assert turned < 1e-3 and off < 1e-5
    assert [stage.look(i).rig_cameras for i in range(8, 10)] == [4] * 2


def test_one_image_that_cannot_be_used_does_not_cost_a_set(make_rig: Callable[..., Rig]) -> None:
    """A camera repeats its stamp: its image is dropped by that reason, three are published."""
    stage = Stage(make_rig, 3, **{'rig.max_apart_s': 0.2})
    stage.fix()
    stage.look(0)
    for name in YAWS:
        stamp = stage.stamps[0 if name == 'left' else 1]
        stage.rig.publish(image(stamp, *SIZES[name]), f'{name}/image')
    wait_for(lambda: stage.rig.counts().frames_processed == 7, 'the others')
    assert stage.rig.counts().drops == {'frame_stamp': 1}
    assert stage.look(2).frames_published == 11


class Robot:
    """A robot with cameras, which talks to a node in another process."""

    def __init__(self, cameras: Mapping[str, np.ndarray]) -> None:
        self.on_base = dict(cameras)
        self.peer = Peer('robot')
        self.statuses: list[Status] = []
        self.transforms: list[TFMessage] = []
        self.heard: dict[str, dict[str, list]] = {}
        self.peer.create_subscription(TFMessage, '/tf', self.transforms.append, DEEP)
        self._images, self._infos = {}, {}
        kinds = {
            'depth/image_rect': Image,
            'depth/camera_info': CameraInfo,
            'odometry': Odometry,
        }
        for name in cameras:
            self.heard[name] = {topic: [] for topic in kinds}
            for topic, kind in kinds.items():
                kept = self.heard[name][topic].append
                self.peer.create_subscription(kind, f'{name}/{topic}', kept, DEEP)
            self._images[name] = self.peer.create_publisher(Image, f'{name}/image', DEEP)
            self._infos[name] = self.peer.create_publisher(CameraInfo, f'{name}/camera_info', DEEP)
        # Last: a status that is heard means that all of the above is.
        self.peer.create_subscription(Status, 'status', self.statuses.append, DEEP)
        self._static = StaticTransformBroadcaster(self.peer)

    def wait_until_heard(self) -> None:
        """Wait until the node listens, and send the extrinsics."""
        inputs = [*self._images.values(), *self._infos.values()]
        send_tf(self._static, self.on_base)
        wait_for(
            lambda: (
                all(p.get_subscription_count() for p in inputs)
                and self.peer.count_subscribers('/tf_static')
            ),
            'the node to listen',
            120.0,
        )
        wait_for(lambda: self.statuses, 'its status')

    def look(self, stamp: int, rgb: Mapping[str, np.ndarray], k: Mapping[str, np.ndarray]) -> None:
        """Send a set of pictures, and wait until it is through."""
        for name, matrix in k.items():
            size = rgb[name].shape[1::-1]
            self._infos[name].publish(intrinsics_to_info(matrix, size, header_at(stamp, '')))
        for name in k:
            self._images[name].publish(picture(rgb[name], stamp, f'{name}_optical'))
        wait_for(
            lambda: any(
                stamp_ns(s.header) == stamp
                and s.frames_processed + s.frames_dropped == s.frames_received
                for s in self.statuses
            ),
            'the set to be through',
            60.0,
        )

    def poses(self, stamp: int) -> dict[str, np.ndarray]:
        """Return the odometry of each camera at a stamp, once all have it."""

        def found() -> dict[str, np.ndarray]:
            return {
                name: odometry_pose(message)
                for name, topics in self.heard.items()
                for message in topics['odometry']
                if stamp_ns(message.header) == stamp and message.header.frame_id == 'map'
            }

        wait_for(lambda: len(found()) == len(self.heard), 'the odometry of all cameras')
        return found()


def parameters(cameras: Mapping[str, Any], **others: object) -> dict[str, object]:
    """Return those of a node that loses nothing, on one core."""
    given = {'cameras': list(cameras), 'device': 'cpu', 'replay': 'every_frame'}
    return given | {'window.size': 8, 'qos.output_depth': 100} | others


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the other cores to others."""
    monkeypatch.setenv('OMP_NUM_THREADS', '1')


def test_a_rendered_rig_in_another_process(one_thread: None, tmp_path: Path) -> None:
    """The embedded network, four cameras that move, static extrinsics: one rig in one map."""
    frames = 8
    film = rendered_rig(AHEAD, frames, (112, 84), 80.0)
    robot = Robot(film.rig_from_camera)
    domain = int(os.environ['ROS_DOMAIN_ID'])
    stamps = [10**12 + i * STEP_NS for i in range(frames)]
    try:
        with NodeProcess(parameters(AHEAD, resolution=112), domain, tmp_path / 'log'):
            robot.wait_until_heard()
            for i, stamp in enumerate(stamps):
                matrices = dict.fromkeys(AHEAD, film.intrinsics)
                robot.look(stamp, {name: rgb[i] for name, rgb in film.rgb.items()}, matrices)
            last = [s for s in robot.statuses if stamp_ns(s.header) == stamps[-1]][-1]
            poses = robot.poses(stamps[2])
    finally:
        robot.peer.destroy_node()
    assert last.frames_dropped == 0 and last.frames_published == 4 * frames, last
    assert last.map_parts == 1 and last.rig_cameras >= 2
    # The embedded network is small: a few degrees are what it errs by.
    assert 0.0 < last.rig_rotation_error_deg < 20.0
    turned, off = rigidity_errors(
        list(poses.values()), [film.rig_from_camera[name] for name in poses]
    )
    assert turned < 1e-3
    for name, topics in robot.heard.items():
        assert len(topics['depth/image_rect']) == len(topics['depth/camera_info']) == frames
        assert {m.header.frame_id for m in topics['depth/image_rect']} == {f'{name}_optical'}
        depth = topics['depth/image_rect'][-1]
        pixels = np.frombuffer(depth.data, np.float32)
        assert np.isfinite(pixels).mean() > 0.9
    parents = {t.header.frame_id for m in robot.transforms for t in m.transforms}
    assert parents == {'map'}


@pytest.mark.skipif(not REAL.is_dir(), reason=f'the real rig is not at {REAL}')
def test_the_real_rig_in_another_process(one_thread: None, tmp_path: Path) -> None:
    """
    Three cameras on a car that hardly see the same, and a network that was never outdoors.

    It can't place them to each other, which the error says; TF can, and each has its outputs.
    """
    sequence = read_sequence(REAL)
    names = ('front', 'left', 'right')
    poses = dict(zip(names, sequence.world_from_camera[:3], strict=True))
    on_base = {name: invert(poses['front']) @ pose for name, pose in poses.items()}
    robot = Robot(on_base)
    domain = int(os.environ['ROS_DOMAIN_ID'])
    try:
        with NodeProcess(parameters(names), domain, tmp_path / 'log'):
            robot.wait_until_heard()
            for instant in range(3):
                rows = range(3 * instant, 3 * instant + 3)
                stamp = 10**12 + instant * 10**9
                rgb = {n: sequence.rgb(row) for n, row in zip(names, rows, strict=True)}
                k = {n: sequence.intrinsics[row] for n, row in zip(names, rows, strict=True)}
                robot.look(stamp, rgb, k)
            last = [s for s in robot.statuses if stamp_ns(s.header) == stamp][-1]
            placed = robot.poses(stamp)
    finally:
        robot.peer.destroy_node()
    print(
        f'rig error {last.rig_rotation_error_deg:.1f} deg, {last.rig_translation_error:.3f}, '
        f'outvoted {last.rig_outvoted}, scale from {last.scale_source}'
    )
    assert last.frames_published == 9 and last.rig_cameras == 3 and last.map_parts == 1
    assert 0.0 < last.rig_rotation_error_deg < 60.0
    turned, _ = rigidity_errors(list(placed.values()), [on_base[name] for name in placed])
    assert turned < 1e-3
    for name, row in zip(names, range(3), strict=True):
        info = robot.heard[name]['depth/camera_info'][-1]
        height, width = sequence.depth_m(row).shape
        expected = scale_intrinsics(
            sequence.intrinsics[row], (width, height), (info.width, info.height)
        )
        np.testing.assert_allclose(info.k.reshape(3, 3), expected)
