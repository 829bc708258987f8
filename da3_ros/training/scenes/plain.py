"""
Weakly structured surfaces: paint, plaster, concrete, metal, fabric, carpet, veneer, boards.

They are painted in light greys, for a palette's colour to be laid over them (`palettes.py`).
Roles: paint, weave, grain, boards, curtain and panel.
"""

from __future__ import annotations

import math

from da3_ros.training.scenes.noise import Canvas
import torch

# Mean grey of all of them: what lies over them is the colour of the surface.
GREY = 0.85


def _around(relief: torch.Tensor, depth: float) -> torch.Tensor:
    """Grey picture (3, S, S) whose shade varies by `depth` with a `relief` (S, S) in [0, 1]."""
    return (GREY * (1 + depth * (relief - relief.mean()))).expand(3, -1, -1)


def coat(canvas: Canvas) -> torch.Tensor:
    """Smooth paint or lacquer: all but flat."""
    depth = canvas.rng.uniform(0.01, 0.06)
    return _around(canvas.fractal(2, octaves=3), depth)


def roller(canvas: Canvas) -> torch.Tensor:
    """Wall paint put on with a roller: a fine grain over faint clouds."""
    grain = canvas.noise(128) + 0.6 * canvas.noise(64)
    clouds = canvas.fractal(2, octaves=5, gain=0.6)
    return _around(grain + 2 * clouds, canvas.rng.uniform(0.02, 0.07))


def concrete(canvas: Canvas) -> torch.Tensor:
    """Cast concrete or limewash: soft blotches and a few pores."""
    blotches = canvas.fractal(4, octaves=6, gain=0.65)
    nearest, _, owner = canvas.speckle(256)
    pores = nearest < 0.006 * canvas.random(256)[owner]
    depth = canvas.rng.uniform(0.1, 0.3)
    return _around(blotches, depth) * torch.where(pores, 0.75, 1.0)


def metal(canvas: Canvas) -> torch.Tensor:
    """Brushed metal or fine veneer: long thin streaks."""
    streaks = canvas.fractal(2, 128, octaves=2, gain=0.8)
    return _around(streaks, canvas.rng.uniform(0.05, 0.2))


def veneer(canvas: Canvas) -> torch.Tensor:
    """Wood grain: faint warped rings and fine fibres."""
    _, y = canvas.axes()
    warp = canvas.fractal(1, 4, octaves=4)
    rings = torch.sin(2 * math.pi * (canvas.between(2, 8) * y + 2.5 * warp)) * 0.5 + 0.5
    fibre = canvas.fractal(2, 64, octaves=3, gain=0.8)
    return _around(rings + 1.5 * fibre, canvas.rng.uniform(0.08, 0.25))


def laminate(canvas: Canvas) -> torch.Tensor:
    """Floor boards of nearly one tone, with thin gaps and fine grain."""
    rows = canvas.between(4, 9)
    fx, fy, number = canvas.staggered(1, rows, canvas.random(rows))
    tone = 1 + canvas.rng.uniform(0.05, 0.3) * (canvas.random(rows)[number] - 0.5)
    grain = canvas.fractal(4, 64, octaves=3, gain=0.8)
    gap = (fy < 0.02) | (fx < 0.004)
    dark = canvas.rng.uniform(0.5, 0.85)
    return _around(grain, canvas.rng.uniform(0.08, 0.3)) * tone * torch.where(gap, dark, 1.0)


def weave(canvas: Canvas) -> torch.Tensor:
    """Plain fabric: crossing threads and soft wear."""
    x, y = canvas.axes()
    threads = 2 * math.pi * canvas.between(30, 60)
    crossing = torch.sin(threads * x) * torch.sin(threads * y) * 0.5 + 0.5
    relief = crossing + canvas.noise(128) + canvas.fractal(2, octaves=4)
    return _around(relief, canvas.rng.uniform(0.06, 0.16))


def pile(canvas: Canvas) -> torch.Tensor:
    """Plain carpet: short fibres, hardly any pattern."""
    fibre = canvas.noise(128) + canvas.noise(canvas.side)
    return _around(fibre + canvas.fractal(2, octaves=3), canvas.rng.uniform(0.1, 0.3))


def squares(canvas: Canvas) -> torch.Tensor:
    """Carpet tiles: squares of slightly different shade, some of them mottled."""
    count = 2 * canvas.between(1, 3)
    fx, fy, number = canvas.cells(count, count)
    tone = 1 + canvas.rng.uniform(0.04, 0.3) * (canvas.random(count**2)[number] - 0.5)
    mottled = (canvas.random(count**2) < 0.3)[number]
    fibre = canvas.noise(128) + torch.where(mottled, 1.5, 0.3) * canvas.noise(64)
    return _around(fibre, canvas.rng.uniform(0.1, 0.3)) * tone


def pleats(canvas: Canvas) -> torch.Tensor:
    """Hanging folds: bright ridges and dark valleys of a curtain, or a radiator's ribs."""
    x, _ = canvas.axes()
    sway = 0.3 * canvas.fractal(4, 1, octaves=2)
    folds = torch.sin(2 * math.pi * (canvas.between(6, 14) * x + sway)) * 0.5 + 0.5
    return _around(folds + 0.2 * canvas.noise(128), canvas.rng.uniform(0.2, 0.6))


def panels(canvas: Canvas) -> torch.Tensor:
    """Ceiling panels: a grid of thin lines over perforated white."""
    count = canvas.between(2, 4)
    fx, fy, _ = canvas.cells(count, count)
    line = (fx < 0.03) | (fy < 0.03)
    holes = canvas.noise(canvas.side)
    dark = canvas.rng.uniform(0.6, 0.9)
    return _around(holes, canvas.rng.uniform(0.02, 0.15)) * torch.where(line, dark, 1.0)


def stucco(canvas: Canvas) -> torch.Tensor:
    """Coarse plaster, or a panel or cloth of that relief (held out)."""
    lumps = canvas.noise(32) + canvas.noise(64)
    return _around(lumps + canvas.fractal(2, octaves=2), canvas.rng.uniform(0.03, 0.12))


def felt(canvas: Canvas) -> torch.Tensor:
    """Felt: matted fibres in soft upright bands (held out)."""
    bands = canvas.fractal(8, 1, octaves=2)
    fibre = canvas.fractal(32, 64, octaves=3, gain=0.9)
    return _around(fibre + bands, canvas.rng.uniform(0.08, 0.25))


def burl(canvas: Canvas) -> torch.Tensor:
    """Burl: lying, clouded grain with some seams (held out)."""
    _, y = canvas.axes()
    rows = canvas.between(2, 6)
    seam = (y * rows - (y * rows).floor()) < 0.02
    grain = canvas.fractal(8, 16, octaves=5, gain=0.7)
    return _around(grain, canvas.rng.uniform(0.1, 0.3)) * torch.where(seam, 0.8, 1.0)
