"""
How surfaces look: a texture, its size and a colour over it.

A surface is either plain (a light grey structure under a palette's colour, as most surfaces of
real rooms are) or loud (a texture with its own colours, hardly tinted).
"""

from __future__ import annotations

from dataclasses import dataclass
import random

from da3_ros.training.scenes import palettes
from da3_ros.training.scenes.catalogue import TextureSource
from da3_ros.training.scenes.palettes import Colour, draw_colour, Palette


@dataclass(frozen=True)
class Material:
    """
    How a surface looks. `tile_m` is the size of one texture tile; None fits it to the face.

    `wear` scales the reliefs that are laid over it.
    """

    texture: int
    tile_m: float | None = 1.0
    tint: Colour = (1.0, 1.0, 1.0)
    gloss: float = 0.0
    emission: float = 0.0
    wear: float = 1.0


@dataclass(frozen=True)
class Finish:
    """A kind of plain surface: the role of its structure, its colours, how often it is chosen."""

    structure: str
    palette: Palette
    weight: float = 1.0


@dataclass(frozen=True)
class Plain:
    """Share of a role's surfaces that are plain, and the finishes that they have."""

    share: float
    finishes: tuple[Finish, ...]


PLAIN: dict[str, Plain] = {
    'wall': Plain(
        0.72, (Finish('paint', palettes.WALLS, 9), Finish('grain', palettes.WOODS, 0.6))
    ),
    'ceiling': Plain(
        0.9, (Finish('paint', palettes.CEILINGS, 5), Finish('panel', palettes.CEILINGS, 2))
    ),
    'floor': Plain(
        0.6,
        (
            Finish('boards', palettes.WOODS, 4),
            Finish('weave', palettes.CARPETS, 4),
            Finish('paint', palettes.STONES, 2),
        ),
    ),
    'object': Plain(
        0.68, (Finish('paint', palettes.LACQUERS, 5), Finish('grain', palettes.WOODS, 4))
    ),
    'cloth': Plain(
        0.68, (Finish('weave', palettes.FABRICS, 4), Finish('paint', palettes.FABRICS))
    ),
    'door': Plain(
        0.6, (Finish('paint', palettes.LACQUERS, 4), Finish('grain', palettes.WOODS, 3))
    ),
    'leaves': Plain(0.6, (Finish('paint', palettes.FOLIAGE),)),
    'facade': Plain(0.2, (Finish('paint', palettes.STONES),)),
    # Only ever plain: what frames, skirting boards, lamps and curtains are made of.
    'trim': Plain(1.0, (Finish('paint', palettes.TRIM, 5), Finish('grain', palettes.WOODS))),
    'lamp': Plain(1.0, (Finish('paint', palettes.CEILINGS), Finish('weave', palettes.CEILINGS))),
    'curtain': Plain(1.0, (Finish('curtain', palettes.FABRICS),)),
    'black': Plain(1.0, (Finish('paint', (palettes.Swatch(1, (0, 1), (0, 0.1), (0.05, 0.2)),)),)),
}
# A piece of furniture often looks like one that stands in the room already.
REPEATED = {'object': 0.4, 'cloth': 0.3, 'door': 0.5, 'trim': 0.85, 'curtain': 0.6}


def _draw_plain(rng: random.Random, textures: TextureSource, plain: Plain) -> Material:
    finish = rng.choices(plain.finishes, [f.weight for f in plain.finishes])[0]
    texture = rng.choice(textures.with_role(finish.structure))
    # Most plain surfaces are clean; some are worn.
    wear = 0.5 * rng.random() ** 3
    return Material(texture, 1.0, draw_colour(finish.palette, rng), wear=wear)


def _draw_loud(rng: random.Random, textures: TextureSource, role: str) -> Material:
    """Draw a texture with its own colours under a mild random tint."""
    shade = rng.uniform(0.75, 1.15)
    red, green, blue = (shade * rng.uniform(0.9, 1.08) for _ in range(3))
    return Material(rng.choice(textures.with_role(role)), None, (red, green, blue))


def draw_material(rng: random.Random, textures: TextureSource, role: str) -> Material:
    """Draw how a surface of that role looks; the texture of a loud one is fitted to its face."""
    plain = PLAIN.get(role)
    if plain is not None and rng.random() < plain.share:
        return _draw_plain(rng, textures, plain)
    return _draw_loud(rng, textures, role)
