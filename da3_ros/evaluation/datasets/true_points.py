"""The true surface of a benchmark's scene, as it lies on disk: a mesh or a cloud."""

from functools import lru_cache
from pathlib import Path

from da3_ros.evaluation.mesh import sampled_points
from da3_ros.evaluation.ply import read_ply
from da3_ros.evaluation.surface_rules import SAMPLES
import numpy as np


@lru_cache(maxsize=1)
def true_points(path: Path) -> np.ndarray:
    """Return points (N, 3) of a true surface: a million drawn on a mesh, or a cloud as it is."""
    points, triangles = read_ply(path)
    return sampled_points(points[triangles], SAMPLES) if len(triangles) else points
