"""
Cameras of training windows, drawn for many scenes at once on their device.

Every window is one of a few kinds of motion (hand, robot, strafe, turn, scattered set, orbit,
ring of cameras, static). A kind is a row of amplitudes; a window draws its own numbers within
them. Nothing is read back by the host and all shapes are static.

Shapes: B windows (one scene each), J candidates, V views. World z is up; headings are in radians.
"""

from typing import NamedTuple

from da3_ros.model.tables import table
from da3_ros.training.scenes.clearance import clearances_m
from da3_ros.training.scenes.culling import in_use
from da3_ros.training.scenes.scene import Scenes, SHELL_FACES
import torch
from torch import Tensor

CANDIDATES = 16
# Each candidate is this much shorter than the one before, so that some window fits everywhere.
SHRINK = 0.86
CLEARANCE_M = 0.15
LOOK_AHEAD_M = 0.9
# This share of windows is taken close to a thing, from so far away; others may be near a wall.
CLOSE_SHARE = 0.3
CLOSE_M = (0.5, 1.8)
CLOSE_AHEAD_M = 0.25
SPAN_M = (0.2, 3.0)
FOV_DEG = (50.0, 110.0)


class Motion(NamedTuple):
    """
    Amplitudes of one kind: shares of the window's span, and radians.

    ``forward``, ``sideways``, ``upward`` and ``bend`` shape the path, ``scatter`` moves each view
    by itself; ``sweep``, ``tilt`` and ``roll`` turn along the path, ``shake`` each view by itself;
    ``aim`` 1 looks at one place ahead; ``ring`` 1 puts the cameras on a ring, looking outwards.
    ``pitch`` and ``lean`` are how far a whole window may look up or down and lie on its side:
    hands hold cameras at any angle, robots keep them level.
    """

    weight: float
    forward: float = 0.0
    sideways: float = 0.0
    upward: float = 0.0
    bend: float = 0.0
    scatter: float = 0.0
    sweep: float = 0.0
    tilt: float = 0.0
    roll: float = 0.0
    shake: float = 0.0
    aim: float = 0.0
    ring: float = 0.0
    pitch: float = 0.15
    lean: float = 0.0


HELD = {'pitch': 0.65, 'lean': 0.35}
MOTIONS = {
    'hand': Motion(0.24, 0.7, 0.8, 0.35, 0.4, 0.05, 0.5, 0.2, 0.12, 0.05, **HELD),
    'robot': Motion(0.14, 1.0, 0.1, 0.0, 0.2, 0.0, 0.4, 0.0, 0.0, 0.01),
    'strafe': Motion(0.12, 0.1, 1.0, 0.1, 0.1, 0.02, 0.15, 0.05, 0.05, 0.03, pitch=0.4, lean=0.2),
    'turn': Motion(0.10, 0.15, 0.2, 0.05, 0.1, 0.02, 1.3, 0.2, 0.1, 0.05, **HELD),
    'set': Motion(0.20, scatter=0.5, roll=0.1, shake=0.2, aim=1.0, **HELD),
    'orbit': Motion(0.12, 0.2, 1.0, 0.2, 0.3, 0.03, roll=0.08, shake=0.08, aim=1.0, **HELD),
    'ring': Motion(0.05, shake=0.02, ring=1.0),
    'static': Motion(0.03, **HELD),
}


class WindowCameras(NamedTuple):
    """``world_from_camera`` (B, V, 4, 4) optical; ``intrinsics`` (B, V, 3, 3), centres at +0.5."""

    world_from_camera: Tensor
    intrinsics: Tensor


def _uniform(low: float, high: float, *size: int, device: torch.device) -> Tensor:
    return low + (high - low) * torch.rand(size, device=device)


def _signed(*size: int, device: torch.device) -> Tensor:
    """Random signs times 0.4 to 1."""
    return (torch.rand(size, device=device) - 0.5).sign() * _uniform(0.4, 1, *size, device=device)


def _around_zero(*size: int, device: torch.device) -> Tensor:
    """Random values in [-1, 1], the middle ones more often."""
    return torch.rand(size, device=device) + torch.rand(size, device=device) - 1


@table
def _amplitudes(device: torch.device) -> Tensor:
    """Return ``MOTIONS`` as a tensor (K, fields of Motion)."""
    return torch.tensor([tuple(motion) for motion in MOTIONS.values()], device=device)


def _draw_motions(count: int, device: torch.device) -> Motion:
    """Draw a kind for each window: amplitudes (B, 1, 1)."""
    amplitudes = _amplitudes(device)
    shares = amplitudes[:, 0].cumsum(0)
    chosen = torch.searchsorted(shares, torch.rand(count, device=device) * shares[-1])
    return Motion(*(column[chosen][:, None, None] for column in amplitudes.unbind(1)))


def _look(yaw: Tensor, pitch: Tensor, roll: Tensor, position: Tensor) -> Tensor:
    """Poses (..., 4, 4) of optical cameras that look along yaw and pitch, z up."""
    flat = pitch.cos()
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
    forward = torch.stack((flat * yaw.cos(), flat * yaw.sin(), pitch.sin()), -1)
    level = torch.stack((yaw.sin(), -yaw.cos(), zero), -1)  # to the right
    down = torch.linalg.cross(forward, level)
    c, s = roll.cos()[..., None], roll.sin()[..., None]
    axes = (c * level + s * down, c * down - s * level, forward, position)
    top = torch.stack(axes, -1)  # (..., 3, 4)
    bottom = torch.stack((zero, zero, zero, one), -1)[..., None, :]
    return torch.cat((top, bottom), -2)


def _start(scenes: Scenes, device: torch.device) -> tuple[Tensor, Tensor]:
    """Random places (B, J, 1, 3) between knee and eye, and headings (B, J, 1)."""
    count = len(scenes)
    low, high = scenes.walk_low[:, None], scenes.walk_high[:, None]
    place = low + torch.rand(count, CANDIDATES, 3, device=device) * (high - low)
    top = torch.minimum(high[..., 2] - 0.2, torch.full_like(high[..., 2], 1.9))
    height = 0.35 + torch.rand(count, CANDIDATES, device=device) * (top - 0.35)
    place = torch.cat((place[..., :2], height[..., None]), -1)
    return place[:, :, None], _uniform(0, 6.2832, count, CANDIDATES, 1, device=device)


class Aim(NamedTuple):
    """A place to look at from each start: ``far`` metres ahead at ``slope``, (B, J, 1) each."""

    far: Tensor
    slope: Tensor


def _aim_ahead(scenes: Scenes, device: torch.device) -> Aim:
    """Draw anything in front of the camera."""
    size = (len(scenes), CANDIDATES, 1)
    return Aim(
        _uniform(1.2, 4.0, *size, device=device), _uniform(-0.3, 0.15, *size, device=device)
    )


def _start_at_things(scenes: Scenes, start: Tensor) -> tuple[Tensor, Tensor, Aim]:
    """Move ``start`` (B, J, 1, 3) close to random things; headings (B, J, 1) and aims at them."""
    device, used = start.device, in_use(scenes)
    chance = torch.rand(len(scenes), CANDIDATES, used.shape[1], device=device)
    thing = (chance * used[:, None]).argmax(-1)[..., None].expand(-1, -1, 3)  # (B, J, 3)
    centre = scenes.centre[:, SHELL_FACES:].gather(1, thing)[:, :, None]
    size = (len(scenes), CANDIDATES, 1)
    far = _uniform(*CLOSE_M, *size, device=device)
    heading = _uniform(0, 6.2832, *size, device=device)
    away = torch.stack((-far * heading.cos(), -far * heading.sin(), torch.zeros_like(far)), -1)
    place = torch.cat((centre[..., :2], start[..., 2:]), -1) + away
    return place, heading, Aim(far, (centre - start)[..., 2] / far)


def _draw_starts(scenes: Scenes, device: torch.device) -> tuple[Tensor, Tensor, Aim, Tensor]:
    """Places (B, J, 1, 3), headings (B, J, 1), aims, and whether a window is close (B, 1, 1)."""
    start, heading = _start(scenes, device)
    aim = _aim_ahead(scenes, device)
    close = torch.rand(len(scenes), 1, 1, device=device) < CLOSE_SHARE
    near_start, near_heading, near_aim = _start_at_things(scenes, start)
    chosen = (torch.where(close, near, far) for near, far in zip(near_aim, aim, strict=True))
    return (
        torch.where(close[..., None], near_start, start),
        torch.where(close, near_heading, heading),
        Aim(*chosen),
        close,
    )


def _spread(
    motion: Motion, span_m: Tensor, ease: Tensor, views: int, fov: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Offsets ahead, left, up (B, J, V) in metres; turns of yaw, pitch and roll in radians."""
    device = span_m.device
    size = (len(span_m), CANDIDATES)
    signed = {'device': device}
    along = torch.rand(*size, views, device=device)  # where on its path each view lies
    curve = along * along

    def path(amplitude: Tensor) -> Tensor:
        bent = motion.bend * _signed(*size, 1, **signed) * curve
        return amplitude * _signed(*size, 1, **signed) * along + bent * (amplitude > 0)

    def scatter(amplitude: Tensor) -> Tensor:
        return amplitude * torch.randn(*size, views, device=device)

    ahead = (path(motion.forward) + scatter(motion.scatter)) * span_m
    left = (path(motion.sideways) + scatter(motion.scatter)) * span_m
    up = (path(motion.upward) + scatter(0.4 * motion.scatter)) * span_m
    turn = ease * _signed(*size, 1, **signed)
    yaw = motion.sweep * turn * (along + 0.3 * curve) + scatter(motion.shake)
    pitch = motion.tilt * ease * _signed(*size, 1, **signed) * along + scatter(0.6 * motion.shake)
    roll = motion.roll * (
        _signed(*size, 1, **signed) * along + 0.5 * scatter(torch.ones_like(fov))
    )
    # A ring: neighbours overlap by a quarter to two thirds of their field of view.
    step = fov * _uniform(0.35, 0.75, *size, 1, **signed)
    around = motion.ring * torch.arange(views, device=device) * step
    radius = motion.ring * _uniform(0.05, 0.3, *size, 1, **signed)
    return (
        ahead + radius * (around.cos() - 1),
        left + radius * around.sin(),
        up,
        yaw + around,
        pitch,
        roll,
    )


def _aimed(
    motion: Motion,
    place: Tensor,
    start: Tensor,
    heading: Tensor,
    aim: Aim,
    turns: tuple[Tensor, Tensor],
    close: Tensor,
) -> tuple[Tensor, Tensor]:
    """Yaw and pitch (B, J, V), looking at one place ahead where the motion says so."""
    target = start + torch.stack(
        (aim.far * heading.cos(), aim.far * heading.sin(), aim.far * aim.slope), -1
    )  # (B, J, 1, 3)
    towards = target - place
    yaw = torch.atan2(towards[..., 1], towards[..., 0])
    pitch = torch.atan2(towards[..., 2], towards[..., :2].norm(dim=-1))
    base = -0.13 + motion.pitch * _around_zero(*heading.shape, device=place.device)
    # Held close to a thing, a camera looks at it at first.
    base = torch.where(close & (motion.lean > 0), aim.slope.atan(), base)
    is_aimed = motion.aim > 0
    return (
        torch.where(is_aimed, yaw, heading) + turns[0],
        torch.where(is_aimed, pitch, base) + turns[1],
    )


def _free(scenes: Scenes, poses: Tensor, ahead_m: Tensor) -> Tensor:
    """How free (B, J) each candidate is, ``ahead_m`` (B, 1, 1) in front of its cameras too."""
    place, forward = poses[..., :3, 3], poses[..., :3, 2]
    points = torch.stack((place, place + ahead_m[..., None] * forward), -2)  # (B, J, V, 2, 3)
    distance = clearances_m(scenes, points.flatten(1, 3)).unflatten(1, points.shape[1:4])
    room = (distance[..., 0] / CLEARANCE_M).clamp_max(1).amin(-1)
    ahead = (distance[..., 1] / 0.1).clamp(-1, 1).amin(-1)
    return room + 0.2 * ahead


def _intrinsics(fov: Tensor, height: int, width: int) -> Tensor:
    """Pinhole matrices (..., 3, 3) whose longer side spans ``fov`` (...) radians."""
    focal = 0.5 * max(height, width) / (0.5 * fov).tan()
    zero, one = torch.zeros_like(focal), torch.ones_like(focal)
    rows = ((focal, zero, one * width / 2), (zero, focal, one * height / 2), (zero, zero, one))
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def sample_cameras(
    scenes: Scenes, views: int, height: int, width: int, ease: Tensor
) -> WindowCameras:
    """
    Draw one window of cameras in each scene.

    Args:
        scenes: B scenes.
        views: V.
        height: of the pictures, pixels.
        width: of the pictures, pixels.
        ease: () on the scenes' device, 0 to 1: how much of the full range of motion is drawn.

    """
    device = scenes.centre.device
    count = len(scenes)
    motion = _draw_motions(count, device)
    low, high = SPAN_M
    span_m = low * (high / low) ** torch.rand(count, 1, 1, device=device)
    shrink = SHRINK ** torch.arange(CANDIDATES, device=device)[:, None]
    fov = torch.deg2rad(_uniform(*FOV_DEG, count, 1, 1, device=device))
    start, heading, aim, close = _draw_starts(scenes, device)
    ahead, left, up, *turns, roll = _spread(motion, span_m * shrink * ease, ease, views, fov)
    c, s = heading.cos(), heading.sin()
    place = start + torch.stack((c * ahead - s * left, s * ahead + c * left, up), -1)
    low, high = scenes.walk_low[:, None, None] + 0.1, scenes.walk_high[:, None, None] - 0.1
    place = torch.minimum(torch.maximum(place, low), high)
    yaw, pitch = _aimed(motion, place, start, heading, aim, tuple(turns), close)
    roll = roll + motion.lean * _around_zero(*heading.shape, device=device)
    poses = _look(yaw, pitch.clamp(-1.2, 1.2), roll, place)  # (B, J, V, 4, 4)
    near = close | (torch.rand(count, 1, 1, device=device) < CLOSE_SHARE)
    ahead_m = LOOK_AHEAD_M + (CLOSE_AHEAD_M - LOOK_AHEAD_M) * near
    best = _free(scenes, poses, ahead_m).argmax(1)
    poses = poses.gather(1, best[:, None, None, None, None].expand(-1, 1, views, 4, 4))[:, 0]
    # Some windows mix lenses.
    mixed = torch.rand(count, 1, device=device) < 0.15
    own = torch.deg2rad(_uniform(*FOV_DEG, count, views, device=device))
    return WindowCameras(poses, _intrinsics(torch.where(mixed, own, fov[:, 0]), height, width))
