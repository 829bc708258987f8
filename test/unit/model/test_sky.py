"""The sky and the scale: what they promise beside parity."""

from da3_ros.model.metric_scale import metres_per_unit, metric_depth, window_scale
from da3_ros.model.prediction import Prediction
from da3_ros.model.sky import fill_sky, is_sky, masked_quantile
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest
import torch

GROUND, SKY = 0.0, 1.0


@given(
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=30),
    st.floats(0, 1),
    st.integers(0, 5),
)
@settings(max_examples=100, deadline=None)
def test_masked_quantile_is_that_of_what_is_left(values: list, q: float, hidden: int) -> None:
    row = torch.tensor([values + [7e3] * hidden])
    mask = torch.tensor([[True] * len(values) + [False] * hidden])
    expected = torch.quantile(torch.tensor(values).double(), q)
    assert masked_quantile(row, mask, q).item() == pytest.approx(
        expected.item(), rel=1e-5, abs=1e-4
    )


def test_masked_quantile_of_nothing_is_nan() -> None:
    mask = torch.tensor([[False, False], [True, False]])
    result = masked_quantile(torch.ones(2, 2), mask, 0.5)
    assert result.isnan().tolist() == [True, False]


def scene(sky_rows: int, height: int = 20, width: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    """Return depth that grows downwards, and a sky score with so many rows of sky on top."""
    depth = torch.linspace(1, 2, height * width).view(1, 1, height, width)
    score = torch.full_like(depth, GROUND)
    score[..., :sky_rows, :] = SKY
    return depth, score


def test_sky_of_a_view_is_filled_by_that_view_alone() -> None:
    depth, score = scene(5)
    far = Prediction(depth=torch.cat((depth, 50 * depth), dim=1), sky=score.repeat(1, 2, 1, 1))
    filled = fill_sky(far).depth
    alone = fill_sky(Prediction(depth=depth, sky=score)).depth
    torch.testing.assert_close(filled[:, :1], alone)
    sky = is_sky(score)
    assert alone[sky].unique().item() == pytest.approx(torch.quantile(depth[~sky], 0.99).item())
    assert torch.equal(alone[~sky], depth[~sky])


@pytest.mark.parametrize('rows', [0, 20])
def test_nothing_but_sky_or_ground_is_left_alone(rows: int) -> None:
    depth, score = scene(rows)
    assert torch.equal(fill_sky(Prediction(depth=depth, sky=score)).depth, depth)


def test_sky_of_a_metric_scene_is_at_most_200_m_away() -> None:
    depth, score = scene(5)
    nested = Prediction(depth=1e3 * depth, depth_conf=3 + depth, sky=score)
    filled = fill_sky(nested)
    assert filled.depth[is_sky(score)].unique().tolist() == [200.0]
    assert filled.depth_conf[is_sky(score)].unique().tolist() == [1.0]


def test_windows_do_not_share_a_scale() -> None:
    depth, score = scene(5)
    depth = depth.repeat(3, 1, 1, 1)
    truth = torch.tensor((0.5, 3.0, 7.0)).view(3, 1, 1, 1)
    score = score.repeat(3, 1, 1, 1)
    score[2] = SKY
    metric = torch.where(is_sky(score), 1e6, truth * depth)
    scale = window_scale(depth, 1 + depth, metric, score)
    assert scale[:2].tolist() == pytest.approx([0.5, 3.0])
    assert scale[2].isnan()


def test_unsure_and_near_pixels_have_no_say_in_the_scale() -> None:
    depth, score = scene(0)
    confidence = depth.flip(-1, -2).clone()
    metric = torch.where(confidence >= confidence.median(), 2 * depth, 1e3)
    metric[..., 0, 0] = 1e-3  # the surest pixel, but nearer than the metric network can see
    assert window_scale(depth, confidence, metric, score).item() == pytest.approx(2.0)


def test_metres_by_the_focal_length_of_the_processed_image() -> None:
    intrinsics = torch.diag(torch.tensor((450.0, 750.0, 1.0)))
    assert metres_per_unit(intrinsics).item() == 2.0
    assert metric_depth(torch.full((4, 5), 3.0), intrinsics).unique().tolist() == [6.0]
    assert metres_per_unit(intrinsics, canonical_focal_px=600.0).item() == 1.0
