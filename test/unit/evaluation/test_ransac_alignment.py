"""Alignment that lost views don't spoil: the official one's own result, and what it is for."""

from collections.abc import Callable

from da3_ros.errors import InputError
from da3_ros.evaluation.ransac_alignment import ransac_similarity
from da3_ros.evaluation.trajectory import align
from da3_ros.geometry.transforms import invert, Sim3
from doubles.official_benchmark import official
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

GAUGE = Sim3(
    0.37, Rotation.from_euler('xyz', [20, -50, 130], degrees=True).as_matrix(), [3, -1, 2]
)


def estimate(true: np.ndarray, noisy: Callable, lost: int = 0) -> np.ndarray:
    """Return poses with a little noise in another gauge, the last of them somewhere else."""
    rng = np.random.default_rng(3)
    poses = noisy(rng, GAUGE.apply_to_pose(true), 2.0, 0.01)
    poses[len(poses) - lost :, :3, 3] += 20 * rng.normal(size=(lost, 3))
    return poses


@pytest.mark.parametrize(('views', 'lost'), [(3, 0), (4, 1), (9, 2), (40, 12)])
def test_equals_the_official_alignment(
    views: int, lost: int, random_poses: Callable, noisy: Callable
) -> None:
    true = random_poses(np.random.default_rng(views), views)
    estimated = estimate(true, noisy, lost)
    with official('utils.pose_align') as module:
        rotation, translation, scale = module.align_poses_umeyama(
            invert(true), invert(estimated), ransac=True, random_state=42
        )
    ours = ransac_similarity(estimated, true)
    assert ours.scale == pytest.approx(scale, rel=1e-9)
    np.testing.assert_allclose(ours.rotation, rotation, atol=1e-9)
    np.testing.assert_allclose(ours.translation, translation, atol=1e-8)


def test_lost_views_do_not_spoil_it(random_poses: Callable, noisy: Callable) -> None:
    true = random_poses(np.random.default_rng(0), 20)
    estimated = estimate(true, noisy, lost=1)
    assert ransac_similarity(estimated, true).scale == pytest.approx(1 / GAUGE.scale, rel=0.05)
    assert align(estimated, true).scale < 0.5 / GAUGE.scale


def test_two_views_take_their_rotation_from_their_orientations(random_poses: Callable) -> None:
    true = random_poses(np.random.default_rng(1), 2)
    found = ransac_similarity(GAUGE.apply_to_pose(true), true)
    np.testing.assert_allclose(found.apply_to_pose(GAUGE.apply_to_pose(true)), true, atol=1e-9)


def test_what_has_no_scale_is_refused(random_poses: Callable) -> None:
    true = random_poses(np.random.default_rng(1), 5)
    with pytest.raises(InputError, match='has no scale'):
        ransac_similarity(np.tile(np.eye(4), (5, 1, 1)), true)
