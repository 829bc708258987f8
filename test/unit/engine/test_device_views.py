"""What of a view stays on the device is what is published of it; only who asks has it there."""

from pathlib import Path

import da3_ros
from da3_ros.config import EngineConfig
from da3_ros.engine import Frame, make_engine, SingleViewEngine, StreamingEngine, View
from da3_ros.engine.device_points import makes_points
from da3_ros.evaluation.courses import corridor
from da3_ros.evaluation.simulator import NetworkSimulator
from da3_ros.model.presets import IMAGE_MEAN, IMAGE_STD
from da3_ros.model.single_view import SingleViewNetwork
from da3_ros.parameter_tree import replaced
from doubles.miniatures import TINY_METRIC
import numpy as np
import pytest
import torch

CONFIG = replaced(EngineConfig(), {'device': 'cpu', 'resolution': 84})
# One of the window's shape, and one that lies in a letterbox.
SIZES = {'front': (84, 56), 'tall': (120, 160)}
K = {
    name: np.array([[0.7 * w, 0, w / 2], [0, 0.7 * w, h / 2], [0, 0, 1]])
    for name, (w, h) in SIZES.items()
}


@pytest.fixture
def _as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the CPU, and Triton's interpreter, for a GPU."""
    pytest.importorskip('triton')
    for module in ('publication', 'single_view'):
        monkeypatch.setattr(f'da3_ros.engine.{module}.makes_points', lambda _: True)


def frames(stamp_ns: int) -> list[Frame]:
    rng = np.random.default_rng(stamp_ns % 2**32)
    pictures = {n: rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for n, (w, h) in SIZES.items()}
    return [Frame(name, stamp_ns, rgb, K[name]) for name, rgb in pictures.items()]


def streaming(**parts: object) -> tuple[StreamingEngine, list[int]]:
    truth = corridor(4, laps=0.03).truth
    stamps = sorted(truth.poses[''])
    truth.poses.update(dict.fromkeys(SIZES, truth.poses['']))
    return StreamingEngine(CONFIG, NetworkSimulator(truth), **parts), stamps


def single_view(**parts: object) -> SingleViewEngine:
    net = SingleViewNetwork(TINY_METRIC).eval()
    net.source_name, net.is_trained, net.licence = 'tiny', True, ''
    return SingleViewEngine(CONFIG, net, **parts)


def assert_the_same(view: View) -> None:
    """Assert that the tensors are the arrays."""
    kept = view.on_device
    np.testing.assert_allclose(kept.scale * kept.depth.numpy(), view.depth_m, rtol=3e-7)
    np.testing.assert_array_equal(kept.confidence.numpy(), view.confidence)
    mean, std = (np.array(x)[:, None, None] for x in (IMAGE_MEAN, IMAGE_STD))
    rgb = np.rint(255 * (kept.image.numpy() * std + mean)).transpose(1, 2, 0)
    np.testing.assert_array_equal(rgb, view.rgb)


@pytest.mark.usefixtures('_as_on_a_gpu')
def test_tensors_are_the_published_arrays() -> None:
    """In metres, without the padding of a letterbox; also of what became a keyframe."""
    engine, stamps = streaming(on_device=True)
    engine.warm_up(84, 56)
    for stamp in stamps:
        for view in engine.push(frames(stamp)).views:
            assert_the_same(view)
    assert view.camera == 'tall' and view.depth_m.shape == (56, 42)
    assert view.on_device.depth.shape == (56, 42)


@pytest.mark.usefixtures('_as_on_a_gpu')
def test_single_views() -> None:
    engine = single_view(on_device=True)
    engine.warm_up(84, 56)
    for view in engine.push(frames(1)).views:
        assert_the_same(view)


@pytest.mark.usefixtures('_as_on_a_gpu')
def test_nothing_is_kept_on_the_device_for_who_did_not_ask() -> None:
    engine, stamps = streaming()
    updates = [engine.push(frames(stamp)) for stamp in stamps]
    updates.append(single_view().push(frames(1)))
    assert all(view.on_device is None for update in updates for view in update.views)


def test_nothing_is_kept_where_there_is_no_gpu() -> None:
    assert not makes_points(torch.device('cpu'))
    engine = make_engine(replaced(CONFIG, {'model': 'embedded'}), on_device=True)
    (view,) = engine.push(frames(1)[:1]).views
    assert view.on_device is None


def test_only_the_node_asks() -> None:
    """What tools, benchmarks and recordings keep of a stream pins no memory of a GPU."""
    root = Path(da3_ros.__file__).parent
    sources = [*root.rglob('*.py'), *(root.parent / 'benchmarks').rglob('*.py')]
    asking = [s.relative_to(root).as_posix() for s in sources if 'on_device=True' in s.read_text()]
    assert asking == ['ros/node.py']
