"""
Stand-in for tf_transformations where no ROS 2 installation brings the real one.

Quaternions are x y z w; matrices are homogeneous (4, 4). ``axes`` is 's' (about the fixed axes) or
'r' (about the axes that turn along) and the order, as in 'sxyz'.
"""

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation, Slerp


def identity_matrix() -> np.ndarray:
    """Return the transform that changes nothing."""
    return np.eye(4)


def translation_matrix(direction: Sequence[float]) -> np.ndarray:
    """Return the transform that moves by ``direction``."""
    matrix = np.eye(4)
    matrix[:3, 3] = direction
    return matrix


def translation_from_matrix(matrix: np.ndarray) -> np.ndarray:
    """Return the translation (3,)."""
    return np.array(matrix, float)[:3, 3]


def inverse_matrix(matrix: np.ndarray) -> np.ndarray:
    """Return the inverse of a square matrix."""
    return np.linalg.inv(matrix)


def concatenate_matrices(*matrices: np.ndarray) -> np.ndarray:
    """Return the product, from left to right."""
    product = np.eye(4)
    for matrix in matrices:
        product = product @ matrix
    return product


def quaternion_matrix(quaternion: Sequence[float]) -> np.ndarray:
    """Return the rotation of a quaternion, which need not be of unit length."""
    return _homogeneous(Rotation.from_quat(quaternion))


def quaternion_from_matrix(matrix: np.ndarray, isprecise: bool = False) -> np.ndarray:
    """Return the quaternion, w >= 0, of a rotation."""
    quaternion = Rotation.from_matrix(np.array(matrix, float)[:3, :3]).as_quat()
    return quaternion if quaternion[3] >= 0 else -quaternion


def euler_matrix(ai: float, aj: float, ak: float, axes: str = 'sxyz') -> np.ndarray:
    """Return the rotation of three angles [rad]."""
    return _homogeneous(Rotation.from_euler(_sequence(axes), (ai, aj, ak)))


def euler_from_matrix(matrix: np.ndarray, axes: str = 'sxyz') -> tuple[float, float, float]:
    """Return three angles [rad] of a rotation."""
    rotation = Rotation.from_matrix(np.array(matrix, float)[:3, :3])
    return tuple(float(angle) for angle in rotation.as_euler(_sequence(axes)))


def quaternion_from_euler(ai: float, aj: float, ak: float, axes: str = 'sxyz') -> np.ndarray:
    """Return the quaternion of three angles [rad]."""
    return Rotation.from_euler(_sequence(axes), (ai, aj, ak)).as_quat()


def euler_from_quaternion(
    quaternion: Sequence[float], axes: str = 'sxyz'
) -> tuple[float, float, float]:
    """Return three angles [rad] of a quaternion."""
    return euler_from_matrix(quaternion_matrix(quaternion), axes)


def quaternion_about_axis(angle: float, axis: Sequence[float]) -> np.ndarray:
    """Return the quaternion of a turn by ``angle`` [rad] about ``axis``."""
    direction = np.asarray(axis, float)
    return Rotation.from_rotvec(angle * direction / np.linalg.norm(direction)).as_quat()


def quaternion_multiply(quaternion1: Sequence[float], quaternion0: Sequence[float]) -> np.ndarray:
    """Return the product: first ``quaternion0``, then ``quaternion1``."""
    x1, y1, z1, w1 = quaternion1
    x0, y0, z0, w0 = quaternion0
    return np.array(
        [
            w1 * x0 + x1 * w0 + y1 * z0 - z1 * y0,
            w1 * y0 - x1 * z0 + y1 * w0 + z1 * x0,
            w1 * z0 + x1 * y0 - y1 * x0 + z1 * w0,
            w1 * w0 - x1 * x0 - y1 * y0 - z1 * z0,
        ]
    )


def quaternion_conjugate(quaternion: Sequence[float]) -> np.ndarray:
    """Return the quaternion with its vector part reversed."""
    return np.asarray(quaternion, float) * (-1, -1, -1, 1)


def quaternion_inverse(quaternion: Sequence[float]) -> np.ndarray:
    """Return the quaternion that undoes the rotation."""
    return quaternion_conjugate(quaternion) / np.dot(quaternion, quaternion)


def quaternion_slerp(
    quat0: Sequence[float], quat1: Sequence[float], fraction: float
) -> np.ndarray:
    """Return the quaternion ``fraction`` of the way along the shorter arc."""
    return Slerp((0, 1), Rotation.from_quat([quat0, quat1]))(fraction).as_quat()


def _homogeneous(rotation: Rotation) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation.as_matrix()
    return matrix


def _sequence(axes: str) -> str:
    """Return SciPy's name of an order: capitals mean axes that turn along."""
    frame, order = axes[0], axes[1:]
    return order if frame == 's' else order.upper()
