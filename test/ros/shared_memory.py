"""The shared memory that Fast DDS keeps in files, and what of it nobody uses any more."""

from collections.abc import Iterator
import fcntl
from pathlib import Path
import re

_FOLDER = Path('/dev/shm')
# A segment has a file of its own that its process holds locked for as long as it lives.
_LOCK = re.compile(r'(fastdds_[0-9a-f]{16})_el')


def segments_of(pid: int) -> set[Path]:
    """Return the segments that a process has made and not given back."""
    opened = (_target(link).name for link in Path(f'/proc/{pid}/fd').iterdir())
    return {_FOLDER / found[1] for name in opened if (found := _LOCK.fullmatch(name))}


def sweep() -> int:
    """
    Remove the segments of processes that were killed; returns how many there were.

    Each takes up to 70 MB of memory until then, and a run of the tests kills many.
    """
    return sum(_remove(*found) for found in _locks())


def _target(link: Path) -> Path:
    """Return the file behind a descriptor; one that was closed meanwhile has none."""
    try:
        return link.readlink()
    except FileNotFoundError:
        return Path()


def _locks() -> Iterator[tuple[Path, Path]]:
    """Return the lock and the segment of everybody on this machine."""
    for lock in _FOLDER.glob('fastdds_*_el'):
        if found := _LOCK.fullmatch(lock.name):
            yield lock, lock.with_name(found[1])


def _remove(lock: Path, segment: Path) -> bool:
    """Remove a segment unless its process lives."""
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            segment.unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
    except OSError:  # it lives, is another user's, or has gone by itself
        return False
    return True
