"""Held-out rendered scenes as scenes of a benchmark; training never sees them."""

from collections.abc import Iterator

from da3_ros.evaluation.datasets.dataset import Scene
from da3_ros.evaluation.surface_rules import SampledSurface, seen_surface, SENSED_ROOM
from da3_ros.evaluation.tsdf import DepthView
from da3_ros.training.assessment import SYNTHETIC_FIRST, SYNTHETIC_SIZE
from da3_ros.training.data import denormalise
from da3_ros.training.heldout import held_out_windows, HeldOutConfig
import numpy as np
import torch


def synthetic_scenes(count: int, views: int, device: torch.device) -> Iterator[Scene]:
    """Render the scenes of ``da3 evaluate --synthetic`` one by one, ``views`` pictures each."""
    for number in range(count):
        config = HeldOutConfig(1, views, *SYNTHETIC_SIZE, first=SYNTHETIC_FIRST + number)
        images, depth, poses, intrinsics, _ = (
            x[0].cpu() for x in held_out_windows(config, device)
        )
        pictures = (denormalise(images) * 255).round().clamp(0, 255).byte()
        k = intrinsics.double().numpy()
        # The renderer counts pixels from their corners, pictures on disk from their centres.
        k[:, :2, 2] -= 0.5
        yield _scene(
            f'scene-{number:03d}',
            pictures.permute(0, 2, 3, 1).numpy(),
            depth.numpy(),
            poses.double().numpy(),
            k,
        )


def _scene(
    name: str, rgb: np.ndarray, depth_m: np.ndarray, poses: np.ndarray, k: np.ndarray
) -> Scene:
    size = rgb.shape[2], rgb.shape[1]

    def surface(frames: list[int]) -> SampledSurface:
        views = [DepthView(depth_m[i], size, k[i], poses[i]) for i in frames]
        return seen_surface(views, SENSED_ROOM)

    return Scene(
        name=name,
        world_from_camera=poses,
        intrinsics=k,
        rgb=lambda frame: rgb[frame],
        depth_m=lambda frame: depth_m[frame],
        is_valid=lambda frame: np.isfinite(depth_m[frame]),
        surface=surface,
    )
