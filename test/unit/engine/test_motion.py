"""Motion steadies a camera that goes on, and never holds back one that does not."""

from da3_ros.engine.motion import MotionFilter
from da3_ros.geometry.transforms import rigid
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

METRES = 3.0  # to the scene
CENTRE, ANGLE = 0.015, np.radians(0.2)
STEP_NS = 100_000_000
COVARIANCE = np.diag(np.repeat([CENTRE**2, ANGLE**2], 3))
SECONDS = np.arange(100) * 1e-9 * STEP_NS


def poses(position: np.ndarray, yaw_deg: np.ndarray) -> np.ndarray:
    turned = Rotation.from_euler('z', yaw_deg[:, None], degrees=True).as_matrix()
    return np.stack([rigid(r, t) for r, t in zip(turned, position, strict=True)])


def along_x(x: np.ndarray, yaw_deg: np.ndarray | float = 0.0) -> np.ndarray:
    position = np.stack([x, np.zeros_like(x), np.zeros_like(x)], axis=1)
    return poses(position, yaw_deg + np.zeros_like(x))


def measured(rng: np.random.Generator, true: np.ndarray) -> np.ndarray:
    turns = Rotation.from_rotvec(ANGLE * rng.normal(size=(len(true), 3))).as_matrix()
    seen = true.copy()
    seen[:, :3, :3] = turns @ seen[:, :3, :3]
    seen[:, :3, 3] += CENTRE * rng.normal(size=(len(true), 3))
    return seen


def filtered(seen: np.ndarray, covariance: np.ndarray = COVARIANCE, **gap: int):
    """Return the poses that are believed, (F, 4, 4), and their covariances (F, 6, 6)."""
    motion = MotionFilter()
    stamps = STEP_NS * np.arange(1, len(seen) + 1)
    if gap:
        stamps[gap['at'] :] += gap['ns']
    steps = [
        motion.update(int(s), p, covariance, METRES) for s, p in zip(stamps, seen, strict=True)
    ]
    return tuple(map(np.stack, zip(*steps, strict=True)))


def errors(believed: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return position and rotation errors, (F, 6)."""
    turns = believed[:, :3, :3] @ np.swapaxes(true[:, :3, :3], 1, 2)
    apart = believed[:, :3, 3] - true[:, :3, 3]
    return np.concatenate([apart, Rotation.from_matrix(turns).as_rotvec()], axis=1)


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


@pytest.mark.parametrize(
    'true',
    [along_x(0.0 * SECONDS), along_x(0.8 * SECONDS), along_x(0.3 * SECONDS, 20.0 * SECONDS)],
    ids=['static', 'straight', 'turning'],
)
def test_a_camera_that_goes_on_is_known_better_than_it_is_seen(true: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    found = [errors(filtered(measured(rng, true))[0], true)[20:] for _ in range(10)]
    assert rms(np.stack(found)[..., :3]) < 0.75 * CENTRE
    assert rms(np.stack(found)[..., 3:]) < 0.85 * ANGLE


def test_covariance_is_that_of_the_errors() -> None:
    rng = np.random.default_rng(1)
    true = along_x(0.8 * SECONDS + 0.1 * np.sin(3.0 * SECONDS), 20.0 * np.sin(SECONDS))
    distances = []
    for _ in range(20):
        believed, covariances = filtered(measured(rng, true))
        e = errors(believed, true)[20:, :, None]
        distances.append(np.swapaxes(e, 1, 2) @ np.linalg.solve(covariances[20:], e) / 6.0)
        np.testing.assert_array_equal(covariances, np.swapaxes(covariances, 1, 2))
    assert 0.6 < np.mean(distances) < 1.5


@pytest.mark.parametrize('metres', [0.5, 20.0])
def test_a_map_that_is_corrected_or_a_film_that_is_cut_is_followed_at_once(metres: float) -> None:
    rng = np.random.default_rng(2)
    x, yaw = 0.8 * SECONDS, 10.0 * SECONDS
    x[50:] += metres
    yaw[50:] += 40.0
    true = along_x(x, yaw)
    found = np.stack([errors(filtered(measured(rng, true))[0], true) for _ in range(20)])
    assert rms(found[:, 50:, :3]) < 1.1 * CENTRE
    assert rms(found[:, 50, :3]) < 1.5 * CENTRE
    assert rms(found[:, 50, 3:]) < 1.5 * ANGLE


def test_a_hard_stop_costs_no_more_than_the_noise() -> None:
    rng = np.random.default_rng(3)
    true = along_x(np.minimum(SECONDS, 5.0) * 1.5)
    found = np.stack([errors(filtered(measured(rng, true))[0], true) for _ in range(20)])
    assert rms(found[:, 50:55, 0]) < 1.5 * CENTRE


def test_what_is_seen_exactly_is_believed() -> None:
    true = along_x(np.sin(5.0 * SECONDS), 30.0 * np.sin(7.0 * SECONDS))
    believed = filtered(true, 1e-8 * COVARIANCE)[0]
    np.testing.assert_allclose(believed, true, atol=1e-5)


def test_after_a_gap_nothing_is_known_of_the_motion() -> None:
    seen = measured(np.random.default_rng(4), along_x(0.8 * SECONDS))
    believed = filtered(seen, at=60, ns=2 * 10**9)[0]
    assert np.abs(believed[59] - seen[59]).max() > 1e-4
    np.testing.assert_array_equal(believed[60], seen[60])


def test_axes_of_the_map_make_no_difference() -> None:
    seen = measured(np.random.default_rng(5), along_x(SECONDS, 20.0 * SECONDS))
    turned = rigid(Rotation.from_rotvec([0.5, -1.0, 2.0]).as_matrix(), np.array([3.0, 1.0, -2.0]))
    np.testing.assert_allclose(filtered(turned @ seen)[0], turned @ filtered(seen)[0], atol=1e-9)


def test_stamps_that_leave_no_time_to_move_hold_nothing_back() -> None:
    true = along_x(0.5 * SECONDS, 40.0 * SECONDS)
    motion = MotionFilter()
    believed = [motion.update(i + 1, p, COVARIANCE, METRES)[0] for i, p in enumerate(true)]
    found = errors(np.stack(believed), true)
    assert np.abs(found[:, :3]).max() < 6.0 * CENTRE
    assert np.abs(found[:, 3:]).max() < 6.0 * ANGLE
