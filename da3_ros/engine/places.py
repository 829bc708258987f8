"""
Places: what a view looks like as one vector, and which views of a map look like it.

A descriptor is pooled from what the trunk knows of a view alone, so it costs next to nothing where
those tokens are kept. It finds candidates; whether they are the same place is for the network to
tell, from both views.

Shapes: N tokens of a view, C channels of the trunk, D = 2 C of a descriptor, K views in an index.
"""

from collections.abc import Collection

import torch
from torch.nn.functional import normalize

# The class token tells more places apart than the patches do, but it also varies more.
_CLASS_WEIGHT = 0.5
_FIRST_CAPACITY = 64
# Shorter than this, what is left of a descriptor without the mean is rounding.
_LEAST_REST = 1e-3


def place_descriptor(tokens: torch.Tensor) -> torch.Tensor:
    """
    Return the descriptor (D,) of a view, of unit length, float32 on the CPU.

    ``tokens`` (N, C) are ``Prefix.tokens`` of the view, the class token first. The descriptor is
    the class token beside the mean of the patches: a sum over the image forgets where things are
    in it, which is what changes most when a place is seen again.
    """
    tokens = tokens.float()
    whole = _CLASS_WEIGHT * normalize(tokens[0], dim=0)
    parts = normalize(tokens[1:].mean(dim=0), dim=0)
    return normalize(torch.cat((whole, parts)), dim=0).cpu()


class PlaceIndex:
    """
    The descriptors of a map's views, all compared with another view at once.

    What all views of a map have in common tells no places apart, and it is most of a descriptor:
    similarity is the cosine between what is left of two of them without the mean of the map's. It
    takes some ten views for that mean to say anything. Memory is that of the most views there
    ever were, at most doubled.
    """

    def __init__(self) -> None:
        """Make an index of nothing."""
        self.clear()

    def __len__(self) -> int:
        """Return the number of views."""
        return len(self._keys)

    def clear(self) -> None:
        """Forget all views."""
        self._keys: list[int] = []  # key of the view in each row
        self._rows: dict[int, int] = {}  # the other way round
        # Rows are relative to the first descriptor: what is left of them is small, so halves do,
        # which are read twice as fast. The first K rows are in use.
        self._origin = torch.empty(0)  # (D,)
        self._matrix = torch.empty(0, 0, dtype=torch.float16)  # (capacity, D)
        self._squares = torch.empty(0)  # (capacity,), squared length of each row
        self._sum = torch.empty(0, dtype=torch.float64)  # (D,), of the rows in use

    def add(self, key: int, descriptor: torch.Tensor) -> None:
        """Take in a view with its descriptor (D,), in place of the one that it had."""
        self.remove(key)
        row = len(self._keys)
        if not len(self._matrix):
            self._origin = descriptor.clone()
            self._matrix = self._matrix.new_empty(_FIRST_CAPACITY, len(descriptor))
            self._squares = self._squares.new_empty(_FIRST_CAPACITY)
            self._sum = self._sum.new_zeros(len(descriptor))
        elif row == len(self._matrix):
            self._matrix = torch.cat((self._matrix, torch.empty_like(self._matrix)))
            self._squares = torch.cat((self._squares, torch.empty_like(self._squares)))
        self._matrix[row] = descriptor - self._origin
        kept = self._matrix[row].double()
        self._squares[row] = kept @ kept
        self._sum += kept
        self._keys.append(key)
        self._rows[key] = row

    def remove(self, key: int) -> None:
        """Forget a view, if it is there; the last one takes its row, so there are no gaps."""
        if key not in self._rows:
            return
        row, last = self._rows.pop(key), len(self._keys) - 1
        self._sum -= self._matrix[row].double()
        moved = self._keys.pop()
        if row != last:
            self._keys[row], self._rows[moved] = moved, row
            self._matrix[row], self._squares[row] = self._matrix[last], self._squares[last]

    def query(
        self, descriptor: torch.Tensor, count: int, excluded: Collection[int] = ()
    ) -> list[tuple[int, float]]:
        """
        Return the ``count`` views most like a descriptor (D,), as (key, similarity), best first.

        ``excluded`` are keys that are left out, such as those of the views just before; keys that
        are not there do no harm. Similarity is between -1 and 1.
        """
        if not self._keys:
            return []
        similarities = self._similarities(descriptor)
        for key in excluded:
            if key in self._rows:
                similarities[self._rows[key]] = -torch.inf
        best = similarities.topk(min(count, len(self._keys)))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return [(self._keys[row], value) for row, value in pairs if value > -torch.inf]

    def _similarities(self, descriptor: torch.Tensor) -> torch.Tensor:
        """Return the similarity (K,) of each view; the mean is taken out of the products."""
        count = len(self._keys)
        rows, mean = self._matrix[:count], (self._sum / count).float()
        rest = descriptor - self._origin - mean
        products = (rows @ rest.half()).float() - mean @ rest
        on_mean = (rows @ mean.half()).float()
        squares = self._squares[:count] - 2.0 * on_mean + mean @ mean  # of rows without the mean
        lengths = squares.clamp_min(_LEAST_REST**2).sqrt() * rest.norm().clamp_min(_LEAST_REST)
        return (products / lengths).clamp(-1.0, 1.0)
