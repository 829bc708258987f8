"""
Texture families: each paints one tileable linear-albedo picture (3, S, S) on a canvas.

`FAMILIES` names them with the roles they may play in a scene and whether they are held out from
training. Roles: wall, floor, ceiling, object, cloth, picture, window, door, shelf, facade, ground,
bark, leaves, wear (what is laid over other textures so that they do not repeat), and the
structures of plain surfaces (`plain.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import math

from da3_ros.training.scenes import pictures, plain
from da3_ros.training.scenes.noise import blend, Canvas, paint, ramp
import torch

Painter = Callable[[Canvas], torch.Tensor]


def plaster(canvas: Canvas) -> torch.Tensor:
    """Painted wall: one light colour with faint mottling and roller marks."""
    colour = canvas.colour(saturation=(0, 0.4), value=(0.55, 0.97))
    mottle = canvas.fractal(4, octaves=6, gain=0.75)
    streaks = canvas.fractal(64, 4, octaves=2)
    return colour * (0.78 + 0.25 * mottle + 0.07 * streaks)


def clouds(canvas: Canvas) -> torch.Tensor:
    """Stone-like gradients between several colours."""
    field = canvas.fractal(2 << canvas.between(0, 2), octaves=6, gain=canvas.rng.uniform(0.5, 0.8))
    return ramp(canvas.palette(canvas.between(3, 6), 0.8), field)


def marble(canvas: Canvas) -> torch.Tensor:
    """Veins along a warped wave."""
    x, y = canvas.axes()
    along = canvas.between(1, 3) * x + canvas.between(0, 2) * y
    wave = torch.sin(2 * math.pi * (along + 1.3 * canvas.fractal(2, octaves=6, gain=0.6)))
    return ramp(canvas.palette(4, 0.7), (wave.abs() ** 0.5))


def bricks(canvas: Canvas) -> torch.Tensor:
    """Staggered bricks with joints, each brick of its own shade."""
    rows = 2 * canvas.between(4, 9)
    columns = max(2, rows // canvas.between(2, 4))
    shift = 0.5 * (torch.arange(rows) % 2)
    fx, fy, number = canvas.staggered(columns, rows, shift)
    fine, coarse = canvas.fractal(32, octaves=4, gain=0.8), canvas.fractal(4)
    joint_y = canvas.rng.uniform(0.05, 0.14)
    joint = (fx < joint_y * columns / rows + 0.02 * fine) | (fy < joint_y + 0.04 * fine)
    face = paint(canvas.palette(rows * columns, canvas.rng.uniform(0.2, 0.6)), number)
    face = face * (0.6 + 0.4 * fine + 0.3 * coarse)
    return blend(face, canvas.colour(saturation=(0, 0.2)) * (0.7 + 0.3 * fine), joint)


def tiles(canvas: Canvas) -> torch.Tensor:
    """Square tiles: plain, two-coloured or shaded, with joints."""
    count = 2 * canvas.between(2, 6)
    fx, fy, number = canvas.cells(count, count)
    pick = (number // count + number) % 2
    colours = canvas.palette(2, 0.9)
    if canvas.chance(0.5):
        colours, pick = canvas.palette(count * count, canvas.rng.uniform(0.1, 0.5)), number
    mottle = canvas.fractal(8, octaves=5, gain=0.7)
    face = paint(colours, pick) * (0.75 + 0.4 * mottle)
    width = canvas.rng.uniform(0.02, 0.07)
    return blend(face, canvas.colour(saturation=(0, 0.2)), (fx < width) | (fy < width))


def planks(canvas: Canvas) -> torch.Tensor:
    """Wooden boards of different tone with grain along them."""
    rows = canvas.between(5, 12)
    columns = canvas.between(1, 2)
    fx, fy, number = canvas.staggered(columns, rows, canvas.random(rows))
    tone = canvas.colour(hue=(0.04, 0.12), saturation=(0.25, 0.75), value=(0.25, 0.85))
    shade = 0.65 + 0.5 * canvas.random(rows * columns)[number]
    grain = canvas.fractal(4, 64, octaves=3, gain=0.8) + 0.5 * canvas.fractal(2, 16)
    gap = (fy < 0.035) | (fx < 0.006 * columns)
    return tone * (shade * (0.55 + 0.4 * grain)) * torch.where(gap, 0.35, 1.0)


def wood(canvas: Canvas) -> torch.Tensor:
    """One veneer: rings seen as long warped lines."""
    _, y = canvas.axes()
    warp = canvas.fractal(1, 4, octaves=4)
    rings = torch.sin(2 * math.pi * (canvas.between(4, 12) * y + 3 * warp)) * 0.5 + 0.5
    tone = canvas.colour(hue=(0.03, 0.13), saturation=(0.3, 0.8), value=(0.25, 0.85))
    return tone * (0.55 + 0.35 * rings + 0.25 * canvas.fractal(4, 64, octaves=3, gain=0.8))


def stripes(canvas: Canvas) -> torch.Tensor:
    """Bands of random width and colour, upright or lying."""
    x, y = canvas.axes()
    edges = canvas.random(canvas.between(4, 18)).sort().values
    along = (y if canvas.chance(0.3) else x).expand(canvas.side, canvas.side)
    number = torch.bucketize(along.contiguous(), edges) % len(edges)
    weave = canvas.fractal(64, octaves=3, gain=0.9)
    return paint(canvas.palette(len(edges), 0.9), number) * (0.75 + 0.3 * weave)


def terrazzo(canvas: Canvas) -> torch.Tensor:
    """Chips of several colours and sizes in a plain ground."""
    count = canvas.between(60, 160)
    nearest, second, owner = canvas.speckle(count)
    size = 0.012 + 0.05 * canvas.random(count)[owner]
    chip = (nearest < size) & (second - nearest > 0.006)
    ground = canvas.colour(saturation=(0, 0.3)) * (0.8 + 0.3 * canvas.fractal(16))
    return blend(ground.clone(), paint(canvas.palette(count, 1.0), owner), chip)


def dots(canvas: Canvas) -> torch.Tensor:
    """Staggered round dots of two sizes."""
    rows = 2 * canvas.between(2, 7)
    fx, fy, number = canvas.staggered(rows, rows, 0.5 * (torch.arange(rows) % 2))
    radius = 0.18 + 0.22 * canvas.random(rows * rows)[number]
    inside = (fx - 0.5) ** 2 + (fy - 0.5) ** 2 < radius**2
    ground = canvas.colour() * (0.8 + 0.25 * canvas.fractal(32, octaves=3, gain=0.8))
    return blend(ground, paint(canvas.palette(rows * rows, 0.7), number), inside)


def carpet(canvas: Canvas) -> torch.Tensor:
    """Pile of short fibres with worn patches."""
    fibre = canvas.noise(128) + canvas.noise(canvas.side)
    worn = canvas.fractal(4, octaves=4)
    return ramp(canvas.palette(3, 0.5), worn * 0.6 + fibre * 0.2) * (0.55 + 0.35 * fibre)


def camouflage(canvas: Canvas) -> torch.Tensor:
    """Overlapping flat patches with crisp borders."""
    picture = canvas.colour().expand(3, canvas.side, canvas.side)
    for _ in range(canvas.between(2, 5)):
        field = canvas.fractal(2 << canvas.between(0, 2), octaves=5)
        picture = blend(picture, canvas.colour(), field > canvas.rng.uniform(0.45, 0.65))
    return picture * (0.85 + 0.2 * canvas.noise(128))


def soil(canvas: Canvas) -> torch.Tensor:
    """Grass, earth, gravel or asphalt: rough at every scale."""
    hue = canvas.rng.choice([(0.2, 0.33), (0.06, 0.12), (0.5, 0.65)])
    high = 0.25 if hue[0] >= 0.5 else 0.7
    rough = canvas.fractal(4, octaves=7, gain=0.85)
    tones = [canvas.colour(hue, (0.1 * high, high), (0.15, 0.8)).flatten() for _ in range(4)]
    return ramp(torch.stack(tones), rough) * (0.5 + 0.6 * canvas.noise(128))


def bark(canvas: Canvas) -> torch.Tensor:
    """Upright furrows."""
    furrow = canvas.fractal(32, 4, octaves=3, gain=0.8)
    tone = canvas.colour(hue=(0.05, 0.12), saturation=(0.1, 0.5), value=(0.25, 0.6))
    return tone * (0.35 + 0.9 * furrow)


def leaves(canvas: Canvas) -> torch.Tensor:
    """Foliage: overlapping bright and dark cells."""
    nearest, second, owner = canvas.speckle(220)
    tone = canvas.colour(hue=(0.17, 0.4), saturation=(0.3, 0.8), value=(0.3, 0.75))
    shade = 0.3 + 0.9 * canvas.random(220)[owner]
    return tone * (shade * (0.4 + 12 * (second - nearest)).clamp_max(1.2))


def mosaic(canvas: Canvas) -> torch.Tensor:
    """Irregular cells with dark borders (held out)."""
    count = canvas.between(30, 120)
    nearest, second, owner = canvas.speckle(count)
    face = paint(canvas.palette(count, 0.8), owner) * (0.7 + 0.4 * canvas.fractal(16))
    return blend(face, canvas.colour(value=(0.05, 0.5)), second - nearest < 0.008)


def plaid(canvas: Canvas) -> torch.Tensor:
    """Two sets of crossing bands (held out)."""
    x, y = canvas.axes()
    edges = canvas.random(canvas.between(5, 12)).sort().values
    colours = canvas.palette(len(edges), 1.0)
    upright = paint(colours, torch.bucketize(x.contiguous(), edges) % len(edges))
    lying = paint(colours, torch.bucketize(y.contiguous(), edges) % len(edges))
    return (0.5 * upright + 0.5 * lying) * (0.8 + 0.25 * canvas.noise(128))


def ripples(canvas: Canvas) -> torch.Tensor:
    """Interfering waves (held out)."""
    x, y = canvas.axes()
    total = torch.zeros(canvas.side, canvas.side)
    for _ in range(6):
        phase = canvas.between(-7, 7) * x + canvas.between(-7, 7) * y + canvas.rng.random()
        total = total + torch.sin(2 * math.pi * phase)
    grain = canvas.fractal(32, octaves=4, gain=0.8)
    return ramp(canvas.palette(5, 0.9), total / 8 + 0.5) * (0.75 + 0.35 * grain)


def parquet(canvas: Canvas) -> torch.Tensor:
    """Squares of strips in turning directions (held out)."""
    count = 2 * canvas.between(2, 4)
    fx, fy, number = canvas.cells(count, count)
    along = torch.where((number // count + number) % 2 == 0, fx, fy)
    strip = (along * 5).long().clamp_max(4)
    tone = canvas.colour(hue=(0.03, 0.13), saturation=(0.3, 0.8), value=(0.3, 0.85))
    shade = 0.6 + 0.5 * canvas.random(5 * count * count)[number * 5 + strip]
    gap = (along * 5 - strip < 0.06) | (fx < 0.015) | (fy < 0.015)
    grain = 0.75 + 0.35 * canvas.fractal(64, octaves=3, gain=0.8)
    return tone * (shade * grain) * torch.where(gap, 0.4, 1.0)


@dataclass(frozen=True)
class Family:
    """A way of painting, where it may be used, and whether training never sees it."""

    paint: Painter
    roles: frozenset[str]
    held_out: bool = False


def _family(painter: Painter, roles: str, held_out: bool = False) -> Family:
    return Family(painter, frozenset(roles.split()), held_out)


FAMILIES: dict[str, Family] = {
    'plaster': _family(plaster, 'wall ceiling wear'),
    'clouds': _family(clouds, 'wall floor object cloth wear'),
    'marble': _family(marble, 'floor object wall wear'),
    'bricks': _family(bricks, 'wall facade floor'),
    'tiles': _family(tiles, 'wall floor ceiling object'),
    'planks': _family(planks, 'floor wall object ceiling'),
    'wood': _family(wood, 'object door'),
    'stripes': _family(stripes, 'wall cloth object'),
    'terrazzo': _family(terrazzo, 'floor object wall'),
    'dots': _family(dots, 'wall cloth object'),
    'carpet': _family(carpet, 'floor cloth wear'),
    'camouflage': _family(camouflage, 'object cloth wall'),
    'soil': _family(soil, 'ground wear'),
    'bark': _family(bark, 'bark'),
    'leaves': _family(leaves, 'leaves object'),
    'poster': _family(pictures.poster, 'picture object'),
    'page': _family(pictures.page, 'picture object'),
    'landscape': _family(pictures.landscape, 'picture'),
    'window': _family(pictures.window, 'window'),
    'door': _family(pictures.door, 'door'),
    'books': _family(pictures.books, 'shelf'),
    'facade': _family(pictures.facade, 'facade'),
    'mosaic': _family(mosaic, 'floor wall object ground leaves facade wear', held_out=True),
    'plaid': _family(plaid, 'cloth object wall', held_out=True),
    'ripples': _family(ripples, 'wall object ceiling cloth bark wear', held_out=True),
    'parquet': _family(parquet, 'floor object door', held_out=True),
    'scribble': _family(pictures.scribble, 'picture window shelf object', held_out=True),
    'coat': _family(plain.coat, 'paint'),
    'roller': _family(plain.roller, 'paint'),
    'concrete': _family(plain.concrete, 'paint'),
    'metal': _family(plain.metal, 'grain'),
    'veneer': _family(plain.veneer, 'grain'),
    'laminate': _family(plain.laminate, 'boards'),
    'weave': _family(plain.weave, 'weave'),
    'pile': _family(plain.pile, 'weave'),
    'squares': _family(plain.squares, 'weave'),
    'pleats': _family(plain.pleats, 'curtain'),
    'panels': _family(plain.panels, 'panel'),
    'stucco': _family(plain.stucco, 'paint panel', held_out=True),
    'felt': _family(plain.felt, 'weave curtain', held_out=True),
    'burl': _family(plain.burl, 'grain boards', held_out=True),
}
