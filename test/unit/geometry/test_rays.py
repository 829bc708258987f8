"""Rays in PyTorch are those of the NumPy cameras, at the pixels asked for."""

from da3_ros.geometry.cameras import pixel_rays
from da3_ros.geometry.rays import (
    pixel_grid,
    rays_through,
    sampled,
    sampled_rays,
    thinned,
    valid_depth,
)
import numpy as np
import pytest
import torch

K = np.array([[300.0, 0.0, 162.0], [0.0, 310.0, 118.0], [0.0, 0.0, 1.0]])


@pytest.mark.parametrize('count', [1, 500, 10**9])
def test_rays_are_those_of_the_camera(count: int) -> None:
    u, v = pixel_grid(24, 32, count)
    assert len(u) <= 24 * 32
    assert 0 <= int(u.min()) <= int(u.max()) < 32
    assert 0 <= int(v.min()) <= int(v.max()) < 24
    expected = pixel_rays(K, 24, 32)[v.numpy(), u.numpy()]
    np.testing.assert_allclose(rays_through(u, v, K), expected, atol=1e-6)
    np.testing.assert_allclose(sampled_rays(24, 32, count, K), expected, atol=1e-12)


def test_rays_of_several_cameras_are_those_of_each() -> None:
    cameras = np.stack([K, K @ np.diag([1.5, 1.2, 1.0])])
    each = [sampled_rays(24, 32, 50, camera) for camera in cameras]
    np.testing.assert_array_equal(sampled_rays(24, 32, 50, cameras), np.stack(each))


def test_grid_is_about_as_large_as_asked() -> None:
    u, _ = pixel_grid(280, 504, 2000)
    assert 1500 < len(u) < 3000


@pytest.mark.parametrize('count', [1, 50, 500, 10**9])
def test_thinned_images_hold_the_pixels_of_the_grid(count: int) -> None:
    image = torch.arange(24.0 * 33).reshape(24, 33)
    u, v = pixel_grid(24, 33, count)
    torch.testing.assert_close(thinned(image, count).flatten(), image[v, u])
    np.testing.assert_array_equal(sampled(image.half(), count), image[v, u].half())


def test_what_is_no_depth_is_nan() -> None:
    """Also where there is a single one; where all is depth nothing is copied."""
    depth = np.linspace(0.1, 5.0, 12, dtype=np.float32).reshape(3, 4)
    assert valid_depth(depth) is depth
    for nothing in (0.0, -1.0, np.inf, -np.inf, np.nan):
        spoilt = depth.copy()
        spoilt[1, 2] = nothing
        found = valid_depth(spoilt)
        assert np.isnan(found[1, 2]) and found.dtype == np.float32
        np.testing.assert_array_equal(np.delete(found, 6), np.delete(depth, 6))
