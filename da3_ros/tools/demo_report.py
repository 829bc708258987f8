"""The table that the demo prints, and the same for programs."""

from dataclasses import asdict

from da3_ros.evaluation.depth import DepthMetrics
from da3_ros.ros.replay import ReplayCounts
from da3_ros.tools.comparison import Comparison
import numpy as np

_UNTRAINED = 'untrained, seeded random weights: numbers below are not a measure of quality'


def report_text(model: str, is_trained: bool, counts: ReplayCounts, comparison: Comparison) -> str:
    """Return the table: the first line says which model the numbers belong to."""
    rows = [
        ('model', model if is_trained else f'{model}: {_UNTRAINED}'),
        *_frame_rows(counts),
        *_latency_rows(counts, comparison),
        ('depth, one scale for all', _depth_text(comparison.one_scale)),
        ('depth, a scale per frame', _depth_text(comparison.scale_per_frame)),
        *_trajectory_rows(counts, comparison),
    ]
    width = max(len(name) for name, _ in rows)
    return ''.join(f'{name:<{width}}  {value}\n' for name, value in rows)


def report_json(
    model: str, is_trained: bool, counts: ReplayCounts, comparison: Comparison
) -> dict[str, object]:
    """Return the numbers of the table for ``--json``."""
    status = counts.status
    latency = comparison.latency_ms
    p50, p95 = np.percentile(latency, (50, 95)) if len(latency) else (np.nan, np.nan)
    trajectory = None if comparison.trajectory is None else asdict(comparison.trajectory)
    if trajectory:
        del trajectory['true_from_estimated']
    return {
        'model': model,
        'is_trained': is_trained,
        'frames_in': counts.sent,
        'frames_out': status.frames_published,
        'drops': dict(counts.drops),
        'frames_lost': counts.lost,
        'latency_p50_ms': float(p50),
        'latency_p95_ms': float(p95),
        'stage_latency_ms': dict(zip(status.stages, status.stage_latency_ms, strict=True)),
        'depth_one_scale': asdict(comparison.one_scale),
        'depth_scale_per_frame': asdict(comparison.scale_per_frame),
        'trajectory': trajectory,
        'keyframes': status.keyframes,
    }


def _frame_rows(counts: ReplayCounts) -> list[tuple[str, str]]:
    """Return how many frames went in, came out, and where the others are."""
    status = counts.status
    rows = [
        ('frames in', str(counts.sent)),
        ('frames out', str(status.frames_published)),
        ('frames dropped', str(status.frames_dropped)),
    ]
    rows += [(f'  {reason}', str(count)) for reason, count in sorted(counts.drops.items())]
    if counts.lost:
        rows.append(('frames lost on the way', f'{counts.lost} (best effort)'))
    return rows


def _latency_rows(counts: ReplayCounts, comparison: Comparison) -> list[tuple[str, str]]:
    """Return latencies, those of the stages as the node measured them."""
    if not len(comparison.latency_ms):
        return []
    p50, p95 = np.percentile(comparison.latency_ms, (50, 95))
    stages = zip(counts.status.stages, counts.status.stage_latency_ms, strict=True)
    listed = ', '.join(f'{name} {ms:.0f}' for name, ms in stages)
    return [
        ('latency, stamp to depth', f'{p50:.0f} ms median, {p95:.0f} ms at 95 %'),
        ('  of it', f'{listed} ms (medians)'),
    ]


def _trajectory_rows(counts: ReplayCounts, comparison: Comparison) -> list[tuple[str, str]]:
    """Return errors of the trajectory; nothing where there is none."""
    errors = comparison.trajectory
    if errors is None:
        return []
    return [
        (
            'trajectory, Sim(3) aligned',
            f'ATE RMSE {errors.ate_rmse_m:.3f} m, {errors.ate_percent:.1f} % of the '
            f'{errors.path_length_m:.2f} m path',
        ),
        ('rotation', f'{errors.rotation_deg:.2f} deg mean error'),
        ('keyframes', str(counts.status.keyframes)),
    ]


def _depth_text(metrics: DepthMetrics) -> str:
    """Return the metrics of depth in one line."""
    return (
        f'delta1 {metrics.delta1:.3f}, AbsRel {metrics.abs_rel:.3f}, RMSE {metrics.rmse_m:.2f} m'
    )
