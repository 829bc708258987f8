"""
The Triton kernel of ``device_points``: from the images of a view to its points, in one pass.

Each program takes a run of points, so many pixels of the thinned image, row by row. All that is
NumPy's in ``geometry.flying`` is rounded as it is there.
"""

import math

from da3_ros.config import NodeConfig
from da3_ros.engine.device_view import DeviceView
from da3_ros.engine.picture_kernel import COLOURS
from da3_ros.geometry.flying import REACHES, SLOPE
import numpy as np
import torch
import triton
import triton.language as tl

_BLOCK = 256  # points of a program
# What is not compiled for in particular: one binary serves all sizes, strides and cuts.
_ANY = (
    *('depth_row', 'depth_column', 'confidence_row', 'confidence_column'),
    *('image_plane', 'image_row', 'image_column', 'height', 'width', 'stride', 'thin_width'),
    'count',
)
_IMAGES = ('depth_in', 'confidence_in', 'image_in')


@triton.jit
def _inverse(line, at, step, here):
    depth = tl.load(line + at * step, mask=here, other=0.0)
    return tl.where(depth > 0, tl.div_rn(1.0, depth), 0.0)


@triton.jit
def _goes_on(
    inverse, slope, line, at, step, length, here, SIDE: tl.constexpr, REACH: tl.constexpr,
    SLOPE: tl.constexpr,
):  # fmt: skip
    end = _inverse(line, tl.minimum(tl.maximum(at + SIDE * REACH, 0), length - 1), step, here)
    stretch = tl.div_rn(end - inverse, REACH * 1.0)
    return tl.abs(stretch - slope) < SLOPE * tl.abs(slope)


@triton.jit
def _is_flying(
    inverse, line, at, step, length, share, here, SHORT: tl.constexpr, LONG: tl.constexpr,
    SLOPE: tl.constexpr,
):  # fmt: skip
    before = _inverse(line, tl.maximum(at - 1, 0), step, here)
    after = _inverse(line, tl.minimum(at + 1, length - 1), step, here)
    nears = (inverse * share > before) & (after * share > inverse)
    recedes = (before * share > inverse) & (inverse * share > after)
    hangs = (nears | recedes) & (at > 0) & (at < length - 1)
    slope = before - inverse
    is_plane = _goes_on(inverse, slope, line, at, step, length, here, -1, SHORT, SLOPE)
    is_plane &= _goes_on(inverse, slope, line, at, step, length, here, -1, LONG, SLOPE)
    slope = after - inverse
    goes_on = _goes_on(inverse, slope, line, at, step, length, here, 1, SHORT, SLOPE)
    goes_on &= _goes_on(inverse, slope, line, at, step, length, here, 1, LONG, SLOPE)
    return hangs & (is_plane == 0) & (goes_on == 0)


@triton.jit
def _level(pixel, here, MEAN: tl.constexpr, STD: tl.constexpr):
    # Normalising in float32 moves a level of 255 by 1e-4 at most: rounding gives it back.
    return (tl.load(pixel, mask=here, other=0.0) * STD + (MEAN + 0.5)).to(tl.int32)


@triton.jit(do_not_specialize=_ANY, do_not_specialize_on_alignment=_IMAGES)
def _points(
    depth_in, confidence_in, image_in, out,
    depth_row, depth_column, confidence_row, confidence_column,
    image_plane, image_row, image_column,
    height, width, stride, thin_width, count, scale,
    fx, cx, fy, cy, slant,
    max_depth, min_confidence, min_squared, max_squared, share,
    xx, xy, xz, x_t, yx, yy, yz, y_t, zx, zy, zz, z_t,
    SHORT: tl.constexpr, LONG: tl.constexpr, SLOPE: tl.constexpr,
    RED: tl.constexpr, GREEN: tl.constexpr, BLUE: tl.constexpr,
    RED_STD: tl.constexpr, GREEN_STD: tl.constexpr, BLUE_STD: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    point = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    here = point < count
    row, column = point // thin_width * stride, point % thin_width * stride
    seen = tl.load(depth_in + row * depth_row + column * depth_column, mask=here, other=0.0)
    depth = scale * seen
    confidence = tl.load(
        confidence_in + row * confidence_row + column * confidence_column, mask=here, other=0.0
    )
    is_point = (depth > 0) & (depth < float('inf')) & (depth <= max_depth)  # False for NaN
    is_point &= (min_confidence <= 0) | (confidence >= min_confidence)
    # What hangs in the air is told by ratios of depths, whatever their scale.
    inverse = tl.where(seen > 0, tl.div_rn(1.0, seen), 0.0)
    flies = _is_flying(
        inverse, depth_in + row * depth_row, column, depth_column, width, share, here,
        SHORT, LONG, SLOPE,
    )  # fmt: skip
    flies |= _is_flying(
        inverse, depth_in + column * depth_column, row, depth_row, height, share, here,
        SHORT, LONG, SLOPE,
    )  # fmt: skip
    y = depth * ((row - cy) / fy)
    x = depth * ((column - cx) / fx) - slant * y
    squared = x * x + y * y + depth * depth
    is_point &= (squared >= min_squared) & (squared <= max_squared) & (flies == 0)
    pixel = image_in + row * image_row + column * image_column
    colour = _level(pixel, here, RED, RED_STD) << 16
    colour |= _level(pixel + image_plane, here, GREEN, GREEN_STD) << 8
    colour |= _level(pixel + 2 * image_plane, here, BLUE, BLUE_STD)
    nothing = float('nan')
    first = xx * x + xy * y + xz * depth + x_t
    second = yx * x + yy * y + yz * depth + y_t
    third = zx * x + zy * y + zz * depth + z_t
    start = out + 4 * point
    # As bits: a packed colour is a number so small that arithmetic may take it for zero.
    bits = tl.where(is_point, first, nothing).to(tl.int32, bitcast=True)
    tl.store(start, bits, mask=here)
    bits = tl.where(is_point, second, nothing).to(tl.int32, bitcast=True)
    tl.store(start + 1, bits, mask=here)
    bits = tl.where(is_point, third, nothing).to(tl.int32, bitcast=True)
    tl.store(start + 2, bits, mask=here)
    tl.store(start + 3, colour, mask=here)


def write_points(
    view: DeviceView,
    intrinsics: np.ndarray,
    map_from_camera: np.ndarray | None,
    config: NodeConfig,
    out: torch.Tensor,
) -> None:
    """
    Write the points of a view, on the current stream, as ``DevicePoints.of`` describes them.

    ``out`` (h, w, 4) int32, of the thinned image, gets their bits.
    """
    points, depth = config.points, config.depth
    assert view.depth.dtype == view.confidence.dtype == view.image.dtype == torch.float32
    (fx, skew, cx), (_, fy, cy), _ = intrinsics.tolist()
    pose = np.eye(4) if map_from_camera is None else map_from_camera
    count = out.shape[0] * out.shape[1]
    _points[(-(-count // _BLOCK),)](
        view.depth,
        view.confidence,
        view.image,
        out,
        *view.depth.stride(),
        *view.confidence.stride(),
        *view.image.stride(),
        *view.depth.shape,
        points.stride,
        out.shape[1],
        count,
        float(view.scale),
        *(fx, cx, fy, cy, skew / fx),
        float(depth.max_range or math.inf),
        float(max(depth.min_confidence, points.min_confidence)),
        float(points.min_range**2),
        float(points.max_range**2 or math.inf),
        # Nothing is nearer than by a step that leaves no inverse depth.
        1.0 - points.max_edge if points.max_edge > 0 else 0.0,
        *pose[:3].ravel().tolist(),
        **COLOURS,
        SHORT=REACHES[0],
        LONG=REACHES[1],
        SLOPE=SLOPE,
        BLOCK=_BLOCK,
        enable_fp_fusion=False,  # rounded as NumPy does, so that thresholds cut alike
    )
