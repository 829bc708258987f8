"""How the node is doing: as da3_ros/msg/Status and as the diagnostics of all ROS nodes."""

from dataclasses import dataclass
import time

from da3_ros.engine import Engine, EngineStatus, PriorStatus, TrackingState
from da3_ros.msg import Status
from da3_ros.ros.convert import header_at
from da3_ros.ros.drops import EXPECTED_REASONS
from da3_ros.ros.statistics import Snapshot
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.time import Time
import torch

# A camera that is silent for longer is worth a warning.
_STALE_S = 2.0


def gpu_memory_mib(device: torch.device) -> float:
    """Return what this process has allocated on a CUDA device [MiB]; 0 for a CPU."""
    return torch.cuda.memory_allocated(device) / 2**20 if device.type == 'cuda' else 0.0


def status_message(engine: Engine, counts: Snapshot, stamp: int, map_frame: str) -> Status:
    """Return the Status of an engine whose newest processed image has this stamp [ns]."""
    status = engine.status
    return Status(
        header=header_at(stamp, map_frame),
        state=int(status.state),
        views_in_window=status.views_in_window,
        keyframes=status.keyframes,
        map_parts=status.map_parts,
        is_adrift=status.is_adrift,
        loops_closed=status.loops_closed,
        frames_received=counts.frames_received,
        frames_processed=counts.frames_processed,
        frames_dropped=counts.frames_dropped,
        frames_published=counts.frames_published,
        drop_reasons=list(counts.drops),
        drop_counts=list(counts.drops.values()),
        stages=list(counts.stage_ms),
        stage_latency_ms=list(counts.stage_ms.values()),
        latency_p50_ms=counts.latency_p50_ms,
        latency_p95_ms=counts.latency_p95_ms,
        scale=status.scale,
        scale_spread=status.scale_spread,
        scale_source=status.scale_source,
        is_metric=status.is_metric,
        registration_inliers=status.registration_inliers,
        model=engine.model_name,
        licence=engine.licence or '',
        gpu_memory_mib=gpu_memory_mib(engine.device),
    )


@dataclass(frozen=True)
class Health:
    """What the diagnostics of one moment are made of; ``engine`` None while unconfigured."""

    engine: Engine | None
    counts: Snapshot
    is_active: bool
    problem: str = ''

    @property
    def status(self) -> EngineStatus:
        """The engine's status; that of one that waits while there is none."""
        return self.engine.status if self.engine else EngineStatus()


class Diagnostics:
    """Turns snapshots, one a second, into diagnostics with rates between them."""

    def __init__(self, node_name: str) -> None:
        self._name = f'{node_name}: stream'
        self._at = time.monotonic()
        self._counts: Snapshot | None = None
        self._last_input_at = self._at
        self._now_ns: int | None = None

    def message(self, health: Health, now: Time) -> DiagnosticArray:
        """Return the diagnostics since the call before."""
        at, before = time.monotonic(), self._counts
        elapsed_s = max(at - self._at, 1e-3)
        self._at, self._counts = at, health.counts
        if before is None or before.frames_received > health.counts.frames_received:
            before = health.counts  # the node was configured anew
        if health.counts.frames_received > before.frames_received or not health.is_active:
            self._last_input_at = at
        is_frozen = now.nanoseconds == self._now_ns
        self._now_ns = now.nanoseconds
        level, text = self._summary(health, before, is_frozen)
        status = DiagnosticStatus(level=level, name=self._name, message=text)
        status.hardware_id = str(health.engine.device) if health.engine else ''
        status.values = [
            KeyValue(key=key, value=value) for key, value in _values(health, before, elapsed_s)
        ]
        array = DiagnosticArray(status=[status])
        array.header.stamp = now.to_msg()
        return array

    def _summary(self, health: Health, before: Snapshot, is_frozen: bool) -> tuple[bytes, str]:
        """Return the level and one line: the worst thing that there is to say."""
        if health.problem:
            return DiagnosticStatus.ERROR, health.problem
        if health.engine is None:
            return DiagnosticStatus.WARN, 'Unconfigured.'
        if not health.is_active:
            return DiagnosticStatus.WARN, 'Inactive.'
        if health.status.state == TrackingState.LOST:
            return DiagnosticStatus.ERROR, 'Lost: the newest images fit nowhere in the map.'
        silent_s = self._at - self._last_input_at
        if silent_s > _STALE_S:
            return DiagnosticStatus.WARN, f'No image for {silent_s:.0f} s.'
        if is_frozen and health.counts.frames_received > before.frames_received:
            return DiagnosticStatus.WARN, (
                'Images come, but the clock stands still: use_sim_time is true, and nothing new '
                'comes on /clock.'
            )
        fresh = {
            reason: n - before.drops.get(reason, 0)
            for reason, n in health.counts.drops.items()
            if reason not in EXPECTED_REASONS and n > before.drops.get(reason, 0)
        }
        if fresh:
            listed = ', '.join(f'{reason} {n}' for reason, n in sorted(fresh.items()))
            return DiagnosticStatus.WARN, f'Not used in the last second: {listed}.'
        if health.status.window_shrunk_to:
            text = f'Window shrunk to {health.status.window_shrunk_to}: out of GPU memory.'
            return DiagnosticStatus.WARN, text
        if health.status.is_adrift:
            return DiagnosticStatus.WARN, 'Adrift: no place of the older map was seen again yet.'
        if health.status.prior.warning:
            return DiagnosticStatus.WARN, health.status.prior.warning
        if health.status.scale_warning:
            return DiagnosticStatus.WARN, health.status.scale_warning
        if not health.engine.is_trained:
            return DiagnosticStatus.WARN, 'The network is untrained; its depth means nothing.'
        return DiagnosticStatus.OK, health.status.state.name.capitalize() + '.'


def _values(health: Health, before: Snapshot, elapsed_s: float) -> list[tuple[str, str]]:
    """Return the key and value pairs, rates over the time since ``before``."""
    counts, status = health.counts, health.status
    values = [
        ('state', status.state.name),
        ('model', health.engine.model_name if health.engine else ''),
        ('licence', health.engine.licence or 'unknown' if health.engine else ''),
        ('input rate [Hz]', _rate(counts.frames_received - before.frames_received, elapsed_s)),
        ('output rate [Hz]', _rate(counts.frames_published - before.frames_published, elapsed_s)),
        ('frames received', str(counts.frames_received)),
        ('frames processed', str(counts.frames_processed)),
        ('frames published', str(counts.frames_published)),
        ('frames dropped', str(counts.frames_dropped)),
        ('latency p50 [ms]', f'{counts.latency_p50_ms:.1f}'),
        ('latency p95 [ms]', f'{counts.latency_p95_ms:.1f}'),
        ('views in window', str(status.views_in_window)),
        ('keyframes', str(status.keyframes)),
        ('map parts', str(status.map_parts)),
        ('is adrift', str(status.is_adrift)),
        ('loops closed', str(status.loops_closed)),
        ('registration inliers', f'{status.registration_inliers:.2f}'),
        ('is metric', str(status.is_metric)),
        ('scale', f'{status.scale:.4g}'),
        ('scale spread', f'{status.scale_spread:.3g}'),
        ('scale source', status.scale_source),
    ]
    values += [(f'scale from {name}', why) for name, why in status.scale_problems.items()]
    values += _prior_values(status.prior)
    if health.engine:
        values.append(('GPU memory [MiB]', f'{gpu_memory_mib(health.engine.device):.0f}'))
    values += [(f'{stage} [ms]', f'{ms:.1f}') for stage, ms in counts.stage_ms.items()]
    values += [(f'dropped {reason}', str(n)) for reason, n in sorted(counts.drops.items())]
    return values


def _prior_values(prior: PriorStatus) -> list[tuple[str, str]]:
    """Return what became of pose priors; nothing where there never was a window for one."""
    if not prior.used and not prior.unused:
        return []
    values = [
        ('windows with pose prior', str(prior.used)),
        ('pose prior off by [deg]', f'{prior.deviation_deg:.2f}'),
        ('pose prior problem', prior.problem),
    ]
    unused = sorted(prior.unused.items())
    return values + [(f'windows without pose prior: {why}', str(n)) for why, n in unused]


def _rate(count: int, elapsed_s: float) -> str:
    return f'{count / elapsed_s:.1f}'
