"""The mapper: who goes with new views, what is left behind, what may be forgotten."""

from collections.abc import Sequence

from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.mapper import Mapper
from da3_ros.engine.placed_view import PlacedView
from da3_ros.parameter_tree import replaced
from doubles.box_keyframes import descriptor, keyframe
from doubles.box_room import pose_at
from doubles.ring_corridor import CONFIG
import numpy as np
import pytest

SIZE = 5


def mapper_of(**options: object) -> Mapper:
    everything = {'window.size': SIZE, 'keyframe.max_overlap': 1.0}
    config = replaced(CONFIG, everything | options)
    return Mapper(config, lambda view: descriptor(view.key))


def keep(mapper: Mapper, key: int, yaw: float) -> Keyframe:
    """Show a view that looks somewhere else, and return the keyframe that it becomes."""
    company = mapper.company(1)
    new = keyframe(pose_at([0, 0, 0], yaw), key, mapper.part)
    placed = PlacedView.among(new, 1 + new.weight, np.eye(6), company.known)
    assert mapper.keep(placed, company.known)
    return new


def turn(mapper: Mapper, count: int, first: int = 0) -> list[Keyframe]:
    return [keep(mapper, first + i, 25.0 * (first + i)) for i in range(count)]


def keys(keyframes: Sequence[Keyframe]) -> list[int]:
    return [k.view.key for k in keyframes]


def test_views_that_are_well_seen_are_not_kept() -> None:
    mapper = mapper_of(**{'keyframe.max_overlap': 0.75})
    turn(mapper, 3)
    company = mapper.company(1)
    again = keyframe(pose_at([0, 0, 0], 51.0), 9)
    placed = PlacedView.among(again, 1 + again.weight, np.eye(6), company.known)
    assert not mapper.keep(placed, company.known)
    assert 9 not in mapper.map and len(mapper.window) == 3


def test_the_window_is_bounded_and_what_leaves_it_is_archived() -> None:
    mapper = mapper_of()
    turn(mapper, 12)
    company = mapper.company(1)
    assert len(company) <= SIZE - 1 and len(mapper.map) == 12
    for k in mapper.map:
        assert k.is_archived is (k not in mapper.window)
    assert not any(view.image.numel() == 0 for view in company.views)


def test_a_lost_view_is_looked_for_where_the_stream_was_last() -> None:
    """Most are lost for a moment only, and a place that looks alike may be far away."""
    mapper = mapper_of()
    made = turn(mapper, 12)
    company = mapper.recollected(keyframe(pose_at([0, 0, 0]), 2).view, 1, 0)
    assert company.is_recollected and company.known[0] is made[-1]
    assert not any(k.is_archived for k in company.known)


def test_then_it_goes_with_the_place_that_it_looks_like_and_its_neighbours() -> None:
    mapper = mapper_of()
    made = turn(mapper, 12)
    lost = keyframe(pose_at([0, 0, 0]), 2).view  # looks like number 2
    company = mapper.recollected(lost, 1, 1)
    assert company.is_recollected and company.known[0] is made[2]
    assert set(keys(company.known[1:])) <= set(keys(mapper.map.neighbours(made[2])))
    assert 2 <= len(company) <= SIZE - 1
    assert not any(k.is_archived for k in company.known)
    others = {mapper.recollected(lost, 1, attempt).known[0].view.key for attempt in range(9)}
    assert {2, 11} <= others and 3 <= len(others) <= 4


def test_a_place_that_was_tried_in_vain_is_archived_again() -> None:
    mapper = mapper_of()
    turn(mapper, 12)
    company = mapper.recollected(keyframe(pose_at([0, 0, 0]), 2).view, 1, 1)
    mapper.let_go(company)
    mapper.company(1)
    for k in mapper.map:
        assert k.is_archived is (k not in mapper.window)


def test_where_a_lost_view_is_found_is_the_window() -> None:
    mapper = mapper_of()
    turn(mapper, 12)
    company = mapper.recollected(keyframe(pose_at([0, 0, 0]), 2).view, 1, 1)
    mapper.settle(company)
    assert tuple(mapper.window) == company.known
    assert mapper.company(1).known == company.known
    for k in mapper.map:
        assert k.is_archived is (k not in mapper.window)


@pytest.mark.parametrize(('count', 'parts'), [(1, {0}), (2, {0}), (3, {0, 1})])
def test_parts_of_less_than_three_keyframes_are_forgotten_once_they_are_left(
    count: int, parts: set[int]
) -> None:
    mapper = mapper_of()
    turn(mapper, 8)
    assert mapper.begin_part() == mapper.part == 1
    assert len(mapper.window) == 0 and len(mapper.company(1)) == 0
    turn(mapper, count, 20)
    assert mapper.is_adrift
    mapper.settle(mapper.recollected(keyframe(pose_at([0, 0, 0]), 2).view, 1, 1))
    assert mapper.part == 0 and not mapper.is_adrift
    assert mapper.map.parts == parts
    assert mapper.begin_part() == 2  # numbers are used once


def test_a_first_part_of_next_to_nothing_is_forgotten_for_the_next() -> None:
    mapper = mapper_of()
    turn(mapper, 2)
    mapper.begin_part()
    turn(mapper, 3, 20)
    assert mapper.map.parts == {1} and not mapper.is_adrift


@pytest.mark.parametrize('max_count', [2, 4, 8])
def test_nothing_is_forgotten_that_is_in_use(max_count: int) -> None:
    mapper = mapper_of(**{'keyframe.max_count': max_count})
    for i in range(40):
        keep(mapper, i, 25.0 * i)
        guest = mapper._revisits.guest
        used = [*mapper.window, *([guest.keyframe, guest.host] if guest else [])]
        assert {k.view.key for k in used} <= {k.view.key for k in mapper.map}
        assert len(mapper.map) <= max(max_count, len(used) + 1)


def test_a_guest_comes_along_in_the_place_of_one_of_the_window() -> None:
    mapper = mapper_of()
    turn(mapper, 30)  # twice round
    company = mapper.company(1)
    assert len(company.guests) == 1 and company.guests[0] not in mapper.window
    assert not company.guests[0].is_archived
    assert len(company) == SIZE - 1 and company.known[0] is mapper.window.reference
    assert len(company.known) + 0 in mapper.dense_slots(company, 1)


def test_without_revisits_nobody_is_invited() -> None:
    mapper = mapper_of(**{'keyframe.revisits': False})
    turn(mapper, 30)
    assert mapper.company(1).guests == ()


def test_no_guest_comes_where_new_views_leave_no_room() -> None:
    mapper = mapper_of()
    turn(mapper, 30)
    assert mapper.company(SIZE - 2).guests == ()
    assert len(mapper.company(1).guests) == 1


def test_clearing_forgets_all() -> None:
    mapper = mapper_of()
    turn(mapper, 30)
    mapper.begin_part()
    mapper.clear()
    assert len(mapper.map) == len(mapper.window) == len(mapper.company(1)) == 0
    assert mapper.part == 0 and mapper.corrected() is None and mapper.begin_part() == 1
