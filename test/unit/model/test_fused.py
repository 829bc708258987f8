"""The fused kernels compute what the plain modules do; Triton interprets them where no GPU is."""

import copy
import math

import pytest
import torch

IS_GPU = torch.cuda.is_available()
pytest.importorskip('triton')

from da3_ros.model.bounded_attention import (  # noqa: E402
    bits_per_product,
    bounded_attention,
    is_bounded,
    MAX_BITS,
    Tiling,
    TILINGS,
    worst_case_bits,
)
from da3_ros.model.fused import fuse_blocks, FusedBlock, NormedAttention  # noqa: E402
from da3_ros.model.kernels import add, add_norm, gate, norm_rotate  # noqa: E402
from da3_ros.model.layers import Attention, Block, LayerNorm, Mlp, rotate, SwiGlu  # noqa: E402
from da3_ros.model.tables import global_rope, local_rope  # noqa: E402
from torch import nn  # noqa: E402
import torch.nn.functional as F  # noqa: E402

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


def test_norm_rotate_with_a_gain() -> None:
    x, norm, rope = randn(1, 7, 2, 64), layer_norm(64), local_rope(2, 3, 64, DEVICE)
    expected = 0.2 * norm_rotate(x, norm, rope)
    torch.testing.assert_close(norm_rotate(x, norm, rope, 0.2), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('hidden', [96, 1100])
def test_gate(hidden: int) -> None:
    x = randn(2, 3, 2 * hidden)
    gates, values = x.chunk(2, dim=-1)
    torch.testing.assert_close(gate(x), F.silu(gates) * values, rtol=1e-5, atol=1e-6)


def test_gelu_in_the_product() -> None:
    """On a GPU in its tanh form, which is off by less than 5e-4."""
    block = Block(64, 1, Mlp(64, 128), norm_eps=1e-6).to(DEVICE).eval().requires_grad_(False)
    x = randn(2, 5, 64)
    expected = block.mlp(x)
    got = FusedBlock(block, NormedAttention())._mlp(block.mlp, x)
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-3)


# Fewer queries than a tile, whole tiles, a rest; keys that end with a tile, and that do not.
@pytest.mark.parametrize(('queries', 'keys'), [(5, 7), (64, 64), (70, 130), (3, 128)])
@pytest.mark.parametrize('tiling', TILINGS)
def test_bounded_attention(queries: int, keys: int, tiling: Tiling) -> None:
    q, k = (randn(2, count, 3, 64, dtype=torch.float16) for count in (queries, keys))
    qkv = randn(2, keys, 3, 3, 64, dtype=torch.float16)
    q, v = bits_per_product(64) * q, qkv[:, :, 2]
    expected = F.scaled_dot_product_attention(
        *(x.transpose(1, 2).float() for x in (q, k, v)), scale=math.log(2)
    )
    got = bounded_attention(q, k, v, tiling)
    assert got.shape == q.shape and got.is_contiguous()
    torch.testing.assert_close(
        got.float(), expected.transpose(1, 2), rtol=2e-3, atol=2e-3 if IS_GPU else 1e-3
    )


def test_scores_are_bounded_by_the_norms() -> None:
    """However queries and keys lie to each other, and wherever their tokens are."""
    attention = Attention(128, 2, qk_norm=True).to(DEVICE).requires_grad_(False)
    for norm in (attention.q_norm, attention.k_norm):
        norm.weight.normal_(1, 0.3)
        norm.bias.normal_(0, 0.3)
    lengths = [
        (norm(randn(100_000, 64)).norm(dim=-1)).max()
        for norm in (attention.q_norm, attention.k_norm)
    ]
    worst_seen = (lengths[0] * lengths[1]).item() * bits_per_product(64)
    assert worst_seen < MAX_BITS[torch.bfloat16]
    bits = worst_case_bits(attention)
    assert worst_seen < bits < 4 * worst_seen


@pytest.mark.parametrize(
    ('gain', 'dtype', 'expected'),
    [
        (1.0, torch.float16, True),
        (1.0, torch.float32, False),
        (1.2, torch.float16, False),
        (2.7, torch.bfloat16, True),
        (2.9, torch.bfloat16, False),
    ],
)
def test_what_is_bounded(gain: float, dtype: torch.dtype, expected: bool) -> None:
    attention = Attention(128, 2, qk_norm=True).requires_grad_(False)
    for norm in (attention.q_norm, attention.k_norm):
        norm.weight.fill_(gain)
    assert is_bounded(attention, dtype) == expected
    assert not is_bounded(Attention(128, 2, qk_norm=False), dtype)


@pytest.mark.parametrize('qk_norm', [True, False])
@pytest.mark.parametrize('ffn', [Mlp, SwiGlu])
@pytest.mark.parametrize('rows', [None, [0, 5, 7]])
@pytest.mark.parametrize('dtype', [torch.float16, torch.float32])
def test_block(qk_norm: bool, ffn: type, rows: list[int] | None, dtype: torch.dtype) -> None:
    """In float32 attention is PyTorch's, in float16 ours."""
    block = Block(128, 2, ffn(128, 256), norm_eps=1e-6, qk_norm=qk_norm).to(DEVICE)
    block = block.eval().requires_grad_(False)
    for parameter in block.parameters():
        parameter.normal_(std=0.25)
    for module in block.modules():
        if isinstance(module, nn.Linear):
            module.to(dtype)
    x, rope = randn(1, 14, 128), global_rope(2, 6, 64, DEVICE)
    rows = None if rows is None else torch.tensor(rows, device=DEVICE)
    fused = FusedBlock(block, NormedAttention())
    assert fused._is_bounded == (qk_norm and dtype == torch.float16)
    tolerance = 1e-3 if dtype == torch.float32 else 3e-2
    for angles in (rope, None):
        expected = block(x, angles, rows)
        got = fused(x, angles, rows)
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)


def test_a_sum_is_normed_once_for_the_block_behind() -> None:
    """And nothing else is taken for that sum."""
    blocks = nn.Sequential(
        *(Block(128, 2, Mlp(128, 256), norm_eps=1e-6, qk_norm=True) for _ in range(3))
    )
    blocks = blocks.to(DEVICE).eval().requires_grad_(False)
    for parameter in blocks.parameters():
        parameter.normal_(std=0.25)
    plain = copy.deepcopy(blocks)
    for block in (*blocks, *plain):
        for module in block.modules():
            if isinstance(module, nn.Linear):
                module.half()
    fuse_blocks(blocks)
    x, rope, other = randn(2, 7, 128), local_rope(2, 3, 64, DEVICE), randn(2, 7, 128)
    first = blocks[0](x, rope)
    assert blocks[1].forward._given is not None
    for given in (first, other):  # the second is not what block 0 returned
        expected = plain[1](given.flatten(0, 1)[None], global_rope(2, 6, 64, DEVICE))
        got = blocks[1](given.flatten(0, 1)[None], global_rope(2, 6, 64, DEVICE))
        assert blocks[1].forward._given is None
        torch.testing.assert_close(got, expected, rtol=3e-2, atol=3e-2)
    last = blocks[2](got, global_rope(2, 6, 64, DEVICE))
    torch.testing.assert_close(
        last, plain[2](got, global_rope(2, 6, 64, DEVICE)), rtol=3e-2, atol=3e-2
    )
