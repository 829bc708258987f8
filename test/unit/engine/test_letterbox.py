"""Cameras of different sizes and aspects in one window: exact numbers, and no depth in padding."""

import itertools

from da3_ros.config import EngineConfig
from da3_ros.engine import Frame, StreamingEngine
from da3_ros.engine.content import Content
from da3_ros.engine.device_preprocess import DevicePreprocess
from da3_ros.engine.letterbox import fit, letterboxed
from da3_ros.engine.preprocess import network_size, preprocess
from da3_ros.errors import InputError
from da3_ros.evaluation.courses import corridor
from da3_ros.evaluation.rigs import rig_truth, ring
from da3_ros.evaluation.simulated_robot import SimulatedRobot
from da3_ros.evaluation.simulator import NetworkSimulator, Noise
from da3_ros.geometry.cameras import scale_intrinsics
from da3_ros.parameter_tree import replaced
import numpy as np
import pytest
import torch

SHAPE = (84, 56)
YAWS = {'front': 0.0, 'left': 40.0, 'tall': -40.0, 'square': 80.0}
# Of the shape, of the same aspect in other pixels, a portrait, and a square.
SIZES = {'front': (84, 56), 'left': (336, 224), 'tall': (120, 160), 'square': (100, 100)}
# Where each is in the shape: by hand, 56 / 160 and 56 / 100 of it.
CONTENTS = {
    'front': None,
    'left': None,
    'tall': Content(21, 0, 42, 56),
    'square': Content(14, 0, 56, 56),
}


def padding_of(content: Content) -> tuple[int, ...]:
    """Return the indices of the pixels that are no picture."""
    is_padding = np.ones(SHAPE[::-1], bool)
    is_padding[content.pixels] = False
    return tuple(np.flatnonzero(is_padding))


@pytest.mark.parametrize('camera', SIZES)
def test_a_picture_is_as_large_as_fits_in_the_middle(camera: str) -> None:
    resolution, content = fit(*SIZES[camera], 84, SHAPE)
    assert content == CONTENTS[camera]
    assert network_size(*SIZES[camera], resolution) == (
        SHAPE if content is None else (content.width, content.height)
    )


def test_any_size_fits_any_shape() -> None:
    sizes = [(640, 480), (1280, 720), (480, 640), (1000, 1000), (2048, 400), (100, 1000)]
    shapes = [(504, 378), (504, 280), (378, 504), (504, 504), (84, 56)]
    for size, shape in itertools.product(sizes, shapes):
        try:
            _, content = fit(*size, max(shape), shape)
        except InputError:  # less than a patch would be left of it
            assert min(shape) * min(size) / max(size) < 14
            continue
        if content is None:
            continue
        assert 0 <= content.left and content.left + content.width <= shape[0]
        assert 0 <= content.top and content.top + content.height <= shape[1]
        touches = content.width > shape[0] - 14 or content.height > shape[1] - 14
        assert touches, (size, shape, content)
        aspect = content.width / content.height / (size[0] / size[1])
        assert abs(np.log(aspect)) < np.log(1.5)
        assert {shape[0] - 2 * content.left - content.width} <= {0, 1}


def test_pixels_and_intrinsics_keep_together() -> None:
    """A white pixel at a known place, and the K that sees it there."""
    rgb = np.zeros((160, 120, 3), np.uint8)
    rgb[80:90, 60:70] = 255
    k = np.array([[100.0, 0.0, 65.0], [0.0, 110.0, 85.0], [0.0, 0.0, 1.0]])
    resolution, content = fit(120, 160, 84, SHAPE)
    prepared = letterboxed(preprocess(rgb, resolution, intrinsics=k), content, SHAPE)
    assert prepared.image.shape == (3, 56, 84) and prepared.rgb.shape == (56, 84, 3)
    expected = np.array([[35.0, 0.0, 21 + 22.75], [0.0, 38.5, 29.75], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(prepared.intrinsics, expected)
    np.testing.assert_allclose(
        content.cut_out(prepared.intrinsics), expected - [[0, 0, 21], [0, 0, 0], [0, 0, 0]]
    )
    bright = prepared.rgb.astype(float).sum(axis=2) * (prepared.rgb.min(axis=2) > 130)
    v, u = np.mgrid[:56, :84] + 0.5
    assert abs((bright * u).sum() / bright.sum() - expected[0, 2]) < 0.7
    assert abs((bright * v).sum() / bright.sum() - expected[1, 2]) < 0.7
    grey = prepared.image[:, :, [0, 20, 63, 83]]
    assert float(grey.abs().max()) < 0.01  # nothing, as the network sees it


def test_the_device_does_the_same() -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (160, 120, 3), dtype=np.uint8)
    resolution, content = fit(120, 160, 84, SHAPE)
    host = letterboxed(preprocess(rgb, resolution), content, SHAPE)
    device = letterboxed(DevicePreprocess(torch.device('cpu'))(rgb, resolution), content, SHAPE)
    assert np.abs(host.rgb.astype(int) - device.rgb).max() <= 1
    assert float((host.image - device.image).abs().max()) < 0.03


def test_cameras_of_all_sizes_are_one_map() -> None:
    """Depth is true at every pixel that is published, K fits it, and padding is not published."""
    matrices = {
        name: np.array([[0.7 * w, 0, w / 2 + 3], [0, 0.7 * w, h / 2 - 2], [0, 0, 1.0]])
        for name, (w, h) in SIZES.items()
    }
    truth = rig_truth(corridor(12, laps=0.1).truth, ring(YAWS), matrices, SIZES)
    robot = SimulatedRobot(truth, has_extrinsics=True)
    network = NetworkSimulator(truth, Noise(min_overlap=0.05))
    config = replaced(EngineConfig(), {'device': 'cpu', 'resolution': 84, 'window.size': 10})
    engine = StreamingEngine(config, network, robot=robot)
    for stamp in sorted(truth.poses['front']):
        update = engine.push(
            [
                Frame(name, stamp, np.zeros((h, w, 3), np.uint8), matrices[name])
                for name, (w, h) in SIZES.items()
            ]
        )
        assert [view.camera for view in update.views] == list(SIZES)
    assert update.status.is_metric and update.status.rig_cameras == 4
    for view in update.views:
        content = CONTENTS[view.camera]
        size = SHAPE if content is None else (content.width, content.height)
        assert view.depth_m.shape == view.confidence.shape == view.rgb.shape[:2] == size[::-1]
        expected = scale_intrinsics(matrices[view.camera], SIZES[view.camera], size)
        np.testing.assert_allclose(view.intrinsics, expected)
        true = truth.depth_m(view.camera, view.stamp_ns, *view.depth_m.shape)
        np.testing.assert_allclose(view.depth_m, true, rtol=0.01)
    paddings = {tuple(np.flatnonzero(~s.depth.isfinite().numpy())) for s in engine.surfaces()}
    expected = [padding_of(content) for content in CONTENTS.values() if content is not None]
    assert paddings == {(), *expected}


def test_intrinsics_of_a_letterbox_may_be_the_networks_own() -> None:
    """They are about the middle of the picture that is published, at its focal length."""
    matrices = {
        name: np.array([[0.7 * w, 0, w / 2], [0, 0.7 * w, h / 2], [0, 0, 1.0]])
        for name, (w, h) in SIZES.items()
    }
    truth = rig_truth(corridor(3, laps=0.02).truth, ring(YAWS), matrices, SIZES)
    config = replaced(EngineConfig(), {'device': 'cpu', 'resolution': 84})
    engine = StreamingEngine(config, NetworkSimulator(truth))
    for stamp in sorted(truth.poses['front']):
        update = engine.push(
            [Frame(name, stamp, np.zeros((h, w, 3), np.uint8)) for name, (w, h) in SIZES.items()]
        )
    (tall,) = [view for view in update.views if view.camera == 'tall']
    np.testing.assert_allclose(tall.intrinsics[:2, 2], [21.0, 28.0], atol=1e-6)
    np.testing.assert_allclose(tall.intrinsics[0, 0], 0.7 * 42, rtol=1e-6)


def test_the_shape_is_that_of_the_first_camera_and_stays() -> None:
    """Also when a camera changes its size, while others go on as they are."""
    truth = corridor(6, laps=0.05).truth
    poses = truth.poses['']
    truth.poses.update({'front': poses, 'left': poses})
    engine = StreamingEngine(
        replaced(EngineConfig(), {'device': 'cpu', 'resolution': 84}), NetworkSimulator(truth)
    )
    stamps = sorted(poses)

    def push(index: int, **sizes: tuple[int, int]) -> list[tuple[int, int]]:
        frames = [
            Frame(name, stamps[index], np.zeros((*size[::-1], 3), np.uint8))
            for name, size in sizes.items()
        ]
        update = engine.push(frames)
        assert not update.was_reset or index == 4
        return [view.depth_m.shape[::-1] for view in update.views]

    assert push(0, front=(84, 56), left=(84, 84))[0] == (84, 56)
    assert push(1, front=(84, 56), left=(84, 84)) == [(84, 56), (56, 56)]
    assert push(2, front=(84, 56), left=(56, 84)) == [(84, 56), (42, 56)]
    assert push(3, left=(56, 84)) == [(42, 56)]
    assert push(4, front=(56, 84), left=(56, 84)) == [(56, 84)] * 2  # a new start
