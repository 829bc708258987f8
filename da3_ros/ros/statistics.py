"""Counts and latencies since the node was configured."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
import math
import threading

# How many of the newest samples medians and percentiles are taken over.
SAMPLES = 100


@dataclass(frozen=True)
class Snapshot:
    """
    The statistics at one moment; latencies are NaN before the first sample.

    ``received`` are the frames that came in by camera, ``sets_missed``, by camera too, how many
    sets of images went without one of its images.
    """

    received: Mapping[str, int]
    frames_processed: int
    frames_published: int
    drops: Mapping[str, int]
    sets_missed: Mapping[str, int]
    stage_ms: Mapping[str, float]
    latency_p50_ms: float
    latency_p95_ms: float

    @property
    def frames_received(self) -> int:
        """Frames that came in, of all cameras."""
        return sum(self.received.values())

    @property
    def frames_dropped(self) -> int:
        """Frames that were not processed, for whatever reason."""
        return sum(n for reason, n in self.drops.items() if reason.startswith('frame_'))


class Statistics:
    """Counters that all threads of the node may write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received: Counter[str] = Counter()
        self._frames: Counter[str] = Counter()
        self._drops: Counter[str] = Counter()
        self._missed: Counter[str] = Counter()
        self._stage_ms: dict[str, deque[float]] = {}
        self._latency_ms: deque[float] = deque(maxlen=SAMPLES)

    def receive(self, camera: str = '') -> None:
        """Count a frame that came in."""
        with self._lock:
            self._received[camera] += 1

    def process(self, count: int) -> None:
        """Count frames that the engine took."""
        with self._lock:
            self._frames['processed'] += count

    def publish(self, latency_ms: float | None) -> None:
        """Count a frame that went out, so many ms after its stamp; None without a clock."""
        with self._lock:
            self._frames['published'] += 1
            if latency_ms is not None:
                self._latency_ms.append(latency_ms)

    def drop(self, reason: str, count: int = 1) -> None:
        """Count something that was not used."""
        with self._lock:
            self._drops[reason] += count

    def miss(self, cameras: Iterable[str]) -> None:
        """Count a set of images that cameras are missing from; nothing that came is lost by it."""
        with self._lock:
            self._missed.update(cameras)

    def time(self, stage_ms: Mapping[str, float]) -> None:
        """Remember how long the stages of one frame set took."""
        with self._lock:
            for stage, ms in stage_ms.items():
                self._stage_ms.setdefault(stage, deque(maxlen=SAMPLES)).append(ms)

    def snapshot(self) -> Snapshot:
        """Return the counts as they are now and the medians over the newest samples."""
        with self._lock:
            received, frames = dict(self._received), dict(self._frames)
            drops, missed = dict(self._drops), dict(self._missed)
            latencies = list(self._latency_ms)
            stages = {stage: list(ms) for stage, ms in self._stage_ms.items()}
        return Snapshot(
            received=received,
            frames_processed=frames.get('processed', 0),
            frames_published=frames.get('published', 0),
            drops=drops,
            sets_missed=missed,
            stage_ms={stage: _quantile(ms, 0.5) for stage, ms in stages.items()},
            latency_p50_ms=_quantile(latencies, 0.5),
            latency_p95_ms=_quantile(latencies, 0.95),
        )


def _quantile(values: Sequence[float], share: float) -> float:
    """Return the value that a share lies below, NaN of none; NumPy takes ten times as long."""
    if not values:
        return math.nan
    ordered = sorted(values)
    rank = share * (len(ordered) - 1)
    below = int(rank)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (rank - below) * (ordered[above] - ordered[below])
