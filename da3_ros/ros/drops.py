"""Saying what was not used: each drop is counted, and logged a few times a minute."""

import threading
import time

from da3_ros.ros.statistics import Statistics
from rclpy.impl.rcutils_logger import RcutilsLogger

# Every drop of a network slower than its camera is one of these: worth counting, not warning of.
EXPECTED_REASONS = ('frame_superseded', 'frame_deactivated', 'publish_deactivated')


class DropLog:
    """
    Counts every drop under its reason and warns of each reason at most once in ``period_s``.

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
        if is_due:
            self._logger.warning(f'{sentence} ({reason}, {unlogged} since last said)')
