"""
Softmax attention whose scores are known to be small: a Triton kernel that need not look for them.

Queries and keys of the blocks that mix views are normed, so that no score can exceed what the
weights of the norms allow. Softmax subtracts the largest score of a row only to keep exponentials
within the range of numbers; where no score can leave it there is nothing to subtract, and a
kernel that goes through the keys block by block need neither find maxima nor rescale what it has
summed up. That is the difference to FlashAttention (Dao, 2023), whose blocks and loop these are.

Scores are in bits: the weight of a key is 2 to the power of its score, for that is what the
device computes. Shapes: M sequences, R queries and T keys in one, h heads, D channels of a head.
"""

import math
from typing import NamedTuple

from da3_ros.model.layers import Attention, LayerNorm
import torch
from torch import Tensor
import triton
import triton.language as tl
from triton.tools.tensor_descriptor import TensorDescriptor

# Largest score, in bits, up to which sums of weights and products with values keep their digits.
# A weight has the type of the values: bfloat16 reaches as far as float32, float16 to 2 ** 15.
MAX_BITS = {torch.bfloat16: 90.0, torch.float16: 14.0}


class Tiling(NamedTuple):
    """How the work is cut: queries of a program, keys of a step, warps, steps loaded ahead."""

    queries: int
    keys: int
    warps: int
    stages: int


# The best of those that were measured on an H100, by number of tokens and heads.
TILINGS = (Tiling(128, 64, 8, 3), Tiling(128, 64, 4, 3), Tiling(64, 64, 4, 3))


@triton.jit
def _attend(
    q_in, k_in, v_in, out, queries, keys,
    HEADS: tl.constexpr, DIM: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    tile, head, sequence = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    row, column = tile * ROWS + tl.arange(0, ROWS), tl.arange(0, COLUMNS)
    channel = head * DIM
    first = sequence * keys
    q = q_in.load([sequence * queries + tile * ROWS, channel])
    mixed = tl.zeros((ROWS, DIM), tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    whole = keys // COLUMNS * COLUMNS
    for start in tl.range(0, whole, COLUMNS, num_stages=STAGES):
        k = k_in.load([first + start, channel])
        weights = tl.exp2(tl.dot(q, tl.trans(k)))
        total += tl.sum(weights, 1)
        v = v_in.load([first + start, channel])
        mixed = tl.dot(weights.to(v.dtype), v, mixed)
    if whole < keys:  # what follows the last key is of another sequence, or nothing
        k = k_in.load([first + whole, channel])
        v = v_in.load([first + whole, channel])
        weights = tl.exp2(tl.dot(q, tl.trans(k)))
        weights = tl.where((whole + column < keys)[None, :], weights, 0.0)
        total += tl.sum(weights, 1)
        mixed = tl.dot(weights.to(v.dtype), v, mixed)
    mixed /= total[:, None]
    at = (sequence * queries + row[:, None]).to(tl.int64) * (HEADS * DIM) + channel
    at += tl.arange(0, DIM)[None, :]
    tl.store(out + at, mixed.to(out.dtype.element_ty), mask=row[:, None] < queries)


def bounded_attention(q: Tensor, k: Tensor, v: Tensor, tiling: Tiling) -> Tensor:
    """
    Average values by 2 ** score: (M, R, h, D) and (M, T, h, D) twice -> (M, R, h, D).

    The scores are the products of queries and keys as they come, at most ``MAX_BITS``: whoever
    norms the queries multiplies them by log2(e) / sqrt(D). ``v`` may be a part of a larger tensor.
    """
    sequences, queries, heads, dim = q.shape
    keys = k.shape[1]
    out = torch.empty(q.shape, dtype=v.dtype, device=v.device)
    _attend[(triton.cdiv(queries, tiling.queries), heads, sequences)](
        _rows(q, tiling.queries),
        _rows(k, tiling.keys),
        _rows(v, tiling.keys),
        out,
        queries,
        keys,
        HEADS=heads,
        DIM=dim,
        ROWS=tiling.queries,
        COLUMNS=tiling.keys,
        STAGES=tiling.stages,
        num_warps=tiling.warps,
    )
    return out


def _rows(x: Tensor, block: int) -> TensorDescriptor:
    """Describe (M, T, h, D) as M * T rows of tokens, of which a block has one head's channels."""
    sequences, tokens, heads, dim = x.shape
    stride = x.stride(1)
    assert x.stride()[2:] == (dim, 1) and (sequences == 1 or x.stride(0) == tokens * stride)
    return TensorDescriptor(x, [sequences * tokens, heads * dim], [stride, 1], [block, dim])


def is_bounded(attention: Attention, dtype: torch.dtype) -> bool:
    """Tell whether the norms of queries and keys bound all scores well enough for a type."""
    is_normed = all(isinstance(n, LayerNorm) for n in (attention.q_norm, attention.k_norm))
    return is_normed and dtype in MAX_BITS and worst_case_bits(attention) <= MAX_BITS[dtype]


def worst_case_bits(attention: Attention) -> float:
    """Return the largest score [bit] that the norms of queries and keys allow."""
    # A normed vector of D channels has the length sqrt(D), and turning it changes nothing.
    dim = attention.q_norm.weight.shape[0]
    norms = attention.q_norm, attention.k_norm
    longest = [dim**0.5 * norm.weight.abs().max() + norm.bias.norm() for norm in norms]
    return (longest[0] * longest[1]).item() * bits_per_product(dim)


def bits_per_product(dim: int) -> float:
    """Return by what the product of a query and a key of D channels becomes a score in bits."""
    return math.log2(math.e) / dim**0.5
