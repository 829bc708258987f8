"""
Tileable noise and drawing aids on a square canvas, as functions of a seed.

Legend: S side in texels.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
import math
import random

import torch
from torch.nn.functional import interpolate, pad

Colour = torch.Tensor  # (3, 1, 1) linear RGB


@dataclass(frozen=True)
class Canvas:
    """A square picture that is being painted: its side and its two sources of chance."""

    side: int
    rng: random.Random
    generator: torch.Generator

    @classmethod
    def seeded(cls, side: int, seed: int) -> Canvas:
        """Make a canvas whose chance depends on `seed` alone."""
        return cls(side, random.Random(seed), torch.Generator().manual_seed(seed))

    def axes(self) -> tuple[torch.Tensor, torch.Tensor]:
        """X (1, S) and y (S, 1), texel centres in [0, 1)."""
        at = (torch.arange(self.side) + 0.5) / self.side
        return at[None, :], at[:, None]

    def random(self, *size: int) -> torch.Tensor:
        """Uniform values in [0, 1)."""
        return torch.rand(size, generator=self.generator)

    def noise(self, cells_x: int, cells_y: int | None = None) -> torch.Tensor:
        """Smooth periodic noise (S, S) in about [0, 1] with that many cells along each side."""
        cells_x = min(cells_x, self.side)
        cells_y = min(cells_y or cells_x, self.side)
        grid = self.random(1, 1, cells_y, cells_x)
        around = pad(grid, (2, 2, 2, 2), mode='circular') if min(cells_x, cells_y) > 1 else None
        if around is None:
            around = grid.repeat(1, 1, 5, 5)[
                :, :, (2 * cells_y - 2) : (3 * cells_y + 2), (2 * cells_x - 2) : (3 * cells_x + 2)
            ]
        step_x, step_y = self.side // cells_x, self.side // cells_y
        size = ((cells_y + 4) * step_y, (cells_x + 4) * step_x)
        smooth = interpolate(around, size=size, mode='bicubic')[0, 0]
        return smooth[2 * step_y : 2 * step_y + self.side, 2 * step_x : 2 * step_x + self.side]

    def fractal(
        self, cells_x: int, cells_y: int | None = None, octaves: int = 5, gain: float = 0.5
    ) -> torch.Tensor:
        """Sum of noises of doubling frequency, stretched to [0, 1] (S, S); powers of two only."""
        total, weight = torch.zeros(self.side, self.side), 1.0
        cells_y = cells_y or cells_x
        for octave in range(octaves):
            total += weight * self.noise(cells_x << octave, cells_y << octave)
            weight *= gain
        total -= total.min()
        return total / total.max().clamp_min(1e-6)

    def cells(self, columns: int, rows: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Grid of cells: fractions (S, S) inside the cell in x and y, and the cell's number."""
        x, y = self.axes()
        return self.staggered(columns, rows, torch.zeros(rows))

    def staggered(
        self, columns: int, rows: int, shift: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """As `cells`, each row moved along x by `shift` (rows,) cells."""
        x, y = self.axes()
        row = (y * rows).long()  # (S, 1)
        along = x * columns + shift[row]
        column = along.floor()
        number = row * columns + column.long() % columns
        return along - column, (y * rows - row).expand_as(along), number

    def speckle(self, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """
        Distances (S, S) to the nearest and second nearest random point, and its number.

        One point lies at random in each cell of a grid of about `count` cells, so nine candidates
        are enough; numbers are below `count`.
        """
        cells = int(math.sqrt(count))
        places = self.random(cells, cells, 2)
        x, y = (axis * cells for axis in self.axes())
        column, row = x.long(), y.long()
        nearest = torch.full((self.side, self.side), 9.0)
        second, owner = nearest.clone(), torch.zeros(self.side, self.side, dtype=torch.long)
        for step_y in (-1, 0, 1):
            for step_x in (-1, 0, 1):
                near_x, near_y = column + step_x, row + step_y
                number = (near_y % cells) * cells + near_x % cells
                place = places[near_y % cells, near_x % cells]  # (S, S, 2)
                dx, dy = near_x + place[..., 0] - x, near_y + place[..., 1] - y
                distance = (dx.square() + dy.square()).sqrt() / cells
                owner = torch.where(distance < nearest, number, owner)
                second = torch.minimum(second, torch.maximum(distance, nearest))
                nearest = torch.minimum(nearest, distance)
        return nearest, second, owner

    def colour(
        self,
        hue: tuple[float, float] = (0, 1),
        saturation: tuple[float, float] = (0, 0.75),
        value: tuple[float, float] = (0.15, 0.9),
    ) -> Colour:
        """Draw a colour from ranges of display HSV; strong saturations are rarer."""
        low, high = saturation
        strength = low + (high - low) * self.rng.random() ** 1.7
        parts = [self.rng.uniform(*hue), strength, self.rng.uniform(*value)]
        display = colorsys.hsv_to_rgb(parts[0] % 1, parts[1], parts[2])
        return torch.tensor([channel**2.2 for channel in display])[:, None, None]

    def palette(self, count: int, spread: float = 0.5) -> torch.Tensor:
        """(count, 3) related colours: one base, varied by `spread`."""
        base = self.colour()
        others = [
            torch.lerp(base, self.colour(saturation=(0, 0.9)), self.rng.uniform(0, 1) * spread)
            * self.rng.uniform(1 - 0.5 * spread, 1 + 0.3 * spread)
            for _ in range(count)
        ]
        return torch.stack(others).flatten(1).clamp(0.01, 0.95)

    def chance(self, probability: float) -> bool:
        """Whether an event of that probability happens."""
        return self.rng.random() < probability

    def between(self, low: int, high: int) -> int:
        """Draw a whole number, both ends included."""
        return self.rng.randint(low, high)


def ramp(palette: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Blend (N, 3) colours along `at` (S, S) in [0, 1]: (3, S, S)."""
    place = at.clamp(0, 1) * (len(palette) - 1)
    low = place.long().clamp_max(len(palette) - 2)
    share = (place - low).unsqueeze(-1)
    return torch.lerp(palette[low], palette[low + 1], share).permute(2, 0, 1)


def paint(colours: torch.Tensor, number: torch.Tensor) -> torch.Tensor:
    """Colours (N, 3) by number (S, S): (3, S, S)."""
    return colours[number].permute(2, 0, 1)


def blend(below: torch.Tensor, above: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Put `above` over `below` (3, S, S) where `mask` (S, S), bool or share, says so."""
    return below + (above - below) * mask.to(below.dtype)


def turned(canvas: Canvas, centre_x: float, centre_y: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Coordinates (S, S) around a point, turned by a random angle."""
    x, y = canvas.axes()
    angle = canvas.rng.uniform(0, math.pi)
    cosine, sine = math.cos(angle), math.sin(angle)
    dx, dy = x - centre_x, y - centre_y
    return cosine * dx + sine * dy, cosine * dy - sine * dx
