"""
The dense heads with fused kernels between their convolutions, for inference on a GPU.

``dpt_head`` is the definition. Here convolutions run without their biases, which PyTorch would add
in passes of their own to channels-last maps; 1x1 convolutions, and those transposed ones whose
stride is their size, are matrix products; relu, sums and biases share one pass.

Shapes: as in ``dpt_head``. Every map is channels-last.
"""

from functools import partial

from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.dpt_head import (
    Decoder,
    DenseOutput,
    DepthOutput,
    DptHead,
    DualDptHead,
    Fusion,
    Pyramid,
    ResidualUnit,
)
from da3_ros.model.head_kernels import (
    add,
    add_and_relu,
    add_relu,
    channels_last,
    join,
    output,
    resize,
)
from da3_ros.model.kernels import add_norm
from da3_ros.model.layers import LayerNorm
from da3_ros.model.single_view import SingleViewNetwork, SkyDptHead
from da3_ros.model.tables import table, uv_axes, uv_embedding
import torch
from torch import nn, Tensor
import torch.nn.functional as F


def fuse_dense(net: AnyViewNetwork | SingleViewNetwork) -> None:
    """Let a network's dense head run fused, in place, and what it reads be read in one pass."""
    fuse_head(net.head)
    if net.config.is_any_view:
        net.backbone.tap_patches = partial(join, norm=net.backbone.norm)


def fuse_head(head: DptHead) -> DptHead:
    """
    Let a head compute its depth (and sky) fused, in place; returns it. The rays stay plain.

    Its weights are used where they are, so they have to be final: in their dtype, on their device.
    """
    head.to(memory_format=torch.channels_last)
    head.pyramid = FusedPyramid(head)
    if isinstance(head, DualDptHead):
        head.depth = FusedDepth(head)
    else:
        assert isinstance(head, SkyDptHead)
        head.forward = FusedSky(head)
    return head


@table
def _patch_embedding(
    channels: int, grid: tuple[int, int], device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Return the UV embedding of the patches of a grid, (P, channels)."""
    embedding = uv_embedding(channels, *grid, grid[1] / grid[0], device, dtype)
    return embedding.flatten(1).t().contiguous()


class FusedPyramid:
    """Stands for ``DptHead.pyramid``."""

    def __init__(self, head: DptHead) -> None:
        """Take the head."""
        self._head = head

    def __call__(self, features: tuple[Tensor, ...], grid: tuple[int, int]) -> Pyramid:
        """Four taps (M, P, 2C or C) of a patch grid (ph, pw) -> four levels, finest first."""
        head = self._head
        levels = []
        for tap, project, resizer, lateral in zip(
            features, head.projects, head.resizers, head.laterals, strict=True
        ):
            x = _linear(project, self._normed(tap, project.weight.dtype))  # (M, P, .)
            if head.has_uv:
                x = x + _patch_embedding(x.shape[-1], grid, x.device, x.dtype)
            x = x.unflatten(1, grid).permute(0, 3, 1, 2)  # (M, ., ph, pw)
            levels.append(channels_last(_convolve(lateral, _resized(resizer, x))))
        return tuple(levels)

    def _normed(self, tap: Tensor, dtype: torch.dtype) -> Tensor:
        """(M, P, 2C or C) -> same, in the dtype of the weights."""
        norm = self._head.norm
        if not isinstance(norm, LayerNorm):
            return tap.to(dtype)
        return add_norm(tap.contiguous(), None, None, norm, dtype)[1]


class FusedDecoder:
    """Stands for ``Decoder``, except that the neck's bias is left to the resize behind it."""

    def __init__(self, decoder: Decoder) -> None:
        """Take a decoder whose neck is one convolution."""
        self._fusions, self._neck = decoder.fusions, decoder.neck
        assert isinstance(self._neck, nn.Conv2d)

    def __call__(self, pyramid: Pyramid) -> Tensor:
        """Pyramid -> (M, F/2, 8 ph, 8 pw), still without ``bias``."""
        finest = pyramid[0].shape[-2] * 2, pyramid[0].shape[-1] * 2
        sizes = (finest, *(tuple(level.shape[-2:]) for level in pyramid[:3]))
        x = _fuse(self._fusions[3], pyramid[3], None, sizes[3])
        for k in (2, 1, 0):
            x = _fuse(self._fusions[k], x, pyramid[k], sizes[k])
        return _convolve(self._neck, x)

    @property
    def bias(self) -> Tensor:
        """(F/2,)."""
        return self._neck.bias


class FusedDepth:
    """Stands for ``DualDptHead.depth``."""

    def __init__(self, head: DualDptHead) -> None:
        """Take the head."""
        self._head, self._decoder = head, FusedDecoder(head.depth_decoder)

    def __call__(self, pyramid: Pyramid, grid: tuple[int, int]) -> DenseOutput:
        """Pyramid -> depth (M, H, W) along the optical axis, and its confidence."""
        x, size = self._decoder(pyramid), self._head.image_size(grid)
        uv = uv_axes(x.shape[1], *size, grid[1] / grid[0], x.device, x.dtype)
        exponentials = _logits(self._head.depth_output, resize(x, size, self._decoder.bias, uv))
        exponentials = exponentials.exp_()  # (M, 2, H, W)
        return DenseOutput(exponentials[:, 0], exponentials[:, 1] + 1)


class FusedSky:
    """Stands for ``SkyDptHead.forward``."""

    def __init__(self, head: SkyDptHead) -> None:
        """Take the head."""
        self._head, self._decoder = head, FusedDecoder(head.depth_decoder)

    def __call__(
        self, features: tuple[Tensor, ...], grid: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Four taps (M, P, C) of a patch grid -> depth and sky score, (M, H, W) each."""
        head = self._head
        x = self._decoder(head.pyramid(features, grid))
        x = resize(x, head.image_size(grid), self._decoder.bias)
        depth, sky = (_logits(out, x)[:, 0] for out in (head.depth_output, head.sky_output))
        return depth.exp(), F.relu(sky)


def _fuse(fusion: Fusion, top: Tensor, lateral: Tensor | None, size: tuple[int, int]) -> Tensor:
    """(M, F, h, w), twice -> (M, F, *size): see ``Fusion``."""
    if lateral is None:
        rectified = F.relu(top)
    else:
        x, bias = _branch(fusion.lateral_unit, F.relu(lateral))
        top, rectified = add_and_relu(x, bias, lateral, top)
    x, bias = _branch(fusion.output_unit, rectified)
    x = add(x, bias, top).permute(0, 2, 3, 1)  # (M, h, w, F)
    return resize(_linear(fusion.out_conv, x).permute(0, 3, 1, 2), size)


def _branch(unit: ResidualUnit, rectified: Tensor) -> tuple[Tensor, Tensor]:
    """relu(x) -> the unit's output less x, and what is still to be added to it: its bias."""
    x = add_relu(_convolve(unit.conv1, rectified), unit.conv1.bias)
    return _convolve(unit.conv2, x), unit.conv2.bias


def _logits(out: DepthOutput, x: Tensor) -> Tensor:
    """(M, F/2, H, W) -> (M, channels, H, W) in float32."""
    return output(_convolve(out.conv, x), out.conv.bias, out.last)


def _resized(resizer: nn.Module, x: Tensor) -> Tensor:
    """Take a map to the size of its level: (M, c, ph, pw) -> (M, c, ., .)."""
    if isinstance(resizer, nn.ConvTranspose2d):
        return _spread(resizer, x)
    if isinstance(resizer, nn.Conv2d):
        return add(_convolve(resizer, x), resizer.bias)
    return x


def _spread(layer: nn.ConvTranspose2d, x: Tensor) -> Tensor:
    """Turn each pixel into k x k of its own: (M, c, h, w) -> (M, c, k h, k w)."""
    side = layer.kernel_size[0]
    assert layer.stride == layer.kernel_size == (side, side)
    weight = layer.weight.permute(0, 2, 3, 1).flatten(1)  # (c, k k c); no copy in channels-last
    bias = layer.bias.repeat(side * side)
    pixels = x.permute(0, 2, 3, 1)  # (M, h, w, c)
    parts = torch.addmm(bias, pixels.flatten(0, 2), weight).unflatten(1, (side, side, -1))
    parts = parts.unflatten(0, pixels.shape[:3])  # (M, h, w, k, k, c)
    parts = parts.transpose(2, 3).flatten(3, 4).flatten(1, 2)  # (M, k h, k w, c)
    return parts.permute(0, 3, 1, 2)


def _convolve(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Convolve without the bias."""
    return F.conv2d(x, layer.weight, None, layer.stride, layer.padding)


def _linear(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Apply a 1x1 convolution to pixels: (..., c) -> (..., channels)."""
    return F.linear(x, layer.weight.flatten(1), layer.bias)
