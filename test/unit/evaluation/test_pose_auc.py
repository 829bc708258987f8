"""Pairwise pose errors and their AUC: known values, invariance, the official benchmark's own."""

import importlib
import sys
from unittest import mock

from da3_ros.errors import InputError
from da3_ros.evaluation.pose import pair_errors, PairErrors, pose_auc, pose_aucs
from da3_ros.geometry.transforms import invert, rigid, Sim3
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.spatial.transform import Rotation


def official_module():
    """Return the benchmark's module; open3d, which it needs for meshes only, may be absent."""
    pytest.importorskip('depth_anything_3')
    with mock.patch.dict(sys.modules):
        try:
            import open3d  # noqa: F401
        except ImportError:
            sys.modules['open3d'] = mock.MagicMock()
        try:
            return importlib.import_module('depth_anything_3.bench.utils')
        except ImportError as error:
            pytest.skip(f'the official benchmark cannot be imported: {error}')


@pytest.mark.parametrize(('angle_deg', 'metres'), [(1.0, 0.02), (6.0, 0.2), (25.0, 0.8)])
def test_equals_the_official_benchmark(angle_deg, metres, random_poses, noisy):
    torch = pytest.importorskip('torch')
    official = official_module()
    rng = np.random.default_rng(7)
    true = random_poses(rng, 12)
    estimated = noisy(rng, true, angle_deg, metres)
    theirs = official.compute_pose(
        torch.from_numpy(invert(estimated)), torch.from_numpy(invert(true))
    )
    ours = pose_aucs(pair_errors(estimated, true))
    names = {'auc3': 'auc03', 'auc5': 'auc05', 'auc15': 'auc15', 'auc30': 'auc30'}
    for name, key in names.items():
        assert ours[name] == pytest.approx(float(theirs[key]), abs=1e-9)


def test_auc_of_known_errors():
    errors = PairErrors(np.array([0.0, 0.5, 2.5, 40.0]), np.array([0.0, 1.5, 0.0, 0.0]))
    # Bins of one degree of the worse error: 0, 1.5, 2.5 and one beyond every threshold.
    assert pose_auc(errors, 3) == pytest.approx((1 + 2 + 3) / 4 / 3)
    assert pose_auc(errors, 30) == pytest.approx((1 + 2 + 28 * 3) / 4 / 30)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.floats(0.1, 10))
def test_similarities_change_nothing(seed, scale, random_poses, noisy):
    rng = np.random.default_rng(seed)
    true = random_poses(rng, 6)
    estimated = noisy(rng, true, 5.0, 0.1)
    gauge = Sim3(scale, Rotation.random(random_state=rng).as_matrix(), rng.normal(size=3))
    a, b = pair_errors(estimated, true), pair_errors(gauge.apply_to_pose(estimated), true)
    np.testing.assert_allclose(a.worst_deg, b.worst_deg, atol=1e-5)
    assert len(a.worst_deg) == 15


def test_perfect_and_mirrored_baselines(random_poses):
    true = random_poses(np.random.default_rng(4), 5)
    assert pose_aucs(pair_errors(true, true)) == {f'auc{t}': 1.0 for t in (3, 5, 15, 30)}
    mirrored = np.stack([rigid(np.eye(3), [x, 0, 0]) for x in (0.0, 1.0)])
    flipped = np.stack([rigid(np.eye(3), [-x, 0, 0]) for x in (0.0, 1.0)])
    assert pair_errors(flipped, mirrored).translation_deg == pytest.approx([0.0])


def test_no_baseline_counts_as_ninety_degrees():
    static = np.tile(np.eye(4), (2, 1, 1))
    errors = pair_errors(static, static)
    assert errors.translation_deg == pytest.approx([90.0])
    assert errors.rotation_deg == pytest.approx([0.0])


def test_rotation_error_is_the_angle():
    true = np.tile(np.eye(4), (2, 1, 1))
    estimated = true.copy()
    estimated[1, :3, :3] = Rotation.from_euler('y', 170, degrees=True).as_matrix()
    assert pair_errors(estimated, true).rotation_deg == pytest.approx([170.0])


def test_wrong_input():
    poses = np.tile(np.eye(4), (3, 1, 1))
    with pytest.raises(InputError, match=r'expected two of \(F, 4, 4\)'):
        pair_errors(poses, poses[:2])
    with pytest.raises(InputError, match='at least two'):
        pair_errors(poses[:1], poses[:1])
