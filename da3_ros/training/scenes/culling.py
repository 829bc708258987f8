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
    centre = scenes.centre[:, None, SHELL_FACES:]  # (B, 1, P, 3)
    radius = scenes.half_extent[:, None, SHELL_FACES:].norm(dim=-1)
    used = centre[..., 2] > 0.5 * BURIED_M  # (B, 1, P)
    offset = centre - world_from_camera[:, :, None, :3, 3]
    camera_from_world = world_from_camera[:, :, None, :3, :3].transpose(-1, -2)
    x, y, z = (camera_from_world * offset.unsqueeze(-2)).sum(-1).unbind(-1)  # (B, V, P)
    left = -intrinsics[..., 0, 2] / intrinsics[..., 0, 0]
    right = (width - intrinsics[..., 0, 2]) / intrinsics[..., 0, 0]
    top = -intrinsics[..., 1, 2] / intrinsics[..., 1, 1]
    bottom = (height - intrinsics[..., 1, 2]) / intrinsics[..., 1, 1]
    seen = used & (z > -radius)
    for side, slope, sign in ((x, left, 1), (x, right, -1), (y, top, 1), (y, bottom, -1)):
        slope = slope.unsqueeze(-1)
        inward = sign * (side - slope * z) / (1 + slope.square()).sqrt()
        seen = seen & (inward > -radius)
    seen = seen.flatten(0, 1).any(0).tolist()
    used = used.flatten(0, 1).any(0).tolist()
    every = Visits.all_of(scenes.slots)
    return Visits(
        tuple(slot for slot in every.camera if seen[slot]),
        tuple(slot for slot in every.shadow if used[slot]),
    )
