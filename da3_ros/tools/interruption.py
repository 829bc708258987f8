"""Ending work between two steps, and not in the middle of one, when a signal asks for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import signal
import threading


@contextmanager
def stop_asked(*signals: signal.Signals) -> Iterator[Callable[[], bool]]:
    """
    Let the first of ``signals`` end the work after the step in progress.

    Yields what tells whether one came; the second one does what it did before.
    """
    asked = threading.Event()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, frame: object) -> None:
        asked.set()
        restore()

    before = {number: signal.signal(number, ask) for number in signals}
    try:
        yield asked.is_set
    finally:
        restore()
