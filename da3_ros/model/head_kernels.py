"""
Triton kernels for what stands between the convolutions of a dense head, and before them.

Maps lie in memory with the channels of a pixel together (channels-last), so that every load and
store is of neighbours. Sums are in float32, whatever the maps are stored in. The plain modules of
``dpt_head`` are the definition; these are bound by memory: what counts is bytes and launches.

Shapes: M images, C channels, h w pixels of a map, B batch, V views, N = 1 + P tokens of a view.
"""

from da3_ros.model.layers import LayerNorm
from da3_ros.model.tables import UvAxes
import torch
from torch import nn, Tensor
import triton
import triton.language as tl

_TILE = 2048  # values of one program: 16 a thread


@triton.jit
def _resize(
    x_in, bias, columns, rows, x_out, height, width, out_height, out_width, step_y, step_x,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr, PIXELS: tl.constexpr,
    HAS_BIAS: tl.constexpr, HAS_UV: tl.constexpr,
):  # fmt: skip
    image, y = tl.program_id(2).to(tl.int64), tl.program_id(1)
    x = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    at = tl.arange(0, BLOCK)[None, :]
    has_channel = at < CHANNELS
    here = (x < out_width)[:, None] & has_channel
    from_y, from_x = y * step_y, x * step_x
    top, left = from_y.to(tl.int32), from_x.to(tl.int32)
    bottom = tl.where(top < height - 1, top + 1, top)
    right = tl.where(left < width - 1, left + 1, left)
    down, along = from_y - top, (from_x - left)[:, None]
    source = x_in + image * height * width * CHANNELS
    upper, lower = source + top * width * CHANNELS, source + bottom * width * CHANNELS
    on_left, on_right = left[:, None] * CHANNELS + at, right[:, None] * CHANNELS + at
    a = tl.load(upper + on_left, mask=here, other=0.0).to(tl.float32)
    b = tl.load(upper + on_right, mask=here, other=0.0).to(tl.float32)
    c = tl.load(lower + on_left, mask=here, other=0.0).to(tl.float32)
    d = tl.load(lower + on_right, mask=here, other=0.0).to(tl.float32)
    out = (1 - down) * ((1 - along) * a + along * b) + down * ((1 - along) * c + along * d)
    if HAS_BIAS:
        out += tl.load(bias + at, mask=has_channel, other=0.0).to(tl.float32)
    if HAS_UV:
        half = CHANNELS // 2
        is_column, is_row = here & (at < half), has_channel & (at >= half)
        out += tl.load(columns + x[:, None] * half + at, mask=is_column, other=0.0).to(tl.float32)
        out += tl.load(rows + y * half + at - half, mask=is_row, other=0.0).to(tl.float32)
    pixel = (image * out_height + y) * out_width + x[:, None]
    tl.store(x_out + pixel * CHANNELS + at, out.to(x_out.dtype.element_ty), mask=here)


@triton.jit
def _add(
    x_in, bias, first, second, x_out, relu_out, size,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
    TERMS: tl.constexpr, KEEPS: tl.constexpr, RELU: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = at < size
    x = tl.load(x_in + at, mask=here, other=0.0).to(tl.float32)
    x += tl.load(bias + at % CHANNELS).to(tl.float32)
    if TERMS > 0:
        x += tl.load(first + at, mask=here, other=0.0).to(tl.float32)
    if TERMS > 1:
        x += tl.load(second + at, mask=here, other=0.0).to(tl.float32)
    if KEEPS:
        tl.store(x_out + at, x.to(x_out.dtype.element_ty), mask=here)
    if RELU:
        tl.store(relu_out + at, tl.maximum(x, 0.0).to(relu_out.dtype.element_ty), mask=here)


@triton.jit
def _output(
    x_in, bias, weight, last_bias, out, pixels,
    FEATURES: tl.constexpr, CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    image = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    feature = tl.arange(0, FEATURES)[None, :]
    here = pixel < pixels
    start = x_in + image * pixels * FEATURES
    x = tl.load(start + pixel[:, None] * FEATURES + feature, mask=here[:, None], other=0.0)
    x = tl.maximum(x.to(tl.float32) + tl.load(bias + feature).to(tl.float32), 0.0)
    for channel in tl.static_range(CHANNELS):
        logit = tl.sum(x * tl.load(weight + channel * FEATURES + feature), axis=1)
        logit += tl.load(last_bias + channel)
        tl.store(out + (image * CHANNELS + channel) * pixels + pixel, logit, mask=here)


@triton.jit
def _join(
    local, mixed, views, weight, bias, out, eps, all_views, tokens,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr, IS_ASKED: tl.constexpr,
):  # fmt: skip
    patch, at_view, image = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    at = tl.arange(0, BLOCK)
    here = at < CHANNELS
    view = tl.load(views + at_view)
    row = ((image * all_views + view) * tokens + 1 + patch) * CHANNELS
    target = (image * tl.num_programs(1) + at_view) * (tokens - 1) + patch
    mixed_row = target * CHANNELS if IS_ASKED else row
    tl.store(
        out + 2 * target * CHANNELS + at,
        tl.load(local + row + at, mask=here, other=0.0),
        mask=here,
    )
    x = tl.load(mixed + mixed_row + at, mask=here, other=0.0)
    centred = tl.where(here, x - tl.sum(x, axis=0) / CHANNELS, 0.0)
    scale = tl.rsqrt(tl.sum(centred * centred, axis=0) / CHANNELS + eps)
    x = centred * scale * tl.load(weight + at, mask=here, other=0.0)
    x += tl.load(bias + at, mask=here, other=0.0)
    tl.store(out + (2 * target + 1) * CHANNELS + at, x, mask=here)


def channels_last(x: Tensor) -> Tensor:
    """Return (M, C, h, w) with the channels of a pixel together; itself if it is so already."""
    return x.contiguous(memory_format=torch.channels_last)


def resize(
    x: Tensor, size: tuple[int, int], bias: Tensor | None = None, uv: UvAxes | None = None
) -> Tensor:
    """
    Resize as ``dpt_head.resize`` does, and add a bias (C,) and the UV embedding of the new size.

    (M, C, h, w) -> (M, C, *size).
    """
    x = channels_last(x)
    images, channels, height, width = x.shape
    out = torch.empty(
        (images, channels, *size),
        dtype=x.dtype,
        device=x.device,
        memory_format=torch.channels_last,
    )
    block = triton.next_power_of_2(channels)
    pixels = max(_TILE // block, 1)
    unused = x  # a pointer is needed for what is not read, too
    _resize[(triton.cdiv(size[1], pixels), size[0], images)](
        x,
        unused if bias is None else bias,
        unused if uv is None else uv.columns,
        unused if uv is None else uv.rows,
        out,
        height,
        width,
        *size,
        _step(height, size[0]),
        _step(width, size[1]),
        CHANNELS=channels,
        BLOCK=block,
        PIXELS=pixels,
        HAS_BIAS=bias is not None,
        HAS_UV=uv is not None,
        num_warps=4,
    )
    return out


def _step(before: int, after: int) -> float:
    """Return how far apart the pixels of a new side lie on the old one, corners on corners."""
    return (before - 1) / (after - 1) if after > 1 else 0.0


def add(x: Tensor, bias: Tensor, *terms: Tensor) -> Tensor:
    """Add a bias (C,) and up to two maps to (M, C, h, w), in place if it is channels-last."""
    return _launch_add(x, bias, terms, keeps=True, relu=False)[0]


def add_relu(x: Tensor, bias: Tensor) -> Tensor:
    """Return relu of (M, C, h, w) and a bias (C,), in place if it is channels-last."""
    return _launch_add(x, bias, (), keeps=False, relu=True)[1]


def add_and_relu(x: Tensor, bias: Tensor, *terms: Tensor) -> tuple[Tensor, Tensor]:
    """Return what ``add`` does, and relu of it."""
    return _launch_add(x, bias, terms, keeps=True, relu=True)


def _launch_add(
    x: Tensor, bias: Tensor, terms: tuple[Tensor, ...], keeps: bool, relu: bool
) -> tuple[Tensor, Tensor]:
    x = channels_last(x)
    assert all(term.shape == x.shape for term in terms) and len(terms) <= 2
    first, second = (*map(channels_last, terms), x, x)[:2]
    rectified = torch.empty_like(x) if keeps and relu else x
    _add[(triton.cdiv(x.numel(), _TILE),)](
        x,
        bias,
        first,
        second,
        x,
        rectified,
        x.numel(),
        CHANNELS=x.shape[1],
        BLOCK=_TILE,
        TERMS=len(terms),
        KEEPS=keeps,
        RELU=relu,
        num_warps=4,
    )
    return x, rectified


def output(x: Tensor, bias: Tensor, last: nn.Conv2d) -> Tensor:
    """
    Finish a dense output: add a bias (C,), relu, and the last 1x1 convolution in float32.

    (M, C, h, w) of any float dtype -> (M, channels, h, w) float32.
    """
    x = channels_last(x)
    images, features, height, width = x.shape
    assert features == triton.next_power_of_2(features) and last.weight.dtype == torch.float32
    channels = last.out_channels
    out = torch.empty((images, channels, height, width), device=x.device)
    pixels = max(2 * _TILE // features, 1)
    _output[(triton.cdiv(height * width, pixels), images)](
        x,
        bias,
        last.weight,
        last.bias,
        out,
        height * width,
        FEATURES=features,
        CHANNELS=channels,
        BLOCK=pixels,
        num_warps=4,
    )
    return out


def join(local: Tensor, mixed: Tensor, views: Tensor, norm: LayerNorm) -> Tensor:
    """
    Return the patches of some views of a tap: the local half raw, the other one normed.

    ``local`` (B, V, N, C); ``mixed`` the same, or (B, v, P, C) if it is of those patches alone;
    ``views`` (v,). All float32 -> (B, v, P, 2C).
    """
    batch, all_views, tokens, channels = local.shape
    is_asked = mixed.shape[2] == tokens - 1
    local, mixed = local.contiguous(), mixed.contiguous()
    assert local.dtype == mixed.dtype == torch.float32
    out = local.new_empty((batch, len(views), tokens - 1, 2 * channels))
    _join[(tokens - 1, len(views), batch)](
        local,
        mixed,
        views,
        norm.weight,
        norm.bias,
        out,
        norm.eps,
        all_views,
        tokens,
        CHANNELS=channels,
        BLOCK=triton.next_power_of_2(channels),
        IS_ASKED=is_asked,
        num_warps=4,
    )
    return out
