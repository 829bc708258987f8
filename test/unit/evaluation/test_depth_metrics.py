"""Depth metrics: known values, what each alignment is invariant to, and what counts as invalid."""

from da3_ros.errors import InputError
from da3_ros.evaluation.depth import depth_metrics, mean_metrics, resize_nearest
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

TRUTH = np.array([[1.0, 2.0], [4.0, 8.0]])


def test_known_values():
    predicted = np.array([[1.1, 2.0], [4.0, 12.0]])
    m = depth_metrics(predicted, TRUTH)
    assert m.abs_rel == pytest.approx((0.1 + 0 + 0 + 0.5) / 4)
    assert m.delta1 == pytest.approx(3 / 4)
    assert m.rmse_m == pytest.approx(np.sqrt((0.01 + 16.0) / 4))
    assert (m.scale, m.shift_m, m.pixels) == (1.0, 0.0, 4)


def test_delta1_is_symmetric_in_the_ratio():
    assert depth_metrics(TRUTH * 1.26, TRUTH).delta1 == 0.0
    assert depth_metrics(TRUTH / 1.26, TRUTH).delta1 == 0.0
    assert depth_metrics(TRUTH / 1.24, TRUTH).delta1 == 1.0


@settings(max_examples=30, deadline=None)
@given(scale=st.floats(0.01, 100), shift=st.floats(0, 10), seed=st.integers(0, 2**31))
def test_alignments_undo_exactly_what_they_say(scale, shift, seed):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.5, 10, (3, 8, 9))
    scaled = depth_metrics(truth * scale, truth, 'median')
    assert scaled.abs_rel < 1e-9 and scaled.scale == pytest.approx(1 / scale)
    affine = depth_metrics(truth * scale + shift, truth, 'scale-shift')
    assert affine.abs_rel < 1e-6 and affine.delta1 == 1.0
    assert affine.scale == pytest.approx(1 / scale)


def test_one_call_is_one_scale():
    truth = np.stack([TRUTH, TRUTH])
    predicted = truth * np.array([1.0, 3.0])[:, None, None]
    together = depth_metrics(predicted, truth, 'median')
    each = mean_metrics(depth_metrics(p, t, 'median') for p, t in zip(predicted, truth))
    assert each.abs_rel == pytest.approx(0.0, abs=1e-12)
    assert together.abs_rel > 0.3


@pytest.mark.parametrize('bad', [np.nan, np.inf, 0.0, -1.0])
@pytest.mark.parametrize('side', ['predicted', 'truth'])
def test_invalid_pixels_are_left_out(bad, side):
    predicted, truth = TRUTH.copy(), TRUTH.copy()
    (predicted if side == 'predicted' else truth)[1, 1] = bad
    m = depth_metrics(predicted, truth)
    assert (m.pixels, m.abs_rel, m.delta1) == (3, 0.0, 1.0)


def test_mask_selects():
    m = depth_metrics(TRUTH * [[1, 1], [1, 9]], TRUTH, mask=np.array([[1, 1], [1, 0]]))
    assert (m.pixels, m.abs_rel) == (3, 0.0)


def test_nothing_in_common_is_nan_and_does_not_spoil_a_mean():
    empty = depth_metrics(np.full((2, 2), np.nan), TRUTH, 'median')
    assert empty.pixels == 0 and np.isnan(empty.abs_rel)
    mean = mean_metrics([empty, depth_metrics(TRUTH, TRUTH)])
    assert (mean.abs_rel, mean.pixels) == (0.0, 4)
    assert np.isnan(mean_metrics([empty]).delta1)


def test_constant_prediction_has_no_shift():
    m = depth_metrics(np.ones((2, 2)), TRUTH, 'scale-shift')
    assert (m.scale, m.shift_m) == (3.0, 0.0)


def test_depth_shifted_behind_the_camera_is_wrong():
    predicted = np.array([[1.0, 2.0, 3.0, 100.0]])
    truth = np.array([[0.1, 50.0, 50.0, 100.0]])
    m = depth_metrics(predicted, truth, 'scale-shift')
    assert np.isfinite(m.abs_rel) and m.delta1 <= 0.5


def test_errors_say_what_was_expected():
    with pytest.raises(InputError, match='equal shapes'):
        depth_metrics(TRUTH, TRUTH[:1])
    with pytest.raises(InputError, match='expected one of none, median'):
        depth_metrics(TRUTH, TRUTH, 'mean')


def test_resize_nearest_keeps_values_and_holes():
    image = np.array([[1.0, np.nan], [3.0, 4.0]])
    large = resize_nearest(image, 4, 6)
    assert np.isnan(large[:2, 3:]).all() and (large[2:, :3] == 3.0).all()
    np.testing.assert_array_equal(resize_nearest(large, 2, 2), image)
