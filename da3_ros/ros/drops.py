"""Saying what was not used: each drop is counted, and logged a few times a minute."""

import threading
import time

from da3_ros.ros.statistics import Statistics
from rclpy.impl.rcutils_logger import RcutilsLogger

# Every drop of a network slower than its camera is one of these: worth counting, not warning of.
EXPECTED_REASONS = ('frame_superseded', 'frame_deactivated', 'publish_deactivated')
# Characters of one sentence in the log; a traceback has some thousands.
_MAX_LENGTH = 8000


class DropLog:
    """
    Counts every drop under its reason and warns of each reason at most once in ``period_s``.

    What was said of a reason before is said with its last line alone: tracebacks are long.

    rclpy's own throttle goes by the line of code that logs, so one reason would silence another.
    """

    def __init__(
        self, statistics: Statistics, logger: RcutilsLogger, period_s: float = 5.0
    ) -> None:
        self._statistics = statistics
        self._logger = logger
        self._period_s = period_s
        self._lock = threading.Lock()
        self._logged_at: dict[str, float] = {}
        self._unlogged: dict[str, int] = {}
        self._said: dict[str, str] = {}

    def drop(self, reason: str, sentence: str = '', count: int = 1) -> None:
        """Count ``count`` drops for ``reason``; ``sentence`` says what came and what to do."""
        self._statistics.drop(reason, count)
        if reason in EXPECTED_REASONS:
            return
        now = time.monotonic()
        with self._lock:
            unlogged = self._unlogged.get(reason, 0) + count
            is_due = now - self._logged_at.get(reason, -self._period_s) >= self._period_s
            self._unlogged[reason] = 0 if is_due else unlogged
            if is_due:
                self._logged_at[reason] = now
                if self._said.get(reason) == sentence:
                    sentence = sentence.rstrip().rpartition('\n')[2]
                else:
                    self._said[reason] = sentence
        if is_due:
            self._logger.warning(f'{loggable(sentence)} ({reason}, {unlogged} since last said)')


def loggable(text: str) -> str:
    """
    Return text that cannot pose as anything else in a log, whoever wrote what it quotes.

    Control characters are escaped, lines after the first are indented, and its length is bounded.
    """
    escaped = (
        c if c.isprintable() or c == '\n' else c.encode('unicode_escape').decode()
        for c in text[:_MAX_LENGTH]
    )
    cut = ' ...' if len(text) > _MAX_LENGTH else ''
    return ''.join(escaped).rstrip('\n').replace('\n', '\n  ') + cut
