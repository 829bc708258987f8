"""
Which textures exist: numbered, by role, painted on demand.

A scene names textures by number; the same number is the same picture everywhere. Photographs join
by giving the scene builder another `TextureSource`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from da3_ros.errors import InputError
from da3_ros.training.scenes.noise import Canvas
from da3_ros.training.scenes.patterns import FAMILIES
import torch
from torch.nn.functional import avg_pool2d

# Patterns are drawn this much larger and averaged down, so that their edges are smooth.
OVERSAMPLING = 2


class TextureSource(Protocol):
    """Numbered textures, each fit for some roles."""

    def __len__(self) -> int:
        """Count the textures."""

    def with_role(self, role: str) -> Sequence[int]:
        """Numbers of the textures fit for `role`; never empty."""

    def images(self, numbers: Sequence[int], side: int) -> torch.Tensor:
        """Linear albedo (N, 3, side, side) in [0, 1] of textures by number."""


@dataclass(frozen=True)
class PaintedTextures:
    """`variants` pictures of each family of one split; the splits share no family."""

    variants: int = 20
    held_out: bool = False

    @cached_property
    def _families(self) -> list[str]:
        return [name for name, family in FAMILIES.items() if family.held_out == self.held_out]

    @cached_property
    def _by_role(self) -> dict[str, list[int]]:
        numbers: dict[str, list[int]] = {}
        for place, name in enumerate(self._families):
            own = range(place * self.variants, (place + 1) * self.variants)
            for role in sorted(FAMILIES[name].roles):
                numbers.setdefault(role, []).extend(own)
        return numbers

    def __len__(self) -> int:
        return len(self._families) * self.variants

    def with_role(self, role: str) -> Sequence[int]:
        """Numbers of the textures fit for `role`. Raises `InputError` for an unknown role."""
        if role not in self._by_role:
            raise InputError(f'No texture plays {role!r}; roles are {sorted(self._by_role)}.')
        return self._by_role[role]

    def images(self, numbers: Sequence[int], side: int) -> torch.Tensor:
        """Paint textures by number: linear albedo (N, 3, side, side) in [0, 1]."""
        painted = []
        for number in numbers:
            name = self._families[number // self.variants]
            place = list(FAMILIES).index(name)
            # A prime step keeps the seeds of two pictures apart.
            seed = 7919 * (place * 100_003 + number % self.variants)
            picture = FAMILIES[name].paint(Canvas.seeded(side * OVERSAMPLING, seed))
            painted.append(avg_pool2d(picture, OVERSAMPLING))
        return torch.stack(painted).clamp(0, 1)
