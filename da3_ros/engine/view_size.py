"""
How large a view's depth has to be to be that of a map: by what keyframes know of the same place.

Shapes: N points, H W network image.
"""

from collections.abc import Sequence

from da3_ros.engine.keyframes import Keyframe, overlap_points
from da3_ros.engine.sight import look
from da3_ros.geometry.alignment import robust_location
from da3_ros.geometry.rays import is_depth
import numpy as np
import torch

# Points that must be seen, and the spread of their sizes, in logarithms, beyond which they are not
# the same surfaces.
_MIN_POINTS = 30
_MAX_SPREAD = 0.25


def size_among(
    depth: torch.Tensor,
    intrinsics: np.ndarray,
    map_from_camera: np.ndarray,
    known: Sequence[Keyframe],
) -> float:
    """
    Return the factor by which depth (H, W) of a camera (4, 4) fits ``known`` keyframes best.

    1 where they see too little of what it sees, or something else.
    """
    ratios = [
        _log_ratios(
            overlap_points(k.depth, k.intrinsics, k.map_from_camera),
            depth,
            intrinsics,
            map_from_camera,
        )
        for k in known
    ]
    found = np.concatenate([[], *ratios])
    if len(found) < _MIN_POINTS:
        return 1.0
    centre, spread = robust_location(found, np.ones(len(found)))
    return float(np.exp(centre)) if spread <= _MAX_SPREAD else 1.0


def _log_ratios(
    points: np.ndarray, depth: torch.Tensor, intrinsics: np.ndarray, map_from_camera: np.ndarray
) -> np.ndarray:
    """Return the logarithms of known over seen depth of those points (N, 3) that the view has."""
    found = look(points, map_from_camera[None], intrinsics[None], [depth])
    known = found.inside & is_depth(found.surface)
    return np.log(found.z[known] / found.surface[known])
