"""
Depth that needs no learning and looks at no picture: what a network has to beat.

Both are up to scale, so they are compared after the same alignment as a network's depth.
"""

import numpy as np

BASELINES = ('constant', 'floor')
# Their ratio is all that matters after an alignment of scale. Of the ratios from 1.5 to 40 it is
# the one that does best on hand-held indoor sequences, to the baseline's advantage.
CAMERA_HEIGHT_M = 1.5
FAR_M = 6.0


def constant_depth(views: int, height: int, width: int) -> np.ndarray:
    """Return one and the same depth everywhere, (V, H, W)."""
    return np.ones((views, height, width))


def floor_depth(intrinsics: np.ndarray, height: int, width: int) -> np.ndarray:
    """
    Depth of a floor 1.5 m below each camera, and of a wall at 6 m that hides all beyond.

    The cameras are taken to be level. (Where gravity is known, on rendered scenes, tilting the
    floor by it makes this baseline no better.)

    Args:
        intrinsics: (V, 3, 3) pixels.
        height: H.
        width: W.

    Returns:
        z-depth in metres (V, H, W); the wall also fills what lies above the horizon.

    """
    v = np.arange(height) + 0.5
    focal, centre = intrinsics[:, 1, 1, None], intrinsics[:, 1, 2, None]
    drop = (v - centre) / focal  # (V, H) metres down for each metre ahead
    depth = CAMERA_HEIGHT_M / np.maximum(drop, CAMERA_HEIGHT_M / FAR_M)
    return np.repeat(depth[..., None], width, axis=-1)
