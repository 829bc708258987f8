"""DTU's fusion and scores against the official ones on the same depth and points."""

from pathlib import Path

from da3_ros.evaluation.consistency import consistent_points, lifted, projections
from da3_ros.evaluation.dtu_surface import DtuSurface, spaced
from da3_ros.evaluation.tsdf import DepthView
from da3_ros.geometry.transforms import invert, rigid
from doubles.official_benchmark import official
import numpy as np
import pytest
from scipy.io import savemat
from scipy.spatial import cKDTree
import torch

HEIGHT, WIDTH, VIEWS = 24, 32, 6
K = np.tile(np.array([[40.0, 0, 15.5], [0, 40.0, 11.5], [0, 0, 1]]), (VIEWS, 1, 1))
POSES = np.stack([rigid(np.eye(3), [4.0 * i, 2.0 * i, 0.0]) for i in range(VIEWS)])


def depth_images() -> np.ndarray:
    """Return views of a wall, each with noise of its own, and one hole."""
    depth = 600 + np.random.default_rng(0).normal(scale=0.08, size=(VIEWS, HEIGHT, WIDTH))
    depth[2, 5:9, 5:9] = 0.0
    return depth.astype(np.float32)


def surface() -> DtuSurface:
    rng = np.random.default_rng(5)
    points = rng.uniform([-40, -40, 590], [40, 40, 610], (2000, 3))
    # Beyond the box, where reconstructed points still count for completeness.
    points[:60, 0] += 90
    observed = rng.random((9, 9, 3)) < 0.7
    box_mm = np.array([[-40.0, -40, 590], [40, 40, 610]])
    return DtuSurface(points, observed, box_mm, 10.0, np.array([0.1, 0.0, 1.0, -599.0]))


def test_consistent_points_equal_the_official_ones() -> None:
    depth, matrices = torch.from_numpy(depth_images()), projections(K, POSES)
    with official('bench.datasets.dtu') as module:
        dtu = module.DTU()
        assert np.allclose(dtu._build_proj_mats(K, invert(POSES)), matrices)
        theirs = dtu._fuse_consistent_points(depth[:, None], matrices, 1, HEIGHT, WIDTH)
    ours = consistent_points(depth, matrices, 1, distance=0.2, agreeing=4)
    assert 50 < len(ours) < HEIGHT * WIDTH - 50
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_lifted_points_are_where_they_are_seen() -> None:
    points = lifted(torch.full((1, HEIGHT, WIDTH), 600.0), projections(K[:1], POSES[3:4]))
    expected = POSES[3, :3, 3] + 600 * np.array([(7 - 15.5) / 40, (20 - 11.5) / 40, 1])
    np.testing.assert_allclose(points[0, :, 20, 7], expected, atol=1e-3)


def test_scores_equal_the_official_ones(tmp_path: Path) -> None:
    truth = surface()
    points = truth.points[::2] + np.random.default_rng(6).normal(scale=2, size=(1000, 3))
    points[-30:] += 60
    savemat(
        tmp_path / 'mask.mat',
        {'ObsMask': truth.observed, 'BB': truth.box_mm, 'Res': truth.resolution_mm},
    )
    savemat(tmp_path / 'plane.mat', {'P': truth.plane[:, None]})
    with official('bench.datasets.dtu') as module:
        accuracy, completeness, overall = module.DTU()._evaluate_reconstruction(
            'scan1',
            points.copy(),
            truth.points,
            str(tmp_path / 'mask.mat'),
            str(tmp_path / 'plane.mat'),
        )
    ours = truth.compared(points)
    assert ours.accuracy == pytest.approx(accuracy, rel=1e-6)
    assert ours.completeness == pytest.approx(completeness, rel=1e-6)
    assert ours.chamfer == pytest.approx(overall, rel=1e-6)
    assert 0.5 < ours.chamfer < 10 and np.isnan(ours.f1)


def test_spacing_leaves_no_two_points_near_and_no_hole() -> None:
    points = np.random.default_rng(2).random((3000, 3))
    kept = spaced(points, 0.1)
    assert 50 < len(kept) < 1500
    assert cKDTree(kept).query(kept, k=2)[0][:, 1].min() > 0.1
    assert cKDTree(kept).query(points)[0].max() <= 0.1
    assert len(spaced(np.empty((0, 3)), 0.1)) == 0


def test_known_poses_need_agreement_and_predicted_ones_do_not() -> None:
    views = [
        DepthView(depth, (WIDTH, HEIGHT), k, pose)
        for depth, k, pose in zip(depth_images(), K, POSES, strict=True)
    ]
    views[0] = DepthView(views[0].depth + 40, (WIDTH, HEIGHT), K[0], POSES[0])
    truth = surface()
    plate = DtuSurface(
        lifted(torch.full((1, HEIGHT, WIDTH), 600.0), projections(K[:1], POSES[:1]))[0]
        .flatten(1)
        .T.double()
        .numpy(),
        np.ones((60, 60, 60), bool),
        np.array([[-300.0, -300, 300], [300, 300, 900]]),
        10.0,
        truth.plane,
    )
    loose, agreed = plate.score(views, False), plate.score(views, True)
    assert agreed.accuracy < loose.accuracy
    assert loose.accuracy < 20 and np.isfinite(agreed.completeness)
