"""Outdoor scenes: open ground under the sky, with buildings, trees, poles, cars and crates."""

from __future__ import annotations

import math

from da3_ros.training.scenes.builder import Frame, SceneBuilder, turn
from da3_ros.training.scenes.furniture import crates, oddity
from da3_ros.training.scenes.rooms import overlaps
from da3_ros.training.scenes.scene import Scenes

# Half the side of the place in which cameras move, and how far the ground reaches.
PLACE_M = 8.0
HORIZON_M = 4000.0


def building(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """House with a flat roof and a row of windows on each face."""
    b.box(f, (0, 0, h / 2), (w, d, h), b.material('facade', b.rng.uniform(5, 9)))
    b.box(f, (0, 0, h + 0.15), (w + 0.5, d + 0.5, 0.3), b.material('object', 2.0))


def tree(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Trunk and crown."""
    lean = Frame(f.at, turn(b.rng.uniform(0, 6.28), b.rng.uniform(-0.1, 0.1)))
    b.cylinder(lean, (0, 0, 0.3 * h), 0.05 * h, 0.6 * h, b.material('bark', 1.0))
    crown = (0.28 * h, 0.28 * h, b.rng.uniform(0.25, 0.4) * h)
    b.ellipsoid(lean, (0, 0, 0.7 * h), crown, b.material('leaves', 1.5))


def pole(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Post with a sign."""
    b.cylinder(f, (0, 0, h / 2), 0.05, h, b.material('object', 1.0, 0.5))
    b.box(f, (0, 0.07, h - 0.4), (0.6, 0.03, 0.6), b.material('picture', None))


def car(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Body, cabin and wheels."""
    paint = b.material('object', 3.0, 0.8)
    b.box(f, (0, 0, 0.55), (4.2, 1.75, 0.6), paint)
    b.box(f, (-0.2, 0, 1.1), (2.2, 1.5, 0.5), b.material('window', None, 0.9))
    rubber = b.material('bark', 0.5)
    for sx in (-1, 1):
        lying = Frame(f.place((1.3 * sx, 0, 0.32)), turn(_yaw(f), 0, math.pi / 2))
        b.cylinder(lying, (0, 0, 0), 0.32, 1.8, rubber)


def wall(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Free-standing wall."""
    b.box(f, (0, 0, h / 2), (w, 0.25, h), b.material('facade', 2.5))


def bench(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Seat on two blocks with a back."""
    look = b.material('object', 1.0)
    b.box(f, (0, 0, 0.45), (1.6, 0.45, 0.06), look)
    b.box(f, (0, -0.22, 0.75), (1.6, 0.05, 0.4), look)
    for sx in (-1, 1):
        b.box(f, (0.6 * sx, 0, 0.21), (0.1, 0.4, 0.42), look)


def _yaw(f: Frame) -> float:
    return math.atan2(f.rotation[1][0], f.rotation[0][0])


NEAR_THINGS = (
    (tree, 1.2, (3.0, 6.0)),
    (pole, 0.6, (2.0, 4.0)),
    (car, 4.4, (1.4, 1.5)),
    (wall, 3.0, (0.8, 2.0)),
    (bench, 1.7, (0.8, 0.9)),
    (crates, 1.2, (0.8, 2.4)),
    (oddity, 1.6, (0.8, 2.0)),
)


def _lights(b: SceneBuilder) -> dict[str, object]:
    yaw, height = b.rng.uniform(0, 6.28), math.radians(b.rng.uniform(18, 75))
    far = 300.0
    sun = (
        far * math.cos(yaw) * math.cos(height),
        far * math.sin(yaw) * math.cos(height),
        far * math.sin(height),
    )
    overcast = b.rng.random()
    strength = 1.5 * (1 - overcast) + 0.15
    grey = b.rng.uniform(0.5, 1.0)
    zenith = [grey * ((1 - overcast) * blue + overcast * 0.7) for blue in (0.15, 0.35, 0.85)]
    return {
        'light_position': [sun, (0.0, 0.0, 50.0)],
        'light_colour': [[strength * c for c in (1.08, 1.0, 0.88)], [0.0, 0.0, 0.0]],
        'light_reach_m': [1e5, 1e5],
        'ambient_up': [0.25 + 0.5 * c for c in zenith],
        'ambient_down': [0.2, 0.19, 0.17],
        'sky_zenith': zenith,
        'sky_horizon': [0.75 * grey, 0.8 * grey, 0.9 * grey],
    }


def build_outdoor(b: SceneBuilder) -> Scenes:
    """Build one open place around the origin, ground at z = 0."""
    taken: list[tuple[float, float, float, float]] = []
    for _ in range(b.rng.randint(4, 8)):
        yaw, far = b.rng.uniform(0, 6.28), b.rng.uniform(19, 40)
        spot = Frame((far * math.cos(yaw), far * math.sin(yaw), 0.0), turn(b.rng.uniform(0, 6.28)))
        building(b, spot, b.rng.uniform(6, 18), b.rng.uniform(6, 12), b.rng.uniform(3, 16))
    for _ in range(b.rng.randint(24, 50)):
        build, size, heights = b.rng.choice(NEAR_THINGS)
        x, y = (b.rng.uniform(-1.3, 1.3) * PLACE_M for _ in range(2))
        spot = (x - size / 2, y - size / 2, x + size / 2, y + size / 2)
        if any(overlaps(spot, other, 0.6) for other in taken):
            continue
        taken.append(spot)
        frame = Frame((x, y, 0.0), turn(b.rng.uniform(0, 6.28)))
        build(b, frame, size, size, b.rng.uniform(*heights))
    ground = b.material('ground', b.rng.uniform(2, 5))
    return b.finish(
        (-HORIZON_M, -HORIZON_M, 0.0),
        (HORIZON_M, HORIZON_M, HORIZON_M),
        [ground] * 6,
        is_outdoor=1.0,
        walk_low=(-PLACE_M, -PLACE_M, 0.0),
        walk_high=(PLACE_M, PLACE_M, 3.0),
        **_lights(b),
    )
