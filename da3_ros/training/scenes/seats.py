"""Things to sit and lie on. As in `furniture`, the back is towards -y and z = 0 is the floor."""

from __future__ import annotations

import math

from da3_ros.training.scenes.builder import Frame, Matrix, SceneBuilder, turn
from da3_ros.training.scenes.materials import Material


def heading(f: Frame) -> float:
    """Yaw of an upright frame."""
    return math.atan2(f.rotation[1][0], f.rotation[0][0])


def lean(f: Frame, angle: float) -> Matrix:
    """Axes of `f` leaning back by `angle`; by a right angle, local z lies along the ground."""
    return turn(heading(f), 0, angle)


def cushion(b: SceneBuilder, f: Frame, at: tuple, size: tuple, look: Material) -> None:
    """Add a rounded block: an ellipsoid that fills the size well; a box when none is left."""
    if b.free('ellipsoids') > 0:
        b.ellipsoid(f, at, tuple(0.56 * length for length in size), look)
    else:
        b.box(f, at, size, look)


def chair(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Seat, back and legs: two side frames, or one column on a foot."""
    look, seat = b.material('object', 0.7), b.material('cloth', 0.6)
    if b.rng.random() < 0.3:
        seat = look
    high = 0.5 * h
    b.box(f, (0, 0, high), (w, d, 0.05), seat)
    back = Frame(f.place((0, -d / 2 + 0.02, 0.78 * h)), lean(f, b.rng.uniform(0.0, 0.25)))
    b.box(back, (0, 0, 0), (w - 0.02, 0.04, 0.42 * h), seat)
    if b.rng.random() < 0.4 and b.free('cylinders') > 3:
        b.cylinder(f, (0, 0, high / 2), 0.03, high, look)
        b.cylinder(f, (0, 0, 0.03), 0.42 * w, 0.05, look)
        return
    for sx in (-1, 1):
        b.box(f, (sx * (w / 2 - 0.035), 0, high / 2), (0.04, d - 0.02, high - 0.03), look)


def sofa(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Upholstered base, back, two arms (boxes or rolls), seats and loose cushions."""
    look = b.material('cloth', 1.1)
    b.box(f, (0, 0.01, 0.2), (w - 0.04, d - 0.03, 0.32), look)
    b.box(f, (0, -d / 2 + 0.09, h / 2), (w - 0.02, 0.2, h), look)
    rolls = b.rng.random() < 0.5 and b.free('cylinders') > 4
    for sx in (-1, 1):
        x = sx * (w / 2 - 0.09)
        high = 0.5 if rolls else 0.62
        b.box(f, (x, 0, high / 2), (0.18, d, high), look)
        if rolls:
            lying = Frame(f.place((x, 0, high)), lean(f, math.pi / 2))
            b.cylinder(lying, (0, 0, 0), 0.11, d + 0.01, look)
    seats = 1 if w < 1.25 else 2
    wide = (w - 0.36) / seats
    for seat in range(seats):
        x = (seat - 0.5 * (seats - 1)) * wide
        cushion(b, f, (x, 0.1, 0.38), (wide, d - 0.2, 0.2), look)
    tilted = Frame(f.place((b.rng.uniform(-0.3, 0.3) * (w - 0.4), -0.12, 0.62)), lean(f, 0.4))
    for _ in range(b.rng.randint(0, 1 if seats == 1 else 2)):
        at = (b.rng.uniform(-0.3, 0.3) * (w - 0.4), 0, 0)
        cushion(b, tilted, at, (0.42, 0.14, 0.38), b.material('cloth', None))


def armchair(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Build a rounded seat, back and arms on a foot, or a small sofa."""
    if b.rng.random() < 0.5 or b.free('ellipsoids') < 5:
        sofa(b, f, w, d, h)
        return
    look = b.material('cloth', 0.9)
    b.cylinder(f, (0, 0, 0.2), 0.36 * w, 0.4, look)
    b.ellipsoid(f, (0, 0.04, 0.42), (0.42 * w, 0.42 * d, 0.1), look)
    back = Frame(f.place((0, -0.38 * d, 0.6 * h)), lean(f, 0.2))
    b.ellipsoid(back, (0, 0, 0), (0.46 * w, 0.1, 0.42 * h), look)
    for sx in (-1, 1):
        b.ellipsoid(f, (sx * 0.42 * w, 0, 0.52), (0.08, 0.42 * d, 0.16), look)


def stool(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Pouffe, or a round seat on a column."""
    look = b.material(b.rng.choice(['cloth', 'object']), 0.6)
    radius = 0.45 * min(w, d)
    if b.rng.random() < 0.5:
        b.cylinder(f, (0, 0, h / 2), radius, h, look)
        return
    b.cylinder(f, (0, 0, h - 0.04), 0.8 * radius, 0.08, look)
    b.cylinder(f, (0, 0, h / 2 - 0.04), 0.03, h - 0.08, b.material('object', 0.7, 0.7))
    b.cylinder(f, (0, 0, 0.015), 0.7 * radius, 0.03, look)


def bed(b: SceneBuilder, f: Frame, w: float, d: float, h: float) -> None:
    """Frame, mattress, headboard, pillows."""
    frame = b.material('object', 0.9)
    b.box(f, (0, 0, 0.14), (w, d, 0.28), frame)
    b.box(f, (0, 0.03, 0.38), (w - 0.06, d - 0.1, 0.22), b.material('cloth', 1.3))
    b.box(f, (0, -d / 2 + 0.03, h / 2), (w + 0.03, 0.08, h), frame)
    pillow = b.material('cloth', 0.5)
    pillows = 1 if w < 1.3 else 2
    for side in range(pillows):
        x = (side - 0.5 * (pillows - 1)) * 0.45 * w
        cushion(b, f, (x, -d / 2 + 0.32, 0.53), (0.6, 0.4, 0.16), pillow)
