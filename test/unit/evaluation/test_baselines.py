"""Depth without learning is the geometry that it says it is."""

from da3_ros.evaluation.baselines import CAMERA_HEIGHT_M, constant_depth, FAR_M, floor_depth
import numpy as np

K = np.array([[[60.0, 0, 40], [0, 70, 25], [0, 0, 1]]])
HEIGHT, WIDTH = 50, 80


def points(depth: np.ndarray) -> np.ndarray:
    """Lift (1, H, W) to (H, W, 3) in the optical frame."""
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    return np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(K[0]).T * depth[0, ..., None]


def test_a_constant_is_constant() -> None:
    depth = constant_depth(3, 4, 5)
    assert depth.shape == (3, 4, 5) and np.ptp(depth) == 0 and depth.min() > 0


def test_a_level_camera_sees_a_floor_and_a_wall() -> None:
    depth = floor_depth(K, HEIGHT, WIDTH)
    lifted = points(depth)
    is_wall = depth[0] == FAR_M
    assert is_wall[:26].all() and not is_wall[-1].any()
    np.testing.assert_allclose(lifted[~is_wall][:, 1], CAMERA_HEIGHT_M)
    assert (lifted[is_wall][:, 1] < CAMERA_HEIGHT_M + 1e-9).all()
