"""A limit to how often something is published, by the stamps of what it is made from."""


class RateLimit:
    """
    Keeps to a rate on average, whatever the jitter of the stamps.

    Turns are due at the rate, and the first stamp that is no more than a tenth of a turn early
    takes it: images at 30 Hz that come a millisecond early now and then still make 10 Hz, where
    the time since the last one would make 7.5 Hz of them.
    """

    def __init__(self) -> None:
        self._due_ns = 0

    def takes(self, stamp_ns: int, rate_hz: float) -> bool:
        """Tell whether it is the turn of a stamp; a rate of 0 is no limit."""
        if rate_hz == 0:
            return True
        period_ns = round(1e9 / rate_hz)
        ahead_ns = self._due_ns - stamp_ns
        if period_ns // 10 < ahead_ns <= period_ns:
            return False
        # A turn that is farther away was of other stamps or another rate, or nobody took it.
        is_on_time = -period_ns < ahead_ns <= period_ns
        self._due_ns = (self._due_ns if is_on_time else stamp_ns) + period_ns
        return True
