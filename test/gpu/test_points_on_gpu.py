"""Points made on a GPU are those that NumPy makes, also while its network is at work."""

import threading

from da3_ros.config import NodeConfig
from da3_ros.engine import Frame, StreamingEngine, View
from da3_ros.engine.device_points import DevicePoints
from da3_ros.evaluation.courses import corridor
from da3_ros.evaluation.simulator import NetworkSimulator, Noise
from da3_ros.geometry.cameras import Distortion
from da3_ros.parameter_tree import replaced
from doubles.device_views import on_device
import numpy as np
import pytest
import torch

pytestmark = pytest.mark.gpu
pytest.importorskip('sensor_msgs')

from da3_ros.ros.clouds import view_to_cloud  # noqa: E402
from da3_ros.ros.convert import published_depth  # noqa: E402

K = np.array([[400.0, 0.0, 252.0], [0.0, 400.0, 140.0], [0.0, 0.0, 1.0]])
PARAMETERS = [
    {},
    {'points.frame': 'map', 'points.stride': 2, 'points.max_range': 6.0},
    {'points.layout': 'compact', 'points.min_confidence': 1.5, 'depth.max_range': 5.0},
]


def noisy_view(seed: int) -> View:
    """Return a view with edges everywhere in its upper half."""
    rng = np.random.default_rng(seed)
    depth = rng.uniform(2.0, 2.02, (280, 504))
    depth[:140] = np.exp(np.cumsum(rng.normal(0, 0.05, (140, 504)), axis=1))
    depth[rng.random(depth.shape) < 0.02] = np.nan
    return View(
        camera='',
        stamp_ns=seed,
        depth_m=depth.astype(np.float32),
        confidence=rng.uniform(1, 4, depth.shape).astype(np.float32),
        rgb=rng.integers(0, 256, (*depth.shape, 3), dtype=np.uint8),
        intrinsics=K,
        map_from_camera=np.eye(4),
        pose_covariance=None,
        is_keyframe=False,
    )


def assert_same_points(view: View, parameters: dict[str, object], points: DevicePoints) -> None:
    """Assert that both paths make one cloud, to rounding; at limits, a point in 10,000 apart."""
    config = replaced(NodeConfig(), parameters)
    depth_m = published_depth(view.depth_m, view.confidence, config.depth)
    plain = view_to_cloud(view, depth_m, config, 'camera')
    device = view_to_cloud(view, depth_m, config, 'camera', points)
    if config.points.layout == 'compact':
        assert abs(plain.width - device.width) <= 1e-4 * plain.width
        if plain.width != device.width:
            return
    assert (plain.height, plain.width, plain.header) == (
        device.height,
        device.width,
        device.header,
    )
    expected, got = (np.frombuffer(c.data, np.float32).reshape(-1, 4) for c in (plain, device))
    np.testing.assert_array_equal(got[:, 3].view(np.int32), expected[:, 3].view(np.int32))
    close = np.isclose(got[:, :3], expected[:, :3], rtol=1e-5, atol=1e-5, equal_nan=True)
    assert close.all(axis=1).mean() >= 1 - 1e-4


@pytest.mark.parametrize('parameters', PARAMETERS)
def test_points_of_tensors(parameters: dict[str, object]) -> None:
    points = DevicePoints()
    for seed in range(3):
        assert_same_points(on_device(noisy_view(seed), 'cuda'), parameters, points)


def test_points_beside_work_on_another_stream() -> None:
    """Made before that is over: nobody waits for the network of the next frame."""
    seen, points = on_device(noisy_view(0), 'cuda'), DevicePoints()
    assert_same_points(seen, {}, points)
    torch.cuda.synchronize()
    work, end = torch.randn(8192, 8192, device='cuda'), torch.cuda.Event()
    for _ in range(40):
        work @ work
    end.record()
    made = points.of(seen.on_device, K, None, NodeConfig())
    assert not end.query()
    assert np.isfinite(made[..., 2]).any()
    torch.cuda.synchronize()


@pytest.mark.parametrize('lens', [None, Distortion('plumb_bob', (0.4, 0.1, 0.0, 0.0, 0.0))])
def test_points_of_a_stream_made_by_another_thread(lens: Distortion | None) -> None:
    """Views as they leave the engine, each let go while the next is made; dark borders, too."""
    truth = corridor(30, laps=0.2).truth
    config = replaced(NodeConfig(), {'device': 'cuda', 'resolution': 84})
    engine = StreamingEngine(config, NetworkSimulator(truth, Noise()), on_device=True)
    engine.warm_up(84, 56)
    points, failures, k = DevicePoints(), [], np.array([[54.0, 0, 42], [0, 54, 28], [0, 0, 1]])

    def check(view: View) -> None:
        try:
            assert view.on_device.depth.is_cuda
            for parameters in PARAMETERS:
                assert_same_points(view, parameters, points)
        except AssertionError as error:
            failures.append(error)

    thread = None
    for stamp in sorted(truth.poses['']):
        rgb = np.random.default_rng(stamp % 2**32).integers(0, 256, (56, 84, 3), dtype=np.uint8)
        (view,) = engine.push([Frame('', stamp, rgb, k, distortion=lens)]).views
        assert np.isnan(view.depth_m).any() == (lens is not None)
        if thread is not None:
            thread.join()
        thread = threading.Thread(target=check, args=(view,))
        thread.start()
    thread.join()
    assert failures == []
