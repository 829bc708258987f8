"""
The blocks of a network with fused kernels between their matrix products, for inference on a GPU.

``layers.Block`` is the definition; this computes the same in fewer passes over memory.
"""

from functools import partial

from da3_ros.model.kernels import add, add_norm, norm_rotate
from da3_ros.model.layers import Attention, Block, LayerNorm, Mlp
from da3_ros.model.network import Network
from da3_ros.model.tables import Rope
import torch
from torch import Tensor
import torch.nn.functional as F


def fuse_network(net: Network, gelu_epilogue: bool = False) -> Network:
    """
    Let the blocks of the trunk run fused, in place; returns the network.

    With ``gelu_epilogue`` GELU is part of the product before it, in its tanh form: cuBLAS has no
    other. On the embedded model that costs 0.01 % of depth (99 of 100 pixels).
    """
    for block in net.backbone.blocks:
        block.forward = FusedBlock(block, gelu_epilogue)
    return net


class FusedBlock:
    """Stands for the ``forward`` of a block."""

    def __init__(self, block: Block, gelu_epilogue: bool = False) -> None:
        """Take the block, whose weights are used where they are; see ``fuse_network``."""
        self._block = block
        has_gelu = isinstance(block.mlp, Mlp)
        self._mlp = partial(_mlp, block.mlp) if gelu_epilogue and has_gelu else block.mlp

    def __call__(self, x: Tensor, rope: Rope | None = None, rows: Tensor | None = None) -> Tensor:
        """(M, T, C) -> (M, T, C), float32; with ``rows`` (R,) only those, (M, R, C)."""
        block = self._block
        dtype = block.attn.qkv.weight.dtype
        x = x.contiguous()
        _, normed = add_norm(x, None, None, block.norm1, dtype)
        mixed = _attend(block.attn, normed, rope, rows)
        x = x if rows is None else x[:, rows]
        x, normed = add_norm(x, mixed, block.ls1.gamma, block.norm2, dtype)
        return add(x, self._mlp(normed), block.ls2.gamma)


def _attend(attention: Attention, x: Tensor, rope: Rope | None, rows: Tensor | None) -> Tensor:
    """(M, T, C), normed -> (M, T or R, C); see ``Attention``."""
    if not isinstance(attention.q_norm, LayerNorm) or rope is None:
        return attention(x, rope, rows)
    if rows is None:
        qkv = attention.qkv(x).unflatten(-1, (3, attention.heads, -1))  # (M, T, 3, h, D)
        q, k, v = qkv.unbind(2)  # (M, T, h, D) each
        asked = rope
    else:
        q, k, v = (part.transpose(1, 2) for part in attention.project_rows(x, rows))
        asked = Rope(rope.cos[rows], rope.sin[rows])
    q = norm_rotate(q, attention.q_norm, asked).transpose(1, 2)  # (M, h, T or R, D)
    k = norm_rotate(k, attention.k_norm, rope).transpose(1, 2)
    mixed = F.scaled_dot_product_attention(q, k, v.transpose(1, 2))
    return attention.proj(mixed.transpose(1, 2).flatten(2))


def _mlp(mlp: Mlp, x: Tensor) -> Tensor:
    """(M, T, C) in the dtype of the weights -> (M, T, C), with GELU in its tanh form."""
    fc1 = mlp.fc1
    hidden = torch._addmm_activation(fc1.bias, x.flatten(0, -2), fc1.weight.t(), use_gelu=True)
    return mlp.fc2(hidden).view(x.shape)
