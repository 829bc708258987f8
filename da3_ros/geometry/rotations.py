"""
Single rotations in plain floats: a few dozen sums take less time than NumPy takes to be called.

Matrices are three rows of three floats, quaternions x, y, z, w, vectors an axis times an angle in
rad. ``da3_ros.geometry.quaternions`` has what is best for thousands of rotations.
"""

from collections.abc import Sequence
import math

import numpy as np

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
Rows = Sequence[Sequence[float]]


def quaternion_of(rows: Rows) -> Quaternion:
    """Return the unit quaternion, w >= 0, of the rotation that is nearest to a matrix."""
    form = quadratic_form(rows, 1.0)
    # Of a rotation this is 4 q qᵀ, so each column is q, the longest one the least rounded.
    longest = max((0, 1, 2, 3), key=lambda i: form[i][i])
    px, py, pz, pw = form[longest]
    # For a matrix that was rounded, the form has other small eigenvalues: a step of the power
    # iteration squares what is left of them.
    x, y, z, w = (a * px + b * py + c * pz + d * pw for a, b, c, d in form)
    norm = math.copysign(math.sqrt(x * x + y * y + z * z + w * w), w)
    return x / norm, y / norm, z / norm, w / norm


def rows_of(quaternion: Quaternion) -> list[list[float]]:
    """
    Return the rotation matrix of a quaternion of any length.

    Raises:
        ValueError: if the length is 0.

    """
    x, y, z, w = quaternion
    square = x * x + y * y + z * z + w * w
    if square == 0.0:
        raise ValueError('A quaternion of zeros is no rotation.')
    twice = 2.0 / square
    tx, ty, tz = twice * x, twice * y, twice * z
    xx, xy, xz, yy, yz, zz = tx * x, tx * y, tx * z, ty * y, ty * z, tz * z
    wx, wy, wz = tx * w, ty * w, tz * w
    return [
        [1.0 - (yy + zz), xy - wz, xz + wy],
        [xy + wz, 1.0 - (xx + zz), yz - wx],
        [xz - wy, yz + wx, 1.0 - (xx + yy)],
    ]


def power(quaternion: Quaternion, share: float) -> Quaternion:
    """Return a share of the turn of a unit quaternion, w >= 0."""
    x, y, z, w = quaternion
    sine = math.sqrt(x * x + y * y + z * z)
    half = share * math.atan2(sine, w)
    factor = math.sin(half) / sine if sine else share
    return factor * x, factor * y, factor * z, math.cos(half)


def vector_of(quaternion: Quaternion) -> Vector:
    """Return the rotation vector, of angle 0 to pi, of a unit quaternion, w >= 0."""
    x, y, z, w = quaternion
    sine = math.sqrt(x * x + y * y + z * z)
    # atan2 is exact at both ends, near 0 and near pi.
    factor = 2.0 * math.atan2(sine, w) / sine if sine else 2.0
    return factor * x, factor * y, factor * z


def quaternion_of_vector(vector: Vector) -> Quaternion:
    """Return the unit quaternion of a rotation vector."""
    x, y, z = vector
    angle = math.sqrt(x * x + y * y + z * z)
    factor = math.sin(0.5 * angle) / angle if angle else 0.5
    return factor * x, factor * y, factor * z, math.cos(0.5 * angle)


def best_rotation(matrix: np.ndarray) -> np.ndarray:
    """Return the rotation R (3, 3) with the largest trace of Rᵀ M (Horn 1987), M (3, 3)."""
    vectors = np.linalg.eigh(quadratic_form(matrix.tolist(), 0.0))[1]
    return np.array(rows_of(vectors[:, 3].tolist()))


def quadratic_form(rows: Rows, one: float) -> tuple[Quaternion, ...]:
    """Return Q (4, 4) with qᵀ Q q = tr(Rᵀ M) + ``one``, where R is the rotation of q, |q| = 1."""
    (a, b, c), (d, e, f), (g, h, i) = rows
    xy, xz, yz, wx, wy, wz = b + d, c + g, f + h, h - f, c - g, d - b
    return (
        (one + a - e - i, xy, xz, wx),
        (xy, one - a + e - i, yz, wy),
        (xz, yz, one - a - e + i, wz),
        (wx, wy, wz, one + a + e + i),
    )
