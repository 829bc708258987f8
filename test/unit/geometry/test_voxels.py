"""One point a cube, in the middle of what was in it."""

from da3_ros.geometry.voxels import voxel_means
import numpy as np
import pytest


def cloud(count: int = 5000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return points in a few metres about the origin, and colours."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-3, 4, (count, 3)).astype(np.float32)
    return points, rng.integers(0, 256, (count, 3), dtype=np.uint8)


@pytest.mark.parametrize('voxel', [0.05, 0.5, 20.0])
def test_each_filled_cube_holds_the_mean_of_its_points(voxel: float) -> None:
    points, colours = cloud()
    cubes: dict[tuple, list[int]] = {}
    for i, cell in enumerate(np.floor(points / np.float32(voxel)).astype(int)):
        cubes.setdefault(tuple(cell), []).append(i)
    means, mean_colours = voxel_means(points, colours, voxel)
    members = [cubes[cell] for cell in sorted(cubes)]
    np.testing.assert_allclose(means, [points[m].mean(axis=0) for m in members], atol=1e-4)
    expected = np.array([colours[m].mean(axis=0) for m in members])
    assert np.abs(mean_colours - expected).max() <= 0.51
    assert means.dtype == np.float32 and mean_colours.dtype == np.uint8


def test_a_cube_does_not_depend_on_the_others() -> None:
    points, colours = cloud()
    is_left = points[:, 0] < 0
    left, _ = voxel_means(points[is_left], colours[is_left], 0.5)
    both, _ = voxel_means(points, colours, 0.5)
    np.testing.assert_allclose(both[both[:, 0] < 0], left, atol=1e-5)


def test_the_order_of_the_points_does_not_matter() -> None:
    points, colours = cloud()
    order = np.random.default_rng(1).permutation(len(points))
    means, _ = voxel_means(points, colours, 0.5)
    again, _ = voxel_means(points[order], colours[order], 0.5)
    np.testing.assert_allclose(again, means, atol=1e-5)


def test_a_cloud_too_long_for_its_cubes_gets_larger_ones() -> None:
    """Instead of points from different places in one."""
    points = np.zeros((3, 3), np.float32)
    points[:, 0] = 0.0, 1.0, 1e7
    means, _ = voxel_means(points, np.zeros((3, 3), np.uint8), 1e-9)
    np.testing.assert_allclose(means[:, 0], [0.5, 1e7])


def test_nothing_is_nothing() -> None:
    means, colours = voxel_means(np.empty((0, 3), np.float32), np.empty((0, 3), np.uint8), 0.1)
    assert means.shape == colours.shape == (0, 3)
