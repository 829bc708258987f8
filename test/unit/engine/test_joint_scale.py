"""The scale of a window, from depths and from distances between cameras."""

from da3_ros.engine.joint_scale import joint_log_scale
import numpy as np
import pytest

TRUE = np.log(2.0)


def centres(rng: np.random.Generator, metres: float, count: int = 7) -> np.ndarray:
    return metres * rng.normal(size=(count, 3))


def joined(
    in_window: np.ndarray, in_map: np.ndarray, log_ratio: float, ratio_sigma: float
) -> float:
    """Return the logarithm of the scale of centres (K, 3) of a scene that is 3 m away."""
    window_apart, map_apart = (each - each.mean(axis=0) for each in (in_window, in_map))
    pairs = ((window_apart, window_apart), (window_apart, map_apart), (map_apart, map_apart))
    sums = [float(np.sum(a * b)) / 9 for a, b in pairs]
    return joint_log_scale(*sums, len(in_map), log_ratio, ratio_sigma)[0]


def fitted(
    seed: int, metres: float, noise: float, ratio_error: float, map_noise: float = 0.0
) -> float:
    """Return the error of the logarithm of the scale; the scene is 3 m away."""
    rng = np.random.default_rng(seed)
    in_map = centres(rng, metres)
    in_window = (in_map + noise * rng.normal(size=in_map.shape)) / 2.0 + [5.0, -3.0, 1.0]
    in_map = in_map + map_noise * rng.normal(size=in_map.shape)
    ratio = TRUE + ratio_error
    return joined(in_window, in_map, ratio, 0.011) - TRUE


@pytest.mark.parametrize('metres', [0.0, 0.01, 1.0])
def test_exact_measurements_give_the_exact_scale(metres: float) -> None:
    assert fitted(0, metres, 0.0, 0.0) == pytest.approx(0.0, abs=1e-9)


def test_a_camera_that_stands_still_leaves_the_scale_to_the_depths() -> None:
    errors = [fitted(seed, 0.0, 0.02, 0.03) for seed in range(50)]
    np.testing.assert_allclose(errors, 0.03, atol=0.01)


def test_cameras_far_apart_correct_the_depths() -> None:
    errors = [fitted(seed, 2.0, 0.01, 0.03) for seed in range(50)]
    assert np.abs(errors).max() < 0.01


@pytest.mark.parametrize('metres', [0.1, 0.3, 1.0])
def test_noise_of_the_centres_does_not_make_the_scale_smaller(metres: float) -> None:
    """Uncorrected, the mean error at 0.1 m would be 1 %: a drift of every window's."""
    errors = [fitted(seed, metres, 0.02, 0.0) for seed in range(400)]
    assert abs(np.mean(errors)) < 0.0015


def test_both_together_are_better_than_depths_alone() -> None:
    rng = np.random.default_rng(0)
    ratio_errors = 0.011 * rng.normal(size=300)
    errors = [fitted(seed, 0.7, 0.015, e) for seed, e in enumerate(ratio_errors)]
    assert np.std(errors) < 0.75 * np.std(ratio_errors)


def test_one_keyframe_leaves_the_scale_to_its_depth() -> None:
    one = np.array([[1.0, 2.0, 3.0]])
    assert joined(one, 2 * one, 0.3, 0.015) == 0.3
