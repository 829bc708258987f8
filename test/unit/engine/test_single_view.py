"""The engine of single-view networks, and which engine a model gets."""

from collections.abc import Callable
from pathlib import Path

from da3_ros.config import EngineConfig
from da3_ros.engine import Frame, make_engine, SingleViewEngine, StreamingEngine, TrackingState
from da3_ros.engine.lenses import Lenses
from da3_ros.engine.networks import load_networks, MetricNetworkRunner
from da3_ros.engine.runner import WindowView
from da3_ros.errors import ConfigError, FrameError
from da3_ros.geometry.cameras import Distortion
from da3_ros.model.presets import ModelConfig, NestedConfig
from da3_ros.model.single_view import SingleViewNetwork
from da3_ros.model.weights import build_network, save_model
from da3_ros.parameter_tree import replaced
from doubles.miniatures import TINY, TINY_METRIC, TINY_MONO, TINY_NESTED
import numpy as np
import pytest
import torch

WIDTH, HEIGHT = 84, 56
K = np.array([[600.0, 0, 42], [0, 600.0, 28], [0, 0, 1]])
CONFIG = EngineConfig(device='cpu', resolution=WIDTH)


class HalfSky(SingleViewNetwork):
    """Depth 3 everywhere, and sky in the upper half."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.source_name, self.is_trained, self.licence = config.name, True, 'Apache-2.0'
        self.head.forward = self._half_sky

    @staticmethod
    def _half_sky(features: tuple, grid: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        shape = len(features[0]), 14 * grid[0], 14 * grid[1]
        sky = torch.zeros(shape)
        sky[:, : shape[1] // 2] = 1.0
        return torch.full(shape, 3.0), sky


def frame(stamp_ns: int = 1, camera: str = '', **fields: object) -> Frame:
    rgb = np.random.default_rng(stamp_ns).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return Frame(camera, stamp_ns, rgb, **fields)


@pytest.fixture
def engine() -> SingleViewEngine:
    return SingleViewEngine(CONFIG, HalfSky(TINY_METRIC).eval())


def test_metres_with_intrinsics_and_no_sky(engine: SingleViewEngine) -> None:
    update = engine.push([frame(intrinsics=K)])
    (view,) = update.views
    assert np.isnan(view.depth_m[: HEIGHT // 2]).all()
    assert np.unique(view.depth_m[HEIGHT // 2 :]).tolist() == [6.0]
    assert view.map_from_camera is None and view.pose_covariance is None
    assert not view.is_keyframe and not update.keyframes_changed and engine.keyframes == ()
    assert view.confidence.shape == view.depth_m.shape and (view.confidence == 1).all()
    np.testing.assert_array_equal(view.intrinsics, K)
    status = engine.status
    assert status is update.status
    assert (status.is_metric, status.scale_source, status.scale) == (True, 'metric_model', 2.0)
    assert (status.state, status.views_in_window) == (TrackingState.TRACKING, 1)


def test_metres_by_the_focal_length_of_the_processed_image(engine: SingleViewEngine) -> None:
    """A camera of twice the size: the network sees half its focal length."""
    rgb = np.zeros((2 * HEIGHT, 2 * WIDTH, 3), np.uint8)
    double = np.diag((2.0, 2.0, 1.0)) @ K
    (view,) = engine.push([Frame('', 1, rgb, intrinsics=double)]).views
    assert view.depth_m[-1, -1] == 6.0


@pytest.mark.parametrize(
    ('network', 'intrinsics'), [(TINY_METRIC, None), (TINY_MONO, K), (TINY_MONO, None)]
)
def test_no_metres_without_a_reason(network: ModelConfig, intrinsics: np.ndarray | None) -> None:
    engine = SingleViewEngine(CONFIG, HalfSky(network).eval())
    (view,) = engine.push([frame(intrinsics=intrinsics)]).views
    assert view.depth_m[-1, -1] == 3.0
    assert (view.intrinsics is None) == (intrinsics is None)
    assert not engine.status.is_metric and engine.status.scale_source == 'none'


def test_cameras_are_metric_together_or_not_at_all(engine: SingleViewEngine) -> None:
    other = np.diag((2.0, 2.0, 1.0)) @ K
    update = engine.push([frame(camera='a', intrinsics=K), frame(camera='b', intrinsics=other)])
    assert [view.camera for view in update.views] == ['a', 'b']
    assert [view.depth_m[-1, -1] for view in update.views] == [6.0, 12.0]
    assert update.status.is_metric
    update = engine.push([frame(2, camera='a', intrinsics=K), frame(2, camera='b')])
    assert [view.depth_m[-1, -1] for view in update.views] == [3.0, 3.0]
    assert not update.status.is_metric


def test_stamps_and_sizes_are_checked_as_in_a_stream(engine: SingleViewEngine) -> None:
    engine.push([frame(2_000_000_000)])
    with pytest.raises(FrameError, match='before the last one'):
        engine.push([frame(1_900_000_000)])
    assert not engine.push([frame(3_000_000_000)]).was_reset
    assert engine.push([frame(1)]).was_reset


def test_there_is_no_map(engine: SingleViewEngine, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='makes no map'):
        engine.save_map(tmp_path)
    assert not engine.has_map and not any(tmp_path.iterdir())
    engine.push([frame()])
    engine.update_map()
    assert engine.keyframes == engine.surfaces() == ()


def test_memory_that_runs_out_costs_a_frame(
    engine: SingleViewEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(engine._net, 'forward', _run_out_of_memory)
        with pytest.raises(FrameError, match='Out of GPU memory') as caught:
            engine.push([frame(1)])
    assert caught.value.reason == 'frame_memory'
    assert len(engine.push([frame(2)]).views) == 1


def _run_out_of_memory(*_: object, **__: object) -> None:
    raise torch.OutOfMemoryError('CUDA out of memory.')


def test_reconfiguration(engine: SingleViewEngine) -> None:
    engine.configure(replaced(CONFIG, {'keyframe.max_overlap': 0.5}))
    with pytest.raises(ConfigError, match="'resolution' cannot change"):
        engine.configure(replaced(CONFIG, {'resolution': 112}))


def test_warm_up_runs_the_network(engine: SingleViewEngine) -> None:
    runs = []
    engine._net.register_forward_hook(lambda *args: runs.append(args))
    engine.warm_up(64, 48)
    assert len(runs) == 1 and not engine.status.is_metric


# -- which engine, which networks -------------------------------------------------------------


@pytest.fixture
def weights(tmp_path: Path) -> Callable[[ModelConfig | NestedConfig], str]:
    """Return a function: constants -> path of random weights."""

    def write(config: ModelConfig | NestedConfig) -> str:
        path = tmp_path / f'{config.name}.safetensors'
        torch.manual_seed(0)
        save_model(build_network(config), path)
        return str(path)

    return write


@pytest.mark.parametrize(
    ('network', 'kind'),
    [(TINY_MONO, SingleViewEngine), (TINY, StreamingEngine), (TINY_NESTED, StreamingEngine)],
    ids=['mono', 'any view', 'nested'],
)
def test_each_model_gets_its_engine(network: object, kind: type, weights: Callable) -> None:
    model = weights(network)
    engine = make_engine(replaced(CONFIG, {'model': model}))
    assert type(engine) is kind
    assert engine.model_name == model
    views = engine.push([frame()]).views
    assert np.isfinite(views[0].depth_m).any()


def test_nested_model_brings_metres(weights: Callable) -> None:
    """Its metric branch is the source of the scale, and works on keyframes alone."""
    config = replaced(CONFIG, {'model': weights(TINY_NESTED)})
    networks = load_networks(config, torch.device('cpu'))
    assert networks.window is networks.named.any_view
    assert networks.metric is networks.named.metric
    engine = make_engine(config)
    status = engine.push([frame(intrinsics=K)]).status
    assert status.is_metric and status.scale_source == 'metric_model'


def test_metric_model_beside_another(weights: Callable) -> None:
    names = {'model': weights(TINY), 'metric_model': weights(TINY_METRIC)}
    networks = load_networks(replaced(CONFIG, names), torch.device('cpu'))
    assert networks.metric.config == TINY_METRIC
    names['metric_model'] = weights(TINY_NESTED)
    assert load_networks(replaced(CONFIG, names), torch.device('cpu')).metric.config == TINY_METRIC
    names['metric_model'] = weights(TINY_MONO)
    with pytest.raises(ConfigError, match='knows no metres'):
        load_networks(replaced(CONFIG, names), torch.device('cpu'))


def test_single_view_model_makes_no_stream(weights: Callable) -> None:
    with pytest.raises(ConfigError, match='sees each view alone'):
        StreamingEngine(replaced(CONFIG, {'model': weights(TINY_MONO)}))


def test_metric_runner_counts_in_the_pixels_of_its_image() -> None:
    view = WindowView(1, '', 1, torch.zeros(3, HEIGHT, WIDTH))
    prediction = MetricNetworkRunner(HalfSky(TINY_METRIC).eval()).infer(view, 0.5 * K)
    assert prediction.depth_m.unique().tolist() == [3.0]
    assert prediction.is_sky[: HEIGHT // 2].all() and not prediction.is_sky[HEIGHT // 2 :].any()


def test_pixels_that_show_nothing_have_no_depth(engine: SingleViewEngine) -> None:
    """Where the lens did not look, once its distortion is taken away."""
    k = np.array([[60.0, 0, 42], [0, 60.0, 28], [0, 0, 1]])
    pincushion = frame(intrinsics=k, distortion=Distortion('plumb_bob', (0.4, 0.1, 0.0, 0.0)))
    (view,) = engine.push([pincushion]).views
    seen = Lenses().seen(pincushion, WIDTH).numpy()
    assert 0 < seen[HEIGHT // 2 :].mean() < 1
    np.testing.assert_array_equal(np.isfinite(view.depth_m[HEIGHT // 2 :]), seen[HEIGHT // 2 :])
