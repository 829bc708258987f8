"""Indoor scenes: a room, what hangs on its walls, what stands in it, its lamps."""

from __future__ import annotations

import math

from da3_ros.training.scenes.builder import Frame, SceneBuilder, turn, Vector
from da3_ros.training.scenes.fittings import ceiling_lamps, hang, on_wall, partitions, skirting
from da3_ros.training.scenes.furniture import FURNITURE
from da3_ros.training.scenes.scene import Scenes

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


def _furnish(b: SceneBuilder, size: Vector, taken: list[Footprint]) -> None:
    """Place furniture without overlaps; leave a good part of the floor free."""
    placed = 0
    area, budget = 0.0, b.rng.uniform(0.15, 0.4) * size[0] * size[1]
    for _ in range(40):
        kind = b.rng.choice(FURNITURE)
        w, d, h = (b.rng.uniform(*span) for span in (kind.width, kind.depth, kind.height))
        h = min(h, size[2] - 0.2)
        if kind.by_wall:
            x, y, yaw = on_wall(b, b.rng.randrange(4), size, b.rng.uniform(-1, 1), d / 2 + 0.02)
        else:
            x, y = (b.rng.uniform(-0.5, 0.5) * length for length in size[:2])
            yaw = b.rng.choice([0.0, math.pi / 2, math.pi, b.rng.uniform(0, 6.28)])
        spot = _footprint(x, y, yaw, w, d)
        inside = spot[0] > -size[0] / 2 and spot[2] < size[0] / 2
        inside = inside and spot[1] > -size[1] / 2 and spot[3] < size[1] / 2
        gap = 0.05 if kind.build.__name__ == 'chair' else GAP_M
        if not inside or any(overlaps(spot, other, gap) for other in taken):
            continue
        if area + w * d > budget and placed > 1:
            continue
        kind.build(b, Frame((x, y, 0.0), turn(yaw)), w, d, h)
        taken.append(spot)
        placed += 1
        area += w * d
        if b.free('boxes') < 6:
            break


def _warmth(b: SceneBuilder) -> Vector:
    tone = b.rng.uniform(-0.2, 0.3)
    return 1 + tone, 1.0, 1 - tone


def _key_light(b: SceneBuilder, size: Vector) -> tuple[Vector, float, float]:
    """Place, reach and strength of the light with shadows: ceiling lamps, or a low sun."""
    if b.rng.random() < 0.3:  # light falling in from one side
        yaw, far = b.rng.uniform(0, 6.28), 30.0
        key = (far * math.cos(yaw), far * math.sin(yaw), b.rng.uniform(10, 30))
        return key, 1e4, b.rng.uniform(0.4, 2.0)
    x, y = (b.rng.uniform(-0.3, 0.3) * length for length in size[:2])
    key = (x, y, size[2] - b.rng.uniform(0.08, 0.5))
    ceiling_lamps(b, size, key)
    return key, 0.45 * max(size[0], size[1]), b.rng.uniform(0.4, 1.8)


def _lights(b: SceneBuilder, size: Vector, key: tuple[Vector, float, float]) -> dict[str, object]:
    """Give the key light, one weaker lamp, and ambient light from above and below."""
    place, reach, strength = key
    half_x, half_y = size[0] / 2, size[1] / 2
    side = (0.9 * half_x * b.rng.choice([-1, 1]), 0.9 * half_y * b.rng.choice([-1, 1]))
    side, side_reach, side_strength = (*side, 0.8 * size[2]), 0.3 * max(size), (0.1, 0.6)
    if b.lamps:  # a standing lamp draws a glow on the wall behind it
        side, side_reach, side_strength = b.rng.choice(b.lamps), 0.5, (0.5, 2.5)
    warm = _warmth(b)
    ambient = b.rng.uniform(0.15, 0.5)
    return {
        'light_position': [place, side],
        'light_colour': [
            [strength * c for c in warm],
            [b.rng.uniform(*side_strength) * c for c in _warmth(b)],
        ],
        'light_reach_m': [reach, side_reach],
        'ambient_up': [ambient * c for c in _warmth(b)],
        'ambient_down': [0.75 * ambient * c for c in warm],
        'sky_zenith': (0.3, 0.5, 0.9),
        'sky_horizon': (0.8, 0.85, 0.9),
    }


def build_room(b: SceneBuilder) -> Scenes:
    """Build one furnished room centred on the origin, floor at z = 0."""
    size = _room_size(b)
    walls = [b.material('wall', b.rng.uniform(1.2, 3.0))] * 4
    if b.rng.random() < 0.35:
        walls[b.rng.randrange(4)] = b.material('wall', b.rng.uniform(1.2, 3.0))
    floor = b.material('floor', b.rng.uniform(1.0, 2.5), b.rng.choice([0.0, 0.0, 0.3, 0.8]))
    ceiling = b.material('ceiling', b.rng.uniform(1.5, 3.0))
    skirting(b, size)
    taken = partitions(b, size, walls[0])
    hang(b, size)
    if b.rng.random() < 0.35:  # rug
        rug = b.material('cloth', None)
        sides = (b.rng.uniform(0.3, 0.6) * size[0], b.rng.uniform(0.3, 0.6) * size[1], 0.012)
        b.decal(Frame((0, 0, 0.006)), (0, 0, 0), sides, rug)
    key = _key_light(b, size)
    _furnish(b, size, taken)
    lights = _lights(b, size, key)
    low, high = (-size[0] / 2, -size[1] / 2, 0.0), (size[0] / 2, size[1] / 2, size[2])
    return b.finish(
        low,
        high,
        [*walls, floor, ceiling],
        is_outdoor=0.0,
        walk_low=low,
        walk_high=high,
        **lights,
    )
