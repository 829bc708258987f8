"""What the tests on a GPU share: networks with weights that matter, and pictures with truth."""

from collections.abc import Callable, Iterator

from da3_ros.engine.runner import WindowView
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.presets import ModelConfig
from doubles.random_weights import CUDA, randomise
import pytest
import torch
from torch import nn


@pytest.fixture(scope='session')
def network_of() -> Callable[..., AnyViewNetwork]:
    """Return a function: constants, dtype -> a network of ours on the GPU."""

    def make(config: ModelConfig, dtype: torch.dtype = torch.float32) -> AnyViewNetwork:
        with CUDA:
            net = AnyViewNetwork(config)
        return randomise(net, 0).store_for_inference(dtype, CUDA).eval().requires_grad_(False)

    return make


@pytest.fixture
def exact() -> Iterator[None]:
    """Let float32 be float32: no TF32 in convolutions."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


@pytest.fixture(scope='session')
def view_of() -> Callable[..., WindowView]:
    """Return a function: key, height, width -> a view of blobs over noise."""

    def make(key: int, height: int = 126, width: int = 168) -> WindowView:
        generator = torch.Generator().manual_seed(key)
        blobs = torch.randn(1, 3, 3, 4, generator=generator)
        image = nn.functional.interpolate(blobs, (height, width), mode='bicubic')[0]
        image = image + 0.3 * torch.randn(3, height, width, generator=generator)
        return WindowView(key, 'front', key, image.to(CUDA))

    return make
