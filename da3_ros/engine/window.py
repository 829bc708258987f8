"""The views that go through the network together: a pinned reference and a ring of keyframes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.plan import Capacity
from da3_ros.engine.runner import WindowView


@dataclass(frozen=True)
class Company:
    """
    The keyframes that go with new views: those that the map trusts, then guests.

    ``is_recollected`` tells that they are not the window, but a place that a lost view may be at.
    """

    known: tuple[Keyframe, ...]
    guests: tuple[Keyframe, ...] = ()
    is_recollected: bool = False

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.known) + len(self.guests)

    @property
    def views(self) -> list[WindowView]:
        """What the network is shown of them."""
        return [k.view for k in (*self.known, *self.guests)]


class Window:
    """
    The reference at slot 0 and the keyframes that see the same place; new frames join last.

    Source views have no order inside the network (spec §13); only the reference's role matters: it
    fixes the gauge.
    """

    def __init__(self, size: int, refreshed: int) -> None:
        """
        Make an empty window for ``size`` views, the newest included.

        ``refreshed`` is how many of its keyframes get new depth with each frame.
        """
        self.size = size
        self._refreshed = refreshed
        self._turn = 0
        self._keyframes: list[Keyframe] = []

    def __len__(self) -> int:
        """Return the number of keyframes held."""
        return len(self._keyframes)

    def __iter__(self) -> Iterator[Keyframe]:
        """Iterate over the keyframes, reference first, then from old to young."""
        return iter(self._keyframes)

    @property
    def reference(self) -> Keyframe:
        """The keyframe at slot 0; the window must not be empty."""
        return self._keyframes[0]

    def select(self, newest: int, guests: int = 0) -> list[Keyframe]:
        """
        Return the keyframes that go with new views and guests: reference and youngest others.

        The reference always goes, even where the newest views alone fill the window: without it
        there is no gauge.
        """
        others = max(0, self.size - newest - guests - 1)
        youngest = self._keyframes[max(1, len(self._keyframes) - others) :]
        return self._keyframes[:1] + youngest

    def has_room(self, newest: int) -> bool:
        """Tell whether a guest can come along beside the reference and one other keyframe."""
        return self.size - newest >= 3

    def dense_slots(self, known: int, newest: int, guests: int = 0) -> list[int]:
        """
        Return which of ``known`` keyframes, guests and new views behind them get depth this time.

        All new views do, guests, and the reference, which carries the map's scale. The other
        keyframes take turns where no guest took theirs: the cost is bounded, and each is seen
        again every few frames.
        """
        others = max(known - 1, 0)
        turns = max(0, min(self._refreshed - 1 - guests, others))
        taken = sorted(1 + (self._turn + i) % others for i in range(turns))
        self._turn += turns
        return [*range(min(known, 1)), *taken, *range(known, known + guests + newest)]

    def shapes(self, newest: int) -> list[Capacity]:
        """Return the windows that come while ``newest`` views join at a time, from the largest."""
        room = max(self.size - newest, 1)
        companies = [(known, 0) for known in range(room, -1, -1)]
        if self.has_room(newest):
            companies += [(known, 1) for known in range(room - 1, 0, -1)]
        windows = [
            Capacity(known + guests + newest, len(self.dense_slots(known, newest, guests)), newest)
            for known, guests in companies
        ]
        return list(dict.fromkeys(windows))

    def add(
        self, keyframe: Keyframe, overlaps: Sequence[float] = (), reference: int = 0
    ) -> list[Keyframe]:
        """
        Take in a keyframe, the first one as the reference, and return those that had to leave.

        ``overlaps`` says how much of it each keyframe held sees: of a full window those leave that
        see least of what is seen now, the oldest of equal ones, and never the reference.
        ``reference`` is the position of the keyframe that is to be it from now on; the one before
        stays as one of the others.
        """
        held = list(zip(self._keyframes, overlaps, strict=True))
        if held:
            held.insert(0, held.pop(reference))
        evicted = []
        # One slot is always the newest frame's.
        while len(held) + 1 > max(2, self.size - 1):
            least = min(range(1, len(held)), key=lambda i: held[i][1])
            evicted.append(held.pop(least)[0])
        self._keyframes = [k for k, _ in held] + [keyframe]
        return evicted

    def shrink(self, newest: int) -> list[Keyframe]:
        """
        Take a quarter fewer views from now on, and return the keyframes that had to leave.

        The reference and the ``newest`` views always have room, so it may be as small as it gets.
        """
        self.size = min(self.size, max(2, newest + 1, 3 * self.size // 4))
        first_kept = max(1, len(self._keyframes) + 1 - max(2, self.size - 1))
        return self.replace(self._keyframes[:1] + self._keyframes[first_kept:])

    def replace(self, keyframes: Sequence[Keyframe]) -> list[Keyframe]:
        """Hold these from now on, the first one as the reference; return those that left."""
        left = [k for k in self._keyframes if k not in keyframes]
        self._keyframes = list(keyframes)
        return left

    def clear(self) -> None:
        """Forget all views."""
        self._keyframes.clear()
