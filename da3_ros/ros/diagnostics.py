"""How the node is doing: as da3_ros/msg/Status and as the diagnostics of all ROS nodes."""

from collections.abc import Mapping
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
    if device.type != 'cuda':
        return 0.0
    # What memory_allocated looks up, without all else that it makes first: it is asked each frame.
    stats = torch.cuda.memory_stats_as_nested_dict(device)
    return stats['allocated_bytes']['all']['current'] / 2**20 if stats else 0.0


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
        cameras=list(counts.sets_missed),
        sets_missed=list(counts.sets_missed.values()),
        stages=list(counts.stage_ms),
        stage_latency_ms=list(counts.stage_ms.values()),
        latency_p50_ms=counts.latency_p50_ms,
        latency_p95_ms=counts.latency_p95_ms,
        scale=status.scale,
        scale_spread=status.scale_spread,
        scale_source=status.scale_source,
        is_metric=status.is_metric,
        registration_inliers=status.registration_inliers,
        rig_cameras=status.rig_cameras,
        rig_outvoted=status.rig_outvoted,
        rig_rotation_error_deg=status.rig_rotation_error_deg,
        rig_translation_error=status.rig_translation_error,
        rig_problem=status.rig_problem,
        model=engine.model_name,
        licence=engine.licence or '',
        gpu_memory_mib=gpu_memory_mib(engine.device),
    )


@dataclass(frozen=True)
class Health:
    """
    What the diagnostics of one moment are made of; ``engine`` is None while unconfigured.

    ``cameras`` are the names of those that images are expected from.
    """

    engine: Engine | None
    counts: Snapshot
    is_active: bool
    cameras: tuple[str, ...]
    problem: str = ''

    @property
    def status(self) -> EngineStatus:
        """The engine's status; that of one that waits while there is none."""
        return self.engine.status if self.engine else EngineStatus()


class Diagnostics:
    """
    Turns snapshots, one a second, into diagnostics with rates between them.

    Name and hardware id are as diagnostic_updater makes them: the node, with its namespace where
    it has one, and the task; the device that the network is on, or none.
    """

    def __init__(self, node_name: str) -> None:
        self._name = f'{node_name.strip("/")}: stream'
        self._at = time.monotonic()
        self._counts: Snapshot | None = None
        self._last_input_at: dict[str, float] = {}
        self._now_ns: int | None = None

    def message(self, health: Health, now: Time) -> DiagnosticArray:
        """Return the diagnostics since the call before."""
        at, before = time.monotonic(), self._counts
        elapsed_s = max(at - self._at, 1e-3)
        self._at, self._counts = at, health.counts
        if before is None or before.frames_received > health.counts.frames_received:
            before = health.counts  # the node was configured anew
        self._look_for_input(health, before)
        is_frozen = now.nanoseconds == self._now_ns
        self._now_ns = now.nanoseconds
        level, text = self._summary(health, before, is_frozen)
        status = DiagnosticStatus(level=level, name=self._name, message=text)
        status.hardware_id = str(health.engine.device) if health.engine else 'none'
        status.values = [
            KeyValue(key=key, value=value) for key, value in _values(health, before, elapsed_s)
        ]
        status.values += [
            KeyValue(key=f'silence{_of(camera)} [s]', value=f'{silent_s:.0f}')
            for camera, silent_s in self._silences(health).items()
        ]
        array = DiagnosticArray(status=[status])
        array.header.stamp = now.to_msg()
        return array

    def _look_for_input(self, health: Health, before: Snapshot) -> None:
        """Note which cameras sent something since ``before``; one that need not has its time."""
        for camera in health.cameras:
            came = health.counts.received.get(camera, 0) > before.received.get(camera, 0)
            if came or not health.is_active or camera not in self._last_input_at:
                self._last_input_at[camera] = self._at

    def _silences(self, health: Health) -> dict[str, float]:
        """Return for how long each camera has been silent [s]; nothing while none need send."""
        if not health.is_active:
            return {}
        return {camera: self._at - self._last_input_at[camera] for camera in health.cameras}

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
        stale = {c: s for c, s in self._silences(health).items() if s > _STALE_S}
        if stale:
            listed = ','.join(f'{_of(camera)} for {s:.0f} s' for camera, s in stale.items())
            return DiagnosticStatus.WARN, f'No image{listed}.'
        if is_frozen and health.counts.frames_received > before.frames_received:
            return DiagnosticStatus.WARN, (
                'Images come, but the clock stands still: use_sim_time is true, and nothing new '
                'comes on /clock.'
            )
        fresh = {
            reason: n
            for reason, n in _increase(health.counts.drops, before.drops).items()
            if reason not in EXPECTED_REASONS
        }
        if fresh:
            listed = ', '.join(f'{reason} {n}' for reason, n in sorted(fresh.items()))
            return DiagnosticStatus.WARN, f'Not used in the last second: {listed}.'
        missed = _increase(health.counts.sets_missed, before.sets_missed)
        if missed:
            listed = ', '.join(f"'{name}' {n}" for name, n in sorted(missed.items()))
            return DiagnosticStatus.WARN, f'Cameras were missing from sets of images: {listed}.'
        if health.status.rig_problem:
            return DiagnosticStatus.WARN, f'{health.status.rig_problem}.'
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
    if status.rig_cameras:
        values += [
            ('rig cameras', str(status.rig_cameras)),
            ('rig outvoted', str(status.rig_outvoted)),
            ('rig rotation error [deg]', f'{status.rig_rotation_error_deg:.3f}'),
            ('rig translation error', f'{status.rig_translation_error:.4g}'),
        ]
    values += [(f'missed {name}', str(n)) for name, n in sorted(counts.sets_missed.items())]
    values += [(f'scale from {name}', why) for name, why in status.scale_problems.items()]
    values += _prior_values(status.prior)
    if health.engine:
        values.append(('GPU memory [MiB]', f'{gpu_memory_mib(health.engine.device):.0f}'))
    values += [(f'{stage} [ms]', f'{ms:.1f}') for stage, ms in counts.stage_ms.items()]
    values += [(f'dropped {reason}', str(n)) for reason, n in sorted(counts.drops.items())]
    return values


def _of(camera: str) -> str:
    """Return what to call a camera by; the only one may have no name."""
    return f" of '{camera}'" if camera else ''


def _increase(counts: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """Return by how much counts have grown, those that have."""
    grown = {name: n - before.get(name, 0) for name, n in counts.items()}
    return {name: n for name, n in grown.items() if n > 0}


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
