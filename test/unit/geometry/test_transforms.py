"""Rigid and similarity transforms obey the laws of their groups."""

from da3_ros.geometry.transforms import (
    blend,
    BODY_FROM_OPTICAL,
    invert,
    pose_from_quaternion,
    quaternion_xyzw,
    rigid,
    rotation_angle_deg,
    Sim3,
)
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

seeds = st.integers(0, 2**32 - 1)


def random_pose(rng: np.random.Generator) -> np.ndarray:
    return rigid(Rotation.random(random_state=rng).as_matrix(), rng.normal(size=3))


def random_sim3(rng: np.random.Generator) -> Sim3:
    return Sim3.from_rigid(random_pose(rng), float(np.exp(rng.normal())))


@given(seeds)
def test_inverse_undoes(seed: int) -> None:
    b_from_a = random_pose(np.random.default_rng(seed))
    np.testing.assert_allclose(invert(b_from_a) @ b_from_a, np.eye(4), atol=1e-12)


def test_inverse_takes_a_batch() -> None:
    rng = np.random.default_rng(0)
    poses = np.stack([random_pose(rng) for _ in range(5)])
    np.testing.assert_allclose(invert(poses), np.linalg.inv(poses), atol=1e-12)


@given(seeds)
def test_quaternion_round_trip(seed: int) -> None:
    pose = random_pose(np.random.default_rng(seed))
    quaternion = quaternion_xyzw(pose[:3, :3])
    assert quaternion[3] >= 0
    np.testing.assert_allclose(pose_from_quaternion(pose[:3, 3], quaternion), pose, atol=1e-12)


def test_quaternion_order_is_xyzw() -> None:
    quarter_turn_about_z = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    half = np.sqrt(0.5)
    np.testing.assert_allclose(quaternion_xyzw(quarter_turn_about_z), [0, 0, half, half])


def test_rotation_angle() -> None:
    rotations = Rotation.from_rotvec([[0, 0, 0], [0.5, 0, 0], [0, 3.0, 0]]).as_matrix()
    np.testing.assert_allclose(rotation_angle_deg(rotations), np.degrees([0, 0.5, 3.0]), atol=1e-6)


@given(seeds, st.sampled_from([(), (1,), (7,), (2, 3), (40,), (5, 8)]))
def test_batches_are_those_of_scipy(seed: int, shape: tuple[int, ...]) -> None:
    """Few rotations go another way than many."""
    rng = np.random.default_rng(seed)
    axes = rng.normal(size=(*shape, 3))
    axes *= rng.choice([1e-9, 1e-3, 1.0, np.pi - 1e-9]) / np.linalg.norm(
        axes, axis=-1, keepdims=True
    )
    flat = Rotation.from_rotvec(axes.reshape(-1, 3))
    matrices = flat.as_matrix().reshape(*shape, 3, 3)
    quaternions = quaternion_xyzw(matrices)
    assert quaternions.shape == (*shape, 4)
    assert (quaternions[..., 3] >= 0).all()
    same = np.sum(quaternions.reshape(-1, 4) * flat.as_quat(), axis=1)
    np.testing.assert_allclose(np.abs(same), 1.0, atol=1e-14)
    angles = rotation_angle_deg(matrices)
    assert np.shape(angles) == shape
    np.testing.assert_allclose(np.ravel(angles), np.degrees(flat.magnitude()), atol=1e-12)


def test_level_camera_looks_along_x_with_z_up() -> None:
    forward, right, down = np.eye(3)[2], np.eye(3)[0], np.eye(3)[1]
    rotation = BODY_FROM_OPTICAL[:3, :3]
    np.testing.assert_array_equal(rotation @ forward, [1, 0, 0])
    np.testing.assert_array_equal(rotation @ right, [0, -1, 0])
    np.testing.assert_array_equal(rotation @ down, [0, 0, -1])


@given(seeds)
def test_blend_ends_at_both_ends_and_halves_the_angle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = random_pose(rng), random_pose(rng)
    np.testing.assert_allclose(blend(a, b, 0.0), a, atol=1e-12)
    np.testing.assert_allclose(blend(a, b, 1.0), b, atol=1e-9)
    both = blend(np.stack([a, b]), np.stack([b, a]), np.array([0.2, 0.7]))
    np.testing.assert_allclose(both, [blend(a, b, 0.2), blend(b, a, 0.7)], atol=1e-12)
    np.testing.assert_allclose(
        blend(np.stack([a, b]), np.stack([b, a]), 0.2), [blend(a, b, 0.2), blend(b, a, 0.2)]
    )
    half = blend(a, b, 0.5)
    to_half = rotation_angle_deg(a[:3, :3].T @ half[:3, :3])
    assert to_half == pytest.approx(rotation_angle_deg(a[:3, :3].T @ b[:3, :3]) / 2, abs=1e-6)


@given(seeds)
def test_similarities_compose_and_invert(seed: int) -> None:
    rng = np.random.default_rng(seed)
    c_from_b, b_from_a = random_sim3(rng), random_sim3(rng)
    points = rng.normal(size=(7, 3))
    np.testing.assert_allclose(
        (c_from_b @ b_from_a).apply(points), c_from_b.apply(b_from_a.apply(points)), atol=1e-9
    )
    np.testing.assert_allclose(b_from_a.inverse().apply(b_from_a.apply(points)), points, atol=1e-9)


@given(seeds)
def test_similarity_moves_a_camera_with_its_points(seed: int) -> None:
    """A point seen at p in the camera is seen at scale * p after the world was resized."""
    rng = np.random.default_rng(seed)
    b_from_a, a_from_camera = random_sim3(rng), random_pose(rng)
    p_camera = rng.normal(size=3)
    p_a = Sim3.from_rigid(a_from_camera).apply(p_camera)
    b_from_camera = b_from_a.apply_to_pose(a_from_camera)
    seen = Sim3.from_rigid(invert(b_from_camera)).apply(b_from_a.apply(p_a))
    np.testing.assert_allclose(seen, b_from_a.scale * p_camera, atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(b_from_camera[:3, :3]), 1.0, atol=1e-9)
