"""
The Triton kernel of ``device_preprocess``: from a camera's bytes to the network's image, one pass.

Each program makes a run of pixels of the small image. Each of these is a weighted sum of pixels
that the camera would have taken without its lens's distortion, and each of those lies between four
that it took.
"""

from da3_ros.engine.resizing import Taps
from da3_ros.model.presets import IMAGE_MEAN, IMAGE_STD
import torch
import triton
import triton.language as tl

_BLOCK = 128  # pixels of a program
_NAMES = ('RED', 'GREEN', 'BLUE')
# Means and deviations of the colours, in levels of 255.
COLOURS = {name: 255.0 * mean for name, mean in zip(_NAMES, IMAGE_MEAN, strict=True)}
COLOURS |= {f'{name}_STD': 255.0 * std for name, std in zip(_NAMES, IMAGE_STD, strict=True)}
# What is not compiled for in particular: one binary serves all sizes.
_ANY = ('height', 'width', 'small_width', 'count', 'row_taps', 'column_taps')


@triton.jit
def _between(picture, x, y, width, height, weight, here, CHANNEL: tl.constexpr):
    # Black outside of the picture.
    inside = here & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return weight * tl.load(picture + (y * width + x) * 3 + CHANNEL, mask=inside, other=0.0)


@triton.jit
def _bent(picture, x, y, u, v, width, height, here, CHANNEL: tl.constexpr):
    # To whole levels, as OpenCV leaves them.
    level = _between(picture, x, y, width, height, (1.0 - u) * (1.0 - v), here, CHANNEL)
    level += _between(picture, x + 1, y, width, height, u * (1.0 - v), here, CHANNEL)
    level += _between(picture, x, y + 1, width, height, (1.0 - u) * v, here, CHANNEL)
    level += _between(picture, x + 1, y + 1, width, height, u * v, here, CHANNEL)
    return tl.floor(level + 0.5)


@triton.jit
def _put(
    level, image, rgb, pixel, count, here, CHANNEL: tl.constexpr, MEAN: tl.constexpr,
    STD: tl.constexpr,
):  # fmt: skip
    level = tl.minimum(tl.maximum(tl.floor(level + 0.5), 0.0), 255.0)
    tl.store(image + CHANNEL * count + pixel, (level - MEAN) / STD, mask=here)
    tl.store(rgb + 3 * pixel + CHANNEL, level.to(tl.uint8), mask=here)


@triton.jit(do_not_specialize=_ANY)
def _picture(
    picture, sources, row_first, row_weights, column_first, column_weights, image, rgb,
    height, width, small_width, count, row_taps, column_taps,
    RED: tl.constexpr, GREEN: tl.constexpr, BLUE: tl.constexpr,
    RED_STD: tl.constexpr, GREEN_STD: tl.constexpr, BLUE_STD: tl.constexpr,
    HAS_LENS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    here = pixel < count
    row, column = pixel // small_width, pixel % small_width
    top = tl.load(row_first + row, mask=here, other=0)
    left = tl.load(column_first + column, mask=here, other=0)
    red = tl.zeros((BLOCK,), tl.float32)
    green = tl.zeros((BLOCK,), tl.float32)
    blue = tl.zeros((BLOCK,), tl.float32)
    for i in range(row_taps):
        y = tl.minimum(top + i, height - 1)
        of_row = tl.load(row_weights + row * row_taps + i, mask=here, other=0.0)
        for j in range(column_taps):
            x = tl.minimum(left + j, width - 1)
            of_column = tl.load(column_weights + column * column_taps + j, mask=here, other=0.0)
            weight = of_row * of_column
            if HAS_LENS:
                source = sources + 2 * (y * width + x)
                at_x = tl.load(source, mask=here, other=0.0)
                at_y = tl.load(source + 1, mask=here, other=0.0)
                x0, y0 = tl.floor(at_x), tl.floor(at_y)
                u, v = at_x - x0, at_y - y0
                x0, y0 = x0.to(tl.int32), y0.to(tl.int32)
                red += weight * _bent(picture, x0, y0, u, v, width, height, here, 0)
                green += weight * _bent(picture, x0, y0, u, v, width, height, here, 1)
                blue += weight * _bent(picture, x0, y0, u, v, width, height, here, 2)
            else:
                red += _between(picture, x, y, width, height, weight, here, 0)
                green += _between(picture, x, y, width, height, weight, here, 1)
                blue += _between(picture, x, y, width, height, weight, here, 2)
    _put(red, image, rgb, pixel, count, here, 0, RED, RED_STD)
    _put(green, image, rgb, pixel, count, here, 1, GREEN, GREEN_STD)
    _put(blue, image, rgb, pixel, count, here, 2, BLUE, BLUE_STD)


def small_picture(
    picture: torch.Tensor, rows: Taps, columns: Taps, sources: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Return a camera's picture (H, W, 3) uint8 as normalised image (3, h, w) and as rgb (h, w, 3).

    ``sources`` (H, W, 2) float32 are x and y in it of each pixel of the picture without the lens's
    distortion, None where there is none. On the current stream.
    """
    height, width = picture.shape[:2]
    small = len(rows.first), len(columns.first)
    image = torch.empty(3, *small, device=picture.device)
    rgb = torch.empty(*small, 3, dtype=torch.uint8, device=picture.device)
    count = small[0] * small[1]
    _picture[(-(-count // _BLOCK),)](
        picture,
        picture if sources is None else sources,
        rows.first,
        rows.weights,
        columns.first,
        columns.weights,
        image,
        rgb,
        *(height, width, small[1], count),
        *(rows.weights.shape[1], columns.weights.shape[1]),
        **COLOURS,
        HAS_LENS=sources is not None,
        BLOCK=_BLOCK,
    )
    return image, rgb
