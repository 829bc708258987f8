"""Quaternions agree with SciPy's rotations, and keep their precision at both ends."""

from da3_ros.geometry import quaternions
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

seeds = st.integers(0, 2**32 - 1)


def random_matrices(seed: int, count: int = 6) -> np.ndarray:
    return Rotation.random(count, random_state=np.random.default_rng(seed)).as_matrix()


@given(seeds)
def test_products_inverses_and_turned_vectors_are_those_of_matrices(seed: int) -> None:
    a, b = random_matrices(seed), random_matrices(seed + 1)
    p, q = quaternions.from_matrices(a), quaternions.from_matrices(b)
    vectors = np.random.default_rng(seed).normal(size=(3, 6))
    product = quaternions.to_matrices(quaternions.multiply(p, q))
    np.testing.assert_allclose(product, a @ b, atol=1e-12)
    inverse = quaternions.to_matrices(quaternions.conjugate(p))
    np.testing.assert_allclose(inverse, a.swapaxes(1, 2), atol=1e-12)
    turned = quaternions.rotate(p, vectors)
    np.testing.assert_allclose(turned, np.einsum('nij,jn->in', a, vectors), atol=1e-12)


@pytest.mark.parametrize('angle', [0.0, 1e-300, 1e-13, 1e-8, 1e-3, 1.0, np.pi - 1e-8])
def test_exp_and_log_are_inverse(angle: float) -> None:
    axes = np.random.default_rng(0).normal(size=(3, 20))
    vectors = angle * axes / np.linalg.norm(axes, axis=0)
    back = quaternions.to_vectors(quaternions.from_vectors(vectors))
    np.testing.assert_allclose(back, vectors, rtol=1e-9, atol=1e-15)


def test_log_of_half_a_turn_is_half_a_turn() -> None:
    vectors = quaternions.to_vectors(quaternions.from_vectors(np.pi * np.eye(3)))
    np.testing.assert_allclose(np.abs(vectors), np.pi * np.eye(3), atol=1e-12)


def test_log_takes_the_short_way() -> None:
    vectors = quaternions.to_vectors(quaternions.from_vectors(1.5 * np.pi * np.eye(3)))
    np.testing.assert_allclose(vectors, -0.5 * np.pi * np.eye(3), atol=1e-12)
    q = quaternions.from_vectors(np.array([[0.3], [0.2], [-0.1]]))
    np.testing.assert_allclose(quaternions.to_vectors(-q), quaternions.to_vectors(q))
