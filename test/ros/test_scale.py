"""The scale in the node, over DDS: the real engine on a simulated network, TF and sensors."""

from collections.abc import Callable
import math

from da3_ros.evaluation.simulated_stream import camera_at, FURNISHED_ROOM, winding_walk
from da3_ros.geometry.transforms import rigid
from da3_ros.ros.convert import byte_array, float_image, header_at, intrinsics_to_info
import numpy as np
import pytest
from rig import Rig, wait_for
from sensor_msgs.msg import LaserScan, PointCloud2, PointField
from stage import K, SENSOR_IN_CAMERA, SIZE, Stage

RIGHT_IN_LEFT = rigid(np.eye(3), np.array([0.4, 0.0, 0.0]))


def cloud(points: np.ndarray, stamp: int) -> PointCloud2:
    points = points.reshape(-1, 3).astype(np.float32)
    fields = [
        PointField(name=n, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, n in enumerate('xyz')
    ]
    return PointCloud2(
        header=header_at(stamp, 'sensor'),
        height=1,
        width=len(points),
        fields=fields,
        point_step=12,
        row_step=12 * len(points),
        data=byte_array(points),
    )


def scan(stage: Stage, stamp: int) -> LaserScan:
    """Return what a planar scanner in the sensor's x-y plane would measure of the room."""
    world_from_sensor = stage.truth.world_from_camera('', stamp) @ SENSOR_IN_CAMERA
    angles = np.radians(np.arange(-90.0, 90.0, 0.5))
    rays = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=1)
    rays = rays @ world_from_sensor[:3, :3].T
    ranges = [_range(world_from_sensor[:3, 3], ray) for ray in rays]
    ranges[::7] = [math.inf] * len(ranges[::7])
    return LaserScan(
        header=header_at(stamp, 'sensor'),
        angle_min=float(angles[0]),
        angle_max=float(angles[-1]),
        angle_increment=math.radians(0.5),
        range_min=0.1,
        range_max=30.0,
        ranges=ranges,
    )


def _range(origin: np.ndarray, ray: np.ndarray) -> float:
    """Return the distance along a ray to the first surface of the room."""
    ray = np.where(ray == 0, 1e-12, ray)
    room = FURNISHED_ROOM
    nearest = (np.where(ray > 0, room.high - origin, room.low - origin) / ray).min()
    for low, high in room.boxes:
        sides = np.sort([(low - origin) / ray, (high - origin) / ray], axis=0)
        if 0 < sides[0].max() < sides[1].min():
            nearest = min(nearest, sides[0].max())
    return float(nearest)


def test_odometry_makes_the_map_metric(make_rig: Callable[..., Rig]) -> None:
    """Once the robot has moved, and for everything that is published."""
    stage = Stage(make_rig, winding_walk(12))
    found = []
    for stamp in stage.stamps:
        stage.move(stamp)
        found.append(stage.look(stamp))
    assert not found[0].is_metric
    assert (found[0].scale_source, math.isnan(found[0].scale_spread)) == ('none', True)
    assert (found[-1].scale_source, found[-1].is_metric) == ('odometry', True)
    assert abs(stage.depth_error()) < 0.03
    assert 0.0 < found[-1].scale_spread < 0.1


def test_odometry_that_comes_after_the_image_counts_all_the_same(
    make_rig: Callable[..., Rig],
) -> None:
    """And no image waits for it."""
    stage = Stage(make_rig, winding_walk(12))
    for before, stamp in zip([None, *stage.stamps], stage.stamps, strict=False):
        status = stage.look(stamp)
        if before is not None:
            stage.move(before)
    assert status.is_metric
    assert abs(stage.depth_error()) < 0.03


def test_a_bag_that_starts_again_is_metric_again(make_rig: Callable[..., Rig]) -> None:
    """TF takes nothing that is older than what it has, unless it forgets that."""
    stage = Stage(make_rig, winding_walk(24))
    stage.fix('base', 'wheel', np.eye(4))
    later = 1_000_000_000_000
    for stamp in stage.stamps[12:14]:
        stage.truth.poses[''][stamp + later] = stage.truth.world_from_camera('', stamp)
        stage.move(stamp + later)
        stage.look(stamp + later)
    stage.look(stage.stamps[0])
    assert stage.rig.node._robot_tf.find('base', 'wheel', 0) is not None
    for stamp in stage.stamps[1:12]:
        stage.move(stamp)
        status = stage.look(stamp)
    assert (status.scale_source, status.is_metric) == ('odometry', True)
    assert abs(stage.depth_error()) < 0.03


def test_odometry_that_ends_is_said_and_the_map_keeps_its_size(
    make_rig: Callable[..., Rig],
) -> None:
    stage = Stage(make_rig, winding_walk(26))
    for stamp in stage.stamps[:9]:
        stage.move(stamp)
        with_odometry = stage.look(stamp)
    stage.rig.listen('/diagnostics')
    for stamp in stage.stamps[9:]:
        without = stage.look(stamp)
    assert with_odometry.is_metric
    assert without.keyframes - with_odometry.keyframes > 10
    assert without.is_metric
    assert without.scale == pytest.approx(with_odometry.scale, rel=0.1)
    assert without.scale_spread > with_odometry.scale_spread
    wait_for(
        lambda: any(
            'is silent' in m.status[0].message for m in stage.rig.messages['/diagnostics']
        ),
        'the warning',
    )


def test_two_cameras_with_extrinsics_are_metric_at_once(make_rig: Callable[..., Rig]) -> None:
    """Standing still, with images of the two in messages of their own."""
    offsets = {'left': np.eye(4), 'right': RIGHT_IN_LEFT}
    stage = Stage(make_rig, [camera_at([0, 0, 0])] * 4, offsets)
    stage.fix('base', 'left_optical', np.eye(4))
    stage.fix('base', 'right_optical', RIGHT_IN_LEFT)
    for stamp in stage.stamps:
        status = stage.look(stamp)
    assert (status.scale_source, status.is_metric) == ('rig', True)
    for camera in offsets:
        assert abs(stage.depth_error(camera)) < 0.06


def test_the_nodes_own_transforms_are_no_extrinsics(make_rig: Callable[..., Rig]) -> None:
    """Map → left and map → right connect the cameras, by what the network says of them."""
    offsets = {'left': np.eye(4), 'right': RIGHT_IN_LEFT}
    stage = Stage(make_rig, [camera_at([0, 0, 0])] * 4, offsets, tf='camera')
    stage.rig.listen('/tf')
    for stamp in stage.stamps:
        status = stage.look(stamp)
    assert stage.rig.heard('/tf', 8)
    stage.fix('base', 'wheel', np.eye(4))  # whatever came before this has been heard too
    assert stage.rig.node._robot_tf.find('left_optical', 'right_optical', stage.stamps[0]) is None
    assert (status.scale_source, status.is_metric) == ('none', False)


def send_depth_image(stage: Stage, stamp: int, encoding: str) -> None:
    """Publish sparse depth of a camera of its own, at the very place of the first one."""
    depth = np.zeros((SIZE[1], SIZE[0]))
    depth[::5, ::3] = stage.truth.depth_m('', stamp, SIZE[1], SIZE[0])[::5, ::3]
    header = header_at(stamp, stage.frame(''))
    message = float_image(depth, header)
    if encoding == '16UC1':
        message.encoding, message.step = encoding, 2 * SIZE[0]
        message.data = byte_array(np.rint(1000 * depth).astype(np.uint16))
    stage.rig.publish(intrinsics_to_info(K, SIZE, header), 'depth_sensor/camera_info')
    stage.rig.publish(message, 'depth_sensor/image')


@pytest.mark.parametrize('kind', ['16UC1', '32FC1', 'laser_scan', 'point_cloud'])
def test_a_depth_sensor_makes_a_robot_that_stands_metric(
    make_rig: Callable[..., Rig], kind: str
) -> None:
    """The measurement comes before the image or after it; TF says where the sensor is."""
    name = 'depth_image' if kind.endswith('C1') else kind
    stage = Stage(make_rig, [camera_at([0, 0, 0])] * 8, **{'scale.depth_sensor': name})
    stage.fix(stage.frame(''), 'sensor', SENSOR_IN_CAMERA)
    found = []
    for stamp in stage.stamps:
        found.append(stage.look(stamp))
        if kind == 'laser_scan':
            stage.rig.publish(scan(stage, stamp + 10_000_000), 'depth_sensor/scan')
        elif kind == 'point_cloud':
            points = stage.cloud_in_sensor(stamp)[::4, ::4]
            stage.rig.publish(cloud(points, stamp), 'depth_sensor/points')
        else:
            send_depth_image(stage, stamp, kind)
        if found[-1].is_metric:
            break
    assert not found[0].is_metric
    assert (found[-1].scale_source, found[-1].is_metric) == ('depth_sensor', True)
    assert abs(stage.depth_error()) < 0.05


def test_sensor_messages_that_are_broken_are_counted(make_rig: Callable[..., Rig]) -> None:
    stage = Stage(make_rig, [camera_at([0, 0, 0])] * 4, **{'scale.depth_sensor': 'point_cloud'})
    stage.fix(stage.frame(''), 'sensor', SENSOR_IN_CAMERA)
    for stamp in stage.stamps:
        broken = cloud(stage.cloud_in_sensor(stamp), stamp)
        broken.fields = broken.fields[:2]
        stage.rig.publish(broken, 'depth_sensor/points')
        status = stage.look(stamp)
    assert not status.is_metric
    assert stage.rig.counts().drops['sensor_message'] > 0
    assert stage.rig.counts().frames_dropped == 0


def test_only_the_sensor_that_is_configured_is_listened_to(make_rig: Callable[..., Rig]) -> None:
    stage = Stage(make_rig, [camera_at([0, 0, 0])])
    assert not any('depth_sensor' in s.topic_name for s in stage.rig.node.subscriptions)


def test_an_order_without_odometry_does_not_use_it(make_rig: Callable[..., Rig]) -> None:
    stage = Stage(make_rig, winding_walk(8), **{'scale.sources': ['rig', 'depth_sensor']})
    for stamp in stage.stamps:
        stage.move(stamp)
        status = stage.look(stamp)
    assert (status.scale_source, status.is_metric) == ('none', False)
