"""Operations are counted as PyTorch counts them."""

from collections.abc import Callable

from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.flops import FlopCounter
from da3_ros.model.presets import GIANT, LARGE, ModelConfig, SMALL
import pytest
import torch
from torch.nn.attention import sdpa_kernel, SDPBackend
from torch.utils.flop_counter import FlopCounterMode

TINY = ModelConfig(
    name='tiny',
    embed_dim=128,
    depth=10,
    heads=2,
    out_layers=(3, 5, 7, 9),
    alt_start=2,
    qk_norm_start=2,
    rope_start=2,
    head_features=16,
    head_channels=(8, 16, 16, 24),
)
GRID = (3, 5)
VIEWS, DENSE = 4, 2


def counted(function: Callable[[], object]) -> int:
    # PyTorch does not count its fused attention on a CPU.
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH):
        with FlopCounterMode(display=False) as mode:
            function()
    return mode.get_total_flops()


def test_counts_are_pytorchs() -> None:
    net, counter = AnyViewNetwork(TINY).eval(), FlopCounter(TINY, GRID)
    backbone = net.backbone
    images = torch.randn(1, VIEWS, 3, 14 * GRID[0], 14 * GRID[1])
    with torch.inference_mode():
        tokens = backbone.prefix(images).tokens
        roles = backbone.role_tokens(torch.zeros(1, dtype=torch.long), VIEWS)
        entered = backbone.enter(tokens, roles, GRID)
        reading = backbone.read(entered, torch.arange(DENSE), GRID)
        features = tuple(x.flatten(0, 1) for x in reading.features)
    assert counter.prefix(VIEWS) == counted(lambda: backbone.prefix(images))
    assert counter.enter(VIEWS) == counted(lambda: backbone.enter(tokens, roles, GRID))
    assert counter.mix(VIEWS, DENSE) == counted(
        lambda: backbone.read(entered, torch.arange(DENSE), GRID)
    )
    assert counter.cameras(VIEWS) == counted(lambda: net.camera_decoder(reading.cameras))
    assert counter.depth(DENSE) == counted(
        lambda: net.head.depth(net.head.pyramid(features, GRID), GRID)
    )


def test_window_is_the_whole_trunk() -> None:
    net, counter = AnyViewNetwork(TINY).eval(), FlopCounter(TINY, GRID)
    tokens = torch.randn(1, VIEWS, counter.tokens, TINY.embed_dim)
    roles = torch.randn(1, VIEWS, TINY.embed_dim)
    suffix = counted(lambda: net.backbone.suffix(tokens, roles, GRID))
    assert counter.window(VIEWS) - counter.prefix(VIEWS) == suffix


@pytest.mark.parametrize(
    ('config', 'prefix', 'trunk', 'depth'),
    [(SMALL, 13.7, 62.9, 11.5), (LARGE, 163.1, 606.7, 150.7), (GIANT, 573.5, 2075.1, 154.9)],
    ids=lambda x: getattr(x, 'name', None),
)
def test_known_counts(config: ModelConfig, prefix: float, trunk: float, depth: float) -> None:
    """A view in a window of eight, 504x280, in GFLOP; the official head needs a little more."""
    counter = FlopCounter(config, (20, 36))
    assert counter.prefix(1) / 1e9 == pytest.approx(prefix, abs=0.06)
    assert counter.window(8) / 8e9 == pytest.approx(trunk, abs=0.06)
    assert counter.depth(1) / 1e9 == pytest.approx(depth, abs=0.11)
