"""
Camera trajectories through a scene: how a robot drives, how a hand moves, an orbit.

Positions are smooth curves through free space; every frame of a path keeps
`PathConfig.clearance_m` from all geometry. Poses are world_from_camera (F, 4, 4), float32,
OpenCV optical axes (x right, y down, z forward), world z up.

Legend: F frames, N points of a curve.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import get_args, Literal

from da3_ros.errors import InputError
from da3_ros.training.scenes.casting import cast_rays
from da3_ros.training.scenes.clearance import clearance_m
from da3_ros.training.scenes.culling import visits_for
from da3_ros.training.scenes.curves import (
    arc_lengths,
    headings_of,
    Plan,
    points_at,
    push_clear,
    random_polyline,
    smooth_noise,
    smoothed,
)
from da3_ros.training.scenes.rays import camera_rays, intrinsics_from_fov
from da3_ros.training.scenes.scene import Scenes, SHELL_FACES
import torch

PathKind = Literal['hand', 'robot', 'strafe', 'orbit', 'static']
PATH_KINDS: tuple[str, ...] = get_args(PathKind)
ATTEMPTS = 24
# Curves are planned clearer than asked for; smoothing and a hand's shake use it up.
SPARE_M = 0.06
# A change of direction of travel is spread over about twice this many frames.
TURNING_FRAMES = 6.0
# Directions tried for one path; the one with the most to see is taken.
LOOKS = 6
UP = (0.0, 0.0, 1.0)


@dataclass(frozen=True)
class PathConfig:
    """
    How cameras move. Robots keep their height and look ahead; hands bob, roll and look around.

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
    """
    world_from_camera (F, 4, 4) at `position` (F, 3) looking along `forward` (F, 3).

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
    """Clear curve (N, 3) of about `length_m`; a circle where the search finds no other."""
    margin = config.clearance_m + SPARE_M
    plan = Plan(length_m, margin, config.kind in ('robot', 'strafe'), config.closed)
    for attempt in range(ATTEMPTS):
        # Late attempts ask for less: shorter legs find room between furniture.
        shrink = 0.85**attempt
        rounding = 0.12 * plan.longest_m(shrink) / plan.step_m
        curve = random_polyline(scene, plan, shrink, generator)
        if curve is None:
            continue
        for _ in range(3):
            curve = smoothed(curve, config.closed, rounding)
            curve = push_clear(scene, curve, margin, plan.planar)
        curve = smoothed(curve, config.closed, 2.0)
        if bool((clearance_m(scene, curve) >= config.clearance_m + SPARE_M / 3).all()):
            return curve
    return _free_circle(scene, plan, generator)


def _open_place(
    scene: Scenes, clear_m: float, generator: torch.Generator
) -> tuple[torch.Tensor, float]:
    """Most open of many random points (3,), and its clearance; `InputError` if under `clear_m`."""
    low, high = scene.walk_low[0], scene.walk_high[0]
    points = low + torch.rand(2048, 3, generator=generator) * (high - low)
    points[:, 2] = points[:, 2].clamp(0.4, 1.8)
    distance = clearance_m(scene, points)
    best = int(distance.argmax())
    if distance[best] < clear_m:
        raise InputError(
            f'No place in the scene is {clear_m:.2f} m clear of geometry; the most open one has '
            f'{float(distance[best]):.2f} m. Use a smaller clearance_m.'
        )
    return points[best], float(distance[best])


def _free_circle(scene: Scenes, plan: Plan, generator: torch.Generator) -> torch.Tensor:
    """Circle (N, 3) within the most open place: clear without a search."""
    place, clear_m = _open_place(scene, plan.margin_m, generator)
    radius = min(clear_m - plan.margin_m, plan.length_m / (2 * math.pi))
    angle = 2 * math.pi * torch.arange(200) / 200
    offset = torch.stack([angle.cos(), angle.sin(), torch.zeros(200)], 1)
    return place + radius * offset


def _orbit(
    scene: Scenes, config: PathConfig, frames: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions (F, 3) on a circle bent around obstacles, and the point looked at (3,)."""
    low, high = scene.walk_low[0], scene.walk_high[0]
    draw = torch.rand(4, generator=generator)
    radius = (0.5 + 0.35 * float(draw[0])) * 0.5 * float((high - low)[:2].min())
    length_m = frames * config.speed_m
    if config.closed:
        radius = min(radius, max(0.8, 1.2 * length_m / (2 * math.pi)))
    turns = 1.0 if config.closed else min(1.0, length_m / (2 * math.pi * radius))
    angle = 2 * math.pi * (draw[1] + turns * torch.arange(400) / 400)
    middle = 0.5 * (low + high)
    height = torch.full_like(angle, 0.9 + 0.8 * float(draw[2]))
    x, y = middle[0] + radius * angle.cos(), middle[1] + radius * angle.sin()
    ring = torch.stack([x, y, height], 1)
    margin = config.clearance_m + SPARE_M
    for _ in range(6):
        ring = push_clear(scene, ring, margin, planar=False)
        ring = smoothed(ring, config.closed, 6.0)
    target = torch.stack([middle[0], middle[1], 0.3 + 0.6 * draw[3]])
    if bool((clearance_m(scene, ring) < config.clearance_m + SPARE_M / 3).any()):
        ring = _curve(scene, config, length_m, generator)
    return ring, target


def _headings(
    config: PathConfig, position: torch.Tensor, tangent: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Draw viewing directions (F, 3) that turn smoothly, around the direction of travel."""
    frames = len(position)
    yaw = headings_of(tangent, config.closed, TURNING_FRAMES)
    wide = {'hand': 1.3, 'robot': 0.35, 'strafe': 0.3, 'orbit': 0.2, 'static': 0.8}[config.kind]
    if config.kind == 'strafe':
        side = 1.0 if torch.rand((), generator=generator) < 0.5 else -1.0
        yaw = yaw + side * math.pi / 2
    yaw = yaw + wide * smooth_noise(frames, 45, config.closed, generator)
    tall = 0.05 if config.kind in ('robot', 'strafe') else 0.2
    tilt = -0.12 + 0.1 * (torch.rand((), generator=generator) - 0.5)
    pitch = tilt + tall * smooth_noise(frames, 35, config.closed, generator)
    flat = pitch.cos()
    return torch.stack([flat * yaw.cos(), flat * yaw.sin(), pitch.sin()], 1)


def _interest(scene: Scenes, position: torch.Tensor, forward: torch.Tensor) -> float:
    """How much there is to see: things rather than bare walls, and not too near; frames' mean."""
    frames = len(position)
    poses = look_poses(position, forward, torch.zeros(frames))[None]  # (1, F, 4, 4)
    intrinsics = intrinsics_from_fov(65.0, 8, 6).expand(1, frames, 3, 3)
    visits = visits_for(scene, poses, intrinsics, 8, 6)
    depth, row = cast_rays(scene, camera_rays(poses, intrinsics, 6, 8), visits.camera)
    things = (row >= SHELL_FACES).flatten(2).float().mean(-1).clamp_max(0.5)
    open_m = depth.flatten(2).median(-1).values.clamp(0.3, 3)
    return float((things + 0.3 * open_m.log()).mean())


def camera_path(
    scene: Scenes,
    frames: int,
    generator: torch.Generator,
    config: PathConfig | None = None,
) -> torch.Tensor:
    """
    Draw one trajectory, world_from_camera (F, 4, 4), through one scene (B = 1, on the CPU).

    A function of the scene, the configuration and the generator's state alone. Raises `InputError`
    when no place is clear enough.
    """
    config = config or PathConfig()
    if len(scene) != 1 or frames < 1:
        raise InputError(f'camera_path needs one scene and frames >= 1: {len(scene)}, {frames}.')
    travelled = _progress(config, frames, generator) * config.speed_m
    target = None
    if config.kind == 'static':
        place, _ = _open_place(scene, config.clearance_m + SPARE_M, generator)
        curve = place[None]
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
    looks = [_headings(config, position, tangent, generator) for _ in range(LOOKS)]
    forward = max(looks, key=lambda look: _interest(scene, position, look))
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
