"""All that is said of one method on one piece of footage, against its truth."""

from dataclasses import dataclass

from da3_ros.errors import InputError
from da3_ros.evaluation.depth import depth_metrics
from da3_ros.evaluation.estimate import Estimate
from da3_ros.evaluation.footage import Footage
from da3_ros.evaluation.reconstruction import map_thickness, Thickness
from da3_ros.evaluation.trajectory import (
    end_error_m,
    is_static,
    relative_errors,
    trajectory_errors,
)
from da3_ros.geometry.transforms import Sim3
import numpy as np

# RPE is over so many frames.
RPE_FRAMES = 10
# Parts of a run whose scales are compared, and views that the thickness is measured with.
_PARTS = 10
_THICKNESS_VIEWS = 60
# Three points can be aligned to any other three.
_MIN_KEYFRAMES = 4


@dataclass(frozen=True)
class StreamScores:
    """
    Errors of a method on one piece of footage.

    ``ate_sim3_m`` after a Sim(3) alignment; ``ate_se3_m`` after one without scale, for which a map
    that is not metric gets the scale of the first tenth of its frames, so that what drifts later
    counts; ``ate_keyframes_m`` like the first, of the map's keyframes alone; ``ate_percent`` of
    ``ate_sim3_m`` in the length of the path. ``end_m``: of the last frames, seen from those that
    were at the same place before, NaN where the course never comes back. ``rpe_m``, ``rpe_deg``
    over 10 frames. ``scale_drift_percent``: the scale of depth against the truth, median over
    each tenth of the run, largest over smallest. ``abs_rel`` and ``delta1`` of depth in the one
    scale that aligns the trajectory; ``thickness_m`` and ``thickness_p90_m`` of surfaces in it.
    ``own_ms`` and ``own_p95_ms`` the time of a frame beside the network's. ``loops_closed``, and
    ``map_parts`` at the end. ``frames`` were placed, ``lost`` were not.
    """

    ate_sim3_m: float
    ate_se3_m: float
    ate_keyframes_m: float
    ate_percent: float
    end_m: float
    rpe_m: float
    rpe_deg: float
    scale_drift_percent: float
    abs_rel: float
    delta1: float
    thickness_m: float
    thickness_p90_m: float
    own_ms: float
    own_p95_ms: float
    loops_closed: int
    map_parts: int
    frames: int
    lost: int


def score(estimate: Estimate, footage: Footage) -> StreamScores:
    """
    Compare an estimate with the truth.

    Raises:
        InputError: if too few frames were placed, or the camera never moved.

    """
    if len(estimate.indices) <= RPE_FRAMES:
        raise InputError(
            f"'{estimate.method}' placed {len(estimate.indices)} of {len(footage)} frames of "
            f'{footage.name}; expected more than {RPE_FRAMES}.'
        )
    true_poses = footage.world_from_camera()[estimate.indices]
    if is_static(true_poses) or is_static(estimate.map_from_camera):
        raise InputError(f'The camera of {footage.name} never moves; expected a trajectory.')
    true_depth = true_depths(estimate, footage)
    log_scale = log_scales(estimate, true_depth)
    errors = trajectory_errors(estimate.map_from_camera, true_poses)
    true_from_map = errors.true_from_estimated
    unit = 1.0
    if not estimate.is_metric:
        unit = float(np.exp(np.nanmedian(_parts(log_scale)[0])))
    scaled = estimate.map_from_camera.copy()
    scaled[:, :3, 3] *= unit
    relative = relative_errors(
        estimate.map_from_camera, true_poses, RPE_FRAMES, true_from_map.scale
    )
    depth = depth_metrics(true_from_map.scale * estimate.depth, true_depth)
    thickness = _thickness(estimate, footage, true_depth, true_from_map)
    return StreamScores(
        ate_sim3_m=errors.ate_rmse_m,
        ate_se3_m=trajectory_errors(scaled, true_poses, with_scale=False).ate_rmse_m,
        ate_keyframes_m=_ate_of_keyframes(estimate, true_poses),
        ate_percent=errors.ate_percent,
        end_m=end_error_m(estimate.map_from_camera, true_poses, true_from_map.scale),
        rpe_m=relative.translation_rmse_m,
        rpe_deg=relative.rotation_rmse_deg,
        scale_drift_percent=scale_drift_percent(log_scale),
        abs_rel=depth.abs_rel,
        delta1=depth.delta1,
        thickness_m=thickness.median_m,
        thickness_p90_m=thickness.p90_m,
        own_ms=float(np.mean(estimate.own_ms)),
        own_p95_ms=float(np.quantile(estimate.own_ms, 0.95)),
        loops_closed=estimate.loops_closed,
        map_parts=estimate.map_parts,
        frames=len(estimate.indices),
        lost=len(footage) - len(estimate.indices),
    )


def true_depths(estimate: Estimate, footage: Footage) -> np.ndarray:
    """Return the true depth (N, h, w) of the frames that an estimate has, at its size."""
    height, width = estimate.depth.shape[1:]
    return np.stack([footage.depth_m(int(i), height, width) for i in estimate.indices])


def log_scales(estimate: Estimate, true_depth: np.ndarray) -> np.ndarray:
    """Return the logarithm (N,) of true over estimated depth, median of each frame."""
    with np.errstate(divide='ignore', invalid='ignore'):
        ratios = np.log(true_depth / estimate.depth).reshape(len(true_depth), -1)
    return np.nanmedian(np.where(np.isfinite(ratios), ratios, np.nan), axis=1)


def scale_drift_percent(log_scale: np.ndarray) -> float:
    """Return how much the scale (N,) varies over a run: medians of tenths, largest to smallest."""
    medians = [np.nanmedian(part) for part in _parts(log_scale)]
    return 100.0 * float(np.exp(np.ptp(medians)) - 1.0)


def _ate_of_keyframes(estimate: Estimate, true_poses: np.ndarray) -> float:
    """Return the ATE of the keyframes alone, NaN where there are hardly any."""
    keyframes = estimate.keyframes
    if len(keyframes) < _MIN_KEYFRAMES or is_static(estimate.map_from_camera[keyframes]):
        return float('nan')
    return trajectory_errors(estimate.map_from_camera[keyframes], true_poses[keyframes]).ate_rmse_m


def _thickness(
    estimate: Estimate, footage: Footage, true_depth: np.ndarray, true_from_map: Sim3
) -> Thickness:
    """Return how thick surfaces are that some of the views see, spread over the run."""
    chosen = np.unique(np.linspace(0, len(true_depth) - 1, _THICKNESS_VIEWS).astype(int))
    indices = estimate.indices[chosen]
    height, width = true_depth.shape[1:]
    return map_thickness(
        true_from_map.scale * estimate.depth[chosen],
        true_from_map.apply_to_pose(estimate.map_from_camera[chosen]),
        true_depth[chosen],
        footage.world_from_camera()[indices],
        [footage.intrinsics(int(i), height, width) for i in indices],
    )


def _parts(values: np.ndarray) -> list[np.ndarray]:
    return np.array_split(values, min(_PARTS, len(values)))
