"""
Colours that rooms are painted and furnished in, as ranges to draw from.

Rooms are mostly white, grey, beige, wood and black; strong colours are rare but for textiles.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
import random

Colour = tuple[float, float, float]  # linear RGB
Span = tuple[float, float]


@dataclass(frozen=True)
class Swatch:
    """A range of display colours (HSV, 0 to 1) and how often it is chosen."""

    weight: float
    hue: Span
    saturation: Span
    value: Span

    def draw(self, rng: random.Random) -> Colour:
        """Draw one of its colours."""
        hue, saturation, value = (rng.uniform(*s) for s in (self.hue, self.saturation, self.value))
        red, green, blue = (c**2.2 for c in colorsys.hsv_to_rgb(hue % 1, saturation, value))
        return red, green, blue


Palette = tuple[Swatch, ...]


def draw_colour(palette: Palette, rng: random.Random) -> Colour:
    """Draw a swatch by its weight, and a colour of it."""
    return rng.choices(palette, [swatch.weight for swatch in palette])[0].draw(rng)


ANY = (0.0, 1.0)
WARM = (0.06, 0.15)


def _white(weight: float) -> Swatch:
    return Swatch(weight, (0.05, 0.2), (0.0, 0.06), (0.86, 0.99))


def _grey(weight: float, value: Span = (0.3, 0.8)) -> Swatch:
    return Swatch(weight, ANY, (0.0, 0.07), value)


def _black(weight: float) -> Swatch:
    return Swatch(weight, ANY, (0.0, 0.15), (0.08, 0.28))


def _beige(weight: float) -> Swatch:
    return Swatch(weight, WARM, (0.08, 0.3), (0.65, 0.95))


def _strong(weight: float, hue: Span = ANY) -> Swatch:
    return Swatch(weight, hue, (0.4, 0.85), (0.3, 0.85))


def _brown(weight: float) -> Swatch:
    return Swatch(weight, (0.02, 0.1), (0.3, 0.65), (0.2, 0.55))


BLUE, RED = (0.54, 0.66), (0.95, 1.04)
PASTEL = Swatch(1.0, ANY, (0.06, 0.3), (0.7, 0.97))
WALLS: Palette = (_white(5), _grey(2.5, (0.6, 0.88)), _beige(2), PASTEL, _strong(0.5), _black(0.3))
CEILINGS: Palette = (_white(8), _grey(1, (0.6, 0.9)), _beige(0.5), _black(0.3))
TRIM: Palette = (_white(6), _grey(1), _brown(1), _black(1))
WOODS: Palette = (
    Swatch(4, (0.05, 0.1), (0.3, 0.65), (0.6, 0.9)),  # oak, beech
    Swatch(3, (0.02, 0.07), (0.45, 0.8), (0.3, 0.65)),  # cherry, walnut
    Swatch(1.5, (0.07, 0.12), (0.1, 0.3), (0.75, 0.95)),  # birch, ash
    _brown(1),
    _grey(0.7),
)
LACQUERS: Palette = (_white(4), _black(3), _grey(3), _beige(1), _strong(1.5), PASTEL)
FABRICS: Palette = (
    *(_grey(3), _beige(2.5), _white(1.5), _black(1), _brown(1)),
    *(_strong(1, BLUE), _strong(0.7, RED), _strong(1.3)),
)
CARPETS: Palette = (_grey(3), _beige(1.5), _brown(1), _strong(2, BLUE), _strong(0.7), _black(0.5))
STONES: Palette = (_grey(4), _white(1.5), _beige(2), _black(0.7), _brown(0.5))
FOLIAGE: Palette = (Swatch(1.0, (0.2, 0.36), (0.4, 0.85), (0.15, 0.6)),)
