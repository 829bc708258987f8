"""Camera trajectories through a scene: how a robot drives, how a hand moves, an orbit.

Positions are smooth curves through free space; every frame of a path keeps `PathConfig.clearance_m`
from all geometry. Poses are world_from_camera (F, 4, 4), float32, OpenCV optical axes (x right,
y down, z forward), world z up.

Legend: F frames, N points of a curve.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import get_args, Literal

import torch

from da3_ros.errors import InputError
from da3_ros.training.scenes.clearance import clearance_m
from da3_ros.training.scenes.curves import (
    arc_lengths,
    points_at,
    push_clear,
    random_polyline,
    smooth_noise,
    smoothed,
)
from da3_ros.training.scenes.scene import Scenes

PathKind = Literal['hand', 'robot', 'strafe', 'orbit', 'static']
PATH_KINDS: tuple[str, ...] = get_args(PathKind)
ATTEMPTS = 24
# Distance between the points on which a curve is planned.
STEP_M = 0.05
UP = (0.0, 0.0, 1.0)


@dataclass(frozen=True)
class PathConfig:
    """How cameras move. Robots keep their height and look ahead; hands bob, roll and look around.

    `speed_m` is metres per frame while moving; `rest_share` is the share of frames spent in
    standstill; a `closed` path ends one step before its start and its first and last frames look
    the same way.
    """

    kind: PathKind = 'hand'
    speed_m: float = 0.04
    clearance_m: float = 0.25
    rest_share: float = 0.1
    closed: bool = False

    def __post_init__(self) -> None:
        if self.kind not in PATH_KINDS:
            raise InputError(f'Path kind must be one of {PATH_KINDS}, got {self.kind!r}.')
        if self.speed_m <= 0 or self.clearance_m <= 0 or not 0 <= self.rest_share < 1:
            raise InputError(
                'A path needs speed_m > 0, clearance_m > 0 and rest_share in [0, 1), got '
                f'{self.speed_m}, {self.clearance_m}, {self.rest_share}.'
            )


def look_poses(position: torch.Tensor, forward: torch.Tensor, roll: torch.Tensor) -> torch.Tensor:
    """world_from_camera (F, 4, 4) at `position` (F, 3) looking along `forward` (F, 3).

    `roll` (F,) radians turns the camera around its optical axis. `forward` may not be vertical.
    """
    z = forward / forward.norm(dim=-1, keepdim=True)
    up = torch.tensor(UP, dtype=z.dtype).expand_as(z)
    level = torch.linalg.cross(z, up)
    level = level / level.norm(dim=-1, keepdim=True)
    down = torch.linalg.cross(z, level)
    c, s = roll.cos()[:, None], roll.sin()[:, None]
    pose = torch.eye(4, dtype=z.dtype).repeat(len(z), 1, 1)
    pose[:, :3, :3] = torch.stack([c * level + s * down, c * down - s * level, z], -1)
    pose[:, :3, 3] = position
    return pose


def _progress(config: PathConfig, frames: int, generator: torch.Generator) -> torch.Tensor:
    """Distance travelled (F,) in steps: rises by 1 a frame, with smooth stops and starts."""
    pace = torch.ones(frames)
    resting = round(frames * config.rest_share)
    if resting >= 4 and not config.closed:
        start = int(torch.randint(0, frames - resting, (1,), generator=generator))
        pace[start : start + resting] = 0
        window = 2 * max(1, min(4, resting // 4)) + 1
        flat = torch.nn.functional.pad(pace[None, None], (window // 2,) * 2, mode='replicate')
        pace = torch.nn.functional.avg_pool1d(flat, window, stride=1)[0, 0]
    return pace.cumsum(0) - pace[0]


def _curve(
    scene: Scenes, config: PathConfig, length_m: float, generator: torch.Generator
) -> torch.Tensor:
    """Clear curve (N, 3) of about `length_m` or a single free point where none was found."""
    planar = config.kind in ('robot', 'strafe')
    for attempt in range(ATTEMPTS):
        # Late attempts ask for less: shorter legs find room between furniture.
        shrink = 0.85**attempt
        margin = config.clearance_m + 0.06
        raw = random_polyline(
            scene, length_m, margin, planar, config.closed, shrink, STEP_M, generator
        )
        if raw is None:
            continue
        curve = raw
        for _ in range(3):
            curve = smoothed(curve, config.closed, 0.5 * shrink / STEP_M)
            curve = push_clear(scene, curve, margin, planar)
        curve = smoothed(curve, config.closed, 2.0)
        if bool((clearance_m(scene, curve) >= config.clearance_m + 0.02).all()):
            return curve
    return _free_point(scene, config, generator)


def _free_point(scene: Scenes, config: PathConfig, generator: torch.Generator) -> torch.Tensor:
    """Most open of many random points, as a curve of one point (1, 3)."""
    low, high = scene.walk_low[0], scene.walk_high[0]
    points = low + torch.rand(2048, 3, generator=generator) * (high - low)
    points[:, 2] = points[:, 2].clamp(0.4, 1.8)
    distance = clearance_m(scene, points)
    if distance.max() < config.clearance_m:
        raise InputError(
            f'No place in the scene is {config.clearance_m} m clear of geometry; the most open one '
            f'has {float(distance.max()):.2f} m. Use a smaller clearance_m.'
        )
    return points[distance.argmax()][None]


def _orbit(
    scene: Scenes, config: PathConfig, frames: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions (F, 3) on a circle bent around obstacles, and the point looked at (3,)."""
    low, high = scene.walk_low[0], scene.walk_high[0]
    draw = torch.rand(4, generator=generator)
    radius = (0.5 + 0.35 * draw[0]) * 0.5 * float((high - low)[:2].min())
    turns = 1.0 if config.closed else min(1.0, frames * config.speed_m / (6.28 * float(radius)))
    angle = 6.2831853 * (draw[1] + turns * torch.arange(400) / 400)
    middle = 0.5 * (low + high)
    height = torch.full_like(angle, 0.9 + 0.8 * float(draw[2]))
    ring = torch.stack([middle[0] + radius * angle.cos(), middle[1] + radius * angle.sin(), height], 1)
    margin = config.clearance_m + 0.06
    for _ in range(6):
        ring = push_clear(scene, ring, margin, planar=False)
        ring = smoothed(ring, config.closed, 6.0)
    target = torch.stack([middle[0], middle[1], 0.3 + 0.6 * draw[3]])
    if bool((clearance_m(scene, ring) < config.clearance_m + 0.02).any()):
        ring = _curve(scene, config, frames * config.speed_m, generator)
    return ring, target


def _headings(
    config: PathConfig, position: torch.Tensor, tangent: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Viewing directions (F, 3) that turn smoothly, around the direction of travel."""
    frames = len(position)
    yaw = torch.atan2(tangent[:, 1], tangent[:, 0])
    wide = {'hand': 1.3, 'robot': 0.35, 'strafe': 0.3, 'orbit': 0.2, 'static': 0.8}[config.kind]
    if config.kind == 'strafe':
        side = 1.0 if torch.rand((), generator=generator) < 0.5 else -1.0
        yaw = yaw + side * math.pi / 2
    yaw = yaw + wide * smooth_noise(frames, 45, config.closed, generator)
    tall = 0.05 if config.kind in ('robot', 'strafe') else 0.3
    tilt = -0.12 + 0.1 * (torch.rand((), generator=generator) - 0.5)
    pitch = tilt + tall * smooth_noise(frames, 35, config.closed, generator)
    flat = pitch.cos()
    return torch.stack([flat * yaw.cos(), flat * yaw.sin(), pitch.sin()], 1)


def camera_path(
    scene: Scenes,
    frames: int,
    generator: torch.Generator,
    config: PathConfig | None = None,
) -> torch.Tensor:
    """Draw one trajectory, world_from_camera (F, 4, 4), through one scene (B = 1, on the CPU).

    A function of the scene, the configuration and the generator's state alone. Raises `InputError`
    when no place is clear enough.
    """
    config = config or PathConfig()
    if len(scene) != 1 or frames < 1:
        raise InputError(f'camera_path needs one scene and frames >= 1: {len(scene)}, {frames}.')
    travelled = _progress(config, frames, generator) * config.speed_m
    target = None
    if config.kind == 'static':
        curve = _free_point(scene, config, generator)
    elif config.kind == 'orbit':
        curve, target = _orbit(scene, config, frames, generator)
    else:
        curve = _curve(scene, config, float(travelled[-1]) + config.speed_m, generator)
    arc = arc_lengths(curve, config.closed)
    if config.closed:  # one lap, whatever its length
        travelled = torch.arange(frames) / frames * arc[-1]
    elif float(travelled[-1]) > float(arc[-1]) > 0:
        travelled = travelled * (arc[-1] / travelled[-1])
    position, tangent = points_at(curve, arc, travelled, config.closed)
    forward = _headings(config, position, tangent, generator)
    if target is not None:
        forward = target - position + 0.3 * forward
    roll = torch.zeros(frames)
    if config.kind in ('hand', 'orbit'):
        roll = 0.1 * smooth_noise(frames, 40, config.closed, generator)
        shake = [smooth_noise(frames, 3, config.closed, generator) for _ in range(4)]
        # Within the centimetres by which curves are clearer than asked for.
        position = position + 0.004 * torch.stack(shake[:3], 1)
        roll = roll + 0.006 * shake[3]
    return look_poses(position, forward, roll)
