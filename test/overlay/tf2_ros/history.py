"""What one frame's broadcasts said about its parent over time."""

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from tf2_ros.exceptions import ExtrapolationException
from tf2_ros.rigid import interpolate, Rigid


class Link(NamedTuple):
    """A frame's parent and where the frame is in it."""

    parent: str
    parent_from_frame: Rigid


class StaticHistory:
    """One link that holds at all times."""

    def __init__(self) -> None:
        self._link: Link | None = None

    @property
    def latest_ns(self) -> int | None:
        """None: nothing limits the time."""
        return None

    def insert(self, stamp_ns: int, link: Link) -> bool:
        """Replace the link."""
        self._link = link
        return True

    def at(self, stamp_ns: int) -> Link:
        """Return the link."""
        return self._link


class History:
    """Links by time, of the last ``cache_ns`` nanoseconds before the newest."""

    def __init__(self, cache_ns: int) -> None:
        self._cache_ns = cache_ns
        self._stamps: list[int] = []
        self._links: list[Link] = []

    @property
    def latest_ns(self) -> int:
        """Stamp of the newest link."""
        return self._stamps[-1]

    def insert(self, stamp_ns: int, link: Link) -> bool:
        """Add a link; return False when it is older than what is kept."""
        if self._stamps and stamp_ns < self._stamps[-1] - self._cache_ns:
            return False
        where = bisect_right(self._stamps, stamp_ns)
        self._stamps.insert(where, stamp_ns)
        self._links.insert(where, link)
        expired = bisect_left(self._stamps, self._stamps[-1] - self._cache_ns)
        del self._stamps[:expired], self._links[:expired]
        return True

    def at(self, stamp_ns: int) -> Link:
        """
        Return the link at a time, interpolated between its neighbours; 0 is the newest.

        Raises:
            ExtrapolationException: The time is before the oldest or after the newest link.

        """
        if stamp_ns == 0:
            return self._links[-1]
        after = bisect_left(self._stamps, stamp_ns)
        if after < len(self._stamps) and self._stamps[after] == stamp_ns:
            return self._links[after]
        if after in (0, len(self._stamps)):
            raise ExtrapolationException(self._outside(stamp_ns))
        older, newer = self._links[after - 1], self._links[after]
        if older.parent != newer.parent:
            return older
        start, end = self._stamps[after - 1], self._stamps[after]
        share = (stamp_ns - start) / (end - start)
        pose = interpolate(older.parent_from_frame, newer.parent_from_frame, share)
        return Link(older.parent, pose)

    def _outside(self, stamp_ns: int) -> str:
        """Say in which direction and how far a time is outside."""
        requested = f'Requested time {stamp_ns / 1e9:.6f}'
        if len(self._stamps) == 1:
            known = f'only time {self.latest_ns / 1e9:.6f} is in the buffer'
            return f'Lookup would require extrapolation. {requested} but {known}'
        if stamp_ns > self.latest_ns:
            known = f'the latest data is at time {self.latest_ns / 1e9:.6f}'
            return f'Lookup would require extrapolation into the future. {requested} but {known}'
        known = f'the earliest data is at time {self._stamps[0] / 1e9:.6f}'
        return f'Lookup would require extrapolation into the past. {requested} but {known}'
