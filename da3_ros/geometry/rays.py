"""Rays through the pixels of a camera, in PyTorch; pixels as in ``cameras``."""

import numpy as np
import torch


def pixel_grid(
    height: int, width: int, count: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return columns u and rows v (N,) of about ``count`` pixels, evenly spread over an image."""
    step = _step(height, width, count)
    v, u = torch.meshgrid(
        torch.arange(step // 2, height, step, device=device),
        torch.arange(step // 2, width, step, device=device),
        indexing='ij',
    )
    return u.reshape(-1), v.reshape(-1)


def thinned(image: torch.Tensor, count: int) -> torch.Tensor:
    """Return the pixels of ``pixel_grid`` of an image (H, W), as a view (h, w) without a copy."""
    step = _step(*image.shape, count)
    return image[step // 2 :: step, step // 2 :: step]


def rays_through(u: torch.Tensor, v: torch.Tensor, intrinsics: np.ndarray) -> torch.Tensor:
    """Return the points (N, 3) with z = 1, optical frame, that pixels (u, v) of a camera see."""
    x = (u - intrinsics[0, 2]) / intrinsics[0, 0]
    y = (v - intrinsics[1, 2]) / intrinsics[1, 1]
    return torch.stack([x, y, torch.ones_like(x)], dim=1)


def _step(height: int, width: int, count: int) -> int:
    return max(1, int((height * width / count) ** 0.5))
