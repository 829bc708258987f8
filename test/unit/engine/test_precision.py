"""Half precision is as good as it has to be on the network that ships with the package."""

from da3_ros.engine.graph_runner import GraphRunner
from da3_ros.engine.runner import EagerRunner, WindowView
from da3_ros.model import load_model
from da3_ros.training.assessment import synthetic_windows
from da3_ros.training.data import normalise
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
import torch


@pytest.fixture(scope='module')
def views() -> list[WindowView]:
    images = normalise(synthetic_windows(1, 3, torch.device('cpu')).images)[0]
    return [WindowView(i, '', i, image) for i, image in enumerate(images)]


@pytest.mark.parametrize(('dtype', 'depth_error'), [(torch.bfloat16, 0.02), (torch.float32, 1e-4)])
def test_fast_path_against_the_plain_one(
    views: list[WindowView], dtype: torch.dtype, depth_error: float
) -> None:
    """Depth to 2 % (99 of 100 pixels), rotation to 0.3 degrees, centres to 1 % of the depth."""
    expected = EagerRunner(load_model('embedded')).infer(views)
    got = GraphRunner(load_model('embedded', dtype=dtype), views=3).infer(views)
    errors = ((got.depth - expected.depth).abs() / expected.depth).flatten()
    assert torch.quantile(errors, 0.99) <= depth_error
    turns = [Rotation.from_matrix(p.window_from_camera[:, :3, :3]) for p in (got, expected)]
    assert np.degrees((turns[0].inv() * turns[1]).magnitude()).max() <= 0.3
    centres = got.window_from_camera[:, :3, 3] - expected.window_from_camera[:, :3, 3]
    assert np.linalg.norm(centres, axis=1).max() <= 0.01 * expected.depth.median().item()


def test_networks_made_in_inference_mode_leave_it_when_cast() -> None:
    """Parameters are either of inference mode or have a version; kernels ask for one of them."""
    with torch.inference_mode():
        net = load_model('embedded')
    net.store_for_inference(torch.float16, torch.device('cpu'))
    for parameter in net.parameters():
        assert parameter.is_inference() or parameter._version >= 0
    assert not net.backbone.patch_embed.weight.is_inference()
