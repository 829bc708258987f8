"""
Casting rays at whole scenes: the first surface of each camera ray, and shadows.

Slots are visited one after the other with a running minimum, so that memory is a few images and
not an image per primitive. All shapes are static and nothing is read back by the host.

Legend: B scenes, V views, P slots, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

from da3_ros.training.scenes.primitives import (
    Components,
    cross_box,
    cross_cylinder,
    cross_ellipsoid,
    signed_reciprocal,
)
from da3_ros.training.scenes.rays import Rays, rotate
from da3_ros.training.scenes.scene import Scenes, SHELL_FACES, Slots
import torch

NEAR_M = 0.02
# Shadow rays start this far off the surface, so that a surface does not shade itself.
SHADOW_OFFSET_M = 3e-3


def _on_gpu(tensor: torch.Tensor) -> bool:
    """Whether the fast twin takes over; double precision stays here."""
    return tensor.is_cuda and tensor.dtype == torch.float32


def _crossing(slots: Slots, slot: int):
    if slot < slots.solids:
        return cross_box
    return cross_cylinder if slot < slots.solids + slots.cylinders else cross_ellipsoid


def _unit_from_world(scenes: Scenes) -> torch.Tensor:
    """(B, P, 3, 3): from world axes to the axes in which each primitive is a unit one."""
    local_from_world = scenes.world_from_local[:, SHELL_FACES:].transpose(-1, -2)
    return local_from_world / scenes.half_extent[:, SHELL_FACES:, :, None]


def _per_slot(vectors: torch.Tensor, slot: int) -> Components:
    """Components (B, V, 1, 1) of slot `slot` of (B, V, P, 3)."""
    x, y, z = vectors[:, :, slot, :, None, None].unbind(2)
    return x, y, z


def _cast_at_shell(scenes: Scenes, rays: Rays) -> tuple[torch.Tensor, torch.Tensor]:
    """z-depth and face row at which rays leave the shell; face = 2 axis + (1 if the high side)."""
    depth, row = None, None
    for axis, direction in enumerate(rays.directions(rays.world_from_camera)):
        low, high = scenes.shell_low[:, axis], scenes.shell_high[:, axis]
        at = rays.origin[:, :, axis]  # (B, V)
        upward = direction >= 0
        bound = torch.where(
            upward, (high[:, None] - at)[..., None, None], (low[:, None] - at)[..., None, None]
        )
        reached = bound * signed_reciprocal(direction)
        face = upward.to(torch.int32) + 2 * axis
        if depth is None:
            depth, row = reached, face
        else:
            row = torch.where(reached < depth, face, row)
            depth = torch.minimum(depth, reached)
    return depth, row


def cast_rays(
    scenes: Scenes, rays: Rays, slots: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    z-depth (B, V, H, W) in metres and row (B, V, H, W) int32 of the first surface of each ray.

    Only `slots` are visited. A camera inside a primitive looks out of it without seeing it.
    """
    if _on_gpu(rays.origin):
        from da3_ros.training.scenes import casting_gpu

        return casting_gpu.cast_rays(scenes, rays, _unit_from_world(scenes), NEAR_M)
    depth, row = _cast_at_shell(scenes, rays)
    unit_from_world = _unit_from_world(scenes)[:, None]  # (B, 1, P, 3, 3)
    offset = rays.origin[:, :, None] - scenes.centre[:, None, SHELL_FACES:]  # (B, V, P, 3)
    origin = (unit_from_world * offset.unsqueeze(-2)).sum(-1)  # (B, V, P, 3)
    unit_from_camera = rotate(unit_from_world, rays.world_from_camera[:, :, None])
    for slot in slots:
        directions = rays.directions(unit_from_camera[:, :, slot])
        enter, leave = _crossing(scenes.slots, slot)(_per_slot(origin, slot), directions)
        seen = (enter <= torch.minimum(leave, depth)) & (enter > NEAR_M)
        depth = torch.where(seen, enter, depth)
        row = row.masked_fill(seen, SHELL_FACES + slot)
    return depth, row


def cast_shadows(
    scenes: Scenes, points: torch.Tensor, normals: torch.Tensor, slots: Sequence[int]
) -> torch.Tensor:
    """
    Whether one of `slots` keeps light 0 from each surface point, (B, V, H, W) bool.

    `points`, `normals` are (3, B, V, H, W) in the world. Rays run from the light, whose place in
    each primitive's frame is known once per scene, to just above the point.
    """
    unit_from_world = _unit_from_world(scenes)  # (B, P, 3, 3)
    if _on_gpu(points):
        from da3_ros.training.scenes import casting_gpu

        return casting_gpu.cast_shadows(scenes, points, normals, unit_from_world, SHADOW_OFFSET_M)
    position = scenes.light_position[:, 0]  # (B, 3)
    offset = position[:, None] - scenes.centre[:, SHELL_FACES:]
    origin = (unit_from_world * offset.unsqueeze(-2)).sum(-1)[:, None]  # (B, 1, P, 3)
    start = position.T[:, :, None, None, None]
    x, y, z = (points + normals * SHADOW_OFFSET_M - start).unbind(0)
    shadowed = torch.zeros_like(x, dtype=torch.bool)
    for slot in slots:
        m = unit_from_world[:, slot, :, :, None, None, None]  # (B, 3, 3, 1, 1, 1)
        directions = tuple(
            (z * m[:, i, 2]).addcmul_(x, m[:, i, 0]).addcmul_(y, m[:, i, 1]) for i in range(3)
        )
        enter, leave = _crossing(scenes.slots, slot)(_per_slot(origin, slot), directions)
        shadowed |= (enter <= leave.clamp_max_(1)) & (enter > 0)
    return shadowed
