"""Encoding, decoding and normalising cameras."""

from da3_ros.model.camera_head import (
    Cameras,
    decode_cameras,
    encode_cameras,
    invert_rigid,
    matrix_from_quaternion,
    normalise_poses,
    quaternion_from_matrix,
)
from hypothesis import given, settings, strategies
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
import torch
from torch import Tensor

SIZE = (280, 504)
seeds = strategies.integers(0, 2**31)


def random_cameras(seed: int, views: int = 3) -> Cameras:
    generator = np.random.default_rng(seed)
    poses = np.zeros((1, views, 3, 4))
    poses[0, :, :, :3] = Rotation.random(views, random_state=generator).as_matrix()
    poses[0, :, :, 3] = generator.normal(size=(views, 3))
    intrinsics = np.tile(np.eye(3), (1, views, 1, 1))
    intrinsics[..., 0, 0], intrinsics[..., 1, 1] = generator.uniform(150, 900, (2, 1, views))
    intrinsics[..., 0, 2], intrinsics[..., 1, 2] = SIZE[1] / 2, SIZE[0] / 2
    return Cameras(torch.from_numpy(poses).float(), torch.from_numpy(intrinsics).float())


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_decoding_undoes_encoding(seed: int) -> None:
    cameras = random_cameras(seed)
    decoded = decode_cameras(encode_cameras(*cameras, SIZE), SIZE)
    torch.testing.assert_close(
        decoded.camera_from_world, cameras.camera_from_world, rtol=0, atol=1e-5
    )
    torch.testing.assert_close(decoded.intrinsics, cameras.intrinsics, rtol=1e-5, atol=1e-3)


def test_encoding_holds_centre_rotation_and_fields_of_view() -> None:
    cameras = random_cameras(0)
    encoding = encode_cameras(*cameras, SIZE)
    world_from_camera = invert_rigid(cameras.camera_from_world)
    torch.testing.assert_close(encoding[..., :3], world_from_camera[..., 3])
    xyzw = Rotation.from_matrix(world_from_camera[0, :, :, :3].numpy()).as_quat(canonical=True)
    torch.testing.assert_close(encoding[0, :, 3:7], torch.from_numpy(xyzw).float())
    half_height = torch.tan(encoding[..., 7] / 2) * cameras.intrinsics[..., 1, 1]
    half_width = torch.tan(encoding[..., 8] / 2) * cameras.intrinsics[..., 0, 0]
    assert torch.allclose(half_height, torch.tensor(140.0))
    assert torch.allclose(half_width, torch.tensor(252.0))


@pytest.mark.parametrize('angle', [0, 1e-4, 90, 179.99, 180])
@pytest.mark.parametrize('axis', [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, -2, 3)])
def test_quaternions_of_any_rotation(axis: tuple, angle: float) -> None:
    vector = np.radians(angle) * np.array(axis) / np.linalg.norm(axis)
    matrix = torch.from_numpy(Rotation.from_rotvec(vector).as_matrix())
    xyzw = quaternion_from_matrix(matrix)
    assert xyzw[3] >= 0
    torch.testing.assert_close(matrix_from_quaternion(xyzw), matrix, rtol=0, atol=1e-12)
    torch.testing.assert_close(matrix_from_quaternion(-5 * xyzw), matrix, rtol=0, atol=1e-12)


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_inverse_of_the_inverse(seed: int) -> None:
    pose = random_cameras(seed).camera_from_world
    torch.testing.assert_close(invert_rigid(invert_rigid(pose)), pose, rtol=0, atol=1e-6)


def relative(a: Tensor, b: Tensor) -> Tensor:
    """a_from_b for camera_from_world (4, 4) of two cameras."""
    return a @ torch.linalg.inv(b)


@given(seeds, strategies.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_normalised_poses_are_the_same_poses(seed: int, views: int) -> None:
    poses = random_cameras(seed, views).camera_from_world.double()
    poses = torch.cat((poses, torch.tensor([0.0, 0, 0, 1]).expand(1, views, 1, 4)), dim=-2)
    normalised, length = normalise_poses(poses)
    torch.testing.assert_close(normalised[:, 0], torch.eye(4).double()[None], rtol=0, atol=1e-6)
    for i in range(views):
        scaled = relative(normalised[0, i], normalised[0, 0])
        scaled[:3, 3] *= length[0]
        torch.testing.assert_close(scaled, relative(poses[0, i], poses[0, 0]), rtol=0, atol=1e-5)
    rows = normalise_poses(poses[..., :3, :])
    torch.testing.assert_close(rows.camera_from_reference, normalised)


def poses_at(*distances: float) -> Tensor:
    poses = torch.eye(4).repeat(1, len(distances), 1, 1)
    poses[0, :, 0, 3] = torch.tensor(distances)
    return poses


@pytest.mark.parametrize(
    ('distances', 'length'),
    [
        ((0.0, 5.847), 5.847),  # the official wrapper divides by 0.1 here
        ((0.0, 2.0, 3.0), 2.0),
        ((0.0, 3.0, 2.0, 9.0), 3.0),
        ((0.0, 0.04), 0.1),
        ((0.0, 0.0, 0.0), 0.1),
        ((0.0,), 1.0),
    ],
)
def test_typical_distance_becomes_one(distances: tuple[float, ...], length: float) -> None:
    normalised = normalise_poses(poses_at(*distances))
    assert normalised.length.item() == pytest.approx(length)
    expected = torch.tensor(distances) / length
    torch.testing.assert_close(normalised.camera_from_reference[0, :, 0, 3], expected)
