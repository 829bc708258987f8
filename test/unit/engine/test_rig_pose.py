"""One pose for the cameras of a rig: exact, robust, and only where a majority agrees."""

from da3_ros.engine.rig_pose import aboard, anchored, fit_rig
from da3_ros.evaluation.rigs import ring
from da3_ros.geometry.transforms import rigid, rotation_angle_deg
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

SIGMA = np.array([0.02, 0.005])
FOUR = np.stack(list(ring({'a': 0, 'b': 90, 'c': 180, 'd': -90}, 0.3).values()))
UNIT = 2.5


def random_pose(rng: np.random.Generator, turn_deg: float = 180.0, off: float = 3.0) -> np.ndarray:
    """Return a pose (4, 4)."""
    rotvec = rng.normal(size=3)
    rotvec *= np.radians(turn_deg) / np.linalg.norm(rotvec)
    return rigid(Rotation.from_rotvec(rotvec).as_matrix(), off * rng.normal(size=3))


def noisy(poses: np.ndarray, rng: np.random.Generator, size: float = 1.0) -> np.ndarray:
    """Return poses (N, 4, 4) with errors of the expected size about each axis."""
    wrong = []
    for pose in poses:
        turn = Rotation.from_rotvec(size * SIGMA[1] * rng.normal(size=3)).as_matrix()
        wrong.append(pose @ rigid(turn, size * SIGMA[0] * rng.normal(size=3)))
    return np.stack(wrong)


def error(found: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Return degrees and distance between two poses."""
    between = np.linalg.inv(true) @ found
    return float(rotation_angle_deg(between[:3, :3])), float(np.linalg.norm(between[:3, 3]))


@pytest.mark.parametrize('unit', [UNIT, None], ids=['unit known', 'unit asked for'])
def test_exact_poses_give_the_exact_rig(unit: float | None) -> None:
    truth = random_pose(np.random.default_rng(0))
    fit = fit_rig(aboard(truth, FOUR, UNIT), FOUR, np.ones(4), SIGMA, unit)
    np.testing.assert_allclose(fit.map_from_rig, truth, atol=1e-9)
    assert fit.unit == pytest.approx(UNIT)
    np.testing.assert_allclose(fit.agreement, 1.0)


def test_every_camera_votes() -> None:
    """Of four equal votes the error is half of one's, in place and direction."""
    rng = np.random.default_rng(1)
    one, four = [], []
    for _ in range(200):
        truth = random_pose(rng)
        measured = noisy(aboard(truth, FOUR, UNIT), rng)
        one.append(error(measured[0], aboard(truth, FOUR[0], UNIT)))
        four.append(error(fit_rig(measured, FOUR, np.ones(4), SIGMA, UNIT).map_from_rig, truth))
    one, four = (np.sqrt(np.mean(np.square(errors), axis=0)) for errors in (one, four))
    np.testing.assert_allclose(four / one, 0.5, atol=0.07)


def test_a_vote_counts_by_its_trust() -> None:
    rng = np.random.default_rng(2)
    truth = random_pose(rng)
    measured = noisy(aboard(truth, FOUR, UNIT), rng)
    fit = fit_rig(measured, FOUR, np.array([1.0, 1e-3, 1e-3, 1e-3]), SIGMA, UNIT)
    turned, off = error(aboard(fit.map_from_rig, FOUR[0], UNIT), measured[0])
    assert turned < 0.01 and off < 1e-3


@pytest.mark.parametrize('unit', [UNIT, None], ids=['unit known', 'unit asked for'])
@pytest.mark.parametrize('wrong', [0, 3])
def test_a_camera_that_is_anywhere_is_outvoted(wrong: int, unit: float | None) -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        truth = random_pose(rng)
        measured = noisy(aboard(truth, FOUR, UNIT), rng)
        measured[wrong] = random_pose(rng)
        fit = fit_rig(measured, FOUR, np.ones(4), SIGMA, unit)
        np.testing.assert_array_equal(fit.is_outvoted, np.arange(4) == wrong)
        turned, off = error(fit.map_from_rig, truth)
        assert turned < 1.0 and off < 0.1


def test_one_that_is_sure_outvotes_three_that_are_not() -> None:
    """As where three of four cameras see nothing that the map knows."""
    rng = np.random.default_rng(4)
    truth = random_pose(rng)
    measured = np.stack([aboard(truth, FOUR[0], UNIT), *(random_pose(rng) for _ in range(3))])
    fit = fit_rig(measured, FOUR, np.array([0.9, 0.1, 0.1, 0.1]), SIGMA, UNIT)
    np.testing.assert_allclose(fit.map_from_rig, truth, atol=1e-3)
    assert fit.is_outvoted.tolist() == [False, True, True, True]


def test_without_a_majority_there_is_no_rig() -> None:
    rng = np.random.default_rng(5)
    measured = np.stack([random_pose(rng) for _ in range(4)])
    assert fit_rig(measured, FOUR, np.ones(4), SIGMA, UNIT) is None
    assert fit_rig(measured[:2], FOUR[:2], np.array([1.0, 0.9]), SIGMA, UNIT) is None


def test_a_rig_that_is_small_for_its_errors_is_placed_no_worse_for_that() -> None:
    """Its unit is anything, and its cameras are where the votes are all the same."""
    rng = np.random.default_rng(6)
    small = np.stack(list(ring({'a': 0, 'b': 90, 'c': 180, 'd': -90}, 0.01).values()))
    one, rig = [], []
    for _ in range(100):
        true = aboard(random_pose(rng), small, UNIT)
        measured = noisy(true, rng)
        fit = fit_rig(measured, small, np.ones(4), SIGMA, None)
        believed = aboard(fit.map_from_rig, small, fit.unit)
        one.append([error(a, b) for a, b in zip(measured, true, strict=True)])
        rig.append([error(a, b) for a, b in zip(believed, true, strict=True)])
    one, rig = (np.sqrt(np.mean(np.square(errors), axis=(0, 1))) for errors in (one, rig))
    assert (rig < 0.75 * one).all(), (one, rig)


def test_a_rig_that_is_anchored_is_where_one_camera_is() -> None:
    rng = np.random.default_rng(8)
    measured = np.stack([random_pose(rng) for _ in range(4)])
    for unit in (UNIT, 0.0):
        fit = anchored(measured, FOUR, 2, unit)
        np.testing.assert_allclose(aboard(fit.map_from_rig, FOUR, unit)[2], measured[2])
        assert fit.is_outvoted.tolist() == [True, True, False, True]


def test_level_follows_the_errors() -> None:
    rng = np.random.default_rng(7)
    levels = {}
    for size in (1.0, 3.0):
        fits = [
            fit_rig(noisy(aboard(np.eye(4), FOUR, UNIT), rng, size), FOUR, np.ones(4), SIGMA, UNIT)
            for _ in range(50)
        ]
        levels[size] = np.mean([fit.level for fit in fits if fit is not None])
    assert 1.0 <= levels[1.0] < 1.6 and 4.0 < levels[3.0] < 12.0
