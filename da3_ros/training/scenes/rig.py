"""Rigs: several cameras fixed to one body."""

from __future__ import annotations

from collections.abc import Sequence

from da3_ros.errors import InputError
from da3_ros.training.scenes.paths import look_poses
from da3_ros.training.scenes.rays import rotate
import torch


def ring_rig(yaw_deg: Sequence[float], radius_m: float = 0.1) -> torch.Tensor:
    """
    rig_from_camera (C, 4, 4) of cameras on a ring, each looking outwards at its yaw.

    The rig's frame is an optical one (x right, y down, z forward); yaw 0 looks forward, positive
    yaw to the left.
    """
    yaw = torch.deg2rad(torch.tensor(yaw_deg, dtype=torch.float32))
    outward = torch.stack([yaw.cos(), yaw.sin(), torch.zeros_like(yaw)], 1)
    body_from_camera = look_poses(outward * radius_m, outward, torch.zeros_like(yaw))
    forward = torch.tensor([[1.0, 0.0, 0.0]])
    body_from_rig = look_poses(torch.zeros(1, 3), forward, torch.zeros(1))[0]
    return torch.linalg.inv(body_from_rig) @ body_from_camera


def stereo_rig(baseline_m: float) -> torch.Tensor:
    """rig_from_camera (2, 4, 4) of two parallel cameras; the rig's frame is the left one."""
    pair = torch.eye(4).repeat(2, 1, 1)
    pair[1, 0, 3] = baseline_m
    return pair


def rig_poses(world_from_rig: torch.Tensor, rig_from_camera: torch.Tensor) -> torch.Tensor:
    """Camera poses (F, C, 4, 4) of C cameras fixed to a body with poses (F, 4, 4)."""
    if world_from_rig.shape[1:] != (4, 4) or rig_from_camera.shape[1:] != (4, 4):
        raise InputError(
            'Expected world_from_rig (F, 4, 4) and rig_from_camera (C, 4, 4), got '
            f'{tuple(world_from_rig.shape)} and {tuple(rig_from_camera.shape)}.'
        )
    return rotate(world_from_rig[:, None], rig_from_camera[None])
