"""Point clouds of views: layout, filters, stride and frame, each against the plain cloud."""

from collections.abc import Callable

from da3_ros.config import NodeConfig
from da3_ros.engine import View
from da3_ros.geometry.cameras import unproject
from da3_ros.geometry.transforms import Sim3
from da3_ros.parameter_tree import replaced
from da3_ros.ros.clouds import coloured_cloud, view_to_cloud
from da3_ros.ros.convert import published_depth, stamp_ns
from da3_ros.ros.rate import RateLimit
import fake_engine
import numpy as np
import pytest
from rig import FRAME_ID, K, Rig
from sensor_msgs.msg import PointCloud2
from sensor_msgs_py.point_cloud2 import read_points
from std_msgs.msg import Header

HEIGHT, WIDTH = 30, 40
POSE = fake_engine.pose(5)
POINT = np.dtype([('xyz', np.float32, 3), ('bgr', np.uint8, 4)])


def view(**fields: object) -> View:
    """Return a view of two walls, the edge between them smeared over a column, and some noise."""
    rng = np.random.default_rng(1)
    depth = np.where(np.arange(WIDTH) < 20, 2.0, 6.0) * rng.uniform(0.999, 1.001, (HEIGHT, WIDTH))
    depth[:, 20] = 3.0
    depth[:4, :7] = np.nan
    made = {
        'camera': '',
        'stamp_ns': 7_000_000_123,
        'depth_m': depth.astype(np.float32),
        'confidence': rng.uniform(1, 4, (HEIGHT, WIDTH)).astype(np.float32),
        'rgb': rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
        'intrinsics': K,
        'map_from_camera': POSE,
        'pose_covariance': np.eye(6),
        'is_keyframe': False,
    }
    return View(**made | fields)


def cloud_of(seen: View, **points: object) -> PointCloud2:
    """Return the message of a view with parameters of the group ``points``."""
    config = replaced(NodeConfig(), {f'points.{name}': value for name, value in points.items()})
    depth_m = published_depth(seen.depth_m, seen.confidence, config.depth)
    return view_to_cloud(seen, depth_m, config, FRAME_ID)


def points_of(cloud: PointCloud2) -> np.ndarray:
    """Return the points (H, W) of a cloud, as ``POINT``."""
    assert cloud.row_step == cloud.width * cloud.point_step
    assert len(cloud.data) == cloud.height * cloud.row_step
    return np.frombuffer(cloud.data, POINT).reshape(cloud.height, cloud.width)


def is_point(cloud: PointCloud2) -> np.ndarray:
    """Tell where (H, W) an organised cloud has points; the others are NaN in all coordinates."""
    valid = np.isfinite(points_of(cloud)['xyz'])
    assert (valid.all(axis=-1) == valid.any(axis=-1)).all()
    return valid.all(axis=-1)


@pytest.mark.parametrize('stride', [1, 2, 3])
def test_the_cloud_is_the_unprojected_depth(stride: int) -> None:
    """Organised, with the colours of the pixels, under the stamp and frame of the image."""
    seen = view()
    cloud = cloud_of(seen, stride=stride, max_edge=0.0)
    expected = unproject(seen.depth_m, K)[::stride, ::stride]
    np.testing.assert_allclose(points_of(cloud)['xyz'], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(
        points_of(cloud)['bgr'][..., 2::-1], seen.rgb[::stride, ::stride]
    )
    assert [f.name for f in cloud.fields] == ['x', 'y', 'z', 'rgb']
    assert not cloud.is_dense
    assert (cloud.header.frame_id, stamp_ns(cloud.header)) == (FRAME_ID, seen.stamp_ns)


def test_points_in_the_air_are_left_out_by_default() -> None:
    """And nothing else is."""
    left_out = ~is_point(cloud_of(view()))
    np.testing.assert_array_equal(left_out[4:], np.tile(np.arange(WIDTH) == 20, (HEIGHT - 4, 1)))
    assert is_point(cloud_of(view(), max_edge=0.0))[:, 20].all()


@pytest.mark.parametrize('stride', [2, 5])
def test_filters_do_not_depend_on_the_stride(stride: int) -> None:
    wanted = {'min_confidence': 1.5, 'min_range': 2.05, 'max_range': 6.3}
    every = points_of(cloud_of(view(), **wanted))[::stride, ::stride]
    thinned = points_of(cloud_of(view(), stride=stride, **wanted))
    np.testing.assert_allclose(thinned['xyz'], every['xyz'], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(thinned['bgr'], every['bgr'])
    bent = np.exp(np.tile(0.02 * np.arange(WIDTH), (HEIGHT, 1))).astype(np.float32)
    assert is_point(cloud_of(view(depth_m=bent), stride=stride)).all()


@pytest.mark.parametrize('frame', ['camera', 'map'])
@pytest.mark.parametrize('stride', [1, 3])
def test_compact_is_organised_without_the_gaps(stride: int, frame: str) -> None:
    """In the same order."""
    wanted = {'stride': stride, 'frame': frame, 'min_confidence': 1.5}
    organised, compact = (cloud_of(view(), layout=x, **wanted) for x in ('organised', 'compact'))
    assert compact.height == 1 and compact.is_dense
    expected = points_of(organised)[is_point(organised)]
    np.testing.assert_allclose(points_of(compact)['xyz'][0], expected['xyz'], atol=1e-6)
    np.testing.assert_array_equal(points_of(compact)['bgr'][0], expected['bgr'])


def test_nothing_to_see_is_an_empty_compact_cloud() -> None:
    cloud = cloud_of(view(depth_m=np.full((HEIGHT, WIDTH), np.nan, np.float32)), layout='compact')
    assert (cloud.height, cloud.width, len(cloud.data)) == (1, 0, 0)


def test_ranges_are_distances_from_the_camera() -> None:
    """Not depths: a pixel at the side is farther than one ahead at the same depth."""
    everything = cloud_of(view(), max_edge=0.0)
    ranges = np.linalg.norm(points_of(everything)['xyz'], axis=-1)
    kept = is_point(cloud_of(view(), max_edge=0.0, min_range=2.1, max_range=6.2))
    np.testing.assert_array_equal(kept, (ranges >= 2.1) & (ranges <= 6.2))
    assert 0.1 < kept.mean() < 0.9


def test_doubtful_points_are_left_out() -> None:
    seen = view()
    seen.confidence[10, 10] = np.nan
    kept = is_point(cloud_of(seen, max_edge=0.0, min_confidence=2.0))
    np.testing.assert_array_equal(kept, np.isfinite(seen.depth_m) & (seen.confidence >= 2.0))


def test_points_in_the_map_are_those_of_the_camera_at_its_pose() -> None:
    in_camera, in_map = (points_of(cloud_of(view(), frame=f))['xyz'] for f in ('camera', 'map'))
    np.testing.assert_allclose(in_map, Sim3.from_rigid(POSE).apply(in_camera), atol=1e-5)
    assert cloud_of(view(), frame='map').header.frame_id == 'map'


def test_points_without_a_pose_stay_with_the_camera() -> None:
    seen = view(map_from_camera=None)
    cloud = cloud_of(seen, frame='map')
    assert cloud.header.frame_id == FRAME_ID
    assert cloud.data == cloud_of(seen).data


def test_a_coloured_cloud_is_read_back() -> None:
    points = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    colours = np.random.default_rng(1).integers(0, 256, (50, 3), dtype=np.uint8)
    cloud = coloured_cloud(points, colours, Header(frame_id='map'))
    np.testing.assert_array_equal(points_of(cloud)['xyz'][0], points)
    np.testing.assert_array_equal(points_of(cloud)['bgr'][0, :, 2::-1], colours)
    read = read_points(cloud, field_names=('x', 'y', 'z'))
    np.testing.assert_array_equal(read['y'], points[:, 1])
    assert coloured_cloud(points[:0], colours[:0], Header()).width == 0


@pytest.mark.parametrize('input_hz', [7.0, 10.0, 30.0, 33.0])
@pytest.mark.parametrize('jitter_s', [0.0, 0.003])
def test_a_rate_is_kept_on_average(input_hz: float, jitter_s: float) -> None:
    """Never exceeded, and met where there is enough to choose from."""
    rng, limit = np.random.default_rng(0), RateLimit()
    stamps = 1e9 * (1000.0 + np.arange(300) / input_hz + rng.uniform(0, jitter_s, 300))
    taken = sum(limit.takes(int(stamp), 10.0) for stamp in stamps)
    expected = min(10.0, input_hz) * 300 / input_hz
    assert expected * 0.97 - 1 <= taken <= expected + 1


def test_a_rate_survives_a_stream_that_starts_anew_and_a_change() -> None:
    limit = RateLimit()
    assert all(limit.takes(stamp, 0.0) for stamp in (5, 5, 3))
    assert limit.takes(10**12, 0.001)
    assert not limit.takes(10**12 + 10**9, 0.001)
    assert limit.takes(10**12 + 2 * 10**9, 10.0)
    assert limit.takes(10**9, 10.0)
    assert not limit.takes(10**9 + 10**7, 10.0)
    assert limit.takes(10**9 + 10**8, 10.0)


def test_layout_frame_and_filters_over_the_wire(make_rig: Callable[..., Rig]) -> None:
    """From the next image on, when they change."""
    rig = make_rig(parameters={'points.layout': 'compact', 'frames.map': 'world'})
    rig.listen('points', 'odometry')
    rig.send_info()
    rig.send()
    changes = {'points.layout': 'organised', 'points.frame': 'map', 'points.max_range': 1.5}
    changed = [Rig.parameter(name, value) for name, value in changes.items()]
    assert all(result.successful for result in rig.node.set_parameters(changed))
    stamp = rig.send()
    compact, organised = rig.heard('points', 2)
    assert (compact.height, compact.is_dense) == (1, True)
    assert np.isfinite(points_of(compact)['xyz']).all()
    assert (organised.height, organised.width) == (24, 32)
    assert (organised.header.frame_id, stamp_ns(organised.header)) == ('world', stamp)
    kept = points_of(organised)['xyz'][is_point(organised)]
    ranges = np.linalg.norm(kept - fake_engine.pose(1)[:3, 3], axis=1)
    assert 0 < len(kept) < compact.width and ranges.max() <= 1.5 + 1e-5
    (refused,) = rig.node.set_parameters([Rig.parameter('points.min_range', 2.0)])
    assert not refused.successful and 'smaller' in refused.reason


def test_points_have_a_rate_of_their_own(make_rig: Callable[..., Rig]) -> None:
    """Every third image at 10 Hz; depth is published for all."""
    rig = make_rig(parameters={'points.max_rate_hz': 10.0 / 3.0})
    rig.listen('points', 'depth/image_rect')
    stamps = [rig.send() for _ in range(7)]
    rig.heard('depth/image_rect', 7)
    heard = [stamp_ns(m.header) for m in rig.heard('points', 3)]
    assert heard == stamps[::3]
