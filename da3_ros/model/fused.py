"""
The blocks of a network with fused kernels between their matrix products, for inference on a GPU.

``layers.Block`` is the definition; this computes the same in fewer passes over memory. GELU is
part of the product before it, in its tanh form: cuBLAS has no other. On the embedded model that
costs 0.01 % of depth (99 of 100 pixels).
"""

import logging
import math

from da3_ros.model.bounded_attention import (
    bits_per_product,
    bounded_attention,
    is_bounded,
    Tiling,
    TILINGS,
)
from da3_ros.model.device_clock import milliseconds
from da3_ros.model.kernels import add, add_norm, gate, norm_rotate
from da3_ros.model.layers import Block, LayerNorm, Mlp, SwiGlu
from da3_ros.model.tables import Rope
import torch
from torch import nn, Tensor
import torch.nn.functional as F

# The products of queries and keys are scores in bits, which PyTorch's attention has to undo.
_SCALE = math.log(2)

_log = logging.getLogger(__name__)


def fuse_blocks(net: nn.Module) -> None:
    """Let the blocks of a network that are in half precision run fused, in place."""
    attend, behind = NormedAttention(), None
    for module in reversed(list(net.modules())):
        if isinstance(module, Block) and module.attn.qkv.weight.dtype != torch.float32:
            module.forward = behind = FusedBlock(module, attend, behind)


class FusedBlock:
    """
    Stands for the ``forward`` of a block.

    The sum that it returns is normed in the same pass for the block ``behind`` it, which takes
    that if the very sum comes in, whatever is made of it on the way.
    """

    def __init__(
        self, block: Block, attend: 'NormedAttention', behind: 'FusedBlock | None' = None
    ) -> None:
        """Take the block, whose weights are used where they are, and what attends for all."""
        self._block, self._attention, self._attend = block, block.attn, attend
        self._behind = behind
        self._given: tuple[Tensor, Tensor] | None = None  # a sum, held so it stays one, normed
        self._dtype = block.attn.qkv.weight.dtype
        self._is_normed = isinstance(block.attn.q_norm, LayerNorm)
        self._is_bounded = is_bounded(block.attn, self._dtype)
        self._mlp = _FEED_FORWARD.get(type(block.mlp), type(block.mlp).forward)

    def __call__(self, x: Tensor, rope: Rope | None = None, rows: Tensor | None = None) -> Tensor:
        """(M, T, C) -> (M, T, C), float32; with ``rows`` (R,) only those, (M, R, C)."""
        block = self._block
        x = x.contiguous()
        mixed = self._mix(self._normed(x), rope, rows)
        x = x if rows is None else x[:, rows]
        x, normed = add_norm(x, mixed, block.ls1.gamma, block.norm2, self._dtype)
        branch, gain = self._mlp(block.mlp, normed), block.ls2.gamma
        if self._behind is None or rows is not None:
            return add(x, branch, gain)
        self._behind._given = add_norm(
            x, branch, gain, self._behind._block.norm1, self._behind._dtype
        )
        return self._behind._given[0]

    def _normed(self, x: Tensor) -> Tensor:
        """(M, T, C) -> same, normed, in the dtype of the weights."""
        given, self._given = self._given, None
        if given is not None:
            total, normed = given
            if total.data_ptr() == x.data_ptr() and total.numel() == x.numel():
                return normed.view(x.shape)
        return add_norm(x, None, None, self._block.norm1, self._dtype)[1]

    def _mix(self, x: Tensor, rope: Rope | None, rows: Tensor | None) -> Tensor:
        """(M, T, C), normed -> (M, T or R, C); see ``Attention``."""
        attention = self._attention
        if not self._is_normed or rope is None:
            return attention(x, rope, rows)
        if rows is None:
            qkv = attention.qkv(x).unflatten(-1, (3, attention.heads, -1))  # (M, T, 3, h, D)
            q, k, v = qkv.unbind(2)  # (M, T, h, D) each
            asked = rope
        else:
            q, k, v = (part.transpose(1, 2) for part in attention.project_rows(x, rows))
            asked = Rope(rope.cos[rows], rope.sin[rows])
        q = norm_rotate(q, attention.q_norm, asked, bits_per_product(q.shape[-1]))
        k = norm_rotate(k, attention.k_norm, rope)
        return attention.proj(self._attend(q, k, v, self._is_bounded).flatten(2))


class NormedAttention:
    """
    Attention by whichever way is fastest for a number of sequences, queries and keys.

    PyTorch's (the backend that is enabled where it is called) and, for scores that are bounded,
    our own in each of its tilings are timed once, when such a number first comes.
    """

    def __init__(self) -> None:
        """Start without knowing any."""
        self._winners: dict[tuple[int, ...], Tiling | None] = {}

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, is_bounded: bool) -> Tensor:
        """(M, R, h, D) and (M, T, h, D) twice, with scores in bits -> (M, R, h, D)."""
        tiling = self._fastest(q, k, v) if is_bounded else None
        return _with_pytorch(q, k, v) if tiling is None else bounded_attention(q, k, v, tiling)

    def _fastest(self, q: Tensor, k: Tensor, v: Tensor) -> Tiling | None:
        key = (*q.shape, k.shape[1])
        if key not in self._winners:
            self._winners[key] = self._measured(q, k, v)
        return self._winners[key]

    @staticmethod
    def _measured(q: Tensor, k: Tensor, v: Tensor) -> Tiling | None:
        if not q.is_cuda:  # interpreted: there is nothing to be gained
            return TILINGS[0]
        times: dict[Tiling | None, float] = {
            None: milliseconds(lambda: _with_pytorch(q, k, v)),
            **{t: milliseconds(lambda t=t: bounded_attention(q, k, v, t)) for t in TILINGS},
        }
        _log.info(
            'Attention of %d x %d queries: %s',
            *q.shape[:2],
            ', '.join(f'{t or "PyTorch"} {ms:.3f} ms' for t, ms in times.items()),
        )
        return min(times, key=times.__getitem__)


def _with_pytorch(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    mixed = F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)), scale=_SCALE)
    return mixed.transpose(1, 2)


def _mlp(mlp: Mlp, x: Tensor) -> Tensor:
    """(M, T, C) in the dtype of the weights -> (M, T, C), with GELU in its tanh form."""
    fc1 = mlp.fc1
    hidden = torch._addmm_activation(fc1.bias, x.flatten(0, -2), fc1.weight.t(), use_gelu=True)
    return mlp.fc2(hidden).view(x.shape)


def _swiglu(mlp: SwiGlu, x: Tensor) -> Tensor:
    """(M, T, C) in the dtype of the weights -> (M, T, C)."""
    return mlp.w3(gate(mlp.w12(x)))


_FEED_FORWARD = {Mlp: _mlp, SwiGlu: _swiglu}
