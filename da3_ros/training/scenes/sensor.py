"""
What a real camera makes of light: metering, colour balance, vignette, blur, noise, tone curve.

All steps are optional, on the device of the picture, and deterministic under the generator.

Legend: B scenes, V views, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
import math

import torch
from torch.nn.functional import conv2d, pad

# Widest blur kernel; fixed, so that shapes do not depend on the drawn blur.
BLUR_REACH = 3
# Linear light to which metering brings a picture's geometric mean, and the steps it may take.
MIDDLE_GREY = 0.16
METERING_EV = 3.0


@dataclass(frozen=True)
class SensorConfig:
    """
    Strength of each effect; each view draws its own values up to it. Zero switches it off.

    `scene_exposure_ev` and `scene_balance` are drawn once per scene, `view_exposure_ev` per view.
    `blur_px` is a Gaussian's sigma; `shot_noise` and `read_noise` are shares of full scale in
    linear light.

    `metering` is the share by which the exposure follows each picture's own brightness, as an
    automatic one does. Highlights roll off by `shoulder`, of which up to `clipping` is lost, so
    that they clip. `contrast` bends the display curve into an S, `saturation` varies the colours,
    mostly to paler ones.
    """

    exposure: float = 1.25
    scene_exposure_ev: float = 0.0
    view_exposure_ev: float = 0.0
    scene_balance: float = 0.0
    vignette: float = 0.0
    blur_px: float = 0.0
    shot_noise: float = 0.0
    read_noise: float = 0.0
    metering: float = 0.0
    shoulder: float = 0.35
    clipping: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0


# What training pictures look like, and what a decent camera gives.
TRAINING_SENSOR = SensorConfig(
    scene_exposure_ev=1.1,
    view_exposure_ev=0.25,
    scene_balance=0.12,
    vignette=0.45,
    blur_px=1.0,
    shot_noise=0.03,
    read_noise=0.008,
    metering=0.75,
    clipping=1.0,
    contrast=1.0,
    saturation=0.4,
)
DEMO_SENSOR = SensorConfig(vignette=0.12, shot_noise=0.006, read_noise=0.001, metering=0.6)


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


def _metered_ev(colour: torch.Tensor) -> torch.Tensor:
    """
    Count the steps (B, V) that bring each picture's geometric mean to a middle grey.

    The geometric mean hardly notices lamps and windows, which then clip.
    """
    luminance = colour.mean(2).clamp_min(0) + 1e-3
    mean = luminance.log2().mean((-1, -2))
    return (math.log2(MIDDLE_GREY) - mean).clamp(-METERING_EV, METERING_EV)


def _graded(picture: torch.Tensor, contrast: torch.Tensor) -> torch.Tensor:
    """Display pictures in [0, 1] on an S-shaped curve."""
    curve = picture.square() * (3 - 2 * picture)
    return torch.lerp(picture, curve, contrast)


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
    if config.metering:
        steps = steps + config.metering * _metered_ev(colour)
    gain = config.exposure * torch.exp2(steps)[..., None, None, None]
    balance = 1 + config.scene_balance * (2 * draw(scenes, 1, 3, 1, 1) - 1)
    picture = colour * gain * balance
    if config.vignette:
        dark = config.vignette * draw(scenes, views, 1, 1, 1)
        picture = picture * (1 - dark * _vignette(*colour.shape[-2:], colour))
    if config.blur_px:
        sigma = config.blur_px * draw(scenes * views)
        picture = _blur(picture.flatten(0, 1), sigma).unflatten(0, (scenes, views))
    if config.saturation:
        strength = 1 + config.saturation * (1.5 * draw(scenes, 1, 1, 1, 1) - 1)
        picture = torch.lerp(picture.mean(2, keepdim=True), picture, strength).clamp_min(0)
    # Highlights roll off; some cameras clip them hard.
    shoulder = config.shoulder * (1 - config.clipping * draw(scenes, 1, 1, 1, 1))
    picture = picture / (1 + shoulder * picture.clamp_min(0))
    if config.shot_noise or config.read_noise:
        amount = draw(scenes, views, 1, 1, 1)
        spread = config.read_noise + config.shot_noise * picture.clamp_min(0).sqrt()
        picture = picture + amount * spread * torch.randn(picture.shape, **settings)
    picture = encode_srgb(picture.clamp(0, 1))
    if config.contrast:
        picture = _graded(picture, config.contrast * draw(scenes, 1, 1, 1, 1))
    return picture


def quantise(picture: torch.Tensor) -> torch.Tensor:
    """Pictures in [0, 1] as uint8."""
    return (picture * 255 + 0.5).clamp(0, 255).to(torch.uint8)
