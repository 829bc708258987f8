"""How long the stages of one push take."""

import time


class StageClock:
    """Measures the stages of one push, in milliseconds."""

    def __init__(self) -> None:
        """Start the first stage."""
        self.stage_ms: dict[str, float] = {}
        self._start = time.perf_counter()

    def lap(self, stage: str) -> None:
        """End a stage and start the next one."""
        now = time.perf_counter()
        self.stage_ms[stage] = (now - self._start) * 1e3
        self._start = now
