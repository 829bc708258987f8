"""tf_transformations by the identities that define its conventions."""

import numpy as np
import pytest
import tf_transformations as tf

HALF = np.sqrt(0.5)


def test_quaternions_are_xyzw() -> None:
    """A quarter turn about z takes x to y."""
    turn = tf.quaternion_matrix((0, 0, HALF, HALF))
    np.testing.assert_allclose(turn[:3, :3] @ (1, 0, 0), (0, 1, 0), atol=1e-12)
    np.testing.assert_allclose(tf.quaternion_from_matrix(turn), (0, 0, HALF, HALF), atol=1e-12)


def test_default_euler_angles_turn_about_fixed_axes() -> None:
    """About x first, then about the fixed z: y goes to z and stays there."""
    q = tf.quaternion_from_euler(np.pi / 2, 0, np.pi / 2)
    np.testing.assert_allclose(tf.quaternion_matrix(q)[:3, :3] @ (0, 1, 0), (0, 0, 1), atol=1e-12)
    angles = (0.3, -0.4, 2.0)
    back = tf.euler_from_quaternion(tf.quaternion_from_euler(*angles))
    np.testing.assert_allclose(back, angles, atol=1e-12)


@pytest.mark.parametrize('axes', ['sxyz', 'rzyx', 'szxz'])
def test_euler_matrices_come_back(axes: str) -> None:
    matrix = tf.euler_matrix(0.5, 0.6, -0.7, axes)
    np.testing.assert_allclose(tf.euler_from_matrix(matrix, axes), (0.5, 0.6, -0.7), atol=1e-12)


def test_product_and_inverse() -> None:
    p, q = tf.quaternion_from_euler(0.1, 0.2, 0.3), tf.quaternion_from_euler(-1, 0.5, 2)
    product = tf.quaternion_matrix(p) @ tf.quaternion_matrix(q)
    np.testing.assert_allclose(tf.quaternion_matrix(tf.quaternion_multiply(p, q)), product)
    unit = tf.quaternion_multiply(p, tf.quaternion_inverse(p))
    np.testing.assert_allclose(unit, (0, 0, 0, 1), atol=1e-12)
    moved = tf.concatenate_matrices(tf.translation_matrix((1, 2, 3)), product)
    np.testing.assert_allclose(tf.inverse_matrix(moved) @ moved, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(tf.translation_from_matrix(moved), (1, 2, 3))


def test_slerp_goes_the_short_way() -> None:
    start, end = (0, 0, 0, 1), tf.quaternion_about_axis(1.0, (0, 0, 2))
    quarter = tf.quaternion_about_axis(0.25, (0, 0, 1))
    for sign in (1, -1):
        between = tf.quaternion_slerp(start, sign * end, 0.25)
        np.testing.assert_allclose(abs(between @ quarter), 1.0)
