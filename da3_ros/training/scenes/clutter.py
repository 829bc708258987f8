"""Small things that lie on tables, worktops and low cupboards."""

from __future__ import annotations

from collections.abc import Callable
import math

from da3_ros.training.scenes.builder import Frame, SceneBuilder, turn

Put = Callable[[SceneBuilder, Frame, float], None]


def _block(b: SceneBuilder, f: Frame, size: float) -> None:
    """Box, packet or gadget."""
    look = b.material(b.rng.choice(['object', 'picture', 'black']), None, b.rng.choice([0, 0.7]))
    high = size * b.rng.uniform(0.3, 2.5)
    b.box(f, (0, 0, high / 2), (size, size * b.rng.uniform(0.6, 1.5), high), look)


def _sheets(b: SceneBuilder, f: Frame, size: float) -> None:
    """Book, tablet or paper lying flat."""
    thick = b.rng.choice([0.004, 0.02, 0.04])
    wide = b.rng.uniform(0.15, 0.32)
    look = b.material(b.rng.choice(['picture', 'object']), None)
    b.box(f, (0, 0, thick / 2), (wide, wide * b.rng.uniform(0.65, 0.8), thick), look)


def _cup(b: SceneBuilder, f: Frame, size: float) -> None:
    """Cup, can or bottle with a neck."""
    look = b.material('object', 0.4, 0.6)
    radius, high = 0.4 * size, size * b.rng.uniform(0.8, 2.2)
    b.cylinder(f, (0, 0, high / 2), radius, high, look)
    if high > 1.6 * size and b.rng.random() < 0.6:
        b.cylinder(f, (0, 0, 1.2 * high), 0.35 * radius, 0.4 * high, look)


def _bowl(b: SceneBuilder, f: Frame, size: float) -> None:
    """Ball, fruit or flat bowl."""
    flat = b.rng.uniform(0.35, 1.0)
    radius = 0.6 * size
    look = b.material('object', 0.5, 0.5)
    b.ellipsoid(f, (0, 0, radius * flat), (radius, radius, radius * flat), look)


def _monitor(b: SceneBuilder, f: Frame, size: float) -> None:
    """Screen on a foot, or an open laptop without one."""
    black = b.material('black', 1.0, 0.8)
    wide = b.rng.uniform(0.35, 0.6)
    foot = b.rng.choice([0.02, 0.1])
    b.box(f, (0, 0, 0.01), (0.7 * wide, 0.2, 0.02), black)
    b.box(f, (0, 0, foot + 0.3 * wide), (wide, 0.03, 0.58 * wide), black)


THINGS: tuple[tuple[Put, float], ...] = (
    *((_block, 3), (_sheets, 2.5), (_cup, 3)),
    *((_bowl, 1), (_monitor, 1.2)),
)


def clutter(b: SceneBuilder, f: Frame, width: float, depth: float, top: float) -> None:
    """Small things on a surface of that size at height `top`."""
    kinds, weights = zip(*THINGS)
    for _ in range(b.rng.randint(0, 5)):
        x, y = b.rng.uniform(-0.4, 0.4) * width, b.rng.uniform(-0.4, 0.4) * depth
        put = b.rng.choices(kinds, weights)[0]
        # Things face forward, more or less.
        yaw = math.atan2(f.rotation[1][0], f.rotation[0][0]) + b.rng.gauss(0, 0.4)
        put(b, Frame(f.place((x, y, top)), turn(yaw)), b.rng.uniform(0.05, 0.16))
