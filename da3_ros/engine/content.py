"""The part of a view that a camera saw, where the rest of it is padding."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Content:
    """Where a picture is in its letterbox, in pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def pixels(self) -> tuple[slice, slice]:
        """The rows and columns of it."""
        rows = slice(self.top, self.top + self.height)
        return rows, slice(self.left, self.left + self.width)

    def placed(self, intrinsics: np.ndarray) -> np.ndarray:
        """Return the K (3, 3) of the letterbox for that of the picture."""
        return intrinsics + self._offset

    def cut_out(self, intrinsics: np.ndarray) -> np.ndarray:
        """Return the K (3, 3) of the picture for that of the letterbox."""
        return intrinsics - self._offset

    @property
    def _offset(self) -> np.ndarray:
        offset = np.zeros((3, 3))
        offset[:2, 2] = self.left, self.top
        return offset
