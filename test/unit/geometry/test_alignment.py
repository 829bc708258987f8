"""The fits recover what was put in, also under outliers and degenerate motion."""

from da3_ros.errors import InputError
from da3_ros.geometry.alignment import (
    huber_weights,
    robust_location,
    transformed,
    weighted_median,
    weighted_similarity,
)
from da3_ros.geometry.transforms import Sim3
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
import torch

seeds = st.integers(0, 2**32 - 1)


def random_sim3(rng: np.random.Generator) -> Sim3:
    rotation = Rotation.random(random_state=rng).as_matrix()
    return Sim3(float(np.exp(rng.normal())), rotation, rng.normal(size=3))


def assert_same(got: Sim3, expected: Sim3, atol: float = 1e-9) -> None:
    np.testing.assert_allclose(got.scale, expected.scale, atol=atol)
    np.testing.assert_allclose(got.rotation, expected.rotation, atol=atol)
    np.testing.assert_allclose(got.translation, expected.translation, atol=atol)


@given(seeds)
def test_similarity_is_recovered_exactly(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = random_sim3(rng)
    source = torch.from_numpy(rng.normal(size=(20, 3)))
    weights = torch.from_numpy(rng.uniform(0.1, 1.0, 20))
    assert_same(weighted_similarity(source, transformed(truth, source), weights), truth)


def test_similarity_ignores_points_without_weight() -> None:
    rng = np.random.default_rng(1)
    truth = random_sim3(rng)
    source = torch.from_numpy(rng.normal(size=(20, 3)))
    target = transformed(truth, source)
    target[0] += 100.0
    weights = torch.ones(20)
    assert abs(weighted_similarity(source, target, weights).scale - truth.scale) > 1e-3
    weights[0] = 0.0
    assert_same(weighted_similarity(source, target, weights), truth)


def test_similarity_never_reflects() -> None:
    rng = np.random.default_rng(2)
    source = torch.from_numpy(rng.normal(size=(20, 3)))
    mirrored = source * torch.tensor([1.0, 1.0, -1.0])
    fit = weighted_similarity(source, mirrored)
    assert np.linalg.det(fit.rotation) == pytest.approx(1.0)


def test_scale_can_be_held() -> None:
    source = torch.from_numpy(np.random.default_rng(3).normal(size=(20, 3)))
    assert weighted_similarity(source, 3.0 * source, with_scale=False).scale == 1.0


@pytest.mark.parametrize('points', [torch.zeros(5, 3), torch.arange(15.0).reshape(5, 3)])
def test_degenerate_points_give_a_finite_rotation(points: torch.Tensor) -> None:
    fit = weighted_similarity(points, points)
    assert np.linalg.det(fit.rotation) == pytest.approx(1.0)
    assert fit.scale == pytest.approx(1.0)
    torch.testing.assert_close(transformed(fit, points), points)


def test_similarity_refuses_bad_input() -> None:
    with pytest.raises(InputError, match=r'\(N, 3\)'):
        weighted_similarity(torch.zeros(4, 3), torch.zeros(5, 3))
    with pytest.raises(InputError, match='weight'):
        weighted_similarity(torch.zeros(4, 3), torch.zeros(4, 3), torch.zeros(4))


@given(seeds, st.integers(1, 50))
def test_weighted_median_of_equal_weights_is_a_median(seed: int, count: int) -> None:
    values = np.random.default_rng(seed).normal(size=count)
    median = weighted_median(values, np.ones(count))
    assert (values < median).sum() <= count / 2
    assert (values > median).sum() <= count / 2


def test_weighted_median_follows_the_weight() -> None:
    values = np.array([3.0, 1.0, 2.0])
    assert weighted_median(values, np.array([10.0, 1.0, 1.0])) == 3.0
    assert weighted_median(values, np.array([0.0, 1.0, 0.0])) == 1.0


def test_huber_weights() -> None:
    weights = huber_weights(np.array([0.0, 1.0, -2.69, 13.45]), 1.0)
    np.testing.assert_allclose(weights, [1.0, 1.0, 0.5, 0.1], rtol=1e-3)


@given(seeds, st.integers(1, 600), st.integers(0, 2))
def test_location_is_that_of_reweighting_step_by_step(seed: int, count: int, digits: int) -> None:
    """With ties, and weights of 0."""
    rng = np.random.default_rng(seed)
    values = np.round(rng.standard_t(2, size=count), digits)
    weights = np.maximum(rng.uniform(-0.2, 1.0, count), 0.0)
    weights[0] = 1.0
    before = values.copy(), weights.copy()
    centre, sigma = robust_location(values, weights)
    np.testing.assert_array_equal((values, weights), before)
    expected = weighted_median(values, weights)
    spread = max(1.4826 * weighted_median(np.abs(values - expected), weights), 1e-6)
    for _ in range(5):
        w = weights * huber_weights(values - expected, spread)
        expected = np.average(values, weights=w)
    assert sigma == pytest.approx(spread, rel=1e-12)
    assert centre == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_location_holds_against_a_third_of_outliers() -> None:
    values = np.random.default_rng(4).normal(2.0, 0.01, 3000)
    values[:1000] = 5.0
    centre, sigma = robust_location(values, np.ones(3000))
    assert abs(centre - 2.0) < 0.02
    assert abs(values.mean() - 2.0) > 0.9  # the plain mean does not hold
    assert 0.005 < sigma < 0.05
