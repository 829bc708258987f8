"""The fused dense heads compute what the plain ones do; see test_fused for where they can."""

import pytest
import torch

IS_GPU = torch.cuda.is_available()
pytest.importorskip('triton')

from copy import deepcopy  # noqa: E402
import dataclasses  # noqa: E402

from da3_ros.engine.graph_runner import GraphRunner  # noqa: E402
from da3_ros.engine.runner import WindowView  # noqa: E402
from da3_ros.model import dpt_head  # noqa: E402
from da3_ros.model.da3 import AnyViewNetwork  # noqa: E402
from da3_ros.model.dpt_head import DepthOutput, DptHead, DualDptHead  # noqa: E402
from da3_ros.model.fused_head import _spread, fuse_dense, fuse_head  # noqa: E402
from da3_ros.model.head_kernels import (  # noqa: E402
    add,
    add_and_relu,
    add_relu,
    channels_last,
    join,
    output,
    resize,
)
from da3_ros.model.presets import ModelConfig  # noqa: E402
from da3_ros.model.single_view import SkyDptHead  # noqa: E402
from da3_ros.model.tables import uv_axes  # noqa: E402
from doubles.miniatures import TINY, TINY_MONO  # noqa: E402
from torch import nn  # noqa: E402

pytestmark = pytest.mark.gpu if IS_GPU else []
DEVICE = torch.device('cuda' if IS_GPU else 'cpu')
HALF = torch.float16


@pytest.fixture(autouse=True)
def _exact() -> None:
    """Let float32 be float32 on a GPU too."""
    torch.manual_seed(0)
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def randn(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, device=DEVICE).to(dtype)


def image(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return channels_last(randn(*shape, dtype=dtype))


def tolerance(dtype: torch.dtype) -> dict[str, float]:
    value = 1e-5 if dtype == torch.float32 else 4e-3
    return {'rtol': value, 'atol': value}


@pytest.mark.parametrize('dtype', [HALF, torch.float32])
@pytest.mark.parametrize('channels', [24, 64])
@pytest.mark.parametrize(
    'sizes',
    [((3, 4), (6, 7)), ((5, 3), (10, 41)), ((4, 6), (4, 6)), ((1, 2), (3, 1)), ((9, 8), (5, 4))],
    ids=str,
)
def test_resize(sizes: tuple, channels: int, dtype: torch.dtype) -> None:
    before, after = sizes
    x, bias = image(2, channels, *before, dtype=dtype), randn(channels, dtype=dtype)
    uv = uv_axes(channels, *after, 1.3, DEVICE, dtype)
    plain = dpt_head.resize(x.float(), after)
    got = resize(x, after)
    assert got.is_contiguous(memory_format=torch.channels_last) and got.dtype == dtype
    torch.testing.assert_close(got.float(), plain, **tolerance(dtype))
    expected = dpt_head.add_uv_embedding(plain + bias[:, None, None], 1.3)
    got = resize(x, after, bias, uv)
    torch.testing.assert_close(got.float(), expected, **tolerance(dtype))


@pytest.mark.parametrize('dtype', [HALF, torch.float32])
def test_what_follows_a_convolution(dtype: torch.dtype) -> None:
    x, first, second = (image(2, 48, 5, 7, dtype=dtype) for _ in range(3))
    bias = randn(48, dtype=dtype)
    biased = x.float() + bias.float()[:, None, None]
    for terms in ((), (first,), (first, second)):
        expected = biased + sum(term.float() for term in terms)
        torch.testing.assert_close(
            add(x.clone(), bias, *terms).float(), expected, **tolerance(dtype)
        )
        both = add_and_relu(x.clone(), bias, *terms)
        torch.testing.assert_close(both[0].float(), expected, **tolerance(dtype))
        assert torch.equal(both[1], both[0].relu())
    got = add_relu(x.clone(), bias)
    torch.testing.assert_close(got.float(), biased.relu(), **tolerance(dtype))


def test_sums_are_in_place_where_they_can_be() -> None:
    x, bias = image(1, 8, 2, 3), randn(8)
    assert add(x, bias).data_ptr() == x.data_ptr() == add_relu(x, bias).data_ptr()
    dense = randn(1, 8, 2, 3)
    before = dense.clone()
    torch.testing.assert_close(add(dense, bias), before + bias[:, None, None])
    assert torch.equal(dense, before)


@pytest.mark.parametrize('dtype', [HALF, torch.float32])
@pytest.mark.parametrize('channels', [1, 2])
def test_output(channels: int, dtype: torch.dtype) -> None:
    plain = DepthOutput(16, channels).to(DEVICE).requires_grad_(False)
    plain.conv.to(dtype)
    x = image(2, 16, 6, 9, dtype=dtype)
    expected = plain(x)
    convolved = nn.functional.conv2d(x, plain.conv.weight, padding=1)
    got = output(convolved, plain.conv.bias, plain.last)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, expected, **tolerance(dtype))


@pytest.mark.parametrize('side', [2, 4])
def test_transposed_convolution_as_a_product(side: int) -> None:
    layer = nn.ConvTranspose2d(8, 8, side, side).to(DEVICE).requires_grad_(False)
    layer.to(memory_format=torch.channels_last)
    x = image(2, 8, 3, 5)
    torch.testing.assert_close(_spread(layer, x), layer(x), **tolerance(torch.float32))


@pytest.mark.parametrize('views', [[2], [2, 0, 1]])
@pytest.mark.parametrize('is_asked', [False, True])
def test_patches_of_a_tap(views: list[int], is_asked: bool) -> None:
    backbone = AnyViewNetwork(TINY).backbone.to(DEVICE).requires_grad_(False)
    backbone.norm.weight.normal_(1, 0.3)
    backbone.norm.bias.normal_()
    local, mixed = randn(2, 3, 7, 64), 3 + randn(2, 3, 7, 64)
    if is_asked:
        mixed = mixed[:, : len(views), 1:].contiguous()
    views = torch.tensor(views, device=DEVICE)
    expected = backbone.tap_patches(local, mixed, views)
    got = join(local, mixed, views, backbone.norm)
    torch.testing.assert_close(got, expected, **tolerance(torch.float32))


def head_of(kind: type[DptHead], config: ModelConfig, dtype: torch.dtype) -> DptHead:
    """Return a head in which every part matters."""
    head = kind(config)
    for name, parameter in head.named_parameters():
        if parameter.ndim >= 2:
            parameter.data.normal_(std=parameter[0].numel() ** -0.5)
        else:
            parameter.data.normal_(1.0 if 'norm.weight' in name else 0.0, 0.2)
    for name, module in head.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and not name.endswith('output.last'):
            module.to(dtype)
    return head.to(DEVICE).eval().requires_grad_(False)


# The convolutions of a CPU are in float32; in half precision the rounding adds up.
DTYPES = [torch.float32, HALF] if IS_GPU else [torch.float32]


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('images', [1, 3])
def test_head_of_any_view_networks(images: int, dtype: torch.dtype) -> None:
    """Depth, and the plain ray branch behind the fused pyramid."""
    config = dataclasses.replace(TINY, head_features=32)
    plain = head_of(DualDptHead, config, dtype)
    fused = fuse_head(deepcopy(plain))
    grid = 3, 5
    taps = tuple(randn(images, 15, config.tap_dim) for _ in range(4))
    near = {'rtol': 1e-4, 'atol': 1e-4} if dtype == torch.float32 else {'rtol': 0.03, 'atol': 0.03}
    pyramids = plain.pyramid(taps, grid), fused.pyramid(taps, grid)
    for expected, got in zip(*pyramids, strict=True):
        torch.testing.assert_close(got, expected, **near)
    for branch in ('depth', 'rays'):
        expected = getattr(plain, branch)(pyramids[0], grid)
        got = getattr(fused, branch)(pyramids[1], grid)
        assert got.values.shape == expected.values.shape
        torch.testing.assert_close(tuple(got), tuple(expected), **near)


@pytest.mark.parametrize('dtype', DTYPES)
def test_head_of_single_view_networks(dtype: torch.dtype) -> None:
    config = dataclasses.replace(TINY_MONO, head_features=32)
    plain = head_of(SkyDptHead, config, dtype)
    fused = fuse_head(deepcopy(plain))
    taps = tuple(randn(2, 12, config.tap_dim) for _ in range(4))
    near = {'rtol': 1e-4, 'atol': 1e-4} if dtype == torch.float32 else {'rtol': 0.03, 'atol': 0.03}
    torch.testing.assert_close(fused(taps, (4, 3)), plain(taps, (4, 3)), **near)


def test_a_fused_head_may_be_used_again() -> None:
    """Nothing that it was given, or gave before, is written over."""
    fused = fuse_head(head_of(DualDptHead, TINY, torch.float32))
    taps = tuple(randn(1, 6, TINY.tap_dim) for _ in range(4))
    pyramid = fused.pyramid(taps, (2, 3))
    first = fused.depth(pyramid, (2, 3))
    kept = first.values.clone()
    again = fused.depth(pyramid, (2, 3))
    assert torch.equal(first.values, kept) and torch.equal(again.values, kept)


def test_network_with_a_fused_head() -> None:
    """Captured or not, a runner takes both as they are."""
    plain = AnyViewNetwork(TINY).to(DEVICE).eval().requires_grad_(False)
    fused = deepcopy(plain)
    fuse_dense(fused)
    views = [WindowView(key, '', key, randn(3, 28, 42)) for key in range(3)]
    expected, got = (GraphRunner(net, 3, graphs=False).infer(views, [2]) for net in (plain, fused))
    near = {'rtol': 1e-3, 'atol': 1e-4, 'equal_nan': True}
    torch.testing.assert_close(got.depth, expected.depth, **near)
    torch.testing.assert_close(got.confidence, expected.confidence, **near)
