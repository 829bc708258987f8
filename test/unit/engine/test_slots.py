"""A view keeps its slot for as long as windows hold it."""

from da3_ros.engine.slots import SlotTable
from hypothesis import given, strategies
import pytest

WINDOWS = strategies.lists(
    strategies.lists(strategies.integers(0, 9), min_size=1, max_size=4, unique=True), max_size=12
)


@given(WINDOWS)
def test_slots_are_distinct_and_what_is_known_is_really_there(windows: list[list[int]]) -> None:
    table, content = SlotTable(4), {}
    for keys in windows:
        placement = table.place(keys)
        assert len(set(placement.slots)) == len(keys)
        assert set(placement.slots) <= set(range(4))
        for i, (key, slot) in enumerate(zip(keys, placement.slots, strict=True)):
            if i in placement.missing:
                content[slot] = key
            assert content[slot] == key


@given(WINDOWS)
def test_a_view_that_stays_in_the_window_is_never_missing(windows: list[list[int]]) -> None:
    table, before = SlotTable(4), set()
    for keys in windows:
        missing = {keys[i] for i in table.place(keys).missing}
        assert not missing & before
        before = set(keys)


def test_the_view_that_was_seen_longest_ago_makes_room() -> None:
    table = SlotTable(3)
    for keys in ([1], [2], [3], [1]):
        table.place(keys)
    assert table.place([4]).missing == [0]
    assert table.place([1, 3, 4]).missing == [], 'view 2 had to go'


def test_roles_turn_once_and_are_lost_with_the_slot() -> None:
    table = SlotTable(2)
    slots = table.place([1, 2]).slots
    assert table.turn(slots, [True, False]) == {True: [slots[0]], False: [slots[1]]}
    assert table.turn(slots, [True, False]) == {True: [], False: []}
    assert table.turn(slots, [False, True]) == {True: [slots[1]], False: [slots[0]]}
    slots = table.place([3, 2]).slots
    assert table.turn(slots, [False, True]) == {True: [], False: [slots[0]]}


def test_more_views_than_slots_are_our_own_mistake() -> None:
    with pytest.raises(AssertionError):
        SlotTable(1).place([1, 2])


def test_looking_for_a_view_makes_no_room_for_it() -> None:
    table = SlotTable(2)
    slots = table.place([4, 7]).slots
    assert [table.find(key) for key in (4, 7, 5)] == [*slots, None]
    table.find(4)
    assert table.place([9]).slots == slots[:1], 'the one seen longest ago, found or not'
