"""The demo as one HTML page: what went in, the truth, what came out, and how fast."""

from pathlib import Path

import cv2
from da3_ros.config import NodeConfig
from da3_ros.evaluation.depth import depth_metrics
from da3_ros.ros.recording import RecordedFrame, Recording
from da3_ros.ros.replay import ReplayCounts
from da3_ros.tools.comparison import Comparison
from da3_ros.tools.evenly import evenly
from da3_ros.tools.film import Film
from da3_ros.tools.html_report import Column, Report
from da3_ros.tools.report_scene import scene_text, SceneKeyframe
from da3_ros.viewer.images import ViewImages
import numpy as np

_ROWS = 6
_UNTRAINED = 'The weights are untrained, seeded and random: nothing here is a measure of quality.'


def write_demo_page(
    path: Path,
    film: Film,
    recording: Recording,
    comparison: Comparison,
    counts: ReplayCounts,
    config: NodeConfig,
    is_trained: bool,
) -> None:
    """Write the page."""
    frames = recording.frames
    start_ns = int(film.stamps_ns[0])
    rows = evenly(len(frames), _ROWS)
    seconds = np.array([(frame.stamp_ns - start_ns) / 1e9 for frame in frames])
    scales = {stamp: s for stamp, s in recording.scales.items() if stamp >= start_ns}
    stamps = np.array(list(scales), dtype=float)
    ways, plan = _ways(film, recording, comparison)
    status = counts.status
    Report(
        title='da3_ros demo',
        subtitle=f'{config.model}: {counts.sent} rendered images of {film.rgb.shape[2]} × '
        f'{film.rgb.shape[1]}, played over DDS into the node, against their exact truth',
        tiles=_tiles(comparison, counts),
        seconds=seconds[rows].tolist(),
        columns=_columns(film, recording, comparison, rows),
        scene=scene_text(_keyframes(film, recording, comparison), ways),
        config=config,
        latency_ms=comparison.latency_ms,
        latency_name='from the stamp of an image to the arrival of its depth',
        ways=plan,
        way_labels=('x [m]', 'y [m]'),
        scale=((stamps - start_ns) / 1e9, np.array(list(scales.values()))),
        depth_error=(seconds, _depth_errors(recording, comparison)),
        facts={
            'model': status.model,
            'licence of its weights': status.licence or 'not known',
            'scale': status.scale_source if status.is_metric else 'not metric',
        },
        notice='' if is_trained else _UNTRAINED,
    ).write(path)


def _tiles(comparison: Comparison, counts: ReplayCounts) -> list[tuple[str, str, str]]:
    """Return the figures that matter most."""
    status, depth, errors = counts.status, comparison.one_scale, comparison.trajectory
    frames = (f'{status.frames_published} of {counts.sent}', f'{status.frames_dropped} dropped')
    tiles = [('frames', *frames), ('keyframes', str(status.keyframes), '')]
    if len(comparison.latency_ms):
        p50, p95 = np.percentile(comparison.latency_ms, (50, 95))
        tiles.append(('latency', f'{p50:.0f} ms', f'{p95:.0f} ms at 95 %'))
    more = f'AbsRel {depth.abs_rel:.3f}, RMSE {depth.rmse_m:.2f} m'
    tiles.append(('depth δ1, one scale', f'{depth.delta1:.3f}', more))
    if errors is not None:
        more = f'{errors.ate_percent:.1f} % of {errors.path_length_m:.2f} m'
        tiles.append(('trajectory ATE', f'{errors.ate_rmse_m:.3f} m', more))
        tiles.append(('rotation', f'{errors.rotation_deg:.2f}°', 'mean error'))
    return tiles


def _columns(
    film: Film, recording: Recording, comparison: Comparison, rows: list[int]
) -> list[Column]:
    """Return the pictures; depth in the one scale that fits the truth best."""
    scale = comparison.one_scale.scale
    depth = [scale * recording.frames[row].depth_m for row in rows]
    truth = [comparison.true_depth_m[row] for row in rows]
    # Of all the truth: the two kinds of depth are to be compared by eye.
    seen = comparison.true_depth_m[np.isfinite(comparison.true_depth_m)]
    limits = tuple(np.percentile(seen, (1, 99))) if len(seen) else (1.0, 2.0)
    errors = [np.abs(d - t) / t for d, t in zip(depth, truth, strict=True)]
    return [
        Column('image', [film.rgb[comparison.indices[row]] for row in rows]),
        Column('true depth', truth, 'log', 'm', limits),
        Column('depth', depth, 'log', 'm', limits),
        Column('relative error', errors),
        Column('confidence', [recording.frames[row].confidence for row in rows]),
    ]


def _depth_errors(recording: Recording, comparison: Comparison) -> np.ndarray:
    """Return AbsRel of every frame, all in one scale."""
    scale = comparison.one_scale.scale
    errors = [
        depth_metrics(scale * frame.depth_m, truth).abs_rel
        for frame, truth in zip(recording.frames, comparison.true_depth_m, strict=True)
    ]
    return np.array(errors)


def _ways(
    film: Film, recording: Recording, comparison: Comparison
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the ways in the map (N, 3), and in the world from above (N, 2)."""
    if not recording.frames:
        return {}, {}
    estimated = np.stack([frame.map_from_camera[:3, 3] for frame in recording.frames])
    if comparison.trajectory is None:
        return {'estimated': estimated}, {}
    true_from_map = comparison.trajectory.true_from_estimated
    truth = film.world_from_camera[:, :3, 3]
    plan = {'truth': truth[:, :2], 'estimated': true_from_map.apply(estimated)[:, :2]}
    return {'estimated': estimated, 'truth': true_from_map.inverse().apply(truth)}, plan


def _keyframes(film: Film, recording: Recording, comparison: Comparison) -> list[SceneKeyframe]:
    """Return the keyframes whose frames were recorded, in their last poses."""
    places = {frame.stamp_ns: i for i, frame in enumerate(recording.frames)}
    last_scale = next(reversed(recording.scales.values()), 1.0)
    keyframes = []
    for stamp, pose in zip(recording.keyframe_stamps_ns, recording.keyframes, strict=True):
        if stamp not in places:
            continue
        place = places[stamp]
        frame = recording.frames[place]
        then = recording.scales.get(stamp, last_scale)
        images = _images(frame, film.rgb[comparison.indices[place]])
        keyframes.append(SceneKeyframe(images, pose, last_scale / then))
    return keyframes


def _images(frame: RecordedFrame, rgb: np.ndarray) -> ViewImages:
    """Return a recorded frame as the page draws it."""
    height, width = frame.depth_m.shape
    return ViewImages(
        camera='',
        stamp_ns=frame.stamp_ns,
        depth_m=frame.depth_m,
        is_point=np.isfinite(frame.points[..., 2]),
        confidence=frame.confidence,
        rgb=cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA),
        intrinsics=frame.intrinsics,
        map_from_camera=frame.map_from_camera,
    )
