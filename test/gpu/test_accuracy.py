"""The accuracy contract of half precision, on trained and on random weights."""

from collections.abc import Callable
import dataclasses

from da3_ros.engine.graph_runner import GraphRunner
from da3_ros.engine.runner import EagerRunner, WindowView
from da3_ros.model import load_model
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.layout import live_keys, PREFIX
from da3_ros.model.presets import PRESETS
from da3_ros.tools.bench_subjects import load_official
from da3_ros.training.assessment import synthetic_windows
from da3_ros.training.data import normalise
from doubles.random_weights import CUDA, randomise
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
import torch

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize(('dtype', 'of_views'), [(torch.bfloat16, 0.8), (torch.float16, 1.0)])
def test_embedded_on_held_out_pictures(dtype: torch.dtype, of_views: float, exact: None) -> None:
    """
    Depth to 2 % (99 of 100 pixels), rotation to 0.3 degrees, centres to 1 % of the depth.

    In bfloat16, which the embedded model is run in only if asked for, some windows turn by more:
    0.5 degrees were seen, with the plain blocks too. It is four views of five there.
    """
    windows, turns = normalise(synthetic_windows(8, 4, CUDA).images), []
    reference = EagerRunner(load_model('embedded', CUDA))
    runner = GraphRunner(load_model('embedded', CUDA, dtype), views=4)
    for w, images in enumerate(windows):
        views = [WindowView(10 * w + i, '', i, image) for i, image in enumerate(images)]
        got, expected = runner.infer(views), reference.infer(views)
        errors = ((got.depth - expected.depth).abs() / expected.depth).flatten()
        assert torch.quantile(errors, 0.99) <= 0.02
        rotations = (x.window_from_camera[:, :3, :3] for x in (got, expected))
        turn = Rotation.from_matrix(next(rotations)).inv() * Rotation.from_matrix(next(rotations))
        turns += np.degrees(turn.magnitude()).tolist()
        centres = got.window_from_camera[:, :3, 3] - expected.window_from_camera[:, :3, 3]
        depth = expected.depth.median().item()
        assert np.linalg.norm(centres, axis=1).max() <= 0.01 * depth
    assert np.quantile(turns, of_views) <= 0.3


def official_depths(
    model: str, images: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, AnyViewNetwork]:
    """Return its depth in float32 and under its own autocast, and our network of its weights."""
    official = load_official(None)(model, CUDA)
    if official is None:
        pytest.skip('the official network is not installed')
    randomise(official, 1)
    # The network itself was made outside: parameters made in inference mode stay in it.
    with torch.inference_mode():
        torch.backends.cudnn.allow_tf32 = False
        reference = official(images, ref_view_strategy='first').depth[0]
        torch.backends.cudnn.allow_tf32 = True  # PyTorch's default, which its heads run in
        with torch.autocast('cuda', torch.bfloat16):
            theirs = official(images, ref_view_strategy='first').depth[0]
    with torch.device('meta'):
        ours = AnyViewNetwork(dataclasses.replace(PRESETS[model], has_gaussians=False))
    state = official.state_dict()
    ours.load_state_dict(
        {name: state[key[len(PREFIX) :]] for key, name in live_keys(ours).items()}, assign=True
    )
    return reference, theirs, ours.eval().requires_grad_(False)


@pytest.mark.parametrize('model', ['large', 'giant'])
def test_random_weights_are_as_exact_as_the_official_autocast(
    model: str, view_of: Callable, exact: None
) -> None:
    views = [view_of(key, 140, 252) for key in range(4)]
    images = torch.stack([view.image for view in views])[None]
    reference, theirs, net = official_depths(model, images)

    def error(depth: torch.Tensor) -> float:
        errors = ((depth - reference).abs() / reference).flatten().float()
        return torch.quantile(errors, 0.99).item()

    runner = GraphRunner(net.store_for_inference(torch.bfloat16, CUDA), views=4)
    ours = error(torch.stack(list(runner.infer(views).depth)).to(reference.device))
    print(
        f'\n{model}: p99 of depth against float32: ours {ours:.4f}, official {error(theirs):.4f}'
    )
    assert 0 < ours <= 1.25 * error(theirs)
