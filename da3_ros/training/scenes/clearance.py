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
    """Lower bound of the distance; exact for a sphere."""
    return ((local / half).norm(dim=-1) - 1) * half.amin(-1)


def clearance_m(scene: Scenes, points: torch.Tensor) -> torch.Tensor:
    """
    Distance (N,) of world points (N, 3) to the nearest primitive or wall of one scene (B = 1).

    Negative inside a primitive or outside of where cameras may go. Never more than the true
    distance.
    """
    offset = points[:, None] - scene.centre[0, SHELL_FACES:]  # (N, P, 3)
    world_from_local = scene.world_from_local[0, SHELL_FACES:]
    local = (world_from_local * offset.unsqueeze(-1)).sum(-2)
    half = scene.half_extent[0, SHELL_FACES:]
    solids = scene.slots.solids
    round_end = solids + scene.slots.cylinders
    inside = torch.minimum(points - scene.walk_low[0], scene.walk_high[0] - points).amin(-1)
    distances = (
        _box_distance(local[:, :solids], half[:solids]),
        _cylinder_distance(local[:, solids:round_end], half[solids:round_end]),
        _ellipsoid_distance(local[:, round_end:], half[round_end:]),
        inside[:, None],
    )
    return torch.cat(distances, 1).amin(1)
