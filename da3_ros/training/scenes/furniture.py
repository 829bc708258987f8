"""
Things made of a few primitives. Each stands on z = 0 of its frame, its back towards -y.

Parts that overlap never share a plane: rays could not tell which of them is in front.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
import math

from da3_ros.training.scenes.builder import Frame, SceneBuilder, turn

Build = Callable[[SceneBuilder, Frame, float, float, float], None]


@dataclass(frozen=True)
class Kind:
    """A kind of furniture: range of sizes in metres, and whether it stands against a wall."""

    build: Build
    width: tuple[float, float]
    depth: tuple[float, float]
    height: tuple[float, float]
    by_wall: bool = False


def clutter(b: SceneBuilder, f: Frame, width: float, depth: float, top: float) -> None:
    """Small things on a surface of that size at height `top`."""
    for _ in range(b.rng.randint(0, 4)):
        x, y = b.rng.uniform(-0.4, 0.4) * width, b.rng.uniform(-0.4, 0.4) * depth
        what = b.rng.random()
        size = b.rng.uniform(0.05, 0.16)
        if what < 0.45:
            spot = Frame(f.place((x, y, top)), turn(b.rng.uniform(0, math.pi)))
            high = size * b.rng.uniform(0.3, 2.0)
            look = b.material(b.rng.choice(['object', 'picture']), None)
            b.box(spot, (0, 0, high / 2), (size, size * b.rng.uniform(0.6, 1.5), high), look)
        elif what < 0.8:
            high = size * b.rng.uniform(1.0, 2.5)
            look = b.material('object', 0.4, 0.6)
            b.cylinder(f, (x, y, top + high / 2), size * 0.4, high, look)
        else:
            look = b.material('object', 0.5, 0.5)
            b.ellipsoid(f, (x, y, top + size * 0.6), (size * 0.6,) * 3, look)


def table(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Board on four legs or on one column, with things on it."""
    look = b.material('object', 0.9, b.rng.uniform(0, 0.7))
    thick = b.rng.uniform(0.025, 0.06)
    b.box(f, (0, 0, h - thick / 2), (w, d, thick), look)
    if b.free('cylinders') > 4 and b.rng.random() < 0.3:
        b.cylinder(f, (0, 0, (h - thick) / 2), 0.06, h - thick, look)
        b.cylinder(f, (0, 0, 0.02), 0.3 * min(w, d), 0.04, look)
    else:
        leg = b.rng.uniform(0.04, 0.08)
        for sx in (-1, 1):
            for sy in (-1, 1):
                at = (sx * (w - leg) / 2, sy * (d - leg) / 2, (h - thick) / 2)
                b.box(f, at, (leg, leg, h - thick), look)
    clutter(b, f, w, d, h)


def chair(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Seat, back and two side frames."""
    look, seat = b.material('object', 0.7), b.material('cloth', 0.6)
    high = 0.5 * h
    b.box(f, (0, 0, high), (w, d, 0.06), seat)
    b.box(f, (0, -d / 2 + 0.01, (high + h) / 2), (w - 0.02, 0.04, h - high), seat)
    for sx in (-1, 1):
        b.box(f, (sx * (w / 2 - 0.035), 0, high / 2), (0.05, d - 0.02, high - 0.04), look)


def sofa(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Upholstered base, back, two arms and a cushion."""
    look = b.material('cloth', 1.1)
    b.box(f, (0, 0, 0.22), (w - 0.04, d - 0.03, 0.44), look)
    b.box(f, (0, -d / 2 + 0.1, h / 2), (w - 0.02, 0.2, h), look)
    for sx in (-1, 1):
        b.box(f, (sx * (w / 2 - 0.09), 0, 0.31), (0.18, d, 0.62), look)
    tilted = Frame(f.place((b.rng.uniform(-0.25, 0.25) * w, 0, 0.62)), _lean(f, 0.4))
    b.box(tilted, (0, 0, 0), (0.42, 0.14, 0.36), b.material('cloth', None))


def _lean(f: Frame, angle: float) -> tuple:
    """Axes of `f` leaning back by `angle`."""
    yaw = math.atan2(f.rotation[1][0], f.rotation[0][0])
    return turn(yaw, 0, angle)


def bed(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Frame, mattress, headboard, pillow."""
    b.box(f, (0, 0, 0.14), (w, d, 0.28), b.material('object', 0.9))
    b.box(f, (0, 0.03, 0.38), (w - 0.06, d - 0.1, 0.22), b.material('cloth', 1.3))
    b.box(f, (0, -d / 2 + 0.03, h / 2), (w + 0.03, 0.08, h), b.material('object', 0.9))
    b.box(f, (0, -d / 2 + 0.3, 0.54), (0.6 * w, 0.36, 0.12), b.material('cloth', 0.5))


def cupboard(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Body with two doors of another colour and knobs."""
    body = b.material('object', 1.0, b.rng.uniform(0, 0.4))
    b.box(f, (0, 0, h / 2), (w, d, h), body)
    front = b.material(b.rng.choice(['door', 'object']), None, body.gloss)
    for sx in (-1, 1):
        b.decal(f, (sx * w / 4, d / 2 + 0.01, h / 2), (0.47 * w, 0.02, 0.95 * h), front)
    if h < 1.3:
        clutter(b, f, w, d, h)


def shelf(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Sides and boards, with rows of books as one box behind them."""
    look = b.material('object', 0.9)
    for sx in (-1, 1):
        b.box(f, (sx * (w - 0.03) / 2, 0, h / 2), (0.03, d, h), look)
    b.box(f, (0, -0.06, h / 2), (w - 0.06, d - 0.12, h - 0.04), b.material('shelf', None))
    boards = b.rng.randint(2, 4)
    for level in range(boards + 1):
        b.box(f, (0, 0, 0.02 + level * (h - 0.04) / boards), (w - 0.06, d, 0.03), look)


def lamp(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Standing lamp with a glowing shade."""
    pole = b.material('object', 0.6, 0.8)
    b.cylinder(f, (0, 0, 0.015), 0.16, 0.03, pole)
    b.cylinder(f, (0, 0, h / 2), 0.018, h, pole)
    shade = replace(b.material('cloth', 0.6), emission=1.2)
    b.cylinder(f, (0, 0, h), w / 2, 0.3, shade)


def plant(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Pot and a few balls of foliage."""
    pot = 0.3 * h
    b.cylinder(f, (0, 0, pot / 2), 0.35 * w, pot, b.material('object', 0.5, 0.3))
    look = b.material('leaves', 0.5)
    for _ in range(b.rng.randint(1, 2)):
        tilt = Frame(f.place((0, 0, 0.65 * h)), turn(*(b.rng.uniform(-1, 1) for _ in range(3))))
        radii = (w * b.rng.uniform(0.3, 0.5), w * b.rng.uniform(0.3, 0.5), 0.35 * h)
        b.ellipsoid(tilt, (0, 0, 0), radii, look)


def crates(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Stack up to three boxes, each turned a little."""
    at, size = 0.0, min(w, d)
    for _ in range(b.rng.randint(1, 3)):
        high = min(h / 2, size) * b.rng.uniform(0.6, 1.0)
        spot = Frame(f.place((0, 0, at)), turn(b.rng.uniform(0, math.pi)))
        wide = size * b.rng.uniform(0.6, 0.75)
        look = b.material(b.rng.choice(['object', 'picture', 'cloth']), None)
        b.box(spot, (0, 0, high / 2), (wide, wide * b.rng.uniform(0.7, 1.0), high), look)
        at += high
        size *= 0.85


def oddity(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """One large tilted solid: a ball, a barrel, a leaning board."""
    what = b.rng.random()
    look = b.material('object', b.rng.uniform(0.5, 1.2), b.rng.uniform(0, 0.6))
    radius = 0.4 * min(w, d)
    tilt = turn(b.rng.uniform(0, 6.28), b.rng.uniform(-0.5, 0.5), b.rng.uniform(-0.5, 0.5))
    if what < 0.35:
        spot = Frame(f.place((0, 0, 0.75 * radius)), tilt)
        b.ellipsoid(spot, (0, 0, 0), (radius, radius, radius * b.rng.uniform(0.6, 1)), look)
    elif what < 0.7:
        spot = Frame(f.place((0, 0, 0.45 * h)), tilt)
        b.cylinder(spot, (0, 0, 0), 0.6 * radius, 0.8 * h, look)
    else:
        spot = Frame(f.place((0, 0, 0.45 * h)), tilt)
        b.box(spot, (0, 0, 0), (w * 0.6, 0.08, h * 0.9), look)


FURNITURE: tuple[Kind, ...] = (
    Kind(table, (0.7, 1.8), (0.6, 1.0), (0.4, 0.8)),
    Kind(table, (0.7, 1.8), (0.5, 0.8), (0.7, 0.8), by_wall=True),
    Kind(chair, (0.4, 0.55), (0.4, 0.55), (0.8, 1.05)),
    Kind(chair, (0.4, 0.55), (0.4, 0.55), (0.8, 1.05)),
    Kind(sofa, (1.3, 2.3), (0.8, 1.0), (0.75, 0.95), by_wall=True),
    Kind(bed, (0.9, 1.8), (1.9, 2.1), (0.6, 1.1), by_wall=True),
    Kind(cupboard, (0.6, 1.8), (0.35, 0.6), (0.7, 2.1), by_wall=True),
    Kind(shelf, (0.6, 1.5), (0.25, 0.4), (0.9, 2.1), by_wall=True),
    Kind(lamp, (0.3, 0.45), (0.3, 0.45), (1.2, 1.7), by_wall=True),
    Kind(plant, (0.4, 0.8), (0.4, 0.8), (0.5, 1.6)),
    Kind(crates, (0.4, 0.9), (0.4, 0.9), (0.5, 1.6)),
    Kind(oddity, (0.5, 1.2), (0.5, 1.2), (0.5, 1.6)),
)
