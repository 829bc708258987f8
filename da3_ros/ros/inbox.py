"""What waits for the worker: messages of the cameras, and requests from services."""

from collections.abc import Callable
from dataclasses import dataclass
import math
import threading
from typing import Any

from da3_ros.ros.pending import Pending, Taken


@dataclass(frozen=True)
class Work:
    """One turn of the worker: requests as they came, a set of messages, and a nudge."""

    requests: tuple[Callable[[], None], ...] = ()
    taken: Taken = Taken()
    was_nudged: bool = False


class Inbox:
    """
    Hands messages and requests to the worker, and never makes those wait who bring them.

    Messages are taken only while the inbox is open; ``messages`` decides which of them wait.
    ``on_room`` is called, from the worker's thread, when messages were taken. Requests are taken
    until ``shut``.
    """

    def __init__(self, messages: Pending, on_room: Callable[[], None]) -> None:
        self._changed = threading.Condition()
        self._messages = messages
        self._on_room = on_room
        self._requests: list[Callable[[], None]] = []
        self._is_nudged = False
        self._is_open = False
        self._is_shut = False

    @property
    def is_open(self) -> bool:
        """Whether messages are taken."""
        return self._is_open

    @property
    def is_shut(self) -> bool:
        """Whether the worker was sent home."""
        return self._is_shut

    @property
    def has_requests(self) -> bool:
        """Whether a request waits."""
        return bool(self._requests)

    def open(self) -> None:  # noqa: A003
        """Take messages from now on."""
        with self._changed:
            self._is_open = not self._is_shut

    def close(self) -> int:
        """Refuse further messages and forget those that wait; returns how many waited."""
        with self._changed:
            self._is_open = False
            return self._messages.clear()

    def shut(self) -> tuple[Callable[[], None], ...]:
        """Close for good and send the worker home; returns the requests that nobody will run."""
        self.close()
        with self._changed:
            self._is_shut = True
            orphans, self._requests = tuple(self._requests), []
            self._changed.notify_all()
            return orphans

    def put(self, camera: str, message: Any) -> int:
        """Leave a message; returns how many messages were lost by it."""
        with self._changed:
            if not self._is_open:
                return 1
            lost = self._messages.put(camera, message)
            self._changed.notify()
            return lost

    def has_room(self, camera: str) -> bool:
        """Tell whether the next message of a camera should be fetched."""
        return self._messages.has_room(camera)

    def request(self, run: Callable[[], None]) -> bool:
        """Leave something else to do; False when the inbox is shut."""
        with self._changed:
            if self._is_shut:
                return False
            self._requests.append(run)
            self._changed.notify()
            return True

    def nudge(self) -> None:
        """Have the worker take a turn, whether or not anything came for it."""
        with self._changed:
            self._is_nudged = True
            self._changed.notify()

    def take(self) -> Work | None:
        """Wait for work; None when the inbox is shut."""
        with self._changed:
            while not self._is_shut and not self._requests and not self._is_nudged:
                wait_s = self._messages.wait_s()
                if wait_s <= 0.0:
                    break
                self._changed.wait(None if wait_s == math.inf else wait_s)
            if self._is_shut:
                return None
            work = Work(tuple(self._requests), self._messages.take(), self._is_nudged)
            self._requests, self._is_nudged = [], False
        if work.taken.messages:
            self._on_room()
        return work
