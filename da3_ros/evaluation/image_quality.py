"""How like two pictures are: PSNR and SSIM, as view synthesis reports them."""

from da3_ros.errors import InputError
import torch
from torch import Tensor
from torch.nn.functional import conv2d

# The window and the constants of Wang et al. 2004.
_SIDE, _SIGMA = 11, 1.5
_K1, _K2 = 0.01, 0.03


def psnr(picture: Tensor, truth: Tensor) -> float:
    """
    Return the peak signal-to-noise ratio in dB of (3, H, W) in [0, 1]; infinite if equal.

    Raises:
        InputError: if the shapes differ.

    """
    _check(picture, truth)
    return float(-10 * (picture - truth).double().square().mean().log10())


def ssim(picture: Tensor, truth: Tensor) -> float:
    """
    Return the structural similarity of (3, H, W) in [0, 1], the mean over channels, at most 1.

    Gaussian windows of 11 x 11 pixels, only those that lie in the picture.

    Raises:
        InputError: if the shapes differ, or a side is shorter than the window.

    """
    _check(picture, truth)
    if min(picture.shape[-2:]) < _SIDE:
        raise InputError(
            f'Got pictures of {tuple(picture.shape[-2:])}; expected {_SIDE} pixels or more a side.'
        )
    a, b = picture.double()[:, None], truth.double()[:, None]  # (3, 1, H, W)
    mean_a, mean_b = _blurred(a), _blurred(b)
    variance_a = _blurred(a * a) - mean_a**2
    variance_b = _blurred(b * b) - mean_b**2
    covariance = _blurred(a * b) - mean_a * mean_b
    c1, c2 = _K1**2, _K2**2
    above = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    below = (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    return float((above / below).mean())


def _blurred(image: Tensor) -> Tensor:
    """Return (C, 1, h, w) under Gaussian windows that lie in the image (C, 1, H, W)."""
    places = torch.arange(_SIDE, dtype=image.dtype, device=image.device) - _SIDE // 2
    weights = torch.exp(-0.5 * (places / _SIGMA) ** 2)
    weights = weights / weights.sum()
    return conv2d(conv2d(image, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))


def _check(picture: Tensor, truth: Tensor) -> None:
    if picture.shape != truth.shape or picture.ndim != 3:
        raise InputError(
            f'Got pictures of shapes {tuple(picture.shape)} and {tuple(truth.shape)}; '
            'expected two of (3, H, W).'
        )
