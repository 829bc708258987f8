"""Rays through the pixels of a camera, in PyTorch; pixels as in ``cameras``."""

from functools import lru_cache

import numpy as np
import torch


_CPU = torch.device('cpu')


@lru_cache(maxsize=32)
def pixel_grid(
    height: int, width: int, count: int, device: torch.device = _CPU
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Return columns u and rows v (N,) of about ``count`` pixels, evenly spread over an image.

    They are the same tensors each time: not to be written to.
    """
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


def sampled(image: torch.Tensor, count: int) -> torch.Tensor:
    """
    Return the pixels (N,) of ``pixel_grid`` of an image (H, W), float32 on the CPU.

    From a device that is one small download. A GPU takes longer to be told of a step than a CPU to
    do it for so few pixels, so what follows is best done there.
    """
    return thinned(image, count).reshape(-1).cpu().float()


def rays_through(u: torch.Tensor, v: torch.Tensor, intrinsics: np.ndarray) -> torch.Tensor:
    """
    Return the points (..., N, 3) with z = 1, optical frame, that pixels (u, v) of cameras see.

    ``u`` and ``v`` are (N,), ``intrinsics`` (..., 3, 3).
    """
    k = torch.as_tensor(intrinsics, dtype=torch.float32, device=u.device)[..., None]
    x = (u - k[..., 0, 2, :]) / k[..., 0, 0, :]
    y = (v - k[..., 1, 2, :]) / k[..., 1, 1, :]
    return torch.stack([x, y, torch.ones_like(x)], dim=-1)


def _step(height: int, width: int, count: int) -> int:
    return max(1, int((height * width / count) ** 0.5))
