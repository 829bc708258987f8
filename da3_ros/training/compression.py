"""What JPEG does to a picture, near enough: coarse cosine coefficients of 8 x 8 blocks."""

import math
from typing import NamedTuple

from da3_ros.model.tables import table
import torch
from torch import Tensor
import torch.nn.functional as F

BLOCK = 8
# Of luma and chroma: how coarse the lowest frequency is, and how much coarser the highest.
FIRST_STEP = (0.05, 0.06, 0.06)
LAST_STEP = (0.45, 0.40, 0.40)


class Tables(NamedTuple):
    """
    Constants on a device.

    ``cosines`` (8, 8) orthonormal DCT-II; ``colours`` (3, 3) orthonormal luma and two chroma axes;
    ``steps`` (3, 1, 8, 1, 8) of quantisation at amount 1.
    """

    cosines: Tensor
    colours: Tensor
    steps: Tensor


@table
def _tables(device: torch.device) -> Tables:
    at = torch.arange(BLOCK, device=device)
    cosines = torch.cos(math.pi * (at + 0.5) * at[:, None] / BLOCK) * math.sqrt(2 / BLOCK)
    cosines[0] *= math.sqrt(0.5)
    axes = ((3**-0.5,) * 3, (2**-0.5, 0.0, -(2**-0.5)), (6**-0.5, -2 * 6**-0.5, 6**-0.5))
    first, last = (torch.tensor(x, device=device)[:, None, None] for x in (FIRST_STEP, LAST_STEP))
    rise = (at[:, None] + at) / (2 * (BLOCK - 1))  # (8, 8)
    steps = first + (last - first) * rise
    return Tables(cosines, torch.tensor(axes, device=device), steps[:, None, :, None])


def compress(pictures: Tensor, amount: Tensor) -> Tensor:
    """
    Quantise (M, 3, H, W) in [0, 1] by ``amount`` (M,): 0 leaves it as it is, 1 is a poor JPEG.

    A pure function without a host sync; sides need not be multiples of 8.
    """
    height, width = pictures.shape[-2:]
    extra = (-width % BLOCK, -height % BLOCK)
    padded = F.pad(pictures, (0, extra[0], 0, extra[1]), mode='replicate')
    cosines, colours, steps = _tables(pictures.device)
    blocks = torch.einsum('dc,mchw->mdhw', colours, padded)
    blocks = blocks.unflatten(3, (-1, BLOCK)).unflatten(2, (-1, BLOCK))  # (M, 3, h, 8, w, 8)
    spectrum = torch.einsum('iy,mchywx,jx->mchiwj', cosines, blocks, cosines)
    step = steps * amount[:, None, None, None, None, None] + 1e-4
    spectrum = (spectrum / step).round() * step
    blocks = torch.einsum('iy,mchiwj,jx->mchywx', cosines, spectrum, cosines)
    padded = torch.einsum('dc,mdhw->mchw', colours, blocks.flatten(4).flatten(2, 3))
    return padded[..., :height, :width].clamp(0, 1)
