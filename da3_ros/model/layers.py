"""
The transformer block of Depth Anything 3 and what it is made of.

Shapes: M sequences, T tokens in one, C channels, h heads, D channels of a head.

Precision: matrices may be stored in half precision. Everything between them that sums over many
terms or many blocks stays in float32: the residual stream, the norms, the rotary embedding, the
LayerScale. ``Linear`` is the only border: it casts its input to the dtype of its weight.
"""

from da3_ros.model.tables import Rope
import torch
from torch import nn, Tensor
import torch.nn.functional as F


class Linear(nn.Linear):
    """A linear layer that computes in the dtype of its weight."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) of any float dtype -> (..., out) in the dtype of the weight."""
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias)


class LayerNorm(nn.LayerNorm):
    """A LayerNorm that computes in float32 and returns float32."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) of any float dtype -> (..., C) in float32."""
        return F.layer_norm(x.float(), self.normalized_shape, self.weight, self.bias, self.eps)


class LayerScale(nn.Module):
    """One learned gain per channel of a residual branch."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C) in float32."""
        return x * self.gamma


class Mlp(nn.Module):
    """Two linear layers with an exact (erf) GELU between them."""

    def __init__(self, dim: int, hidden: int, out: int | None = None) -> None:
        super().__init__()
        self.fc1 = Linear(dim, hidden)
        self.fc2 = Linear(hidden, out or dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., out)."""
        return self.fc2(F.gelu(self.fc1(x)))


class SwiGlu(nn.Module):
    """silu(gate) x value; gate is the first half of ``w12``."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.w12 = Linear(dim, 2 * hidden)
        self.w3 = Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        gate, value = self.w12(x).chunk(2, dim=-1)
        return self.w3(F.silu(gate) * value)


def rotate(x: Tensor, rope: Rope) -> Tensor:
    """
    Turn queries or keys (M, h, T, D) by their tokens' positions; computes in float32.

    The first half of D carries the row, the second the column. Inside each half, channel j and
    channel j + D/4 form the pair that is turned.
    """
    row_a, row_b, column_a, column_b = x.chunk(4, dim=-1)  # (M, h, T, D/4) each
    turned = torch.cat((-row_b, row_a, -column_b, column_a), dim=-1)
    return x * rope.cos + turned * rope.sin


class Attention(nn.Module):
    """Multi-head attention over the tokens of a sequence, with optional q/k norm and RoPE."""

    def __init__(self, dim: int, heads: int, qk_norm: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = Linear(dim, 3 * dim)
        self.q_norm = LayerNorm(dim // heads, eps=1e-5) if qk_norm else nn.Identity()
        self.k_norm = LayerNorm(dim // heads, eps=1e-5) if qk_norm else nn.Identity()
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor, rope: Rope | None = None, rows: Tensor | None = None) -> Tensor:
        """
        (M, T, C) -> (M, T, C); ``rope`` holds one row per token.

        With ``rows`` (R,) only those tokens ask, and the result is theirs, (M, R, C).
        """
        if rows is None:
            qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # (M, T, 3, h, D)
            q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (M, h, T, D) each
        else:
            q, k, v = self.project_rows(x, rows)
        q, k = self.q_norm(q), self.k_norm(k)
        if rope is not None:
            q = rotate(q, rope if rows is None else Rope(rope.cos[rows], rope.sin[rows]))
            k = rotate(k, rope)
        mixed = F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v)
        return self.proj(mixed.transpose(1, 2).flatten(2))  # (M, T or R, C)

    def project_rows(self, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries of some tokens (M, h, R, D), keys and values of all (M, h, T, D)."""
        weight, bias, dim = self.qkv.weight, self.qkv.bias, x.shape[-1]
        x = x.to(weight.dtype)
        q = F.linear(x[:, rows], weight[:dim], bias[:dim]).unflatten(-1, (self.heads, -1))
        kv = F.linear(x, weight[dim:], bias[dim:]).unflatten(-1, (2, self.heads, -1))
        k, v = kv.permute(2, 0, 3, 1, 4)
        return q.transpose(1, 2), k, v


class Block(nn.Module):
    """
    Pre-norm transformer block: attention, then a feed-forward network, each with LayerScale.

    The norms of the trunk use ``norm_eps`` 1e-6, those of the camera encoder 1e-5.
    """

    def __init__(
        self, dim: int, heads: int, ffn: nn.Module, *, norm_eps: float, qk_norm: bool = False
    ) -> None:
        super().__init__()
        self.norm1 = LayerNorm(dim, eps=norm_eps)
        self.attn = Attention(dim, heads, qk_norm)
        self.ls1 = LayerScale(dim)
        self.norm2 = LayerNorm(dim, eps=norm_eps)
        self.mlp = ffn
        self.ls2 = LayerScale(dim)

    def forward(self, x: Tensor, rope: Rope | None = None, rows: Tensor | None = None) -> Tensor:
        """(M, T, C) -> (M, T, C), float32; with ``rows`` (R,) only those, (M, R, C)."""
        mixed = self.attn(self.norm1(x), rope, rows)
        x = (x if rows is None else x[:, rows]) + self.ls1(mixed)
        return x + self.ls2(self.mlp(self.norm2(x)))
