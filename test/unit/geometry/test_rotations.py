"""Single rotations in floats are those of SciPy, at both ends and between."""

from da3_ros.geometry import rotations
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

seeds = st.integers(0, 2**32 - 1)
# From nothing to half a turn, and as near to both as it gets.
angles = st.one_of(
    st.floats(0.0, np.pi),
    st.sampled_from([0.0, 1e-300, 1e-13, 1e-8, 1e-3, np.pi - 1e-3, np.pi - 1e-8, np.pi]),
)


def vector(seed: int, angle: float) -> np.ndarray:
    """Return a rotation vector about any axis, or along one of the map's."""
    rng = np.random.default_rng(seed)
    axis = np.eye(3)[seed % 3] if seed % 4 == 0 else rng.normal(size=3)
    return angle * axis / np.linalg.norm(axis)


def matrix_of(quaternion: rotations.Quaternion) -> np.ndarray:
    return Rotation.from_quat(quaternion).as_matrix()


@given(seeds, angles)
def test_the_quaternion_of_a_matrix_is_scipys(seed: int, angle: float) -> None:
    matrix = Rotation.from_rotvec(vector(seed, angle)).as_matrix()
    quaternion = rotations.quaternion_of(matrix.tolist())
    assert quaternion[3] >= 0
    assert np.linalg.norm(quaternion) == pytest.approx(1.0, abs=1e-15)
    expected = Rotation.from_matrix(matrix).as_quat()
    # Of half a turn both signs are right.
    assert abs(np.dot(quaternion, expected)) == pytest.approx(1.0, abs=1e-14)
    sign = np.sign(np.dot(quaternion, expected))
    np.testing.assert_allclose(sign * np.array(quaternion), expected, atol=1e-14)
    if angle < 3.0:
        np.testing.assert_allclose(
            rotations.vector_of(quaternion), vector(seed, angle), atol=1e-13
        )


@given(seeds, angles)
def test_a_matrix_that_was_rounded_is_taken_for_the_nearest_rotation(
    seed: int, angle: float
) -> None:
    """The polar factor, which a singular value decomposition finds too."""
    rng = np.random.default_rng(seed)
    matrix = Rotation.from_rotvec(vector(seed, angle)).as_matrix() + 1e-6 * rng.normal(size=(3, 3))
    u, _, vt = np.linalg.svd(matrix)
    found = matrix_of(rotations.quaternion_of(matrix.tolist()))
    np.testing.assert_allclose(found, u @ vt, atol=1e-11)


@given(seeds, angles, st.floats(1e-3, 1e3))
def test_the_matrix_of_a_quaternion_of_any_length_is_scipys(
    seed: int, angle: float, length: float
) -> None:
    quaternion = length * Rotation.from_rotvec(vector(seed, angle)).as_quat()
    for q in (quaternion, -quaternion):
        rows = rotations.rows_of(tuple(q.tolist()))
        np.testing.assert_allclose(rows, Rotation.from_quat(q).as_matrix(), atol=1e-14)


def test_a_quaternion_of_zeros_is_refused() -> None:
    with pytest.raises(ValueError, match='zeros'):
        rotations.rows_of((0.0, 0.0, 0.0, 0.0))


@given(seeds, angles, st.floats(0.0, 1.0))
def test_a_share_of_a_turn_is_about_the_same_axis(seed: int, angle: float, share: float) -> None:
    quaternion = rotations.quaternion_of_vector(tuple(vector(seed, angle).tolist()))
    found = rotations.power(quaternion, share)
    expected = Rotation.from_rotvec(share * vector(seed, angle)).as_matrix()
    np.testing.assert_allclose(matrix_of(found), expected, atol=1e-14)


@given(seeds, angles)
def test_vectors_and_quaternions_are_inverse(seed: int, angle: float) -> None:
    quaternion = rotations.quaternion_of_vector(tuple(vector(seed, angle).tolist()))
    expected = Rotation.from_rotvec(vector(seed, angle)).as_quat()
    np.testing.assert_allclose(quaternion, expected, rtol=1e-9, atol=1e-15)
    back = rotations.vector_of(quaternion)
    np.testing.assert_allclose(back, vector(seed, angle), rtol=1e-9, atol=1e-15)


@given(seeds)
def test_the_best_rotation_is_that_of_the_singular_value_decomposition(seed: int) -> None:
    matrix = np.random.default_rng(seed).normal(size=(3, 3))
    u, s, vt = np.linalg.svd(matrix)
    sign = np.sign(np.linalg.det(u @ vt))
    gap = s[1] + sign * s[2]  # without one, the best rotation is not the only one
    found = rotations.best_rotation(matrix)
    np.testing.assert_allclose(found, (u * [1.0, 1.0, sign]) @ vt, atol=1e-14 * s[0] / gap)
