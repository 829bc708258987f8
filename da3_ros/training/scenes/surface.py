"""
What a ray has hit: the point, its normal, its texture coordinates.

Legend: B scenes, V views, R rows, H W pixels; vectors have their components in front.
"""

from __future__ import annotations

from dataclasses import dataclass
import math

from da3_ros.training.scenes.rays import Rays
from da3_ros.training.scenes.scene import Scenes, SHELL_FACES, Slots
import torch


@dataclass(frozen=True)
class Surface:
    """
    Per pixel: `point`, `normal` (3, B, V, H, W) in the world, `uv` (2, B, V, H, W) in tiles.

    `view` (3, B, V, H, W) points from the surface to the camera, unit length; `footprint`
    (B, V, H, W) is the length of one sample's trace on the surface in tiles; `index`
    (B, V, H, W) int64 picks rows from tables flattened over (B, R).
    """

    point: torch.Tensor
    normal: torch.Tensor
    uv: torch.Tensor
    view: torch.Tensor
    footprint: torch.Tensor
    index: torch.Tensor

    def pick(self, table: torch.Tensor) -> torch.Tensor:
        """Values of a (B, R) table as (B, V, H, W), or of (B, R, ...) as (C, B, V, H, W)."""
        rows = table.flatten(0, 1)
        if rows.dim() == 1:
            return rows[self.index]
        return rows.flatten(1).T.contiguous()[:, self.index]


def _local_normal(
    local: torch.Tensor, half: torch.Tensor, row: torch.Tensor, scenes: Scenes
) -> torch.Tensor:
    """Outward normal in the primitive's frame, (3, B, V, H, W), unit length."""
    slots = scenes.slots
    unit = local / half
    x, y, z = unit.abs().unbind(0)
    on_z = (z >= x) & (z >= y)
    on_x = (x >= y) & ~on_z
    chosen = torch.stack([on_x, ~(on_x | on_z), on_z])
    flat = torch.where(chosen, unit.sign(), 0)
    side = torch.stack([unit[0], unit[1], torch.zeros_like(x)]) / half
    capped = unit[0].square() + unit[1].square() < unit[2].square()
    cap = torch.stack([torch.zeros_like(x), torch.zeros_like(x), unit[2].sign()])
    is_cylinder = row >= SHELL_FACES + slots.solids
    is_ellipsoid = row >= SHELL_FACES + slots.solids + slots.cylinders
    normal = torch.where(is_cylinder, torch.where(capped, cap, side), flat)
    normal = torch.where(is_ellipsoid, unit / half, normal)
    inward = torch.stack([torch.zeros_like(x), torch.zeros_like(x), torch.ones_like(x)])
    normal = torch.where(row < SHELL_FACES, inward, normal)
    return normal / normal.square().sum(0).sqrt().clamp_min(1e-12)


def _unwrap(
    local: torch.Tensor, normal: torch.Tensor, half: torch.Tensor, row: torch.Tensor, slots: Slots
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Where a point lies on its surface in metres: across (2 components) and up, and is it round.

    Flat faces keep their own axes; round sides are unrolled around z. (3, B, V, H, W), and a mask
    (B, V, H, W) of round sides.
    """
    round_row = row >= SHELL_FACES + slots.solids
    ellipsoid_row = row >= SHELL_FACES + slots.solids + slots.cylinders
    is_round = round_row & (ellipsoid_row | (normal[2].abs() < 0.99))
    turn = torch.atan2(local[1] * half[0], local[0] * half[1])
    around = turn * (half[0] + half[1]) * 0.5
    return torch.where(is_round, torch.stack([around, around, local[2]]), local), is_round


def describe_hits(
    scenes: Scenes, rays: Rays, depth: torch.Tensor, row: torch.Tensor, pixel_angle: torch.Tensor
) -> Surface:
    """
    Surface description at z-depth `depth` (B, V, H, W) on rows `row`.

    `pixel_angle` (B, V) is the width of one sample over the focal length.
    """
    directions = torch.stack(rays.directions(rays.world_from_camera))  # (3, B, V, H, W)
    origin = rays.origin.movedim(-1, 0)[..., None, None]
    point = origin + directions * depth
    length = directions.square().sum(0).sqrt()
    rows = scenes.centre.shape[1]
    scene = torch.arange(len(scenes), device=row.device)[:, None, None, None] * rows
    found = Surface(point, point, point, directions / -length, depth, row.long() + scene)

    rotation = found.pick(scenes.world_from_local).unflatten(0, (3, 3))  # (3, 3, B, V, H, W)
    half = found.pick(scenes.half_extent)
    offset = point - found.pick(scenes.centre)
    local = (rotation * offset.unsqueeze(1)).sum(0)
    local_normal = _local_normal(local, half, row, scenes)
    normal = (rotation * local_normal).sum(1)

    metres, is_round = _unwrap(local, local_normal, half, row, scenes.slots)
    scale = found.pick(scenes.uv_scale)
    tiles = metres * scale + found.pick(scenes.uv_offset)
    across = local_normal.abs()
    on_z = (across[2] >= across[0]) & (across[2] >= across[1]) & ~is_round
    on_x = (across[0] >= across[1]) & ~on_z
    u = torch.where(on_x, tiles[1], tiles[0])
    v = torch.where(on_z, tiles[1], -tiles[2])
    per_metre = torch.maximum(
        torch.where(on_x, scale[1], scale[0]), torch.where(on_z, scale[1], scale[2])
    )
    cosine = (normal * found.view).sum(0).clamp_min(math.cos(math.radians(84)))
    # Isotropic filter: between the sharp and the stretched side of the sample's trace.
    footprint = depth * pixel_angle[..., None, None] * per_metre / cosine.sqrt()
    return Surface(point, normal, torch.stack([u, v]), found.view, footprint, found.index)
