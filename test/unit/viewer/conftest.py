"""Views to be drawn."""

from collections.abc import Callable
from pathlib import Path
import sys

from da3_ros.viewer.images import ViewImages
import numpy as np
import pytest

# Modules beside the tests, for pytest's importlib mode puts no folder on the path.
sys.path.insert(0, str(Path(__file__).parent))

HEIGHT, WIDTH = 24, 32


@pytest.fixture
def make_images() -> Callable[..., ViewImages]:
    """Return a function that makes the pictures of a slanted plane."""

    def make(**changes) -> ViewImages:
        v, u = np.mgrid[:HEIGHT, :WIDTH]
        depth = (1.0 + 0.01 * u + 0.02 * v).astype(np.float32)
        depth[:2, :3] = np.nan
        is_point = np.isfinite(depth)
        is_point[5] = False
        fields = {
            'camera': '',
            'stamp_ns': 10**9,
            'depth_m': depth,
            'is_point': is_point,
            'confidence': (1.0 + 0.3 * u).astype(np.float32),
            'rgb': np.stack([4 * u, 5 * v, u + v], axis=-1).astype(np.uint8),
            'intrinsics': np.array([[30.0, 0, 15.5], [0, 31.0, 11.5], [0, 0, 1]]),
            'map_from_camera': np.eye(4),
        }
        return ViewImages(**(fields | changes))

    return make
