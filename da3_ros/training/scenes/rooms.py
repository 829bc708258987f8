"""Indoor scenes: a room, what hangs on its walls, what stands in it, its lamps."""

from __future__ import annotations

from dataclasses import replace
import math

from da3_ros.training.scenes.builder import Frame, Material, SceneBuilder, turn, Vector
from da3_ros.training.scenes.furniture import FURNITURE
from da3_ros.training.scenes.scene import Scenes

# Yaw of a thing that stands with its back to a wall, walls -x +x -y +y.
WALL_YAW = (-math.pi / 2, math.pi / 2, 0.0, math.pi)
# Room that people and robots need between the things in it.
GAP_M = 0.25

Footprint = tuple[float, float, float, float]  # low x, low y, high x, high y


def _room_size(b: SceneBuilder) -> Vector:
    kind = b.rng.random()
    if kind < 0.12:  # corridor
        sides = [b.rng.uniform(1.8, 2.6), b.rng.uniform(6, 12)]
    elif kind < 0.25:  # hall
        sides = [b.rng.uniform(7, 14), b.rng.uniform(7, 14)]
    else:
        sides = [b.rng.uniform(2.8, 7), b.rng.uniform(2.8, 7)]
    b.rng.shuffle(sides)
    return sides[0], sides[1], b.rng.uniform(2.3, 3.4) + 0.1 * max(0, min(sides) - 4)


def _footprint(x: float, y: float, yaw: float, width: float, depth: float) -> Footprint:
    c, s = abs(math.cos(yaw)), abs(math.sin(yaw))
    half_x, half_y = 0.5 * (c * width + s * depth), 0.5 * (s * width + c * depth)
    return x - half_x, y - half_y, x + half_x, y + half_y


def overlaps(one: Footprint, other: Footprint, gap: float) -> bool:
    """Whether two footprints come closer than `gap`."""
    return (
        one[0] < other[2] + gap
        and other[0] < one[2] + gap
        and one[1] < other[3] + gap
        and other[1] < one[3] + gap
    )


def _on_wall(b: SceneBuilder, wall: int, size: Vector, along: float, off: float) -> tuple:
    """Place (x, y) and yaw at `along` in [-1, 1] of a wall, `off` metres from it."""
    half_x, half_y = size[0] / 2, size[1] / 2
    sign = 1 if wall % 2 else -1
    if wall < 2:
        return sign * (half_x - off), along * half_y, WALL_YAW[wall]
    return along * half_x, sign * (half_y - off), WALL_YAW[wall]


def _furnish(b: SceneBuilder, size: Vector) -> list[Footprint]:
    """Place furniture without overlaps; leave a good part of the floor free."""
    taken: list[Footprint] = []
    area, budget = 0.0, b.rng.uniform(0.15, 0.4) * size[0] * size[1]
    for _ in range(40):
        kind = b.rng.choice(FURNITURE)
        w, d, h = (b.rng.uniform(*span) for span in (kind.width, kind.depth, kind.height))
        h = min(h, size[2] - 0.2)
        if kind.by_wall:
            x, y, yaw = _on_wall(b, b.rng.randrange(4), size, b.rng.uniform(-1, 1), d / 2 + 0.02)
        else:
            x, y = (b.rng.uniform(-0.5, 0.5) * length for length in size[:2])
            yaw = b.rng.choice([0.0, math.pi / 2, math.pi, b.rng.uniform(0, 6.28)])
        spot = _footprint(x, y, yaw, w, d)
        inside = spot[0] > -size[0] / 2 and spot[2] < size[0] / 2
        inside = inside and spot[1] > -size[1] / 2 and spot[3] < size[1] / 2
        gap = 0.05 if kind.build.__name__ == 'chair' else GAP_M
        if not inside or any(overlaps(spot, other, gap) for other in taken):
            continue
        if area + w * d > budget and len(taken) > 1:
            continue
        kind.build(b, Frame((x, y, 0.0), turn(yaw)), w, d, h)
        taken.append(spot)
        area += w * d
        if b.free('boxes') < 6:
            break
    return taken


def _hang(b: SceneBuilder, size: Vector) -> None:
    """Windows, doors and pictures as thin boxes on the walls."""
    for wall in range(4):
        span = size[1] if wall < 2 else size[0]
        at = -span / 2 + b.rng.uniform(0.2, 0.8)
        while at < span / 2 - 0.5 and b.rng.random() < 0.75:
            what = b.rng.random()
            if what < 0.25:
                w, h, base, role = b.rng.uniform(0.8, 1.8), b.rng.uniform(0.8, 1.5), 0.9, 'window'
            elif what < 0.4:
                w, h, base, role = b.rng.uniform(0.75, 0.95), 2.0, 0.0, 'door'
            else:
                w, h, base = b.rng.uniform(0.3, 1.2), b.rng.uniform(0.3, 1.0), 1.2
                role = 'picture'
            if at + w > span / 2 - 0.1 or base + h > size[2] - 0.1:
                break
            thick = b.rng.uniform(0.01, 0.05)
            x, y, yaw = _on_wall(b, wall, size, (at + w / 2) / (span / 2), thick / 2)
            look = b.material(role, None, 0.2)
            if role == 'window':
                look = replace(look, emission=b.rng.uniform(0.4, 1.2), gloss=0.8)
            b.decal(Frame((x, y, base + h / 2), turn(yaw)), (0, 0, 0), (w, thick, h), look)
            at += w + b.rng.uniform(0.2, 1.2)


def _warmth(b: SceneBuilder) -> Vector:
    tone = b.rng.uniform(-0.25, 0.25)
    return 1 + tone, 1.0, 1 - tone


def _lights(b: SceneBuilder, size: Vector) -> dict[str, object]:
    """One lamp or low sun with shadows, one weaker lamp, ambient light from above and below."""
    half_x, half_y = size[0] / 2, size[1] / 2
    if b.rng.random() < 0.3:  # light falling in from one side
        yaw, far = b.rng.uniform(0, 6.28), 30.0
        key = (far * math.cos(yaw), far * math.sin(yaw), b.rng.uniform(10, 30))
        reach, strength = 1e4, b.rng.uniform(0.5, 1.3)
    else:
        key = (b.rng.uniform(-0.6, 0.6) * half_x, b.rng.uniform(-0.6, 0.6) * half_y)
        key = (*key, size[2] - b.rng.uniform(0.08, 0.5))
        reach, strength = 0.45 * max(size[0], size[1]), b.rng.uniform(0.7, 1.8)
    corner = (0.9 * half_x * b.rng.choice([-1, 1]), 0.9 * half_y * b.rng.choice([-1, 1]))
    warm = _warmth(b)
    ambient = b.rng.uniform(0.22, 0.5)
    return {
        'light_position': [key, (*corner, 0.8 * size[2])],
        'light_colour': [
            [strength * c for c in warm],
            [b.rng.uniform(0.1, 0.6) * c for c in _warmth(b)],
        ],
        'light_reach_m': [reach, 0.3 * max(size)],
        'ambient_up': [ambient * c for c in _warmth(b)],
        'ambient_down': [0.75 * ambient * c for c in warm],
        'sky_zenith': (0.3, 0.5, 0.9),
        'sky_horizon': (0.8, 0.85, 0.9),
    }


def _wall_paint(b: SceneBuilder) -> Material:
    """Half of all walls are as plain as ceilings."""
    role = 'wall' if b.rng.random() < 0.5 else 'ceiling'
    return b.material(role, b.rng.uniform(1.2, 3.0))


def build_room(b: SceneBuilder) -> Scenes:
    """Build one furnished room centred on the origin, floor at z = 0."""
    size = _room_size(b)
    walls = [_wall_paint(b)] * 4
    if b.rng.random() < 0.4:
        walls[b.rng.randrange(4)] = _wall_paint(b)
    floor = b.material('floor', b.rng.uniform(1.0, 2.5), b.rng.choice([0.0, 0.0, 0.5]))
    ceiling = b.material('ceiling', b.rng.uniform(1.5, 3.0))
    _hang(b, size)
    if b.rng.random() < 0.5:  # rug
        rug = b.material('cloth', None)
        sides = (b.rng.uniform(0.3, 0.6) * size[0], b.rng.uniform(0.3, 0.6) * size[1], 0.012)
        b.decal(Frame((0, 0, 0.006)), (0, 0, 0), sides, rug)
    _furnish(b, size)
    low, high = (-size[0] / 2, -size[1] / 2, 0.0), (size[0] / 2, size[1] / 2, size[2])
    return b.finish(
        low,
        high,
        [*walls, floor, ceiling],
        is_outdoor=0.0,
        walk_low=low,
        walk_high=high,
        **_lights(b, size),
    )
