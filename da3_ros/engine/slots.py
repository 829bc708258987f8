"""Where the tokens of each view are kept: bookkeeping on the host, without a tensor in it."""

from collections.abc import Sequence
from typing import NamedTuple


class Placement(NamedTuple):
    """Slot of each view of a window, and which of the views (positions) have nothing there yet."""

    slots: list[int]
    missing: list[int]


class SlotTable:
    """
    Gives each view of a window a slot, and keeps it there for as long as windows hold the view.

    A view that is in no window any more loses its slot to the next one that needs it, the one that
    was seen longest ago first. Views have no order in the network, so nothing is ever moved.
    """

    def __init__(self, capacity: int) -> None:
        """Make an empty table for windows of up to ``capacity`` views."""
        self.capacity = capacity
        self._slots: dict[int, int] = {}  # key of a view: slot; seen longest ago first
        self._free = list(range(capacity))
        self._roles: dict[int, bool] = {}  # slot: whether its view entered as the reference

    def place(self, keys: Sequence[int]) -> Placement:
        """Return the slots of a window's views, which differ from each other; makes room."""
        assert len(set(keys)) == len(keys) <= self.capacity
        known = [key in self._slots for key in keys]
        for key, is_known in zip(keys, known, strict=True):
            if is_known:
                self._slots[key] = self._slots.pop(key)
        idle = [key for key in self._slots if key not in set(keys)]
        for key, is_known in zip(keys, known, strict=True):
            if not is_known:
                slot = self._free.pop() if self._free else self._slots.pop(idle.pop(0))
                self._roles.pop(slot, None)
                self._slots[key] = slot
        missing = [i for i, is_known in enumerate(known) if not is_known]
        return Placement([self._slots[key] for key in keys], missing)

    def find(self, key: int) -> int | None:
        """Return the slot of a view, None if it has none; changes nothing."""
        return self._slots.get(key)

    def turn(self, slots: Sequence[int], are_reference: Sequence[bool]) -> dict[bool, list[int]]:
        """
        Give slots their roles; return, by role, those that did not have it before.

        What was computed for another role is of no use in the new one.
        """
        turned: dict[bool, list[int]] = {True: [], False: []}
        for slot, role in zip(slots, are_reference, strict=True):
            if self._roles.get(slot) is not role:
                self._roles[slot] = role
                turned[role].append(slot)
        return turned
