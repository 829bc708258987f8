"""What belongs to a room's walls and ceiling: doors, windows, pictures, skirting, lamps."""

from __future__ import annotations

from dataclasses import replace
import math

from da3_ros.training.scenes.builder import Frame, Material, SceneBuilder, turn, Vector

# Yaw of a thing that stands with its back to a wall, walls -x +x -y +y.
WALL_YAW = (-math.pi / 2, math.pi / 2, 0.0, math.pi)
# Decals in front of each other are this far apart.
LAYER_M = 0.012

Footprint = tuple[float, float, float, float]  # low x, low y, high x, high y


def on_wall(b: SceneBuilder, wall: int, size: Vector, along: float, off: float) -> tuple:
    """Place (x, y) and yaw at `along` in [-1, 1] of a wall, `off` metres from it."""
    half_x, half_y = size[0] / 2, size[1] / 2
    sign = 1 if wall % 2 else -1
    if wall < 2:
        return sign * (half_x - off), along * half_y, WALL_YAW[wall]
    return along * half_x, sign * (half_y - off), WALL_YAW[wall]


def skirting(b: SceneBuilder, size: Vector) -> None:
    """Skirting boards along all walls."""
    if b.rng.random() > 0.75:
        return
    look, high = b.material('trim'), b.rng.uniform(0.05, 0.14)
    thick = b.rng.uniform(0.008, 0.02)
    for wall in range(4):
        x, y, yaw = on_wall(b, wall, size, 0.0, thick / 2)
        span = size[1] if wall < 2 else size[0]
        b.decal(Frame((x, y, high / 2), turn(yaw)), (0, 0, 0), (span, thick, high), look)


def partitions(b: SceneBuilder, size: Vector, look: Material) -> list[Footprint]:
    """Pillars, chimneys and short walls that stand out from the walls; their footprints."""
    taken = []
    for _ in range(b.rng.choice([0, 0, 1, 1, 2])):
        wall = b.rng.randrange(4)
        across = size[0] if wall < 2 else size[1]
        long = b.rng.uniform(0.2, 0.6)
        wide = b.rng.uniform(0.3, 1.2)
        if b.rng.random() < 0.35 and min(size[:2]) > 3.2:  # a wall into the room
            long, wide = b.rng.uniform(0.25, 0.5) * across, b.rng.uniform(0.1, 0.25)
        x, y, yaw = on_wall(b, wall, size, b.rng.uniform(-0.9, 0.9), long / 2 - 0.05)
        b.box(Frame((x, y, size[2] / 2), turn(yaw)), (0, 0, 0), (wide, long, size[2] + 0.1), look)
        half = (long / 2, wide / 2) if wall < 2 else (wide / 2, long / 2)
        taken.append((x - half[0], y - half[1], x + half[0], y + half[1]))
    return taken


def ceiling_lamps(b: SceneBuilder, size: Vector, key: Vector) -> None:
    """Let light come from somewhere: a panel, a globe, or spots on a rail."""
    glow = replace(b.material('lamp'), emission=b.rng.uniform(2.0, 10.0))
    kind = b.rng.random()
    if kind < 0.4:
        wide, long = b.rng.uniform(0.15, 0.6), b.rng.uniform(0.3, 1.4)
        for shift in (0.0, 1.6)[: b.rng.randint(1, 2)]:
            at = Frame((key[0] + shift, key[1], size[2] - 0.02))
            if abs(at.at[0]) + wide < size[0] / 2:
                b.decal(at, (0, 0, 0), (wide, long, 0.03), glow)
    elif kind < 0.6 and b.free('cylinders') > 1 and b.free('ellipsoids') > 0:
        cord = b.rng.uniform(0.2, 0.7)
        radius = b.rng.uniform(0.1, 0.22)
        at = (key[0], key[1], size[2] - cord)
        b.cylinder(Frame(at), (0, 0, cord / 2), 0.006, cord, b.material('black'))
        # The lamp itself casts no shadow: light 0 is next to it, not inside.
        b.ellipsoid(Frame(at), (0, 0, -radius), (radius, radius, radius), glow)
    elif kind < 0.75 and b.free('cylinders') > 0:
        rail = Frame(
            (key[0], key[1], size[2] - 0.06), turn(b.rng.choice([0, math.pi / 2]), 1.5708)
        )
        b.cylinder(rail, (0, 0, 0), 0.02, 0.6 * min(size[:2]), b.material('black'))
        for shift in (-0.6, 0.6):
            b.decal(rail, (0.06, 0, shift), (0.1, 0.08, 0.08), glow)


def _window(b: SceneBuilder, place: Frame, w: float, h: float) -> None:
    """Pane in a frame, mostly too bright for the camera, with curtains or a radiator."""
    b.decal(place, (0, 0, 0), (w + 0.14, LAYER_M, h + 0.14), b.material('trim', 1.0))
    glare = b.rng.random() < 0.6
    pane = replace(
        b.material('lamp') if glare and b.rng.random() < 0.4 else b.material('window', None),
        emission=b.rng.uniform(2.0, 10.0) if glare else b.rng.uniform(0.3, 1.5),
        gloss=0.6,
    )
    b.decal(place, (0, LAYER_M, 0), (w, LAYER_M, h), pane)
    if b.rng.random() < 0.4:
        look = b.material('curtain', 1.0)
        wide = b.rng.uniform(0.2, 0.4) * w
        low = b.rng.uniform(0.0, 0.3)
        high = place.at[2] + h / 2 + 0.1 - low
        for sx in (-1, 1):
            at = (sx * (w / 2 + 0.05), 0.06, low + high / 2 - place.at[2])
            b.decal(place, at, (wide, 0.05, high), look)
    elif place.at[2] - h / 2 > 0.8 and b.free('boxes') > 12:
        ribs = replace(b.material('curtain', 0.8), tint=b.material('lamp').tint)
        b.box(place, (0, 0.06, 0.4 - place.at[2]), (0.8 * w, 0.08, 0.55), ribs)


def _door(b: SceneBuilder, place: Frame, w: float, h: float) -> None:
    """Leaf in a frame, with a handle."""
    b.decal(place, (0, 0, 0.03), (w + 0.16, 2 * LAYER_M, h + 0.06), b.material('trim', 1.0))
    b.decal(place, (0, LAYER_M, 0), (w, 2 * LAYER_M, h), b.material('door', None, 0.2))
    handle = b.material('trim', 0.5, 0.9)
    side = b.rng.choice([-1, 1]) * (w / 2 - 0.08)
    b.decal(place, (side, 0.05, 1.02 - h / 2), (0.13, 0.05, 0.02), handle)


def _picture(b: SceneBuilder, place: Frame, w: float, h: float) -> None:
    """Picture, framed or not; sometimes a plain board or a screen."""
    rim = b.rng.choice([0.0, 0.03, 0.06])
    if rim:
        b.decal(place, (0, 0, 0), (w, LAYER_M, h), b.material('trim', 1.0))
    role = b.rng.choices(['picture', 'black', 'trim'], [6, 1, 1])[0]
    size = (w - 2 * rim, LAYER_M, h - 2 * rim)
    b.decal(place, (0, LAYER_M, 0), size, b.material(role, None, b.rng.choice([0.0, 0.7])))


def hang(b: SceneBuilder, size: Vector) -> None:
    """Windows, doors and pictures as thin boxes on the walls."""
    walls = [0, 1, 2, 3]
    b.rng.shuffle(walls)
    for wall in walls:
        span = size[1] if wall < 2 else size[0]
        at = -span / 2 + b.rng.uniform(0.2, 1.5)
        while at < span / 2 - 0.5 and b.rng.random() < 0.7 and b.free('decals') > 6:
            what = b.rng.random()
            base = 0.0
            if what < 0.3:
                put, w, h = _window, b.rng.uniform(0.8, 2.2), b.rng.uniform(0.8, 1.6)
                base = b.rng.choice([0.9, 0.9, 0.1])
                h += 0.6 * (base < 0.5)
            elif what < 0.55:
                put, w, h = _door, b.rng.uniform(0.75, 1.0), b.rng.uniform(1.95, 2.15)
            else:
                put, w, h = _picture, b.rng.uniform(0.3, 1.3), b.rng.uniform(0.3, 1.0)
                base = b.rng.uniform(1.0, 1.4)
            if at + w > span / 2 - 0.1 or base + h > size[2] - 0.1:
                break
            x, y, yaw = on_wall(b, wall, size, (at + w / 2) / (span / 2), LAYER_M / 2)
            put(b, Frame((x, y, base + h / 2), turn(yaw)), w, h)
            at += w + b.rng.uniform(0.3, 2.0)
