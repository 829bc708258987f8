"""
What a real camera makes of light: exposure, colour balance, vignette, blur, noise, gamma.

All steps are optional, on the device of the picture, and deterministic under the generator.

Legend: B scenes, V views, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import conv2d, pad

# Widest blur kernel; fixed, so that shapes do not depend on the drawn blur.
BLUR_REACH = 3


@dataclass(frozen=True)
class SensorConfig:
    """
    Strength of each effect; each view draws its own values up to it. Zero switches it off.

    `scene_exposure_ev` and `scene_balance` are drawn once per scene, `view_exposure_ev` per view.
    `blur_px` is a Gaussian's sigma; `shot_noise` and `read_noise` are shares of full scale in
    linear light.
    """

    exposure: float = 1.25
    scene_exposure_ev: float = 0.0
    view_exposure_ev: float = 0.0
    scene_balance: float = 0.0
    vignette: float = 0.0
    blur_px: float = 0.0
    shot_noise: float = 0.0
    read_noise: float = 0.0


# What training pictures look like, and what a decent camera gives.
TRAINING_SENSOR = SensorConfig(1.25, 0.7, 0.2, 0.12, 0.35, 0.7, 0.03, 0.006)
DEMO_SENSOR = SensorConfig(1.25, 0.0, 0.0, 0.0, 0.12, 0.0, 0.006, 0.001)


def encode_srgb(linear: torch.Tensor) -> torch.Tensor:
    """Linear light in [0, 1] to sRGB (IEC 61966-2-1)."""
    bright = 1.055 * linear.clamp_min(0.0031308).pow(1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, 12.92 * linear, bright)


def _vignette(height: int, width: int, like: torch.Tensor) -> torch.Tensor:
    """Squared distance from the centre (H, W), 1 in the corners."""
    y = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) / height * 2 - 1
    x = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width * 2 - 1
    return (x.square() + y.square()[:, None]) / 2


def _blur(picture: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Gaussian blur of (N, 3, H, W) with sigma (N,) each, as two grouped convolutions."""
    count = len(picture)
    offsets = torch.arange(-BLUR_REACH, BLUR_REACH + 1, device=sigma.device, dtype=sigma.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma.clamp_min(1e-2)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)  # (3 N, 7)
    flat = pad(picture, (BLUR_REACH,) * 4, mode='replicate').flatten(0, 1)[None]
    flat = conv2d(flat, kernel[:, None, None], groups=3 * count)
    flat = conv2d(flat, kernel[:, None, :, None], groups=3 * count)
    return flat[0].unflatten(0, (count, 3))


def expose(
    colour: torch.Tensor, config: SensorConfig, generator: torch.Generator | None = None
) -> torch.Tensor:
    """
    Display pictures (B, V, 3, H, W) in [0, 1] from linear colour (B, V, 3, H, W).

    `generator` lives on the colour's device; None uses the device's default one.
    """
    scenes, views = colour.shape[:2]
    settings = {'device': colour.device, 'dtype': colour.dtype, 'generator': generator}

    def draw(*size: int) -> torch.Tensor:
        return torch.rand(size, **settings)

    steps = config.scene_exposure_ev * (2 * draw(scenes, 1) - 1)
    steps = steps + config.view_exposure_ev * (2 * draw(scenes, views) - 1)
    gain = config.exposure * torch.exp2(steps)[..., None, None, None]
    balance = 1 + config.scene_balance * (2 * draw(scenes, 1, 3, 1, 1) - 1)
    picture = colour * gain * balance
    if config.vignette:
        dark = config.vignette * draw(scenes, views, 1, 1, 1)
        picture = picture * (1 - dark * _vignette(*colour.shape[-2:], colour))
    if config.blur_px:
        sigma = config.blur_px * draw(scenes * views)
        picture = _blur(picture.flatten(0, 1), sigma).unflatten(0, (scenes, views))
    # Highlights roll off instead of clipping hard.
    picture = picture / (1 + 0.35 * picture.clamp_min(0))
    if config.shot_noise or config.read_noise:
        amount = draw(scenes, views, 1, 1, 1)
        spread = config.read_noise + config.shot_noise * picture.clamp_min(0).sqrt()
        picture = picture + amount * spread * torch.randn(picture.shape, **settings)
    return encode_srgb(picture.clamp(0, 1))


def quantise(picture: torch.Tensor) -> torch.Tensor:
    """Pictures in [0, 1] as uint8."""
    return (picture * 255 + 0.5).clamp(0, 255).to(torch.uint8)
