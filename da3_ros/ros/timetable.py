"""When cameras send their images, and so which of them a set of images is still to wait for."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

# Of so many gaps between the stamps of a camera the shortest is its period: others are dropouts.
_GAPS = 3
# A camera has no other image of a moment that is nearer to its last one than this share of that.
_SHARE_OF_PERIOD = 0.5
# Sets in a row that a camera must be missing from before nobody waits for it any more.
_PATIENCE = 3
# A stamp that goes back by more than this is a new start: a bag that loops.
_NEW_START_NS = 1_000_000_000


@dataclass
class _Camera:
    """What is known of a camera: its last stamp, gaps before that, sets that it missed."""

    last_ns: int | None = None
    gaps_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_GAPS))
    misses: int = 0


class Timetable:
    """
    Knows by the stamps so far which cameras are due, and by what did not come who is silent.

    A camera that is slower than others is due at some of their moments only. One that was missing
    three times in a row is not waited for until it sends again; until then it counts as missing.
    """

    def __init__(self, cameras: Iterable[str], tolerance_ns: int) -> None:
        """Take the cameras, none of which has sent anything yet, and how early they may be."""
        self._tolerance_ns = tolerance_ns
        self._cameras = {name: _Camera() for name in cameras}

    def note(self, camera: str, stamp_ns: int) -> bool:
        """Take in an image; tell whether time went back far, so that all before is history."""
        known = self._cameras[camera]
        is_new_start = known.last_ns is not None and stamp_ns < known.last_ns - _NEW_START_NS
        if is_new_start:
            for other in self._cameras.values():
                other.last_ns = None
                other.gaps_ns.clear()
        if known.last_ns is not None:
            known.gaps_ns.append(max(stamp_ns - known.last_ns, 0))
        known.last_ns, known.misses = stamp_ns, 0
        return is_new_start

    def due(self, moment_ns: int) -> tuple[str, ...]:
        """Return the cameras that should have an image of a moment, and have sent none yet."""
        return tuple(name for name in self._cameras if self._is_due(name, moment_ns))

    def is_awaited(self, camera: str) -> bool:
        """Tell whether a camera that is due is worth waiting for."""
        return self._cameras[camera].misses < _PATIENCE

    def miss(self, cameras: Iterable[str]) -> None:
        """Take in that a set went without cameras that were due."""
        for name in cameras:
            self._cameras[name].misses += 1

    def _is_due(self, camera: str, moment_ns: int) -> bool:
        known = self._cameras[camera]
        if known.last_ns is None:
            return True
        period_ns = min(known.gaps_ns, default=0)
        early_ns = max(period_ns - self._tolerance_ns, _SHARE_OF_PERIOD * period_ns)
        return moment_ns - known.last_ns > early_ns
