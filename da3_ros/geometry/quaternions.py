"""
Unit quaternions by the batch, components first: x, y, z, w are the rows of (4, N) arrays.

Vectors are (3, N). That way round, each operation is a few passes over long rows, which is several
times faster than matrices (N, 3, 3) when there are thousands of rotations.
"""

import numpy as np
from scipy.spatial.transform import Rotation


def from_matrices(rotation: np.ndarray) -> np.ndarray:
    """Return the quaternions (4, N) of rotation matrices (N, 3, 3)."""
    return np.ascontiguousarray(Rotation.from_matrix(rotation).as_quat().T)


def to_matrices(q: np.ndarray) -> np.ndarray:
    """Return the rotation matrices (N, 3, 3) of quaternions (4, N)."""
    return Rotation.from_quat(q.T).as_matrix()


def from_vectors(vectors: np.ndarray) -> np.ndarray:
    """Return the quaternions (4, N) of rotation vectors (3, N), axis times angle in rad."""
    half = 0.5 * np.sqrt(np.sum(vectors**2, axis=0))
    return np.concatenate([0.5 * np.sinc(half / np.pi) * vectors, np.cos(half)[None]])


def to_vectors(q: np.ndarray) -> np.ndarray:
    """Return the rotation vectors (3, N) of quaternions (4, N), of angles 0 to pi."""
    q = np.where(q[3] < 0, -q, q)
    sine = np.sqrt(np.sum(q[:3] ** 2, axis=0))
    # atan2 is exact at both ends, near 0 and near pi, where acos of w or asin would not be.
    angle = 2.0 * np.arctan2(sine, q[3])
    return q[:3] * np.where(sine > 1e-12, angle / np.maximum(sine, 1e-12), 2.0)


def conjugate(q: np.ndarray) -> np.ndarray:
    """Return the inverse rotations."""
    return np.concatenate([-q[:3], q[3:]])


def multiply(c_from_b: np.ndarray, b_from_a: np.ndarray) -> np.ndarray:
    """Return the quaternions (4, N) of ``c_from_a``."""
    ax, ay, az, aw = c_from_b
    bx, by, bz, bw = b_from_a
    return np.stack(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ]
    )


def rotate(b_from_a: np.ndarray, vectors_in_a: np.ndarray) -> np.ndarray:
    """Return the vectors (3, N), each turned by its quaternion."""
    twice = 2.0 * cross(b_from_a[:3], vectors_in_a)
    return vectors_in_a + b_from_a[3] * twice + cross(b_from_a[:3], twice)


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cross products of vectors (3, N)."""
    return np.stack(
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    )
