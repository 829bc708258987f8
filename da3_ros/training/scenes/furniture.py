"""
Things made of a few primitives. Each stands on z = 0 of its frame, its back towards -y.

Parts that overlap never share a plane: rays could not tell which of them is in front.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
import math

from da3_ros.training.scenes.builder import Frame, SceneBuilder, turn
from da3_ros.training.scenes.clutter import clutter
from da3_ros.training.scenes.seats import armchair, bed, chair, sofa, stool

Build = Callable[[SceneBuilder, Frame, float, float, float], None]


@dataclass(frozen=True)
class Kind:
    """A kind of furniture: range of sizes in metres, and whether it stands against a wall."""

    build: Build
    width: tuple[float, float]
    depth: tuple[float, float]
    height: tuple[float, float]
    by_wall: bool = False


def table(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Board on legs, side panels or one column, with things on it."""
    look = b.material('object', 0.9, b.rng.uniform(0, 0.7))
    thick = b.rng.uniform(0.025, 0.06)
    under = b.rng.random()
    if under < 0.3 and b.free('cylinders') > 4:
        if b.rng.random() < 0.4:
            b.cylinder(f, (0, 0, h - thick / 2), 0.5 * min(w, d), thick, look)
            w = d = 0.7 * min(w, d)
        else:
            b.box(f, (0, 0, h - thick / 2), (w, d, thick), look)
        b.cylinder(f, (0, 0, (h - thick) / 2), 0.05, h - thick, look)
        b.cylinder(f, (0, 0, 0.02), 0.3 * min(w, d), 0.04, look)
    else:
        b.box(f, (0, 0, h - thick / 2), (w, d, thick), look)
        leg = b.rng.uniform(0.03, 0.07)
        for sx in (-1, 1):
            x = sx * (w - leg - 0.01) / 2
            if under > 0.6:
                b.box(f, (x, 0, (h - thick) / 2), (leg, d - 0.02, h - thick), look)
                continue
            for sy in (-1, 1):
                at = (x, sy * (d - leg - 0.01) / 2, (h - thick) / 2)
                b.box(f, at, (leg, leg, h - thick), look)
    clutter(b, f, w, d, h)


def cupboard(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Body with doors or drawers, of its own colour or another, and handles."""
    body = b.material('object', 1.0, b.rng.uniform(0, 0.4))
    b.box(f, (0, 0, h / 2), (w, d, h), body)
    front = body
    if b.rng.random() < 0.4:
        front = b.material(b.rng.choice(['door', 'object']), None, body.gloss)
    dark = replace(front, tint=tuple(0.85 * c for c in front.tint))
    grip = b.material('trim', 0.5, 0.8)
    for sx in (-1, 1):
        look = front if sx < 0 or b.rng.random() < 0.7 else dark
        b.decal(f, (sx * w / 4, d / 2 + 0.01, h / 2), (0.485 * w, 0.02, h - 0.05), look)
        at = (sx * 0.04 * w, d / 2 + 0.035, min(h - 0.15, b.rng.choice([0.6, 0.75]) * h))
        b.decal(f, at, (0.015, 0.03, 0.14), grip)
    if h < 1.3:
        clutter(b, f, w, d, h)


def counter(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Kitchen: low cupboards under a worktop, things on it, cupboards above."""
    body = b.material('object', 1.0, b.rng.uniform(0, 0.5))
    top = b.material('object', 1.2, b.rng.uniform(0, 0.8))
    b.box(f, (0, 0, 0.43), (w, d - 0.02, 0.86), body)
    b.box(f, (0, 0.01, 0.88), (w + 0.03, d, 0.04), top)
    seams = b.rng.randint(1, 2)
    for seam in range(seams):
        x = ((seam + 1) / (seams + 1) - 0.5) * w
        b.decal(f, (x, d / 2 - 0.005, 0.45), (0.012, 0.012, 0.8), b.material('black'))
    if b.rng.random() < 0.6:
        b.box(f, (0, -d / 2 + 0.17, 1.75), (w - 0.02, 0.34, 0.7), body)
    clutter(b, f, w, d, 0.9)


def shelf(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Sides and boards, with rows of books as one box behind them."""
    look = b.material('object', 0.9)
    for sx in (-1, 1):
        b.box(f, (sx * (w - 0.03) / 2, 0, h / 2), (0.03, d, h), look)
    back = b.material('shelf', None) if b.rng.random() < 0.6 else look
    b.box(f, (0, -0.06, h / 2), (w - 0.06, d - 0.12, h - 0.04), back)
    boards = b.rng.randint(2, 4)
    for level in range(boards + 1):
        b.box(f, (0, 0, 0.02 + level * (h - 0.04) / boards), (w - 0.06, d, 0.03), look)


def screen(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Low board with a television on it, dark or on."""
    b.box(f, (0, 0, 0.22), (w, d, 0.44), b.material('object', 1.0))
    black = b.material('black', 1.0, 0.9)
    wide = min(w, 1.4) * 0.9
    tall = 0.58 * wide
    b.box(f, (0, 0, 0.5 + tall / 2), (wide, 0.04, tall), black)
    b.box(f, (0, 0, 0.46), (0.3 * wide, 0.16, 0.04), black)
    if b.rng.random() < 0.4:
        picture = replace(b.material('picture', None), emission=b.rng.uniform(0.3, 1.2))
        b.decal(f, (0, 0.022, 0.5 + tall / 2), (wide - 0.04, 0.01, tall - 0.04), picture)


def lamp(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Standing lamp with a glowing shade, which lights what is near."""
    pole = b.material('trim', 0.6, 0.8)
    b.cylinder(f, (0, 0, 0.015), 0.14, 0.03, pole)
    b.cylinder(f, (0, 0, h / 2), 0.015, h, pole)
    shade = replace(b.material('lamp', 0.6), emission=b.rng.uniform(0.5, 4.0))
    if b.rng.random() < 0.25:
        b.ellipsoid(f, (0, 0, h), (w / 2, w / 2, 0.4 * w), shade)
    else:
        b.cylinder(f, (0, 0, h), w / 2, b.rng.uniform(0.2, 0.35), shade)
    b.lamps.append(f.place((0, 0, h + 0.1)))


def plant(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Pot and leaves: long ones spread from a stem, or a ball of foliage."""
    pot = min(0.3 * h, 0.35)
    b.cylinder(f, (0, 0, pot / 2), 0.28 * w, pot, b.material('object', 0.5, 0.3))
    look = b.material('leaves', 0.5, 0.3)
    if b.rng.random() < 0.25 or b.free('ellipsoids') < 6:
        tilt = Frame(f.place((0, 0, 0.65 * h)), turn(*(b.rng.uniform(-1, 1) for _ in range(3))))
        radii = (w * b.rng.uniform(0.3, 0.5), w * b.rng.uniform(0.3, 0.5), 0.35 * h)
        b.ellipsoid(tilt, (0, 0, 0), radii, look)
        return
    b.cylinder(f, (0, 0, (pot + 0.7 * h) / 2), 0.02, 0.7 * h - pot, b.material('bark', 0.5))
    leaves = b.rng.randint(4, min(8, b.free('ellipsoids')))
    long = 0.5 * w * b.rng.uniform(0.8, 1.3)
    for leaf in range(leaves):
        yaw = 2.4 * leaf + b.rng.uniform(-0.3, 0.3)
        root = Frame(
            f.place((0, 0, b.rng.uniform(0.55, 0.85) * h)), turn(yaw, b.rng.uniform(-1.1, 0.3))
        )
        radii = (0.5 * long, long * b.rng.uniform(0.1, 0.25), 0.015)
        b.ellipsoid(root, (0.5 * long, 0, 0), radii, look)


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
    Kind(armchair, (0.75, 1.0), (0.75, 0.9), (0.8, 1.0)),
    Kind(stool, (0.35, 0.7), (0.35, 0.7), (0.35, 0.75)),
    Kind(bed, (0.9, 1.8), (1.9, 2.1), (0.6, 1.1), by_wall=True),
    Kind(cupboard, (0.6, 1.8), (0.35, 0.6), (0.7, 2.3), by_wall=True),
    Kind(cupboard, (0.8, 2.4), (0.4, 0.65), (1.6, 2.6), by_wall=True),
    Kind(counter, (1.2, 2.8), (0.58, 0.65), (0.9, 2.1), by_wall=True),
    Kind(shelf, (0.6, 1.5), (0.25, 0.4), (0.9, 2.1), by_wall=True),
    Kind(screen, (1.0, 1.8), (0.35, 0.45), (0.9, 1.3), by_wall=True),
    Kind(lamp, (0.3, 0.45), (0.3, 0.45), (1.2, 1.7), by_wall=True),
    Kind(plant, (0.4, 0.9), (0.4, 0.9), (0.6, 1.9)),
    Kind(crates, (0.4, 0.9), (0.4, 0.9), (0.5, 1.6)),
    Kind(oddity, (0.5, 1.2), (0.5, 1.2), (0.5, 1.6)),
)
