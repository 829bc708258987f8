"""The scales of a map that has parts: each part has one of its own until it is joined."""

from collections.abc import Callable, Collection

from da3_ros.engine.scale.map_scale import MapScale
from da3_ros.geometry.transforms import Sim3
import numpy as np


class PartScales:
    """One ``MapScale`` for each part, by its number; the first part is 0."""

    def __init__(self, make: Callable[[], MapScale]) -> None:
        """Take who makes the scale of a part of which nothing is known."""
        self._make = make
        self.clear()

    def clear(self) -> None:
        """Forget all parts but an empty first one."""
        self._scales = {0: self._make()}
        self.origin = np.zeros(3)

    def __getitem__(self, part: int) -> MapScale:
        """Return the scale of a part."""
        return self._scales[part]

    def begin(self, part: int, scale: float, others: Collection[int]) -> None:
        """Add a part that begins with a scale as a guess; all but ``others`` are no more."""
        self._scales = {p: s for p, s in self._scales.items() if p in others}
        self._scales[part] = self._make()
        self._scales[part].continue_at(scale)

    def forget(self, part: int) -> None:
        """Forget a part that is no more."""
        del self._scales[part]

    def scaled_from_map(self, part: int) -> Sim3:
        """Return what makes published lengths of a part's own, about where the map began."""
        scale = self._scales[part].scale
        return Sim3(scale, np.eye(3), (1.0 - scale) * self.origin)
