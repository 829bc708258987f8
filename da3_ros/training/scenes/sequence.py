"""One scene filmed by one camera: pictures, exact depth, poses, intrinsics, stamps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from da3_ros.errors import InputError
from da3_ros.training.scenes.culling import visits_for
from da3_ros.training.scenes.make import atlas_for, make_scenes, SceneConfig
from da3_ros.training.scenes.paths import camera_path, PathConfig
from da3_ros.training.scenes.rays import intrinsics_from_fov
from da3_ros.training.scenes.render import render, RenderConfig
from da3_ros.training.scenes.sensor import DEMO_SENSOR, expose, quantise, SensorConfig
import torch


@dataclass(frozen=True)
class SequenceConfig:
    """A film: which scene, how long, how large, which lens, which movement."""

    seed: int = 0
    frames: int = 60
    width: int = 320
    height: int = 240
    fov_deg: float = 75.0
    fps: float = 10.0
    path: PathConfig = field(default_factory=PathConfig)
    scene: SceneConfig = field(default_factory=SceneConfig)
    sensor: SensorConfig = DEMO_SENSOR
    samples_per_side: int = 2
    texture_side: int = 256
    start_stamp_ns: int = 1_000_000_000

    def __post_init__(self) -> None:
        if self.frames < 1 or self.fps <= 0 or not 10 <= self.fov_deg <= 150:
            raise InputError(
                'A sequence needs frames >= 1, fps > 0 and fov_deg in [10, 150], got '
                f'{self.frames}, {self.fps}, {self.fov_deg}.'
            )


@dataclass(frozen=True)
class SequenceFrame:
    """One picture: `rgb` (H, W, 3) uint8, `depth_m` (H, W) float32, NaN where infinite."""

    stamp_ns: int
    rgb: torch.Tensor
    depth_m: torch.Tensor
    world_from_camera: torch.Tensor
    intrinsics: torch.Tensor


@dataclass(frozen=True)
class Sequence:
    """
    A whole film, on the CPU.

    `rgb` (F, H, W, 3) uint8; `depth_m` (F, H, W) float32 z-depth, NaN where infinite;
    `world_from_camera` (F, 4, 4); `intrinsics` (3, 3) pixels, pixel centres at + 0.5;
    `stamp_ns` (F,) int64.
    """

    rgb: torch.Tensor
    depth_m: torch.Tensor
    world_from_camera: torch.Tensor
    intrinsics: torch.Tensor
    stamp_ns: torch.Tensor


def iterate_sequence(
    config: SequenceConfig, device: torch.device | str = 'cpu'
) -> Iterator[SequenceFrame]:
    """Render frame by frame, for long films and progress bars. Tensors are on the CPU."""
    scene = make_scenes([config.seed], config.scene)
    generator = torch.Generator().manual_seed(config.seed)
    poses = camera_path(scene, config.frames, generator, config.path)
    scene, atlas = atlas_for(scene, config.scene.textures, config.texture_side)
    scene, atlas = scene.to(device), atlas.to(device)
    intrinsics = intrinsics_from_fov(config.fov_deg, config.width, config.height)
    look = RenderConfig(config.width, config.height, config.samples_per_side)
    grain = torch.Generator(device).manual_seed(config.seed)
    for number, pose in enumerate(poses):
        view = (pose[None, None].to(device), intrinsics[None, None].to(device))
        visits = visits_for(scene, *view, config.width, config.height)
        seen = render(scene, atlas, *view, look, visits)
        picture = quantise(expose(seen.colour, config.sensor, grain))[0, 0]
        yield SequenceFrame(
            stamp_ns=config.start_stamp_ns + round(number * 1e9 / config.fps),
            rgb=picture.permute(1, 2, 0).contiguous().cpu(),
            depth_m=seen.depth_m[0, 0].cpu(),
            world_from_camera=pose,
            intrinsics=intrinsics,
        )


def render_sequence(config: SequenceConfig, device: torch.device | str = 'cpu') -> Sequence:
    """Render a whole film."""
    frames = list(iterate_sequence(config, device))
    return Sequence(
        rgb=torch.stack([f.rgb for f in frames]),
        depth_m=torch.stack([f.depth_m for f in frames]),
        world_from_camera=torch.stack([f.world_from_camera for f in frames]),
        intrinsics=frames[0].intrinsics,
        stamp_ns=torch.tensor([f.stamp_ns for f in frames]),
    )
