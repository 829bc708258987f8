"""Trajectory errors: invariance to the gauge, known values, static and straight paths."""

from da3_ros.errors import InputError
from da3_ros.evaluation.trajectory import (
    align,
    is_static,
    path_length,
    relative_errors,
    trajectory_errors,
)
from da3_ros.geometry.transforms import rigid, Sim3
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.spatial.transform import Rotation


def similarity(rng, scale):
    rotation = Rotation.random(random_state=rng).as_matrix()
    return Sim3(scale, rotation, 5 * rng.normal(size=3))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.floats(0.01, 100))
def test_alignment_finds_the_gauge(seed, scale, random_poses):
    rng = np.random.default_rng(seed)
    true = random_poses(rng, 8)
    gauge = similarity(rng, scale)
    estimated = gauge.inverse().apply_to_pose(true)
    errors = trajectory_errors(estimated, true)
    assert errors.ate_rmse_m < 1e-6
    assert errors.rotation_deg < 1e-4
    assert errors.true_from_estimated.scale == pytest.approx(scale)
    np.testing.assert_allclose(errors.true_from_estimated.rotation, gauge.rotation, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_ate_does_not_depend_on_the_gauge(seed, random_poses, noisy):
    rng = np.random.default_rng(seed)
    true = random_poses(rng, 10)
    estimated = noisy(rng, true, 5.0, 0.1)
    moved = similarity(rng, 3.0).apply_to_pose(estimated)
    a, b = trajectory_errors(estimated, true), trajectory_errors(moved, true)
    assert a.ate_rmse_m == pytest.approx(b.ate_rmse_m, rel=1e-6)
    assert a.rotation_deg == pytest.approx(b.rotation_deg, rel=1e-6)
    assert 0.02 < a.ate_rmse_m < 0.35


def test_rigid_alignment_keeps_a_wrong_scale(random_poses):
    true = random_poses(np.random.default_rng(0), 12)
    estimated = true.copy()
    estimated[:, :3, 3] *= 2.0
    spread = np.sqrt(np.mean(np.sum((true[:, :3, 3] - true[:, :3, 3].mean(0)) ** 2, axis=1)))
    errors = trajectory_errors(estimated, true, with_scale=False)
    assert errors.ate_rmse_m == pytest.approx(spread)
    assert errors.true_from_estimated.scale == 1.0


def line(count=6):
    """Return the poses of a camera that drives straight on and rolls as it goes."""
    turns = Rotation.from_euler('z', 10.0 * np.arange(count)[:, None], degrees=True).as_matrix()
    return np.stack([rigid(r, [0, 0, float(i)]) for i, r in enumerate(turns)])


def test_straight_path_has_errors_of_zero():
    gauge = similarity(np.random.default_rng(1), 0.5)
    errors = trajectory_errors(gauge.inverse().apply_to_pose(line()), line())
    assert errors.ate_rmse_m < 1e-9 and errors.rotation_deg < 1e-4
    assert errors.path_length_m == pytest.approx(5.0)
    by_rotations = align(gauge.inverse().apply_to_pose(line()), line(), with_rotations=True)
    np.testing.assert_allclose(by_rotations.rotation, gauge.rotation, atol=1e-9)
    assert by_rotations.scale == pytest.approx(0.5)


def test_static_camera_has_no_ate_and_no_scale():
    static = np.tile(rigid(np.eye(3), [1.0, 2.0, 3.0]), (5, 1, 1))
    assert is_static(static) and not is_static(line(5))
    for estimated, true in ((static, line(5)), (line(5), static)):
        errors = trajectory_errors(estimated, true)
        assert np.isnan(errors.ate_rmse_m) and errors.true_from_estimated.scale == 1.0
        assert np.isfinite(errors.rotation_deg)
    with pytest.raises(InputError, match='never moves has no scale'):
        align(static, line(5))


def test_rotation_error_is_the_angle(random_poses):
    true = random_poses(np.random.default_rng(2), 2)
    estimated = true.copy()
    tilt = Rotation.from_euler('x', [[4.0], [-4.0]], degrees=True).as_matrix()
    estimated[:, :3, :3] = tilt @ true[:, :3, :3]
    assert trajectory_errors(estimated, true).rotation_deg == pytest.approx(4.0)


def test_relative_errors_of_known_motion():
    true = line(5)
    estimated = true.copy()
    estimated[:, 2, 3] *= 1.1
    assert relative_errors(estimated, true).translation_rmse_m == pytest.approx(0.1)
    assert relative_errors(estimated, true, delta=4).translation_rmse_m == pytest.approx(0.4)
    assert relative_errors(estimated, true, scale=1 / 1.1).translation_rmse_m < 1e-9
    assert relative_errors(estimated, true).rotation_rmse_deg < 1e-6


def test_path_length_and_wrong_input():
    assert path_length(line(4)) == pytest.approx(3.0)
    with pytest.raises(InputError, match=r'expected two of \(F, 4, 4\)'):
        trajectory_errors(line(4), line(5))
    with pytest.raises(InputError, match='at least two'):
        trajectory_errors(line(1), line(1))
    with pytest.raises(InputError, match='Delta is 4'):
        relative_errors(line(4), line(4), delta=4)


def test_agrees_with_evo(random_poses, noisy):
    evo_trajectory = pytest.importorskip('evo.core.trajectory')
    metrics = pytest.importorskip('evo.core.metrics')
    rng = np.random.default_rng(3)
    true = random_poses(rng, 20)
    estimated = similarity(rng, 2.0).apply_to_pose(noisy(rng, true, 3.0, 0.05))
    reference = evo_trajectory.PosePath3D(poses_se3=list(true))
    other = evo_trajectory.PosePath3D(poses_se3=list(estimated))
    other.align(reference, correct_scale=True)
    ape = metrics.APE(metrics.PoseRelation.translation_part)
    ape.process_data((reference, other))
    ours = trajectory_errors(estimated, true).ate_rmse_m
    assert ours == pytest.approx(ape.get_statistic(metrics.StatisticsType.rmse), rel=1e-6)
