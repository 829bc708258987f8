"""Pictures that fill a rectangle once: posters, pages, windows, doors, books, facades."""

from __future__ import annotations

from da3_ros.training.scenes.noise import blend, Canvas, paint, ramp, turned
import torch


def _shape(canvas: Canvas) -> torch.Tensor:
    """Mask (S, S) of a random ellipse, rectangle, triangle or bar."""
    dx, dy = turned(canvas, canvas.rng.random(), canvas.rng.random())
    wide, high = canvas.rng.uniform(0.04, 0.3), canvas.rng.uniform(0.04, 0.3)
    kind = canvas.between(0, 3)
    if kind == 0:
        return (dx / wide) ** 2 + (dy / high) ** 2 < 1
    if kind == 1:
        return (dx.abs() < wide) & (dy.abs() < high)
    if kind == 2:
        return (dy > -high) & (dy + 2 * dx.abs() * high / wide < high)
    return (dx.abs() < 0.6) & (dy.abs() < 0.03 + 0.1 * high)


def _framed(canvas: Canvas, picture: torch.Tensor, width: float) -> torch.Tensor:
    x, y = canvas.axes()
    rim = torch.minimum(torch.minimum(x, 1 - x), torch.minimum(y, 1 - y)) < width
    return blend(picture, canvas.colour(), rim)


def poster(canvas: Canvas) -> torch.Tensor:
    """Random shapes over a gradient, often framed."""
    picture = ramp(canvas.palette(3, 1.0), canvas.fractal(1, octaves=5))
    for _ in range(canvas.between(6, 24)):
        picture = blend(picture, canvas.colour(saturation=(0, 1)), _shape(canvas))
    return _framed(canvas, picture, canvas.rng.choice([0.0, 0.02, 0.05]))


def page(canvas: Canvas) -> torch.Tensor:
    """Sheet with lines of words and a figure."""
    lines = canvas.between(12, 32)
    columns = 48
    fx, fy, number = canvas.cells(columns, lines)
    ink = (canvas.random(lines * columns) < 0.78)[number] & (fy > 0.3) & (fy < 0.8)
    x, y = canvas.axes()
    inside = (x > 0.08) & (x < 0.92) & (y > 0.06) & (y < 0.94)
    sheet = canvas.colour(saturation=(0, 0.3), value=(0.7, 0.97))
    picture = sheet.expand(3, canvas.side, canvas.side)
    picture = blend(picture, canvas.colour(value=(0.05, 0.4)), ink & inside)
    figure = (x - canvas.rng.random()).abs() < 0.2
    figure = figure & ((y - canvas.rng.random()).abs() < 0.15)
    return blend(picture, ramp(canvas.palette(4, 1.0), canvas.fractal(4)), figure)


def landscape(canvas: Canvas) -> torch.Tensor:
    """Sky, ridges and fields behind each other, framed."""
    x, y = canvas.axes()
    sky = canvas.colour(hue=(0.5, 0.68), saturation=(0.1, 0.7), value=(0.6, 1.0))
    picture = sky * (0.6 + 0.4 * canvas.fractal(4, octaves=5)) * (1.1 - 0.4 * (1 - y))
    for layer in range(canvas.between(2, 4)):
        ridge = 0.3 + 0.15 * layer + 0.25 * canvas.fractal(2, 1, octaves=6)[:1]
        land = canvas.colour(hue=(0.1, 0.45), value=(0.15, 0.7))
        picture = blend(picture, land * (0.6 + 0.5 * canvas.fractal(16)), y > ridge)
    return _framed(canvas, picture, 0.04)


def window(canvas: Canvas) -> torch.Tensor:
    """Bright view divided by bars."""
    bars = canvas.between(1, 3), canvas.between(1, 3)
    fx, fy, _ = canvas.cells(*bars)
    view = landscape(canvas) * 1.3 + 0.1
    gap_x, gap_y = 0.03 * bars[0], 0.03 * bars[1]
    bar = (fx < gap_x) | (fx > 1 - gap_x) | (fy < gap_y) | (fy > 1 - gap_y)
    return blend(view, canvas.colour(saturation=(0, 0.2), value=(0.5, 0.95)), bar)


def door(canvas: Canvas) -> torch.Tensor:
    """Leaf with sunk panels and a handle."""
    x, y = canvas.axes()
    tone = canvas.colour(saturation=(0, 0.6), value=(0.3, 0.9))
    leaf = tone * (0.75 + 0.3 * canvas.fractal(4, 64, octaves=3, gain=0.7))
    fx, fy, _ = canvas.cells(canvas.between(1, 2), canvas.between(1, 4))
    panel = torch.maximum((fx - 0.5).abs(), (fy - 0.5).abs())
    leaf = leaf * torch.where((panel > 0.32) & (panel < 0.36), 0.5, 1.0)
    leaf = leaf * torch.where(panel < 0.32, 0.88, 1.0)
    handle = ((x - 0.9).abs() < 0.035) & ((y - 0.53).abs() < 0.02)
    return _framed(canvas, blend(leaf, canvas.colour(saturation=(0, 0.3)), handle), 0.03)


def books(canvas: Canvas) -> torch.Tensor:
    """Rows of book backs of random width, height and colour."""
    x, y = canvas.axes()
    boards = canvas.between(2, 5)
    picture = torch.full((3, canvas.side, canvas.side), 0.02)
    for board in range(boards):
        edges = canvas.random(canvas.between(14, 36)).sort().values
        number = torch.bucketize(x.contiguous(), edges) % len(edges)
        top = (0.1 + 0.35 * canvas.random(len(edges)))[number]
        place = y * boards - board
        label = ((place - 0.6).abs() < 0.08) & (canvas.random(len(edges)) < 0.5)[number]
        backs = paint(canvas.palette(len(edges), 1.0), number.expand(canvas.side, -1))
        backs = blend(backs, canvas.colour(), label)
        picture = blend(picture, backs, (place > top) & (place < 0.93))
        picture = blend(picture, canvas.colour(saturation=(0, 0.4)), (place - 0.97).abs() < 0.03)
    return picture * (0.85 + 0.2 * canvas.noise(128))


def facade(canvas: Canvas) -> torch.Tensor:
    """Wall of a building with a grid of windows."""
    columns, rows = canvas.between(3, 6), canvas.between(3, 6)
    fx, fy, number = canvas.cells(columns, rows)
    wall = canvas.colour(saturation=(0, 0.5), value=(0.35, 0.9))
    picture = wall * (0.75 + 0.3 * canvas.fractal(16, octaves=4, gain=0.8))
    half_x, half_y = canvas.rng.uniform(0.15, 0.35), canvas.rng.uniform(0.2, 0.38)
    dx, dy = (fx - 0.5).abs(), (fy - 0.5).abs()
    picture = blend(picture, canvas.colour(), (dx < half_x + 0.04) & (dy < half_y + 0.04))
    glass = paint(canvas.palette(columns * rows, 0.6), number) * 0.5
    return blend(picture, glass, (dx < half_x) & (dy < half_y) & (dx > 0.015))


def scribble(canvas: Canvas) -> torch.Tensor:
    """Loops of line work on paper (held out)."""
    picture = canvas.colour(value=(0.5, 0.95)).expand(3, canvas.side, canvas.side)
    for _ in range(canvas.between(5, 12)):
        field = canvas.fractal(2 << canvas.between(0, 1), octaves=3)
        level = canvas.rng.uniform(0.3, 0.7)
        line = (field - level).abs() < canvas.rng.uniform(0.006, 0.02)
        picture = blend(picture, canvas.colour(saturation=(0, 1)), line)
    return picture
