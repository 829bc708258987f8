"""
Both resizes of the official code along one side of a picture, as one linear map.

Shapes: H the side before, h after.
"""

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor


class Side(NamedTuple):
    """A side's length before, between and after the resizes, and which of them enlarge a side."""

    size: int
    bounded: int
    target: int
    grows: bool
    grows_again: bool


class Taps(NamedTuple):
    """
    Which pixels along a side make each of the h pixels of the smaller one.

    They are consecutive, from ``first`` (h,) int32 on, with ``weights`` (h, taps) float32.
    """

    first: Tensor
    weights: Tensor


@lru_cache(maxsize=32)
def resizer(side: Side, device: torch.device) -> Tensor:
    """Return the matrix (h, H) of both resizes, as OpenCV weighs them."""
    return torch.from_numpy(_matrix(side)).to(device)


@lru_cache(maxsize=32)
def resizing_taps(side: Side, device: torch.device) -> Taps:
    """Return that matrix by its bands."""
    matrix = _matrix(side)
    is_used = matrix != 0
    first = is_used.argmax(axis=1)
    last = side.size - 1 - is_used[:, ::-1].argmax(axis=1)
    at = first[:, None] + np.arange((last - first).max() + 1)
    bands = np.take_along_axis(matrix, np.minimum(at, side.size - 1), axis=1) * (at < side.size)
    tables = first.astype(np.int32), bands.astype(np.float32)
    return Taps(*(torch.from_numpy(table).to(device) for table in tables))


def _matrix(side: Side) -> np.ndarray:
    return _weights(side.bounded, side.target, side.grows_again) @ _weights(
        side.size, side.bounded, side.grows
    )


def _weights(size: int, target: int, grows: bool) -> np.ndarray:
    """Return what one resize makes of each pixel alone, (target, size) float32."""
    if size == target:
        return np.eye(size, dtype=np.float32)
    method = cv2.INTER_CUBIC if grows else cv2.INTER_AREA
    return cv2.resize(np.eye(size, dtype=np.float32), (size, target), interpolation=method)
