"""
How far points are from the things in a scene, to keep cameras out of them.

Legend: N points, P slots.
"""

from __future__ import annotations

from da3_ros.training.scenes.scene import Scenes, SHELL_FACES
import torch


def _box_distance(local: torch.Tensor, half: torch.Tensor) -> torch.Tensor:
    excess = local.abs() - half
    return excess.clamp_min(0).norm(dim=-1) + excess.amax(-1).clamp_max(0)


def _cylinder_distance(local: torch.Tensor, half: torch.Tensor) -> torch.Tensor:
    across = local[..., :2].norm(dim=-1) - half[..., :2].amax(-1)
    excess = torch.stack([across, local[..., 2].abs() - half[..., 2]], -1)
    return excess.clamp_min(0).norm(dim=-1) + excess.amax(-1).clamp_max(0)


def _ellipsoid_distance(local: torch.Tensor, half: torch.Tensor) -> torch.Tensor:
    """Lower bound of the distance; exact for a sphere, and good around thin leaves."""
    radial = ((local / half).norm(dim=-1) - 1) * half.amin(-1)
    return torch.maximum(radial, _box_distance(local, half))


def clearances_m(scenes: Scenes, points: torch.Tensor) -> torch.Tensor:
    """
    Distance (B, N) of world points (B, N, 3) to the nearest primitive or wall of their scene.

    Negative inside a primitive or outside of where cameras may go. Never more than the true
    distance. Static shapes, nothing read back by the host.
    """
    offset = points[:, :, None] - scenes.centre[:, None, SHELL_FACES:]  # (B, N, P, 3)
    world_from_local = scenes.world_from_local[:, None, SHELL_FACES:]
    local = (world_from_local * offset.unsqueeze(-1)).sum(-2)
    half = scenes.half_extent[:, None, SHELL_FACES:]
    solids = scenes.slots.solids
    round_end = solids + scenes.slots.cylinders
    low, high = scenes.walk_low[:, None], scenes.walk_high[:, None]
    inside = torch.minimum(points - low, high - points).amin(-1)
    distances = (
        _box_distance(local[..., :solids, :], half[..., :solids, :]),
        _cylinder_distance(local[..., solids:round_end, :], half[..., solids:round_end, :]),
        _ellipsoid_distance(local[..., round_end:, :], half[..., round_end:, :]),
        inside[..., None],
    )
    return torch.cat(distances, -1).amin(-1)


def clearance_m(scene: Scenes, points: torch.Tensor) -> torch.Tensor:
    """As `clearances_m`, of points (N, 3) in one scene (B = 1): (N,)."""
    return clearances_m(scene, points[None])[0]
