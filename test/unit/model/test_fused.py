"""The fused kernels compute what the plain modules do; Triton interprets them where no GPU is."""

from importlib.util import find_spec
import os
import sys

import pytest
import torch

IS_GPU = torch.cuda.is_available()
if not IS_GPU and 'triton' not in sys.modules:
    os.environ['TRITON_INTERPRET'] = '1'  # read when Triton is imported
if find_spec('triton') is None or not (IS_GPU or os.environ.get('TRITON_INTERPRET')):
    pytest.skip('Triton is not there, or cannot interpret any more', allow_module_level=True)

from da3_ros.model.fused import FusedBlock  # noqa: E402
from da3_ros.model.kernels import add, add_norm, norm_rotate  # noqa: E402
from da3_ros.model.layers import Block, LayerNorm, Mlp, rotate, SwiGlu  # noqa: E402
from da3_ros.model.tables import global_rope, local_rope  # noqa: E402

pytestmark = pytest.mark.gpu if IS_GPU else []
DEVICE = torch.device('cuda' if IS_GPU else 'cpu')


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def layer_norm(channels: int) -> LayerNorm:
    norm = LayerNorm(channels, eps=1e-5).to(DEVICE).requires_grad_(False)
    norm.weight.normal_(1, 0.3)
    norm.bias.normal_()
    return norm


def randn(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, device=DEVICE).to(dtype)


@pytest.mark.parametrize('channels', [64, 384])
@pytest.mark.parametrize('dtype', [torch.float16, torch.float32])
def test_add_norm(channels: int, dtype: torch.dtype) -> None:
    x, branch, gain = randn(2, 3, channels), randn(2, 3, channels, dtype=dtype), randn(channels)
    norm = layer_norm(channels)
    expected = x + branch * gain
    out, normed = add_norm(x, branch, gain, norm, dtype)
    torch.testing.assert_close(out, expected)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-3
    torch.testing.assert_close(normed, norm(expected).to(dtype), rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(add(x, branch, gain), expected)


def test_norm_of_the_stream_as_it_is() -> None:
    x, norm = 5 + randn(1, 4, 384), layer_norm(384)
    out, normed = add_norm(x, None, None, norm, torch.float32)
    assert out is x
    torch.testing.assert_close(normed, norm(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('heads', [4, 6])
def test_norm_rotate(heads: int) -> None:
    """Of queries that lie between keys and values."""
    qkv = randn(2, 7, 3, heads, 64)
    norm, rope = layer_norm(64), local_rope(2, 3, 64, DEVICE)
    for part in qkv.unbind(2):
        expected = rotate(norm(part.transpose(1, 2)), rope).transpose(1, 2)
        got = norm_rotate(part, norm, rope)
        assert got.is_contiguous()
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_gelu_in_the_product() -> None:
    """On a GPU in its tanh form, which is off by less than 5e-4."""
    block = Block(64, 1, Mlp(64, 128), norm_eps=1e-6).to(DEVICE).eval().requires_grad_(False)
    x = randn(2, 5, 64)
    expected = block.mlp(x)
    got = FusedBlock(block, gelu_epilogue=True)._mlp(x)
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize('qk_norm', [True, False])
@pytest.mark.parametrize('ffn', [Mlp, SwiGlu])
@pytest.mark.parametrize('rows', [None, [0, 5, 7]])
def test_block(qk_norm: bool, ffn: type, rows: list[int] | None) -> None:
    block = Block(128, 2, ffn(128, 256), norm_eps=1e-6, qk_norm=qk_norm).to(DEVICE)
    block = block.eval().requires_grad_(False)
    for parameter in block.parameters():
        parameter.normal_(std=0.3)
    x, rope = randn(1, 14, 128), global_rope(2, 6, 64, DEVICE)
    rows = None if rows is None else torch.tensor(rows, device=DEVICE)
    for angles in (rope, None):
        expected = block(x, angles, rows)
        got = FusedBlock(block)(x, angles, rows)
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)
