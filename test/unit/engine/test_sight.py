"""Whether two views see the same surfaces."""

from da3_ros.engine.keyframes import sample_points
from da3_ros.engine.sight import Sight, sight
from da3_ros.geometry.transforms import Sim3
from doubles.box_keyframes import K, keyframe
from doubles.box_room import pose_at
import numpy as np
import pytest
import torch

HERE = pose_at([0, 0, 0])


def seen(of: np.ndarray, by: np.ndarray, believed: np.ndarray | None = None) -> Sight:
    """Return what a view sees of the points of another, which lies where it is ``believed``."""
    points = sample_points(keyframe(of).depth, K, 300)
    placed = Sim3.from_rigid(of if believed is None else believed).apply(points)
    return sight(placed, by, K, keyframe(by).depth)


def test_a_view_sees_all_of_itself() -> None:
    found = seen(HERE, HERE)
    assert found.inside > 0.97
    assert found.agreeing == 1.0


def test_turning_away_leaves_less_inside_that_still_agrees() -> None:
    found = [seen(HERE, pose_at([0, 0, 0], yaw)) for yaw in (0, 15, 30, 45)]
    inside = [s.inside for s in found]
    assert inside == sorted(inside, reverse=True) and inside[-1] < 0.5
    assert min(s.agreeing for s in found) > 0.9
    assert seen(HERE, pose_at([0, 0, 0], 180.0)) == Sight(0.0, 0.0)


def test_views_of_other_surfaces_do_not_agree() -> None:
    """The same picture part, but a wall that is elsewhere."""
    found = seen(HERE, HERE, believed=pose_at([2.5, 0, 0]))
    assert found.inside > 0.2
    assert found.agreeing < 0.25


@pytest.mark.parametrize(('factor', 'agrees'), [(1.1, True), (0.9, True), (1.3, False)])
def test_depth_of_one_surface_may_differ_by_some_percent(factor: float, agrees: bool) -> None:
    points = sample_points(keyframe(HERE).depth, K, 300)
    placed = Sim3.from_rigid(HERE).apply(points)
    found = sight(placed, HERE, K, factor * keyframe(HERE).depth)
    assert (found.agreeing > 0.95) is agrees


def test_pixels_without_depth_say_nothing() -> None:
    points = sample_points(keyframe(HERE).depth, K, 300)
    placed = Sim3.from_rigid(HERE).apply(points)
    depth = keyframe(HERE).depth
    depth[:, : depth.shape[1] // 2] = torch.nan
    half = sight(placed, HERE, K, depth)
    assert half.inside > 0.97 and half.agreeing == 1.0
    assert sight(placed, HERE, K, torch.full_like(depth, torch.nan)).agreeing == 0.0


def test_no_points_are_not_seen() -> None:
    depth = keyframe(HERE).depth
    assert sight(np.empty((0, 3)), HERE, K, depth) == Sight(0.0, 0.0)


def test_units_do_not_matter_if_they_are_the_same() -> None:
    points = sample_points(keyframe(HERE).depth, K, 300)
    there = pose_at([0.3, 0.2, 0], 10.0)
    small = there.copy()
    small[:3, 3] *= 1e-3
    depth = keyframe(there).depth
    assert sight(points, there, K, depth) == sight(1e-3 * points, small, K, 1e-3 * depth)
