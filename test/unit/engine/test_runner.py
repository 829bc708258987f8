"""The eager runner gives what the network says, and gives the network what is known."""

import dataclasses

from da3_ros.config import EngineConfig
from da3_ros.engine import Frame, StreamingEngine
from da3_ros.engine.runner import EagerRunner, WindowView
from da3_ros.geometry.transforms import invert, rigid
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.presets import PRESETS
from da3_ros.parameter_tree import replaced
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
import torch

K = np.array([[40.0, 0.0, 28.0], [0.0, 40.0, 21.0], [0.0, 0.0, 1.0]])


@pytest.fixture(scope='module')
def net() -> AnyViewNetwork:
    torch.manual_seed(0)
    return AnyViewNetwork(PRESETS['embedded']).eval()


@pytest.fixture
def views() -> list[WindowView]:
    generator = torch.Generator().manual_seed(1)
    return [
        WindowView(i, 'front', i, torch.randn(3, 42, 56, generator=generator)) for i in range(3)
    ]


def posed(views: list[WindowView]) -> list[WindowView]:
    poses = [
        rigid(Rotation.from_rotvec([0, 0.2 * i, 0]).as_matrix(), np.array([1.0 * i, 0.3, 2.0]))
        for i in range(len(views))
    ]
    return [
        dataclasses.replace(v, intrinsics=K, world_from_camera=p)
        for v, p in zip(views, poses, strict=True)
    ]


def test_prediction_is_the_networks_with_the_first_view_as_reference(net, views) -> None:
    with torch.inference_mode():
        expected = net(torch.stack([v.image for v in views])[None], reference='first')
    got = EagerRunner(net).infer(views)
    torch.testing.assert_close(got.depth, expected.depth[0])
    torch.testing.assert_close(got.confidence, expected.depth_conf[0])
    np.testing.assert_allclose(got.intrinsics, expected.intrinsics[0], rtol=1e-6)
    camera_from_window = expected.camera_from_world[0].numpy()
    np.testing.assert_allclose(
        invert(got.window_from_camera)[:, :3], camera_from_window, atol=1e-6
    )
    rotations = got.window_from_camera[:, :3, :3]
    np.testing.assert_allclose(
        rotations @ np.swapaxes(rotations, 1, 2), np.tile(np.eye(3), (3, 1, 1)), atol=1e-5
    )


def test_source_views_have_no_order(net, views) -> None:
    runner = EagerRunner(net)
    first, swapped = runner.infer(views), runner.infer([views[0], views[2], views[1]])
    torch.testing.assert_close(swapped.depth, first.depth[[0, 2, 1]], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(runner.infer(views[::-1]).depth.flip(0), first.depth, rtol=1e-3)


def test_known_poses_reach_the_network_only_when_every_view_has_one(net, views) -> None:
    runner = EagerRunner(net)
    unposed = runner.infer(views).depth
    known = posed(views)
    assert not torch.allclose(runner.infer(known).depth, unposed, rtol=1e-3)
    torch.testing.assert_close(runner.infer([known[0], known[1], views[2]]).depth, unposed)


def test_known_poses_count_only_relative_to_the_reference(net, views) -> None:
    runner = EagerRunner(net)
    known = posed(views)
    other_world = rigid(Rotation.from_rotvec([1.0, 0.5, 0.1]).as_matrix(), np.array([5.0, 1, 2]))
    moved = [
        dataclasses.replace(v, world_from_camera=other_world @ v.world_from_camera) for v in known
    ]
    torch.testing.assert_close(
        runner.infer(moved).depth, runner.infer(known).depth, rtol=1e-3, atol=1e-4
    )


def test_engine_runs_the_named_model_at_its_own_resolution() -> None:
    engine = StreamingEngine(replaced(EngineConfig(), {'device': 'cpu', 'window.size': 2}))
    engine.warm_up()
    rgb = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    view = engine.push([Frame('front', 1, rgb)]).views[0]
    assert engine.model_name == 'embedded'
    assert view.depth_m.shape == view.confidence.shape == view.rgb.shape[:2] == (168, 224)
    assert np.isfinite(view.depth_m).all()
    assert view.confidence.min() >= 1
