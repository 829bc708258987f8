"""Similarities by the batch, for what has one at every node or edge of a graph."""

from collections.abc import Sequence
from dataclasses import dataclass

from da3_ros.geometry.transforms import Sim3
import numpy as np


@dataclass(frozen=True, eq=False)
class Sim3Batch:
    """
    N similarities ``b_from_a``: ``p_b = scale * rotation @ p_a + translation`` for each.

    ``scale`` (N,), ``rotation`` (N, 3, 3), ``translation`` (N, 3), all float64.
    """

    scale: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray

    @classmethod
    def from_rigid(cls, b_from_a: np.ndarray) -> 'Sim3Batch':
        """Return rigid transforms (N, 4, 4) as similarities of scale 1."""
        return cls(np.ones(len(b_from_a)), b_from_a[:, :3, :3], b_from_a[:, :3, 3])

    @classmethod
    def stack(cls, b_from_a: Sequence[Sim3]) -> 'Sim3Batch':
        """Return the batch of N single similarities."""
        return cls(
            np.array([s.scale for s in b_from_a], dtype=np.float64),
            np.array([s.rotation for s in b_from_a], dtype=np.float64).reshape(-1, 3, 3),
            np.array([s.translation for s in b_from_a], dtype=np.float64).reshape(-1, 3),
        )

    def __len__(self) -> int:
        """Return N."""
        return len(self.scale)

    def __getitem__(self, index: slice | np.ndarray) -> 'Sim3Batch':
        """Return the batch of those that a slice, a mask or an array of indices names."""
        return Sim3Batch(self.scale[index], self.rotation[index], self.translation[index])

    def one(self, index: int) -> Sim3:
        """Return one of them."""
        return Sim3(float(self.scale[index]), self.rotation[index], self.translation[index])

    def __matmul__(self, other: 'Sim3Batch') -> 'Sim3Batch':
        """Return ``c_from_a`` of ``c_from_b @ b_from_a``; a batch of one goes with any."""
        moved = (self.rotation @ other.translation[..., None])[..., 0]
        return Sim3Batch(
            self.scale * other.scale,
            self.rotation @ other.rotation,
            self.scale[:, None] * moved + self.translation,
        )

    def inverse(self) -> 'Sim3Batch':
        """Return ``a_from_b``."""
        rotation = np.swapaxes(self.rotation, -1, -2)
        moved = (rotation @ self.translation[..., None])[..., 0]
        return Sim3Batch(1.0 / self.scale, rotation, -moved / self.scale[:, None])

    def joined(self, other: 'Sim3Batch') -> 'Sim3Batch':
        """Return these and, behind them, those of ``other``."""
        return Sim3Batch(
            np.concatenate([self.scale, other.scale]),
            np.concatenate([self.rotation, other.rotation]),
            np.concatenate([self.translation, other.translation]),
        )

    def where(self, mask: np.ndarray, other: 'Sim3Batch') -> 'Sim3Batch':
        """Return a batch with these where the mask (N,) is true, and those of ``other`` else."""
        return Sim3Batch(
            np.where(mask, self.scale, other.scale),
            np.where(mask[:, None, None], self.rotation, other.rotation),
            np.where(mask[:, None], self.translation, other.translation),
        )
