"""
Windows of training pictures with exact truth, rendered on the device.

Shapes: B windows, V views, H x W pixels.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from da3_ros.model.presets import IMAGE_MEAN, IMAGE_STD
from da3_ros.model.tables import table
from da3_ros.training.cameras import sample_cameras
from da3_ros.training.compression import compress
from da3_ros.training.config import Bucket
from da3_ros.training.scenes.atlas import Atlas
from da3_ros.training.scenes.render import render, RenderConfig
from da3_ros.training.scenes.scene import Scenes
from da3_ros.training.scenes.sensor import expose, TRAINING_SENSOR
import torch
from torch import Tensor

FAR_M = 80.0
COMPRESSED_SHARE = 0.6
# Surfaces are repainted by texture, so that the parts of one thing stay alike; in so many ways.
PAINTS = 61

Renderer = Callable[..., object]


class Windows(NamedTuple):
    """
    Windows of one shape.

    Attributes:
        images: (B, V, 3, H, W) normalised.
        depth_m: (B, V, H, W) z-depth at pixel centres, NaN where there is none.
        world_from_camera: (B, V, 4, 4) optical.
        intrinsics: (B, V, 3, 3) pixels, centres at + 0.5.
        known: (B,) bool, where the network is told the cameras.

    """

    images: Tensor
    depth_m: Tensor
    world_from_camera: Tensor
    intrinsics: Tensor
    known: Tensor


@table
def _statistics(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return mean and standard deviation, (2, 3, 1, 1)."""
    return torch.tensor((IMAGE_MEAN, IMAGE_STD), device=device, dtype=dtype)[..., None, None]


def normalise(pictures: Tensor) -> Tensor:
    """(..., 3, H, W) in [0, 1] -> as the network takes them."""
    mean, std = _statistics(pictures.device, pictures.dtype)
    return (pictures - mean) / std


def denormalise(images: Tensor) -> Tensor:
    """(..., 3, H, W) as the network takes them -> in [0, 1]."""
    mean, std = _statistics(images.device, images.dtype)
    return images * std + mean


def repaint(scenes: Scenes) -> Scenes:
    """Give materials other tints and lamps another strength: a scene looks new each time."""
    device, count = scenes.tint.device, len(scenes)
    shade = 0.6 + 0.7 * torch.rand((count, PAINTS, 1), device=device)
    hue = 0.92 + 0.16 * torch.rand((count, PAINTS, 3), device=device)
    own = (scenes.texture % PAINTS)[..., None].expand(-1, -1, 3)  # (B, R, 3)
    strength = 0.6 + 0.8 * torch.rand((*scenes.light_colour.shape[:2], 1), device=device)
    return replace(
        scenes,
        tint=scenes.tint * (shade * hue).gather(1, own.long()),
        light_colour=scenes.light_colour * strength,
    )


def single_views(windows: Windows) -> Windows:
    """Make each picture of (B, V) windows a window of its own, (B V, 1)."""
    views = windows.images.shape[1]
    parts = (x.flatten(0, 1)[:, None] for x in windows[:4])
    return Windows(*parts, windows.known.repeat_interleave(views))


class WindowSource:
    """
    Draws windows of one bucket's shape from a pool of scenes.

    A call reads nothing back and always makes the same shapes, so it can be captured as a CUDA
    graph. Chance comes from the device's default generator.
    """

    def __init__(
        self,
        scenes: Scenes,
        atlas: Atlas,
        bucket: Bucket,
        windows: int,
        samples_per_side: int = 2,
        known_share: float = 0.2,
        renderer: Renderer = render,
    ) -> None:
        """``scenes`` and ``atlas`` may change their contents between calls, not their place."""
        self._scenes, self._atlas, self._renderer = scenes, atlas, renderer
        # Single views are rendered in pairs: a size of one would be compiled for itself.
        self._paired = bucket.views == 1 and windows % 2 == 0
        if self._paired:
            bucket, windows = replace(bucket, views=2), windows // 2
        self._bucket, self._windows, self._known_share = bucket, windows, known_share
        self._look = RenderConfig(bucket.width, bucket.height, samples_per_side, FAR_M)

    @torch.no_grad()
    def __call__(self, ease: Tensor) -> Windows:
        """Draw B new windows; ``ease`` () is the share of the full range of motion."""
        bucket, device = self._bucket, self._scenes.centre.device
        chosen = torch.randint(len(self._scenes), (self._windows,), device=device)
        scenes = repaint(self._scenes[chosen])
        cameras = sample_cameras(scenes, bucket.views, bucket.height, bucket.width, ease)
        seen = self._renderer(scenes, self._atlas, *cameras, self._look)
        pictures = expose(seen.colour, TRAINING_SENSOR)
        amount = torch.rand(self._windows, 1, device=device).expand(-1, bucket.views)
        is_compressed = torch.rand(self._windows, 1, device=device) < COMPRESSED_SHARE
        amount = torch.where(is_compressed, amount.square(), 0).flatten()
        pictures = compress(pictures.flatten(0, 1), amount).unflatten(0, seen.depth_m.shape[:2])
        known = torch.rand(self._windows, device=device) < self._known_share
        found = Windows(normalise(pictures), seen.depth_m, *cameras, known)
        return single_views(found) if self._paired else found
