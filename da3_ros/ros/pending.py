"""
Which of the images that came wait for the worker, and which of them go through the network as one.

Images of several cameras form sets by their stamps. A set is handed out once it is complete, or
once it has waited long enough for the cameras that are missing.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
import itertools
import math
import time
from typing import Any, Protocol

from da3_ros.config import NodeConfig
from da3_ros.ros.convert import stamp_ns
from da3_ros.ros.timetable import Timetable

# Images of each camera that wait here; those that came later wait in the middleware.
CAPACITY = 8
# Where every image is wanted there is no hurry: there a set waits so many times longer.
_REPLAY_PATIENCE = 20

Clock = Callable[[], float]


@dataclass(frozen=True)
class Taken:
    """
    One set, at most one message per camera; ``missing`` are the cameras that should be in it.

    ``superseded`` is how many other messages are too old now, and lost.
    """

    messages: Mapping[str, Any] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    superseded: int = 0


class Pending(Protocol):
    """Messages that wait; only one thread at a time calls."""

    def put(self, camera: str, message: Any) -> int:
        """Keep a message; returns how many were lost by it."""

    def wait_s(self) -> float:
        """Return how long to wait before something can be taken: 0 is now, inf without any."""

    def take(self) -> Taken:
        """Hand out what is to go through the network next, if it is time."""

    def clear(self) -> int:
        """Forget all; returns how many there were."""

    def has_room(self, camera: str) -> bool:
        """Tell whether the next message of a camera should be fetched."""

    def __len__(self) -> int:
        """Return how many wait."""


@dataclass(frozen=True)
class Grouping:
    """
    What makes sets of images.

    Images of ``cameras`` whose stamps are at most ``max_apart_ns`` from the first one's are one
    set, which waits ``max_wait_s`` at most, by ``clock``, for those that are missing.
    """

    cameras: tuple[str, ...]
    max_apart_ns: int
    max_wait_s: float
    clock: Clock = time.monotonic

    def left_s(self, since: float) -> float:
        """Return how much longer a set waits that has waited since then."""
        return max(self.max_wait_s - (self.clock() - since), 0.0)

    @classmethod
    def of(cls, config: NodeConfig) -> 'Grouping':
        """Return what a configuration asks for."""
        is_lossless = config.replay == 'every_frame'
        patience = _REPLAY_PATIENCE if is_lossless else 1
        return cls(
            config.cameras,
            round(1e9 * config.rig.max_apart_s),
            patience * config.rig.max_wait_s,
        )


@dataclass
class _Set:
    """A set that gathers: where in time it is, since when it waits, and its numbered messages."""

    moment_ns: int
    since: float
    messages: dict[str, tuple[int, Any]] = field(default_factory=dict)


class NewestSets:
    """
    Freshest first: what has been overtaken by newer images of the same cameras is lost.

    A camera whose clock is off forms sets of its own, and they take turns with the others'.
    """

    def __init__(self, grouping: Grouping) -> None:
        self._grouping = grouping
        self._arrivals = itertools.count()
        self._timetable = Timetable(grouping.cameras, grouping.max_apart_ns)
        self._sets: list[_Set] = []  # in the order in which they were begun
        self._turns = itertools.count(1)
        self._served = dict.fromkeys(grouping.cameras, 0)

    def put(self, camera: str, message: Any) -> int:
        """Keep a message in the set that it belongs to; returns how many are lost by it."""
        moment_ns = stamp_ns(message.header)
        lost = self.clear() if self._timetable.note(camera, moment_ns) else 0
        near = [
            gathering
            for gathering in self._sets
            if camera not in gathering.messages
            and abs(gathering.moment_ns - moment_ns) <= self._grouping.max_apart_ns
        ]
        if not near:
            near = [_Set(moment_ns, self._grouping.clock())]
            self._sets += near
        nearest = min(near, key=lambda gathering: abs(gathering.moment_ns - moment_ns))
        nearest.messages[camera] = (next(self._arrivals), message)
        return lost + self._prune()

    def wait_s(self) -> float:
        """Return how long the set that is due first is still to wait."""
        return min(map(self._wait_of, self._sets), default=math.inf)

    def take(self) -> Taken:
        """Hand out, of sets that it is time for, that of the camera served longest ago."""
        lost = self._prune()
        ready = [gathering for gathering in self._sets if self._wait_of(gathering) <= 0.0]
        if not ready:
            return Taken(superseded=lost)
        taken = min(ready, key=lambda gathering: min(map(self._served.get, gathering.messages)))
        self._sets.remove(taken)
        self._served |= dict.fromkeys(taken.messages, next(self._turns))
        for camera, (number, _) in taken.messages.items():
            lost += self._forget_before(camera, number)
        missing = self._missing(taken)
        self._timetable.miss(missing)
        messages = {name: message for name, (_, message) in taken.messages.items()}
        return Taken(in_order(messages, self._grouping.cameras), missing, lost)

    def clear(self) -> int:
        """Forget all; returns how many there were."""
        waiting = len(self)
        self._sets.clear()
        return waiting

    def has_room(self, camera: str) -> bool:
        """Tell that every message is welcome."""
        return True

    def __len__(self) -> int:
        """Return how many wait."""
        return sum(len(gathering.messages) for gathering in self._sets)

    def _missing(self, gathering: _Set) -> tuple[str, ...]:
        due = self._timetable.due(gathering.moment_ns)
        return tuple(name for name in due if name not in gathering.messages)

    def _wait_of(self, gathering: _Set) -> float:
        """Return how long a set is still to wait."""
        if not any(map(self._timetable.is_awaited, self._missing(gathering))):
            return 0.0
        return self._grouping.left_s(gathering.since)

    def _prune(self) -> int:
        """Forget sets all of whose cameras have newer images in sets that it is time for."""
        newest: dict[str, int] = {}
        kept, lost = [], 0
        for gathering in self._sets:
            if self._wait_of(gathering) <= 0.0:
                for camera, (number, _) in gathering.messages.items():
                    newest[camera] = max(newest.get(camera, -1), number)
        for gathering in self._sets:
            if all(newest.get(name, -1) > n for name, (n, _) in gathering.messages.items()):
                lost += len(gathering.messages)
            else:
                kept.append(gathering)
        self._sets = kept
        return lost

    def _forget_before(self, camera: str, number: int) -> int:
        """Forget older images of a camera than one that has been handed out."""
        lost = 0
        for gathering in self._sets:
            if camera in gathering.messages and gathering.messages[camera][0] < number:
                del gathering.messages[camera]
                lost += 1
        self._sets = [gathering for gathering in self._sets if gathering.messages]
        return lost


class AllSets:
    """
    Nothing is lost: the messages of each camera leave in the order in which they came.

    ``has_room`` bounds them: whoever fetches messages stops there until some were taken.
    """

    def __init__(self, grouping: Grouping) -> None:
        self._grouping = grouping
        self._arrivals = itertools.count()
        self._timetable = Timetable(grouping.cameras, grouping.max_apart_ns)
        self._queues: dict[str, deque[tuple[int, float, Any]]] = {
            name: deque() for name in grouping.cameras
        }

    def put(self, camera: str, message: Any) -> int:
        """Keep a message; none is ever lost."""
        self._timetable.note(camera, stamp_ns(message.header))
        arrived = next(self._arrivals), self._grouping.clock(), message
        self._queues[camera].append(arrived)
        return 0

    def wait_s(self) -> float:
        """Return how long the message that came first is to wait for those of its moment."""
        if not len(self):
            return math.inf
        _, since, first = self._first()
        if not any(map(self._timetable.is_awaited, self._missing(stamp_ns(first.header)))):
            return 0.0
        return self._grouping.left_s(since)

    def take(self) -> Taken:
        """Hand out the message that has waited longest, and the other cameras' of that moment."""
        if self.wait_s() > 0.0:
            return Taken()
        moment_ns = stamp_ns(self._first()[2].header)
        missing = self._missing(moment_ns)
        self._timetable.miss(missing)
        messages = {
            name: queue.popleft()[2]
            for name, queue in self._queues.items()
            if queue and abs(stamp_ns(queue[0][2].header) - moment_ns) <= self._apart_ns
        }
        return Taken(messages, missing)

    def clear(self) -> int:
        """Forget all; returns how many there were."""
        waiting = len(self)
        for queue in self._queues.values():
            queue.clear()
        return waiting

    def has_room(self, camera: str) -> bool:
        """Tell whether less than ``CAPACITY`` messages of a camera wait."""
        return len(self._queues[camera]) < CAPACITY

    def __len__(self) -> int:
        """Return how many wait."""
        return sum(map(len, self._queues.values()))

    @property
    def _apart_ns(self) -> int:
        return self._grouping.max_apart_ns

    def _first(self) -> tuple[int, float, Any]:
        """Return what has waited longest."""
        return min(queue[0] for queue in self._queues.values() if queue)

    def _missing(self, moment_ns: int) -> tuple[str, ...]:
        """Return the cameras of which an image of a moment is still to come."""
        due = self._timetable.due(moment_ns)
        return tuple(name for name in due if not self._queues[name])


def in_order(messages: Mapping[str, Any], cameras: tuple[str, ...]) -> dict[str, Any]:
    """Return messages in the order of the cameras: the first one's frame is where maps begin."""
    return {name: messages[name] for name in cameras if name in messages}


def pending(config: NodeConfig) -> Pending:
    """Return what the parameter ``replay`` asks for, empty."""
    kind = AllSets if config.replay == 'every_frame' else NewestSets
    return kind(Grouping.of(config))
