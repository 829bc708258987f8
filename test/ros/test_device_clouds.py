"""Clouds that are made on a GPU are those that NumPy makes; Triton interprets where none is."""

from collections.abc import Callable
from typing import Any

from da3_ros.config import NodeConfig
from da3_ros.engine import View
from da3_ros.engine.content import Content
from da3_ros.engine.device_points import DevicePoints
from da3_ros.geometry.flying import is_flying
from da3_ros.parameter_tree import replaced
from da3_ros.ros.clouds import view_to_cloud
from da3_ros.ros.convert import published_depth
from doubles.device_views import on_device
import fake_engine
import numpy as np
import pytest
from rig import FRAME_ID, Rig
from sensor_msgs.msg import PointCloud2
import torch

pytest.importorskip('triton')
IS_GPU = torch.cuda.is_available()
pytestmark = pytest.mark.gpu if IS_GPU else []
DEVICE = 'cuda' if IS_GPU else 'cpu'
HEIGHT, WIDTH = 31, 43
K = np.array([[40.0, 0.7, 20.3], [0.0, 38.0, 14.6], [0.0, 0.0, 1.0]])


def view(seed: int = 0, **fields: object) -> View:
    """Return a view of walls with smeared edges along rows and columns, noise and holes."""
    rng = np.random.default_rng(seed)
    depth = (
        np.where(np.arange(WIDTH) < 20, 2.0, 6.0)
        + np.where(np.arange(HEIGHT) < 9, 4.0, 0)[:, None]
    )
    depth[:, 20], depth[9] = 3.0, 4.3
    depth[5:25, 30:] = rng.uniform(1.0, 2.0, (20, 13))  # nothing but edges, up to the border
    depth *= rng.uniform(0.999, 1.001, depth.shape)
    for nothing in (np.nan, np.inf, 0.0, -1.0):
        depth.flat[rng.integers(0, depth.size, 20)] = nothing
    confidence = rng.uniform(1, 4, depth.shape)
    confidence.flat[rng.integers(0, depth.size, 20)] = np.nan
    made = {
        'camera': '',
        'stamp_ns': 7_000_000_123,
        'depth_m': depth.astype(np.float32),
        'confidence': confidence.astype(np.float32),
        'rgb': rng.integers(0, 256, (*depth.shape, 3), dtype=np.uint8),
        'intrinsics': K,
        'map_from_camera': fake_engine.pose(5),
        'pose_covariance': np.eye(6),
        'is_keyframe': False,
    }
    return on_device(View(**made | fields), DEVICE)


def both(seen: View, **parameters: object) -> tuple[PointCloud2, PointCloud2]:
    """Return the clouds of a view with parameters: of NumPy, and of its device."""
    config = replaced(NodeConfig(), parameters)
    depth_m = published_depth(seen.depth_m, seen.confidence, config.depth)
    plain = view_to_cloud(seen, depth_m, config, FRAME_ID)
    return plain, view_to_cloud(seen, depth_m, config, FRAME_ID, DevicePoints())


def points_of(cloud: PointCloud2) -> np.ndarray:
    """Return the points (H, W, 4) of a cloud."""
    return np.frombuffer(cloud.data, np.float32).reshape(cloud.height, cloud.width, 4)


def assert_same(plain: PointCloud2, device: PointCloud2) -> np.ndarray:
    """Assert that two clouds are one, to rounding; returns which points (H, W) it has."""
    expected, got = points_of(plain), points_of(device)
    np.testing.assert_allclose(got[..., :3], expected[..., :3], rtol=2e-6, atol=2e-6)
    np.testing.assert_array_equal(got[..., 3].view(np.int32), expected[..., 3].view(np.int32))
    plain.data, device.data = plain.data[:0], device.data[:0]
    assert plain == device
    return np.isfinite(expected[..., 0])


@pytest.mark.parametrize(
    'parameters',
    [
        {},
        {'points.max_edge': 0.0},
        {'points.max_edge': 0.3},
        {'points.max_edge': 1.0},
        {'points.stride': 2, 'points.frame': 'map'},
        {'points.stride': 5, 'points.min_confidence': 2.0},
        {'points.min_range': 2.5, 'points.max_range': 7.0},
        {'points.frame': 'map', 'points.layout': 'compact', 'points.max_range': 7.0},
        {'points.layout': 'compact', 'points.stride': 3},
        {'depth.min_confidence': 2.0, 'depth.max_range': 5.0, 'points.min_confidence': 1.5},
    ],
)
@pytest.mark.parametrize('seed', [0, 1])
def test_parameters(parameters: dict[str, object], seed: int) -> None:
    plain, device = both(view(seed), **parameters)
    kept = assert_same(plain, device)
    assert kept.all() if 'points.layout' in parameters else 0.02 < kept.mean() < 0.98


@pytest.mark.parametrize('shape', [(1, 30), (30, 1), (2, 30), (3, 3), (1, 1), (14, 25)])
@pytest.mark.parametrize('share', [0.03, 0.2])
def test_flying_points_at_all_borders(shape: tuple[int, int], share: float) -> None:
    """Of nothing but edges; stretches end at the border, wherever that is."""
    rng = np.random.default_rng(0)
    depth = np.exp(np.cumsum(rng.normal(0, 0.2, shape), axis=-1)).astype(np.float32)
    depth.flat[rng.integers(0, depth.size, depth.size // 9)] = np.nan
    seen = view(depth_m=depth, confidence=np.ones_like(depth), rgb=np.ones((*shape, 3), np.uint8))
    kept = assert_same(*both(seen, **{'points.max_edge': share}))
    np.testing.assert_array_equal(kept, np.isfinite(depth) & ~is_flying(depth, share))


def test_a_plane_at_a_grazing_angle_stays() -> None:
    rows = np.arange(1, HEIGHT + 1, dtype=np.float32)[:, None]
    depth = np.tile(30.0 / rows, (1, WIDTH))
    assert assert_same(*both(view(depth_m=depth), **{'points.stride': 2})).mean() > 0.9


def test_every_colour_comes_back_from_what_the_network_saw() -> None:
    levels = np.arange(3 * 256, dtype=np.uint16).reshape(16, 16, 3) * 5 % 256
    assert all(len(np.unique(levels[..., i])) == 256 for i in range(3))
    depth = np.ones((16, 16), np.float32)
    assert_same(*both(view(depth_m=depth, confidence=depth, rgb=levels.astype(np.uint8))))


def test_the_content_of_a_letterbox() -> None:
    """Its border is the image's: nothing is taken from what is beyond."""
    seen = view().within(Content(left=7, top=3, width=29, height=22))
    assert seen.on_device.depth.shape == seen.depth_m.shape == (22, 29)
    assert not seen.on_device.depth.is_contiguous()
    assert_same(*both(seen))
    assert_same(*both(seen, **{'points.stride': 3}))


def test_points_without_a_pose_stay_with_the_camera() -> None:
    assert_same(*both(view(map_from_camera=None), **{'points.frame': 'map'}))


def test_buffers_follow_the_size_and_messages_have_their_own_bytes() -> None:
    config, points = NodeConfig(), DevicePoints()
    seen = [view(seed) for seed in (0, 1)] + [view().within(Content(0, 0, 20, 20)), view()]
    made = [
        (
            view_to_cloud(v, published_depth(v.depth_m, v.confidence, config.depth), config, ''),
            view_to_cloud(v, v.depth_m, config, '', points),
        )
        for v in seen
    ]
    for plain, device in made:
        assert_same(plain, device)


class DeviceEngine(fake_engine.FakeEngine):
    """A fake whose views have tensors of a device."""

    def _view(self, *args: Any) -> View:
        return on_device(super()._view(*args), DEVICE)


def test_the_node_publishes_the_same_cloud(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    of = DevicePoints.of
    monkeypatch.setattr(DevicePoints, 'of', lambda *args: made.append(1) or of(*args))
    clouds = []
    for engine in (fake_engine.FakeEngine, DeviceEngine):
        rig = make_rig(engine=engine, parameters={'points.frame': 'map'})
        rig.listen('points')
        rig.send_info()
        rig.send()
        clouds.append(rig.heard('points')[0])
        assert len(made) == (engine is DeviceEngine)
        rig.node.worker.pause()
    clouds[0].header = clouds[1].header
    assert 0 < assert_same(*clouds).mean() < 1
