"""A callback group that the executor passes by while there is no room for what it would bring."""

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup


class GatedGroup(MutuallyExclusiveCallbackGroup):
    """
    Its subscriptions are served only while ``is_open()``; meanwhile messages wait in DDS.

    The executor asks each time it is awake, so whoever opens the gate must wake it, with a guard
    condition for instance.
    """

    def __init__(self, is_open: Callable[[], bool]) -> None:
        super().__init__()
        self._is_open = is_open

    def can_execute(self, entity: Any) -> bool:
        """Tell the executor whether to wait for an entity of the group."""
        return self._is_open() and super().can_execute(entity)
