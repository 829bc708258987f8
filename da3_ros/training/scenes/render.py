"""
Rendering batches of views: exact depth at pixel centres, supersampled linear colour.

Runs alike on CPU and GPU; shapes depend on the configuration alone and nothing is read back by the
host, so a call can be compiled or captured in a CUDA graph.

Legend: B scenes, V views, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from da3_ros.errors import InputError
from da3_ros.training.scenes.atlas import Atlas
from da3_ros.training.scenes.casting import cast_rays
from da3_ros.training.scenes.culling import Visits
from da3_ros.training.scenes.lighting import Effects, per_scene, radiance, sky
from da3_ros.training.scenes.rays import camera_rays, Rays
from da3_ros.training.scenes.scene import GROUND_FACE, Scenes, SHELL_FACES
from da3_ros.training.scenes.surface import describe_hits
import torch
from torch.nn.functional import avg_pool2d


@dataclass(frozen=True)
class RenderConfig:
    """Picture size and quality: `samples_per_side` squared colour samples in a pixel."""

    width: int = 224
    height: int = 168
    samples_per_side: int = 2
    far_m: float = 200.0
    effects: Effects = field(default_factory=Effects)

    def __post_init__(self) -> None:
        if min(self.width, self.height, self.samples_per_side) < 1:
            raise InputError(
                f'A picture needs at least one pixel and sample, got {self.width}x{self.height} '
                f'with {self.samples_per_side} samples per side.'
            )


@dataclass(frozen=True)
class Render:
    """
    What the cameras see.

    `colour` (B, V, 3, H, W) linear, unclamped; `depth_m` (B, V, H, W) z-depth at pixel centres,
    NaN for the sky and beyond `far_m`; `normal` (B, V, 3, H, W) unit, world axes, towards the
    camera; `surface` (B, V, H, W) int32 row of the scene's table.
    """

    colour: torch.Tensor
    depth_m: torch.Tensor
    normal: torch.Tensor
    surface: torch.Tensor


def _is_sky(scenes: Scenes, row: torch.Tensor) -> torch.Tensor:
    """Where a ray meets none but the far faces around an outdoor place."""
    outdoor = per_scene(scenes.is_outdoor[:, None])[0] > 0
    return outdoor & (row < SHELL_FACES) & (row != GROUND_FACE)


def _shade(
    scenes: Scenes,
    atlas: Atlas,
    rays: Rays,
    pixel_angle: torch.Tensor,
    config: RenderConfig,
    visits: Visits,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Colour (3, B, V, h, w), depth, normal (3, B, V, h, w) and row of every ray."""
    depth, row = cast_rays(scenes, rays, visits.camera)
    surface = describe_hits(scenes, rays, depth, row, pixel_angle)
    colour = radiance(scenes, surface, atlas, config.effects, visits.shadow)
    is_sky = _is_sky(scenes, row)
    haze = ((depth - 0.3 * config.far_m) / (0.7 * config.far_m)).clamp(0, 1)
    haze = (haze * per_scene(scenes.is_outdoor[:, None])[0]).masked_fill(is_sky, 1)
    colour = torch.lerp(colour, sky(scenes, -surface.view[2]), haze)
    depth = depth.masked_fill(is_sky | (depth > config.far_m), torch.nan)
    return colour, depth, surface.normal, row


def _depth_only(
    scenes: Scenes, rays: Rays, pixel_angle: torch.Tensor, far_m: float, visits: Visits
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Depth, normal (3, B, V, H, W) and row at pixel centres, without colour."""
    depth, row = cast_rays(scenes, rays, visits.camera)
    normal = describe_hits(scenes, rays, depth, row, pixel_angle).normal
    return depth.masked_fill(_is_sky(scenes, row) | (depth > far_m), torch.nan), normal, row


def render(
    scenes: Scenes,
    atlas: Atlas,
    world_from_camera: torch.Tensor,
    intrinsics: torch.Tensor,
    config: RenderConfig,
    visits: Visits | None = None,
) -> Render:
    """
    Render V views of each of B scenes.

    `world_from_camera` (B, V, 4, 4), OpenCV optical cameras; `intrinsics` (B, V, 3, 3) pixels,
    pixel centres at + 0.5; skew is ignored. All on one device, in the scenes' dtype. `visits` (see
    `culling.visits_for`) leaves out slots that cannot be seen; without it all are visited. Raises
    `InputError` on shapes that do not fit.
    """
    expected = (len(scenes), world_from_camera.shape[1])
    if world_from_camera.shape != (*expected, 4, 4) or intrinsics.shape != (*expected, 3, 3):
        raise InputError(
            f'Expected poses (B, V, 4, 4) and intrinsics (B, V, 3, 3) with B = {len(scenes)}, got '
            f'{tuple(world_from_camera.shape)} and {tuple(intrinsics.shape)}.'
        )
    visits = visits or Visits.all_of(scenes.slots)
    per_side = config.samples_per_side
    size = (config.height, config.width)
    angle = 1 / intrinsics[..., 0, 0]
    centres = camera_rays(world_from_camera, intrinsics, *size)
    if per_side == 1:
        colour, depth, normal, row = _shade(scenes, atlas, centres, angle, config, visits)
    else:
        depth, normal, row = _depth_only(scenes, centres, angle, config.far_m, visits)
        samples = camera_rays(world_from_camera, intrinsics, *size, per_side)
        colour, *_ = _shade(scenes, atlas, samples, angle / per_side, config, visits)
        colour = avg_pool2d(colour.flatten(0, 2), per_side).unflatten(0, colour.shape[:3])
    return Render(
        colour=colour.movedim(0, 2),
        depth_m=depth,
        normal=normal.movedim(0, 2),
        surface=row,
    )
