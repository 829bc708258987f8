"""What the node publishes for its images: names, types, stamps, frames, sizes and agreement."""

from collections.abc import Callable

from da3_ros.geometry.cameras import scale_intrinsics, unproject
from da3_ros.msg import Status
from da3_ros.ros.poses import matrix_of, UNKNOWN_VARIANCE
import fake_engine
from nav_msgs.msg import Odometry
import numpy as np
import pytest
from rclpy.qos import QoSProfile
from rig import CAMERA_TOPICS, FRAME_ID, HEIGHT, image, K, Rig, wait_for, WIDTH
from sensor_msgs.msg import Image, PointCloud2
from sensor_msgs_py.point_cloud2 import read_points
from std_msgs.msg import Header
import tf_transformations


def stamp_of(header: Header) -> int:
    """Return the stamp of a header in nanoseconds."""
    return header.stamp.sec * 10**9 + header.stamp.nanosec


def depth_of(message: Image) -> np.ndarray:
    """Return the pixels (H, W) of a depth image."""
    dtype = {'32FC1': np.float32, '16UC1': np.uint16}[message.encoding]
    assert message.step == message.width * np.dtype(dtype).itemsize
    return np.frombuffer(message.data, dtype).reshape(message.height, message.width)


def xyz_of(cloud: PointCloud2) -> np.ndarray:
    """Return the points (H, W, 3) of an organised cloud, as sensor_msgs_py reads them."""
    points = read_points(cloud, field_names=('x', 'y', 'z')).reshape(cloud.height, cloud.width)
    return np.stack([points[axis] for axis in 'xyz'], axis=-1)


def matrix_of_odometry(odometry: Odometry) -> np.ndarray:
    """Return map_from_camera (4, 4)."""
    p, q = odometry.pose.pose.position, odometry.pose.pose.orientation
    matrix = tf_transformations.quaternion_matrix([q.x, q.y, q.z, q.w])
    matrix[:3, 3] = p.x, p.y, p.z
    return matrix


def test_every_output_has_stamp_and_frame_of_its_image(rig: Rig) -> None:
    """One message on each topic for each image, in order."""
    rig.send_info()
    stamps = [rig.send() for _ in range(3)]
    for topic in CAMERA_TOPICS:
        messages = rig.heard(topic, 3)
        assert [stamp_of(m.header) for m in messages] == stamps, topic
        frame = 'map' if topic == 'odometry' else FRAME_ID
        assert {m.header.frame_id for m in messages} == {frame}, topic
    assert {m.child_frame_id for m in rig.messages['odometry']} == {FRAME_ID}
    transforms = [m.transforms[0] for m in rig.heard('/tf', 3)]
    assert [stamp_of(t.header) for t in transforms] == stamps
    assert {(t.header.frame_id, t.child_frame_id) for t in transforms} == {('map', FRAME_ID)}


def test_depth_camera_info_and_cloud_are_one_measurement(rig: Rig) -> None:
    """Unprojecting the depth with the published K gives the cloud."""
    rig.send_info()
    rig.send()
    depth, info, cloud = (
        rig.heard(topic)[0] for topic in ('depth/image_rect', 'depth/camera_info', 'points')
    )
    size = (WIDTH // 2, HEIGHT // 2)
    for message in (depth, info, cloud):
        assert (message.width, message.height) == size
    np.testing.assert_allclose(
        info.k.reshape(3, 3), scale_intrinsics(K, (WIDTH, HEIGHT), size), rtol=1e-6
    )
    np.testing.assert_array_equal(info.p.reshape(3, 4)[:, :3], info.k.reshape(3, 3))
    assert depth.encoding == '32FC1'
    pixels = depth_of(depth)
    assert np.isnan(pixels[:2, :3]).all() and np.isfinite(pixels[2:]).all()
    np.testing.assert_allclose(xyz_of(cloud), unproject(pixels, info.k.reshape(3, 3)), rtol=1e-3)


def test_confidence_is_what_the_network_gives(rig: Rig) -> None:
    """One and up, at the size of the depth."""
    rig.send()
    confidence = depth_of(rig.heard('confidence/image_rect')[0])
    np.testing.assert_allclose(confidence[0, :3], [1.0, 1.05, 1.1], rtol=1e-6)


def test_tf_and_odometry_are_the_same_pose(rig: Rig) -> None:
    """And it is the engine's; the twist is unknown, in a way that a filter understands."""
    for _ in range(3):
        rig.send()
    odometry = rig.heard('odometry', 3)
    for count, (message, tf) in enumerate(zip(odometry, rig.heard('/tf', 3), strict=True)):
        matrix = matrix_of_odometry(message)
        np.testing.assert_allclose(matrix, fake_engine.pose(count), atol=1e-12)
        np.testing.assert_allclose(matrix_of(tf.transforms[0].transform), matrix, atol=1e-12)
    np.testing.assert_allclose(
        np.diag(message.pose.covariance.reshape(6, 6))[[0, 5]], [1e-4, 1e-5]
    )
    assert message.twist.covariance[0] == UNKNOWN_VARIANCE


def test_keyframes_are_latched_and_follow_the_map(make_rig: Callable[..., Rig]) -> None:
    """A late joiner gets the newest path; each pose has the stamp of its image."""
    rig = make_rig()
    stamps = [rig.send() for _ in range(4)]
    rig.listen('status')
    wait_for(
        lambda: any(s.frames_published == 4 for s in rig.messages['status']),
        'the status, which comes after the path',
    )
    rig.listen('keyframes')
    (path,) = rig.heard('keyframes')
    assert path.header.frame_id == 'map'
    assert [stamp_of(p.header) for p in path.poses] == [stamps[0], stamps[3]]
    assert path.poses[1].pose.position.x == pytest.approx(0.3)


def test_status_says_what_happened(rig: Rig) -> None:
    """One for each image; counts, latencies and the engine's state."""
    stamps = [rig.send() for _ in range(3)]
    rig.send(image(rig.next_stamp_ns(), encoding='nonsense'))
    rig.send()
    status = wait_for(
        lambda: [s for s in rig.messages['status'] if s.frames_published == 4], 'the last status'
    )[-1]
    assert status.state == Status.TRACKING
    assert (status.frames_received, status.frames_dropped, status.frames_published) == (5, 1, 4)
    assert dict(zip(status.drop_reasons, status.drop_counts, strict=True)) == {'frame_encoding': 1}
    assert set(status.stages) == {'convert', 'network', 'publish', 'map'}
    assert status.model == 'embedded' and not status.is_metric
    assert status.header.frame_id == 'map' and stamp_of(status.header) > stamps[-1]
    assert np.isfinite(status.latency_p50_ms) and status.scale == 2.0


def test_status_comes_without_images_too(rig: Rig) -> None:
    """At least once a second, and diagnostics with it."""
    rig.listen('/diagnostics')
    published_ns = []

    def note(_: Status, info: dict) -> None:
        published_ns.append(info['source_timestamp'])

    rig.peer.create_subscription(Status, 'status', note, QoSProfile(depth=10))
    wait_for(lambda: len(published_ns) >= 3, 'three statuses')
    assert published_ns[2] - published_ns[0] < 2.5e9
    statuses = rig.heard('status')
    assert statuses[-1].state == Status.WAITING and np.isnan(statuses[-1].latency_p50_ms)
    diagnostics = rig.heard('/diagnostics')[-1].status[0]
    assert diagnostics.name.startswith('da3: ')
    values = {v.key: v.value for v in diagnostics.values}
    assert values['state'] == 'WAITING' and values['input rate [Hz]'] == '0.0'


def test_diagnostics_name_what_was_dropped(rig: Rig) -> None:
    """A warning with the reason, and all counters."""
    rig.listen('/diagnostics')
    rig.heard('/diagnostics')
    rig.send()
    rig.send(image(rig.next_stamp_ns(), step=3))
    warning = wait_for(
        lambda: [
            m.status[0]
            for m in rig.messages['/diagnostics']
            if 'frame_step' in m.status[0].message
        ],
        'the warning',
    )[0]
    assert warning.level == b'\x01'
    values = {v.key: v.value for v in warning.values}
    assert values['dropped frame_step'] == '1' and values['frames processed'] == '1'


def test_diagnostics_are_as_diagnostic_updater_makes_them(make_rig: Callable[..., Rig]) -> None:
    """Name of node and task, a hardware id that is never empty, and all that there is to know."""
    rig = make_rig()
    rig.listen('/diagnostics', 'points')
    rig.send()
    wait_for(lambda: rig.counts().stage_ms, 'the publisher to have measured itself')
    heard = len(rig.messages['/diagnostics'])
    status = rig.heard('/diagnostics', heard + 2)[-1].status[0]
    assert (status.name, status.hardware_id) == ('da3: stream', 'cpu')
    assert {v.key for v in status.values} >= {
        *('state', 'input rate [Hz]', 'output rate [Hz]', 'latency p50 [ms]', 'latency p95 [ms]'),
        *('scale', 'scale spread', 'scale source', 'is metric', 'GPU memory [MiB]', 'silence [s]'),
        *('convert [ms]', 'network [ms]', 'publish [ms]', 'frames dropped', 'keyframes'),
    }
    assert len({v.key for v in status.values}) == len(status.values)
    rig.node.trigger_deactivate()
    rig.node.trigger_cleanup()
    heard = len(rig.messages['/diagnostics'])
    status = rig.heard('/diagnostics', heard + 2)[-1].status[0]
    assert (status.name, status.hardware_id) == ('da3: stream', 'none')


def test_nodes_of_two_robots_have_two_diagnostics(make_rig: Callable[..., Rig]) -> None:
    """They are told apart by their names alone."""
    rig = make_rig(namespace='robot', is_active=False)
    rig.listen('/diagnostics')
    assert rig.heard('/diagnostics')[0].status[0].name == 'robot/da3: stream'


def test_16uc1_is_published_in_millimetres(make_rig: Callable[..., Rig]) -> None:
    """Zero where the depth is invalid; the cloud keeps its NaN."""
    rig = make_rig(parameters={'depth.encoding': '16UC1'})
    rig.listen()
    rig.send()
    message = rig.heard('depth/image_rect')[0]
    pixels = depth_of(message)
    assert message.encoding == '16UC1'
    assert (pixels[:2, :3] == 0).all() and pixels[2, 0] == 1040
    assert np.isnan(xyz_of(rig.heard('points')[0])[0, 0]).all()


def test_nothing_is_made_for_topics_that_nobody_hears(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Depth and camera_info go together; the cloud is not even computed."""
    made = []
    for name in ('view_to_cloud', 'depth_to_image', 'float_image', 'odometry_message'):
        original = getattr(__import__('da3_ros.ros.publishers', fromlist=['x']), name)

        def spy(*args, name: str = name, original: Callable = original) -> object:
            made.append(name)
            return original(*args)

        monkeypatch.setattr(f'da3_ros.ros.publishers.{name}', spy)
    rig = make_rig()
    rig.send()
    wait_for(lambda: rig.counts().frames_published == 1, 'the first to be published')
    assert made == []
    rig.listen('depth/camera_info')
    rig.send()
    wait_for(lambda: rig.counts().frames_published == 2, 'the second to be published')
    assert made == ['depth_to_image']
    assert len(rig.heard('depth/camera_info')) == 1


def test_named_cameras_have_their_own_topics(make_rig: Callable[..., Rig]) -> None:
    """Each prefix its own images and its own calibration."""
    rig = make_rig(parameters={'cameras': ['front', 'left']})
    for camera in ('front', 'left'):
        rig.listen(camera=camera)
    rig.send_info(topic='left/camera_info')
    stamp = rig.send(topic='left/image')
    assert stamp_of(rig.heard('left/points')[0].header) == stamp
    assert rig.messages['front/points'] == []
    assert rig.engine.frames[-1].camera == 'left'
    np.testing.assert_array_equal(rig.engine.frames[-1].intrinsics, K)
    rig.send(topic='front/image')
    assert len(rig.heard('front/odometry')) == 1
    assert rig.engine.frames[-1].intrinsics is None


def test_images_of_a_set_that_fit_nowhere_are_counted_drops(make_rig: Callable[..., Rig]) -> None:
    """And the others of the set are published."""
    rig = make_rig(parameters={'cameras': ['front', 'left']}, engine=fake_engine.HalfBlindEngine)
    rig.listen('front/odometry', camera='front')
    rig.engine.gate.clear()
    rig.publish(image(rig.next_stamp_ns()), 'front/image')
    wait_for(lambda: rig.engine.is_pushing, 'the first image to be pushed')
    stamp = rig.next_stamp_ns()
    for camera in ('front', 'left'):
        rig.publish(image(stamp), f'{camera}/image')
    wait_for(lambda: rig.counts().frames_received == 3, 'a set to wait')
    rig.engine.gate.set()
    assert stamp_of(rig.heard('front/odometry', 2)[1].header) == stamp
    wait_for(lambda: rig.counts().frames_dropped, 'the drop to be counted')
    assert rig.counts().drops == {'frame_registration': 1}
    assert rig.counts().frames_processed == 2


def test_the_frame_can_be_named_by_parameter(make_rig: Callable[..., Rig]) -> None:
    """It replaces the frame of the images, and the map's name is free too."""
    rig = make_rig(parameters={'frames.cameras': ['eye'], 'frames.map': 'world'})
    rig.listen()
    rig.send()
    assert rig.heard('points')[0].header.frame_id == 'eye'
    assert rig.heard('odometry')[0].child_frame_id == 'eye'
    assert rig.heard('/tf')[0].transforms[0].header.frame_id == 'world'
    assert rig.heard('keyframes')[0].header.frame_id == 'world'
