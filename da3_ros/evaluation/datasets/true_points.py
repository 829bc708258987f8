"""Depth on disk as benchmarks keep it: 16-bit images in some unit, meshes of the true surface."""

from functools import lru_cache
from pathlib import Path

import cv2
from da3_ros.errors import InputError
from da3_ros.evaluation.mesh import sampled_points
from da3_ros.evaluation.ply import read_ply
from da3_ros.evaluation.surface_rules import SAMPLES
import numpy as np


def read_depth(path: Path, units_per_metre: float, invalid: int = 0) -> np.ndarray:
    """
    Read a 16-bit depth image as (H, W) float32 metres, NaN where it is 0 or ``invalid``.

    Raises:
        InputError: if the file is not a 16-bit image.

    """
    raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if raw is None or raw.dtype != np.uint16 or raw.ndim != 2:
        raise InputError(f'{path} is not a 16-bit depth image.')
    known = (raw > 0) & (raw != invalid)
    return np.where(known, raw / np.float32(units_per_metre), np.nan).astype(np.float32)


@lru_cache(maxsize=1)
def true_points(path: Path) -> np.ndarray:
    """Return points (N, 3) of a true surface: a million drawn on a mesh, or a cloud as it is."""
    points, triangles = read_ply(path)
    return sampled_points(points[triangles], SAMPLES) if len(triangles) else points
