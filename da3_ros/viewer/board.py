"""
What every browser is to know, each thing once and as it is now.

Whoever has news puts it here under a name, in any thread, and waits for nobody. A browser is
brought up to date with what it has not seen, oldest news first: when it is slow, what was
superseded meanwhile is never sent. So nothing queues, however many browsers there are.
"""

from collections.abc import Callable
import threading

# Bytes, or what makes them: made when a browser first wants them.
Packet = bytes | Callable[[], bytes]


class _Entry:
    """A packet, made once."""

    def __init__(self, version: int, packet: Packet) -> None:
        self.version = version
        self._packet = packet
        self._making = threading.Lock()

    def data(self) -> bytes:
        """Return the packet's bytes."""
        with self._making:
            if not isinstance(self._packet, bytes):
                self._packet = self._packet()
            return self._packet


class Board:
    """Named packets in the order of their last change; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._version = 0
        self._wakers: set[Callable[[], None]] = set()

    def put(self, name: str, packet: Packet) -> None:
        """Say something in the place of what was said under this name."""
        with self._lock:
            self._version += 1
            self._entries.pop(name, None)
            self._entries[name] = _Entry(self._version, packet)
            wakers = tuple(self._wakers)
        for wake in wakers:
            wake()

    def remove(self, name: str) -> None:
        """Say nothing of a name to browsers that did not see it."""
        with self._lock:
            self._entries.pop(name, None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()

    def names(self) -> tuple[str, ...]:
        """Return what there is, oldest news first."""
        with self._lock:
            return tuple(self._entries)

    def after(self, version: int) -> tuple[int, bytes] | None:
        """Return the version and the bytes of the oldest news after ``version``; None if none."""
        with self._lock:
            entry = next((e for e in self._entries.values() if e.version > version), None)
        return None if entry is None else (entry.version, entry.data())

    def watch(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` in the thread of whoever puts something, after it."""
        with self._lock:
            self._wakers.add(wake)

    def unwatch(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` no more."""
        with self._lock:
            self._wakers.discard(wake)
