"""Which of the images that came wait for the worker: the newest of each camera, or all of them."""

from collections import deque
import itertools
from typing import Any, Protocol

from da3_ros.ros.convert import stamp_ns

# Images of each camera that wait here; those that came later wait in the middleware.
CAPACITY = 8
# Images of different cameras go through the network together when their stamps are this near.
_MAX_APART_NS = 20_000_000


class Pending(Protocol):
    """Messages that wait; only one thread at a time calls."""

    def put(self, camera: str, message: Any) -> int:
        """Keep a message; returns how many were lost by it."""

    def take(self) -> dict[str, Any]:
        """Hand out what is to go through the network next, at most one message per camera."""

    def clear(self) -> int:
        """Forget all; returns how many there were."""

    def has_room(self, camera: str) -> bool:
        """Tell whether the next message of a camera should be fetched."""

    def __len__(self) -> int:
        """Return how many wait."""


class NewestMessages:
    """Freshest first: a message takes the place of an older one of its camera."""

    def __init__(self) -> None:
        self._messages: dict[str, Any] = {}

    def put(self, camera: str, message: Any) -> int:
        """Keep a message; returns 1 when an older one is lost by it."""
        lost = int(camera in self._messages)
        self._messages[camera] = message
        return lost

    def take(self) -> dict[str, Any]:
        """Hand out everything."""
        taken, self._messages = self._messages, {}
        return taken

    def clear(self) -> int:
        """Forget all; returns how many there were."""
        return len(self.take())

    def has_room(self, camera: str) -> bool:
        """Tell that every message is welcome."""
        return True

    def __len__(self) -> int:
        """Return how many wait, one per camera at most."""
        return len(self._messages)


class AllMessages:
    """
    Nothing is lost: the messages of each camera leave in the order in which they came.

    ``has_room`` bounds them: whoever fetches messages stops there until some were taken.
    """

    def __init__(self) -> None:
        self._queues: dict[str, deque[tuple[int, Any]]] = {}
        self._arrivals = itertools.count()

    def put(self, camera: str, message: Any) -> int:
        """Keep a message; none is ever lost."""
        queue = self._queues.setdefault(camera, deque())
        queue.append((next(self._arrivals), message))
        return 0

    def take(self) -> dict[str, Any]:
        """Hand out the message that has waited longest, and the other cameras' of that moment."""
        heads = {name: queue[0] for name, queue in self._queues.items() if queue}
        if not heads:
            return {}
        _, first = min(heads.values(), key=lambda head: head[0])
        moment_ns = stamp_ns(first.header)
        return {
            name: self._queues[name].popleft()[1]
            for name, (_, message) in heads.items()
            if abs(stamp_ns(message.header) - moment_ns) <= _MAX_APART_NS
        }

    def clear(self) -> int:
        """Forget all; returns how many there were."""
        waiting = len(self)
        self._queues = {}
        return waiting

    def has_room(self, camera: str) -> bool:
        """Tell whether less than ``CAPACITY`` messages of a camera wait."""
        return len(self._queues.get(camera, ())) < CAPACITY

    def __len__(self) -> int:
        """Return how many wait."""
        return sum(len(queue) for queue in self._queues.values())


def pending(replay: str) -> Pending:
    """Return what the parameter ``replay`` asks for, empty."""
    return AllMessages() if replay == 'every_frame' else NewestMessages()
