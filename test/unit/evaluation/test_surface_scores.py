"""Accuracy, completeness, Chamfer and F1: known values, and the official functions' own."""

from da3_ros.evaluation import surface_scores as module
from da3_ros.evaluation.surface_scores import (
    NOTHING,
    surface_scores,
    thinned,
    within_bounds,
)
from doubles.official_benchmark import official
import numpy as np
import pytest

# Two plates, the reconstructed one 3 cm above the true one and half as long.
GRID = np.stack(np.meshgrid(np.arange(20), np.arange(10), [0.0]), axis=-1).reshape(-1, 3) * 0.1
PLATE = GRID[GRID[:, 0] < 0.95] + [0, 0, 0.03]


def test_known_values() -> None:
    found = surface_scores(PLATE, GRID, threshold=0.05)
    beyond = np.hypot(0.1 * np.arange(1, 11), 0.03)
    assert found.accuracy == pytest.approx(0.03)
    assert found.completeness == pytest.approx((10 * 0.03 + beyond.sum()) / 20)
    assert found.chamfer == pytest.approx((found.accuracy + found.completeness) / 2)
    assert (found.precision, found.recall) == (1.0, 0.5)
    assert found.f1 == pytest.approx(2 / 3)


def test_equals_the_official_function() -> None:
    rng = np.random.default_rng(0)
    points, true = rng.normal(size=(400, 3)), rng.normal(size=(600, 3)) * [1, 1, 0.2]
    points[:9] += 30
    with official('bench.utils') as utils:
        theirs = utils.evaluate_3d_reconstruction(points, true, threshold=0.2)
    ours = surface_scores(points, true, threshold=0.2)
    names = {'accuracy': 'acc', 'completeness': 'comp', 'chamfer': 'overall', 'f1': 'fscore'}
    for name in ('precision', 'recall', *names):
        assert getattr(ours, name) == pytest.approx(theirs[names.get(name, name)], rel=1e-12)
    assert 0.1 < ours.f1 < 0.9


def test_far_points_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    true, points = rng.random((200, 3)), rng.random((3000, 3)) * [1, 1, 50]
    exact = surface_scores(points, true, threshold=0.1)
    monkeypatch.setattr(module, '_FAR_POINTS', 500)
    found = surface_scores(points, true, threshold=0.1)
    assert found.accuracy != exact.accuracy
    assert found.accuracy == pytest.approx(exact.accuracy, rel=0.05)
    assert (found.precision, found.recall) == (exact.precision, exact.recall)


def test_an_empty_cloud_has_nothing() -> None:
    assert surface_scores(np.empty((0, 3)), GRID, 0.05, 0.01) == NOTHING
    assert surface_scores(GRID, np.empty((0, 3)), 0.05, 0.01) == NOTHING


def test_thinning_makes_one_mean_point_a_cube() -> None:
    points = np.array([[0, 0, 0], [0.2, 0, 0], [0.4, 0, 0], [0.6, 0, 0], [5, 5, 5.0]])
    found = thinned(points, 1.0)
    # The first cube goes from -0.5 to 0.5.
    np.testing.assert_allclose(found[np.argsort(found[:, 0])], [[0.2, 0, 0], [0.6, 0, 0], [5] * 3])


def test_thinning_equals_open3d() -> None:
    open3d = pytest.importorskip('open3d')
    points = np.random.default_rng(0).normal(size=(5000, 3))
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
    theirs = np.asarray(cloud.voxel_down_sample(0.3).points)
    ours = thinned(points, 0.3)
    np.testing.assert_allclose(np.sort(ours, axis=0), np.sort(theirs, axis=0), atol=1e-12)


def test_bounds_are_those_of_the_truth() -> None:
    points = np.array([[0.5, 0.5, 0.5], [-0.05, 0, 0], [-0.2, 0, 0], [0, 0, 1.3]])
    kept = within_bounds(points, np.array([[0, 0, 0], [1, 1, 1.0]]), 0.1)
    np.testing.assert_array_equal(kept, points[:2])
