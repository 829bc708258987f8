"""Gaussians and their colours: what they promise beside parity."""

from da3_ros.geometry.transforms import Sim3
from da3_ros.model.camera_head import matrix_from_quaternion
from da3_ros.model.gaussians import Gaussians, gaussians_from_raw, multiply_quaternions
from da3_ros.model.harmonics import harmonics_at, rotation_of_harmonics
import pytest
import torch
from torch import Tensor


def rotations(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    q = torch.linalg.qr(torch.randn(count, 3, 3, generator=generator, dtype=torch.float64)).Q
    return q * torch.linalg.det(q)[:, None, None]


def directions(count: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    d = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return d / d.norm(dim=-1, keepdim=True)


def test_harmonics_are_orthonormal() -> None:
    """Checked by an integral over a fine grid of the sphere."""
    z = (torch.arange(400, dtype=torch.float64) + 0.5) / 200 - 1
    angle = torch.arange(16, dtype=torch.float64) * torch.pi / 8
    radius = (1 - z * z).sqrt()[:, None]
    grid = torch.stack(
        (radius * angle.cos(), radius * angle.sin(), z[:, None].expand(-1, 16)), dim=-1
    )
    values = harmonics_at(grid).flatten(0, 1)
    gram = values.T @ values * 4 * torch.pi / len(values)
    torch.testing.assert_close(gram, torch.eye(9, dtype=torch.float64), atol=1e-4, rtol=0)


def test_turned_harmonics_look_the_same_from_the_turned_side() -> None:
    coefficients = torch.randn(9, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    seen = harmonics_at(directions(50)) @ coefficients
    for rotation in rotations(5):
        turned = rotation_of_harmonics(rotation) @ coefficients
        seen_from_there = harmonics_at(directions(50) @ rotation.T) @ turned
        torch.testing.assert_close(seen_from_there, seen)


def test_quaternions_multiply_like_matrices() -> None:
    a, b = torch.randn(2, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def matrix(wxyz: Tensor) -> Tensor:
        return matrix_from_quaternion(wxyz[..., [1, 2, 3, 0]])

    torch.testing.assert_close(matrix(multiply_quaternions(a, b)), matrix(a) @ matrix(b))


def random_gaussians(count: int = 40) -> Gaussians:
    generator = torch.Generator().manual_seed(4)

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator, dtype=torch.float64)

    q = normal(4)
    return Gaussians(
        means=normal(3),
        scales=normal(3).exp(),
        rotations=q / q.norm(dim=-1, keepdim=True),
        harmonics=normal(3, 9),
        opacities=normal().sigmoid(),
    )


def covariances(g: Gaussians) -> Tensor:
    axes = matrix_from_quaternion(g.rotations[..., [1, 2, 3, 0]]) * g.scales[..., None, :]
    return axes @ axes.mT


def test_moving_moves_centres_shapes_and_colours_alike() -> None:
    before, rotation = random_gaussians(), rotations(1)[0]
    translation = torch.tensor((1.0, -2.0, 3.0), dtype=torch.float64)
    after = before.moved(2.5, rotation, translation)
    expected = Sim3(2.5, rotation.numpy(), translation.numpy()).apply(before.means.numpy())
    torch.testing.assert_close(after.means, torch.from_numpy(expected))
    torch.testing.assert_close(
        covariances(after), 2.5**2 * rotation @ covariances(before) @ rotation.T
    )
    d = directions(40)
    colour = (before.harmonics @ harmonics_at(d)[..., None]).squeeze(-1)
    turned = (after.harmonics @ harmonics_at(d @ rotation.T)[..., None]).squeeze(-1)
    torch.testing.assert_close(turned, colour)
    assert torch.equal(after.opacities, before.opacities)


def test_scaling_scales_each_window_by_its_own() -> None:
    g = random_gaussians().select(torch.arange(40).view(2, 20))
    scaled = g.scaled(torch.tensor((2.0, 0.5)))
    torch.testing.assert_close(scaled.means[0], 2 * g.means[0])
    torch.testing.assert_close(scaled.scales[1], 0.5 * g.scales[1])


@pytest.mark.parametrize('pixel', [(0, 0), (2, 5)])
def test_a_gaussian_lies_on_the_ray_of_its_pixel(pixel: tuple[int, int]) -> None:
    """With all numbers of the head zero: at the pixel's centre, the depth away along the ray."""
    row, column = pixel
    pose = torch.eye(4)[None, None, :3].clone()
    pose[..., :3, :3], pose[..., 3] = rotations(1)[0].float(), torch.tensor((0.3, -1.0, 2.0))
    k = torch.tensor([[[[4.0, 0, 3], [0, 5.0, 2], [0, 0, 1]]]])
    g = gaussians_from_raw(torch.zeros(1, 1, 4, 6, 38), torch.full((1, 1, 4, 6), 7.0), pose, k)
    in_camera = pose[0, 0, :, :3] @ g.means[0, 0, row, column] + pose[0, 0, :, 3]
    u, v = (k[0, 0] @ (in_camera / in_camera[2]))[:2].tolist()
    assert (u, v) == pytest.approx((column + 0.5, row + 0.5), abs=1e-4)
    assert in_camera.norm().item() == pytest.approx(7.0, rel=1e-5)
    assert g.opacities.unique().tolist() == [0.5]
