"""
Which slots are worth visiting: an exact shortcut for films of one scene on a CPU.

It reads the scene on the host, so it runs before `render` and not inside of it.

Legend: B scenes, V views, P slots.
"""

from __future__ import annotations

from dataclasses import dataclass

from da3_ros.training.scenes.builder import BURIED_M
from da3_ros.training.scenes.scene import Scenes, SHELL_FACES, Slots
import torch


@dataclass(frozen=True)
class Visits:
    """Slots that camera rays and shadow rays visit."""

    camera: tuple[int, ...]
    shadow: tuple[int, ...]

    @classmethod
    def all_of(cls, slots: Slots) -> Visits:
        """Every slot; decals cast no shadow."""
        solid = (*range(slots.boxes), *range(slots.solids, slots.total))
        return cls(tuple(range(slots.total)), solid)


def in_use(scenes: Scenes) -> torch.Tensor:
    """Which slots (B, P) hold a primitive."""
    return scenes.centre[:, SHELL_FACES:, 2] > 0.5 * BURIED_M


def in_view(
    scenes: Scenes,
    origin: torch.Tensor,
    world_from_camera: torch.Tensor,
    edges: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    """
    Slots in use whose bounding sphere meets a view's frustum, (B, V, P); no host sync.

    `origin` (B, V, 3), `world_from_camera` (B, V, 3, 3); `edges` (B, V) each: the slopes of the
    left, right, top and bottom border.
    """
    centre = scenes.centre[:, None, SHELL_FACES:]  # (B, 1, P, 3)
    radius = scenes.half_extent[:, None, SHELL_FACES:].norm(dim=-1)
    offset = centre - origin[:, :, None]
    camera_from_world = world_from_camera[:, :, None].transpose(-1, -2)
    x, y, z = (camera_from_world * offset.unsqueeze(-2)).sum(-1).unbind(-1)  # (B, V, P)
    seen = in_use(scenes)[:, None] & (z > -radius)
    for side, slope, sign in zip((x, x, y, y), edges, (1, -1, 1, -1)):
        slope = slope.unsqueeze(-1)
        inward = sign * (side - slope * z) / (1 + slope.square()).sqrt()
        seen = seen & (inward > -radius)
    return seen


def visits_for(
    scenes: Scenes,
    world_from_camera: torch.Tensor,
    intrinsics: torch.Tensor,
    width: int,
    height: int,
) -> Visits:
    """
    Slots in use whose bounding sphere meets a view's frustum, in any of the views.

    `world_from_camera` (B, V, 4, 4), `intrinsics` (B, V, 3, 3).
    """
    k = intrinsics
    edges = (
        -k[..., 0, 2] / k[..., 0, 0],
        (width - k[..., 0, 2]) / k[..., 0, 0],
        -k[..., 1, 2] / k[..., 1, 1],
        (height - k[..., 1, 2]) / k[..., 1, 1],
    )
    rotation = world_from_camera[..., :3, :3]
    seen = in_view(scenes, world_from_camera[..., :3, 3], rotation, edges)
    used = in_use(scenes)
    seen = seen.flatten(0, 1).any(0).tolist()
    used = used.any(0).tolist()
    every = Visits.all_of(scenes.slots)
    return Visits(
        tuple(slot for slot in every.camera if seen[slot]),
        tuple(slot for slot in every.shadow if used[slot]),
    )
