"""
From surfaces to linear radiance: hemispheric ambient, lamps or sun, shadows, corners, sky.

Legend: B scenes, V views, H W pixels; vectors and colours have their components in front.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from da3_ros.training.scenes.atlas import Atlas
from da3_ros.training.scenes.casting import cast_shadows
from da3_ros.training.scenes.scene import Scenes
from da3_ros.training.scenes.surface import Surface
import torch

# Ambient occlusion fades over this distance from a wall, and takes this share of the light there.
CORNER_REACH_M = 0.35
CORNER_SHARE = 0.38


@dataclass(frozen=True)
class Effects:
    """Which optional terms of the lighting are computed."""

    shadows: bool = True
    specular: bool = True
    corner_occlusion: bool = True


def per_scene(values: torch.Tensor) -> torch.Tensor:
    """(B, C) as (C, B, 1, 1, 1), to meet images."""
    return values.T[:, :, None, None, None]


def albedo_of(surface: Surface, scenes: Scenes, atlas: Atlas) -> torch.Tensor:
    """
    Linear albedo (3, B, V, H, W): a texture times two finer and coarser reliefs.

    The reliefs are turned and scaled by irrational ratios, so no surface visibly repeats.
    """
    u, v = surface.uv
    base = atlas.albedo(surface.pick(scenes.texture), surface.uv, surface.footprint)
    colour = base.movedim(-1, 0) * surface.pick(scenes.tint)
    layers = (
        (scenes.detail, scenes.detail_from_uv, scenes.detail_gain),
        (scenes.stain, scenes.stain_from_uv, scenes.stain_gain),
    )
    for texture, turn, gain in layers:
        m = surface.pick(turn)
        uv = torch.stack([u * m[0] + v * m[1], u * m[2] + v * m[3]])
        footprint = surface.footprint * (m[0].square() + m[1].square()).sqrt()
        relief = atlas.relief(surface.pick(texture), uv, footprint)
        colour = colour * (1 + surface.pick(gain) * (relief - 1)).clamp_min(0)
    return colour.clamp(0, 1)


def corner_occlusion(scenes: Scenes, surface: Surface) -> torch.Tensor:
    """Share of ambient light (B, V, H, W) left by the shell's nearby faces."""
    normal = surface.normal
    low = surface.point - per_scene(scenes.shell_low)
    high = per_scene(scenes.shell_high) - surface.point
    # A face takes light only from surfaces that do not lie in it.
    shade_low = torch.exp(low.clamp_min(0) / -CORNER_REACH_M) * (1 - normal.clamp_min(0))
    shade_high = torch.exp(high.clamp_min(0) / -CORNER_REACH_M) * (1 + normal.clamp_max(0))
    return ((1 - CORNER_SHARE * shade_low) * (1 - CORNER_SHARE * shade_high)).prod(0)


def sky(scenes: Scenes, up: torch.Tensor) -> torch.Tensor:
    """Sky colour (3, B, V, H, W) at the sine of the elevation `up` (B, V, H, W)."""
    zenith, horizon = per_scene(scenes.sky_zenith), per_scene(scenes.sky_horizon)
    return horizon + (zenith - horizon) * up.clamp(0, 1).sqrt()


def radiance(
    scenes: Scenes,
    surface: Surface,
    atlas: Atlas,
    effects: Effects,
    casters: Sequence[int],
) -> torch.Tensor:
    """
    Linear colour (3, B, V, H, W) leaving each surface point towards the camera.

    `casters` are the slots that cast shadows.
    """
    albedo = albedo_of(surface, scenes, atlas)
    normal = surface.normal
    up = normal[2] * 0.5 + 0.5
    ambient_up, ambient_down = per_scene(scenes.ambient_up), per_scene(scenes.ambient_down)
    light = ambient_down + (ambient_up - ambient_down) * up
    if effects.corner_occlusion:
        light = light * corner_occlusion(scenes, surface)
    glint = torch.zeros_like(light)
    gloss = surface.pick(scenes.gloss)
    for lamp in range(scenes.light_position.shape[1]):
        to_lamp = per_scene(scenes.light_position[:, lamp]) - surface.point
        distance = to_lamp.square().sum(0).sqrt().clamp_min(1e-6)
        to_lamp = to_lamp / distance
        fall = distance / scenes.light_reach_m[:, lamp, None, None, None]
        strength = 1 / (1 + fall.square())
        if effects.shadows and lamp == 0:
            strength = strength * ~cast_shadows(scenes, surface.point, normal, casters)
        colour = per_scene(scenes.light_colour[:, lamp])
        light = light + colour * (strength * (normal * to_lamp).sum(0).clamp_min(0))
        if effects.specular:
            between = to_lamp + surface.view
            between = between / between.square().sum(0).sqrt().clamp_min(1e-6)
            sharp = 8 + 120 * gloss
            peak = (normal * between).sum(0).clamp(1e-4, 1).pow(sharp)
            glint = glint + colour * (strength * peak * gloss * 0.5)
    return albedo * (light + surface.pick(scenes.emission)) + glint
