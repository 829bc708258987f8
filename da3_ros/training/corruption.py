"""
Depth as sensors give it: with holes, noisy, sparse, beside the picture.

Each function is one defect, with a strength of its own for every window; ``corrupt`` draws which
windows have which. All of them work on the depth's device, read nothing back and keep the shape,
so they can be captured in a CUDA graph. Poses and intrinsics stay exact, as those of real data
sets are (nearly). Chance comes from the device's default generator.

Shapes: B windows, V views, H x W pixels. Depth is NaN where there is none.
"""

import torch
from torch import Tensor
import torch.nn.functional as F

ALSO = 0.25  # probability of each defect beside the one that every window has

HOLE_SHARE = (0.2, 0.8)
HOLE_CELLS = (6, 8)
# Bilinear noise varies less than the values that it is made of.
CELL_SPREAD = 0.67
EDGE_LOG_STEP = 0.1

NOISE = (0.02, 0.15)  # relative, at the window's mean depth
NOISE_CELLS = (12, 16)
OUTLIER_SHARE = 0.1

POINT_SHARE = (0.002, 0.02)

SHIFT = 0.06  # largest, as a share of the picture
ZOOM = 0.03


def _uniform(low: float, high: float, depth: Tensor) -> Tensor:
    """One number for each window, (B, 1, 1, 1)."""
    return low + (high - low) * torch.rand(len(depth), 1, 1, 1, device=depth.device)


def _blobs(depth: Tensor, cells: tuple[int, int]) -> Tensor:
    """Smooth noise (B, V, H, W) around 0, with so many cells down and across."""
    coarse = torch.randn(*depth.shape[:2], *cells, device=depth.device)
    return F.interpolate(coarse, depth.shape[-2:], mode='bilinear')


def holes(depth: Tensor) -> Tensor:
    """Lose patches of 20 to 80 % of the pixels (dark, shiny), and what lies along edges."""
    share = _uniform(*HOLE_SHARE, depth)
    lost = _blobs(depth, HOLE_CELLS) < CELL_SPREAD * torch.special.ndtri(share)
    logs = depth.nan_to_num(1e3).log()
    nearest, farthest = -F.max_pool2d(-logs, 3, 1, 1), F.max_pool2d(logs, 3, 1, 1)
    return torch.where(lost | (farthest - nearest > EDGE_LOG_STEP), torch.nan, depth)


def noise(depth: Tensor) -> Tensor:
    """
    Multiply by noise, half of it from pixel to pixel and half in blobs, with 10 % outliers.

    Its spread grows with depth, as triangulation's does: 2 to 15 % at the window's mean depth.
    """
    valid = depth.isfinite()
    mean = depth.nansum((1, 2, 3), keepdim=True) / valid.sum((1, 2, 3), keepdim=True).clamp_min(1)
    spread = _uniform(*NOISE, depth) * (depth / mean.clamp_min(1e-6)).clamp(0.3, 3)
    wave = torch.randn_like(depth) + _blobs(depth, NOISE_CELLS) / CELL_SPREAD
    is_outlier = torch.rand_like(depth) < OUTLIER_SHARE
    far_off = 2 * torch.rand_like(depth) - 1  # up to e times too near or too far
    return depth * torch.where(is_outlier, far_off, spread * wave / 2**0.5).exp()


def sparse(depth: Tensor) -> Tensor:
    """Keep 0.2 to 2 % of the pixels: scattered (triangulated points), or in rows (a LiDAR)."""
    low, high = POINT_SHARE
    share = low * (high / low) ** _uniform(0, 1, depth)
    has_rows = _uniform(0, 1, depth) < 0.5
    of_rows = torch.where(has_rows, share.sqrt(), 1.0)
    row = torch.rand(*depth.shape[:3], 1, device=depth.device) < of_rows
    return torch.where(row & (torch.rand_like(depth) < share / of_rows), depth, torch.nan)


def misaligned(depth: Tensor) -> Tensor:
    """
    Move depth by up to 6 % of the picture and zoom it by up to 3 %: a wrong extrinsic calibration.

    It is the same in all views of a window, and takes whole pixels: no depth is invented.
    """
    height, width = depth.shape[-2:]
    flat = depth.flatten(2)
    zoom = 1 + _uniform(-ZOOM, ZOOM, depth)

    def source(size: int, along: Tensor) -> Tensor:
        middle = size / 2
        return (along + 0.5 - middle) * zoom + middle + _uniform(-SHIFT, SHIFT, depth) * size

    row = source(height, torch.arange(height, device=depth.device)[:, None]).floor()
    column = source(width, torch.arange(width, device=depth.device)).floor()
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)  # (B, 1, H, W)
    pixel = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    moved = flat.gather(2, pixel.long().flatten(2).expand_as(flat)).view_as(depth)
    return torch.where(inside, moved, torch.nan)


DEFECTS = (noise, misaligned, holes, sparse)


def corrupt(depth_m: Tensor) -> Tensor:
    """
    Give each window one defect at random, and each of the others with probability ``ALSO``.

    Args:
        depth_m: (B, V, H, W), NaN where there is none.

    Returns:
        (B, V, H, W), as a sensor would have given it.

    """
    size = (len(depth_m), len(DEFECTS))
    chosen = torch.rand(size, device=depth_m.device) < ALSO
    first = torch.randint(len(DEFECTS), size[:1], device=depth_m.device)
    chosen = chosen | (first[:, None] == torch.arange(len(DEFECTS), device=depth_m.device))
    for index, defect in enumerate(DEFECTS):
        has_it = chosen[:, index, None, None, None]
        depth_m = torch.where(has_it, defect(depth_m), depth_m)
    return depth_m
