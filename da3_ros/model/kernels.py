"""
Triton kernels for what stands between the matrix products of a block.

Each reads and writes every token once, where the plain modules of ``layers``, their definition,
take four to eight passes over it. They are bound by memory: what counts is bytes.

Shapes: M sequences, T tokens in one, C channels, h heads, D channels of a head.
"""

from da3_ros.model.layers import LayerNorm
from da3_ros.model.tables import Rope
import torch
from torch import Tensor
import triton
import triton.language as tl

# What a program takes at once: tokens to norm and turn, channels to gate.
_TOKENS, _CHANNELS = 2, 1024


@triton.jit
def _add_norm(
    x_in, branch_in, gain, weight, bias, x_out, norm_out, eps,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr, ADDS: tl.constexpr, NORMS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * CHANNELS
    at = tl.arange(0, BLOCK)
    here = at < CHANNELS
    x = tl.load(x_in + row + at, mask=here, other=0.0)
    if ADDS:
        branch = tl.load(branch_in + row + at, mask=here, other=0.0).to(tl.float32)
        x += branch * tl.load(gain + at, mask=here, other=0.0)
        tl.store(x_out + row + at, x, mask=here)
    if NORMS:
        centred = tl.where(here, x - tl.sum(x, axis=0) / CHANNELS, 0.0)
        scale = tl.rsqrt(tl.sum(centred * centred, axis=0) / CHANNELS + eps)
        norm = centred * scale * tl.load(weight + at, mask=here, other=0.0)
        norm += tl.load(bias + at, mask=here, other=0.0)
        tl.store(norm_out + row + at, norm.to(norm_out.dtype.element_ty), mask=here)


@triton.jit
def _norm_rotate(
    x_in, weight, bias, cos, sin, x_out, gain, eps, tokens, sequence_stride, token_stride,
    HEADS: tl.constexpr, HEADS_BLOCK: tl.constexpr, TOKENS_BLOCK: tl.constexpr,
    QUARTER: tl.constexpr,
):  # fmt: skip
    token = tl.program_id(0) * TOKENS_BLOCK + tl.arange(0, TOKENS_BLOCK)[:, None, None]
    head, pair = tl.arange(0, HEADS_BLOCK)[None, :, None], tl.arange(0, 2 * QUARTER)[None, None, :]
    sequence = tl.program_id(1).to(tl.int64)
    here = (token < tokens) & (head < HEADS)
    # Channel j and channel j + D/4 of each half form the pair that is turned, by one angle.
    dim = 4 * QUARTER
    at = pair // QUARTER * (2 * QUARTER) + pair % QUARTER
    start = x_in + sequence * sequence_stride + token.to(tl.int64) * token_stride + head * dim + at
    a = tl.load(start, mask=here, other=0.0).to(tl.float32)
    b = tl.load(start + QUARTER, mask=here, other=0.0).to(tl.float32)
    mean = (tl.sum(a, axis=2) + tl.sum(b, axis=2))[:, :, None] / dim
    a -= mean
    b -= mean
    variance = (tl.sum(a * a, axis=2) + tl.sum(b * b, axis=2))[:, :, None] / dim
    scale = tl.rsqrt(variance + eps)
    a = a * scale * tl.load(weight + at) + tl.load(bias + at)
    b = b * scale * tl.load(weight + at + QUARTER) + tl.load(bias + at + QUARTER)
    angle = token * dim + at
    c = tl.load(cos + angle, mask=token < tokens, other=0.0) * gain
    s = tl.load(sin + angle, mask=token < tokens, other=0.0) * gain
    out = x_out + ((sequence * tokens + token) * HEADS + head) * dim + at
    tl.store(out, (a * c - b * s).to(x_out.dtype.element_ty), mask=here)
    tl.store(out + QUARTER, (b * c + a * s).to(x_out.dtype.element_ty), mask=here)


@triton.jit
def _gate(x_in, out, CHANNELS: tl.constexpr, BLOCK: tl.constexpr):
    row, at = tl.program_id(1).to(tl.int64), tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    here = at < CHANNELS
    start = x_in + row * 2 * CHANNELS + at
    gate = tl.load(start, mask=here, other=0.0).to(tl.float32)
    value = tl.load(start + CHANNELS, mask=here, other=0.0).to(tl.float32)
    product = gate * tl.sigmoid(gate) * value
    tl.store(out + row * CHANNELS + at, product.to(out.dtype.element_ty), mask=here)


def add_norm(
    x: Tensor, branch: Tensor | None, gain: Tensor | None, norm: LayerNorm, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """
    Add a branch to the residual stream and norm the sum: ``x + gain * branch``, and its norm.

    (M, T, C) float32 and (M, T, C) of any float dtype -> (M, T, C) float32, (M, T, C) ``dtype``.
    Without a branch the stream is returned as it is.
    """
    normed = torch.empty(x.shape, dtype=dtype, device=x.device)
    out = x if branch is None else torch.empty_like(x)
    _launch_add_norm(x, branch, gain, norm, out, normed)
    return out, normed


def add(x: Tensor, branch: Tensor, gain: Tensor) -> Tensor:
    """Return ``x + gain * branch`` in float32: (M, T, C), twice -> (M, T, C)."""
    out = torch.empty_like(x)
    _launch_add_norm(x, branch, gain, None, out, None)
    return out


def _launch_add_norm(
    x: Tensor,
    branch: Tensor | None,
    gain: Tensor | None,
    norm: LayerNorm | None,
    out: Tensor,
    normed: Tensor | None,
) -> None:
    channels = x.shape[-1]
    assert x.is_contiguous() and (branch is None or branch.is_contiguous())
    assert x.dtype == torch.float32
    # A pointer is needed for what is not read, too.
    unused = x
    _add_norm[(x.numel() // channels,)](
        x,
        unused if branch is None else branch,
        unused if gain is None else gain,
        unused if norm is None else norm.weight,
        unused if norm is None else norm.bias,
        out,
        unused if normed is None else normed,
        0.0 if norm is None else norm.eps,
        CHANNELS=channels,
        BLOCK=triton.next_power_of_2(channels),
        ADDS=branch is not None,
        NORMS=norm is not None,
        num_warps=4,
    )


def norm_rotate(x: Tensor, norm: LayerNorm, rope: Rope, gain: float = 1.0) -> Tensor:
    """
    Norm queries or keys and turn them by their tokens' positions: (M, T, h, D) -> same, dense.

    ``x`` may be a part of a larger tensor, as long as the channels of a token lie together;
    ``rope`` holds one row for each token. The result is multiplied by ``gain``.
    """
    sequences, tokens, heads, dim = x.shape
    assert x.stride()[2:] == (dim, 1) and rope.cos.shape == (tokens, dim)
    assert rope.cos.is_contiguous() and rope.sin.is_contiguous()
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    _norm_rotate[(triton.cdiv(tokens, _TOKENS), sequences)](
        x,
        norm.weight,
        norm.bias,
        rope.cos,
        rope.sin,
        out,
        gain,
        norm.eps,
        tokens,
        x.stride(0),
        x.stride(1),
        HEADS=heads,
        HEADS_BLOCK=triton.next_power_of_2(heads),
        TOKENS_BLOCK=_TOKENS,
        QUARTER=dim // 4,
        num_warps=2,
    )
    return out


def gate(x: Tensor) -> Tensor:
    """Multiply values by the silu of their gates, which come first: (M, T, 2H) -> (M, T, H)."""
    assert x.is_contiguous()
    channels = x.shape[-1] // 2
    out = torch.empty((*x.shape[:-1], channels), dtype=x.dtype, device=x.device)
    _gate[(triton.cdiv(channels, _CHANNELS), out.numel() // channels)](
        x, out, CHANNELS=channels, BLOCK=_CHANNELS, num_warps=8
    )
    return out
