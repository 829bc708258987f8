"""A rig of cameras that moves through a rendered room: its pictures and its truth."""

from collections.abc import Mapping
from dataclasses import dataclass

from da3_ros.training.scenes.make import atlas_for, make_scenes, SceneConfig
from da3_ros.training.scenes.paths import camera_path, PathConfig
from da3_ros.training.scenes.rays import intrinsics_from_fov
from da3_ros.training.scenes.render import render, RenderConfig
from da3_ros.training.scenes.rig import rig_poses, ring_rig
import numpy as np
import torch


@dataclass(frozen=True)
class RenderedRig:
    """
    F sets of pictures of C cameras, by name.

    ``rgb`` (F, H, W, 3) uint8, ``depth_m`` (F, H, W), ``world_from_camera`` (F, 4, 4) of each;
    ``rig_from_camera`` (4, 4) of each; ``intrinsics`` (3, 3) of all.
    """

    rgb: Mapping[str, np.ndarray]
    depth_m: Mapping[str, np.ndarray]
    world_from_camera: Mapping[str, np.ndarray]
    rig_from_camera: Mapping[str, np.ndarray]
    intrinsics: np.ndarray


def rendered_rig(
    yaws_deg: Mapping[str, float],
    frames: int,
    size: tuple[int, int],
    fov_deg: float,
    radius_m: float = 0.15,
    seed: int = 3,
) -> RenderedRig:
    """Render a walk of a ring of cameras, of pictures of a size (width, height)."""
    config = SceneConfig()
    scene = make_scenes([seed], config)
    path = camera_path(
        scene, frames, torch.Generator().manual_seed(seed), PathConfig('robot', rest_share=0.0)
    )
    scene, atlas = atlas_for(scene, config.textures, 128)
    rig_from_camera = ring_rig(list(yaws_deg.values()), radius_m)
    poses = rig_poses(path, rig_from_camera)  # (F, C, 4, 4)
    k = intrinsics_from_fov(fov_deg, *size)
    matrices = k.expand(1, len(yaws_deg), 3, 3)
    look = RenderConfig(*size, samples_per_side=1)
    seen = [render(scene, atlas, views[None], matrices, look) for views in poses]
    colour = torch.stack([s.colour[0] for s in seen]).clamp(0, 1).permute(0, 1, 3, 4, 2)
    rgb = (255 * colour.sqrt()).round().byte().numpy()  # (F, C, H, W, 3)
    depth = torch.stack([s.depth_m[0] for s in seen]).numpy()
    return RenderedRig(
        rgb={name: rgb[:, i] for i, name in enumerate(yaws_deg)},
        depth_m={name: depth[:, i] for i, name in enumerate(yaws_deg)},
        world_from_camera={n: poses[:, i].double().numpy() for i, n in enumerate(yaws_deg)},
        rig_from_camera={n: rig_from_camera[i].double().numpy() for i, n in enumerate(yaws_deg)},
        intrinsics=k.double().numpy(),
    )
