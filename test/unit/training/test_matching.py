"""Matches are where geometry puts them; the match loss rewards attention there."""

from da3_ros.training.data import Windows
from da3_ros.training.matching import find_matches, match_loss, Matches
import pytest
import torch

SIDE, PATCH, FOCAL, FAR_M = 70, 14, 70.0, 2.0


def wall(offset_px: float) -> Windows:
    """Two cameras side by side before a wall: pictures shifted by ``offset_px``."""
    poses = torch.eye(4).repeat(1, 2, 1, 1)
    poses[0, 1, 0, 3] = offset_px * FAR_M / FOCAL
    k = torch.tensor([[FOCAL, 0, SIDE / 2], [0, FOCAL, SIDE / 2], [0, 0, 1]])
    return Windows(
        torch.zeros(1, 2, 3, SIDE, SIDE),
        torch.full((1, 2, SIDE, SIDE), FAR_M),
        poses,
        k.repeat(1, 2, 1, 1),
        torch.zeros(1, dtype=torch.bool),
    )


def expected_column(matches: Matches) -> torch.Tensor:
    """Column of patches at which each patch of view 0 is seen in view 1."""
    return ((matches.patch % 5) * matches.share).sum(-1)[0, 0, :, 1].view(5, 5)


def test_a_shift_by_a_patch_is_found() -> None:
    matches = find_matches(wall(float(PATCH)), PATCH)
    columns = expected_column(matches)
    seen = matches.seen[0, 0, :, 1].view(5, 5)
    assert not seen[:, 0].any() and seen[:, 1:].all()
    # Pixels are sampled half a pixel right of a patch's centre.
    torch.testing.assert_close(
        columns[:, 1:], torch.arange(4.0).expand(5, 4) + 0.5 / PATCH, atol=1e-4, rtol=0
    )


def test_a_fraction_of_a_patch_is_shared_between_neighbours() -> None:
    columns = expected_column(find_matches(wall(PATCH / 4), PATCH))
    torch.testing.assert_close(
        columns[:, 2], torch.full((5,), 1.75 + 0.5 / PATCH), atol=1e-4, rtol=0
    )


def test_no_view_matches_itself_and_nothing_matches_where_depth_is_unknown() -> None:
    windows = wall(0.0)
    assert not find_matches(windows, PATCH).seen[0, 0, :, 0].any()
    windows.depth_m[0, 1] = torch.nan
    assert not find_matches(windows, PATCH).seen.any()


def test_some_views_are_matched_as_all_are() -> None:
    windows = wall(3.0)
    both, second = (find_matches(windows, PATCH, c) for c in (None, torch.tensor([1])))
    assert both.seen[0, 1].any() and not torch.equal(both.seen[:, :1], both.seen[:, 1:])
    for name in ('patch', 'share', 'seen'):
        torch.testing.assert_close(getattr(second, name), getattr(both, name)[:, 1:])
    torch.manual_seed(0)
    logits = torch.randn(1, 50, 52)
    alone = match_loss(logits[:, 25:], second, only_reference=False)
    hidden = both._replace(seen=both.seen & torch.tensor([False, True])[:, None, None])
    torch.testing.assert_close(alone, match_loss(logits, hidden, only_reference=False))


def test_hidden_points_are_not_matched() -> None:
    windows = wall(3.0)
    windows.depth_m[0, 1, :, :35] = 1.0  # something stands before the wall
    seen = find_matches(windows, PATCH).seen[0, 0, :, 1].view(5, 5)
    assert not seen[:, 0].any() and seen[:, 4].all()


@pytest.mark.parametrize('only_reference', [False, True])
def test_attention_on_the_match_costs_least(only_reference: bool) -> None:
    matches = find_matches(wall(float(PATCH)), PATCH)
    tokens = 1 + 25
    flat = torch.zeros(1, 2 * 25, 2 * tokens)
    good = flat.unflatten(1, (2, 25)).clone()
    for view in range(2):
        for patch in range(25):
            for near, share in zip(
                matches.patch[0, view, patch, 1 - view], matches.share[0, view, patch, 1 - view]
            ):
                good[0, view, patch, (1 - view) * tokens + 1 + near] = 9 * share
    good = good.flatten(1, 2)
    wrong = good.roll(3, -1)
    at_match, anywhere, elsewhere = (
        float(match_loss(x, matches, only_reference)) for x in (good, flat, wrong)
    )
    assert at_match < 1.5 < anywhere < elsewhere
