"""Some pixels of an image, evenly spread, and the rays through them; pixels as in ``cameras``."""

from functools import lru_cache
import math
from typing import TypeVar

import numpy as np
import torch

Values = TypeVar('Values', np.ndarray, torch.Tensor)


def pixel_grid(height: int, width: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return columns u and rows v (N,) of about ``count`` pixels, evenly spread over an image."""
    step = _step(height, width, count)
    v, u = torch.meshgrid(
        torch.arange(step // 2, height, step),
        torch.arange(step // 2, width, step),
        indexing='ij',
    )
    return u.reshape(-1), v.reshape(-1)


def thinned(image: Values, count: int) -> Values:
    """Return the pixels of ``pixel_grid`` of an image (H, W), as a view (h, w) without a copy."""
    step = _step(*image.shape, count)
    return image[step // 2 :: step, step // 2 :: step]


def sampled(image: torch.Tensor, count: int) -> np.ndarray:
    """
    Return the pixels (N,) float32 of ``pixel_grid`` of an image (H, W) in main memory.

    For so few, NumPy takes less time than PyTorch.
    """
    return thinned(image.numpy(), count).astype(np.float32).ravel()


def sampled_rays(height: int, width: int, count: int, intrinsics: np.ndarray) -> np.ndarray:
    """Return the points (..., N, 3) with z = 1 behind those pixels, of cameras K (..., 3, 3)."""
    u, v = _numpy_grid(height, width, count)
    k = intrinsics[..., None]
    rays = np.ones((*intrinsics.shape[:-2], len(u), 3))
    rays[..., 0] = (u - k[..., 0, 2, :]) / k[..., 0, 0, :]
    rays[..., 1] = (v - k[..., 1, 2, :]) / k[..., 1, 1, :]
    return rays


def is_depth(values: Values) -> Values:
    """Tell which values are a depth, or another length: above zero, finite and no NaN."""
    return (values > 0) & (values < math.inf)


def valid_depth(depth: np.ndarray) -> np.ndarray:
    """Return depth (H, W) float32 with NaN where there is none; itself where it is all there."""
    # Two passes where, as mostly, nothing is missing. NaN is not above zero.
    if depth.min() > 0 and depth.max() < math.inf:
        return depth
    return np.where(is_depth(depth), depth, np.float32(np.nan))


def rays_through(u: torch.Tensor, v: torch.Tensor, intrinsics: np.ndarray) -> torch.Tensor:
    """Return the points (N, 3) with z = 1, optical frame, that pixels (u, v) of a camera see."""
    x = (u - intrinsics[0, 2]) / intrinsics[0, 0]
    y = (v - intrinsics[1, 2]) / intrinsics[1, 1]
    return torch.stack([x, y, torch.ones_like(x)], dim=1)


@lru_cache(maxsize=32)
def _numpy_grid(height: int, width: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    u, v = pixel_grid(height, width, count)
    return u.numpy(), v.numpy()


def _step(height: int, width: int, count: int) -> int:
    return max(1, int((height * width / count) ** 0.5))
