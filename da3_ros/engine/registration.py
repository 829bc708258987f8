"""
Placing a window in the map: a robust Sim(3) from the keyframes that both hold.

Each window has a gauge and a scale of its own. The keyframes that the map already knows are in it,
pixel for pixel: the ratio of their depths is the scale, and their poses then give rotation and
translation. Neither needs the camera to have moved, so a robot that stands still or drives
straight is as well placed as any other; a fit of camera centres would be degenerate there (spec
§10).

Shapes: K keyframes, S pixels of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from da3_ros.engine.keyframes import Keyframe, refine_poses
from da3_ros.engine.pose_fit import fit_poses, PoseFit
from da3_ros.engine.runner import WindowPrediction
from da3_ros.errors import RegistrationError
from da3_ros.geometry.alignment import robust_location
from da3_ros.geometry.rays import is_depth, sampled_rays, thinned
from da3_ros.geometry.transforms import invert, Sim3
import numpy as np
import torch

# Pixels used of each keyframe's depth, and the fewest in all that a window may be placed by.
_SAMPLES = 500
_MIN_SAMPLES = 50
# Errors of depth are smooth: the mean of a view's is off by this share of their deviation.
_VIEW_SHARE = 0.5
# Points whose error is below this share of their range agree with the map.
_INLIER = 0.05
# Keyframes that agree less with the others take nothing from a window.
_MIN_AGREEMENT = 0.1


@dataclass(frozen=True)
class Registration:
    """
    Where a window lies in the map.

    ``scale_spread`` is the relative standard deviation of the depth ratios; ``inliers`` the share
    of weight that agrees to 5 % of its range; ``has_depth`` (K,) tells which keyframes the window
    has depth of.
    """

    fit: PoseFit
    scale_spread: float
    inliers: float
    has_depth: np.ndarray

    @property
    def map_from_window(self) -> Sim3:
        """The gauge and the scale of the window."""
        return self.fit.map_from_window

    def pose_covariance(self, map_from_camera: np.ndarray) -> np.ndarray:
        """Return the covariance (6, 6) of a new view's position and rotation, map's axes."""
        return self.fit.pose_covariance(map_from_camera)


@dataclass(frozen=True)
class _Samples:
    """
    The same S pixels of the same images in map and window, on a regular grid.

    ``map_depth``, ``depth`` and ``weights`` are (K, S); ``weights`` are 0 where either depth is
    missing. ``rays`` (K, S, 3) have z = 1.
    """

    map_depth: np.ndarray
    depth: np.ndarray
    weights: np.ndarray
    rays: np.ndarray

    def relative_errors(
        self, map_camera_from_window_camera: np.ndarray, scale: float
    ) -> np.ndarray:
        """Return how far apart (K, S) map and window put a pixel, as a share of its range."""
        in_map = np.ascontiguousarray(self.rays.swapaxes(1, 2))  # (K, 3, S), to be scaled in place
        apart = map_camera_from_window_camera[:, :3, :3] @ in_map
        apart *= (scale * self.depth)[:, None]
        apart += map_camera_from_window_camera[:, :3, 3:]
        in_map *= self.map_depth[:, None]
        apart -= in_map
        squares = (np.einsum('kis,kis->ks', values, values) for values in (apart, in_map))
        return np.sqrt(np.divide(*squares))


def register(prediction: WindowPrediction, shared: Sequence[tuple[int, Keyframe]]) -> Registration:
    """
    Fit ``map_from_window`` to the keyframes of the window that the map knows.

    Args:
        prediction: What the network said of the window.
        shared: (slot in the window, keyframe) pairs.

    Raises:
        RegistrationError: if fewer than 50 pixels have a finite, positive depth in both.

    """
    samples = _sample(prediction, shared)
    is_used = samples.weights > 0
    has_depth = is_used.any(axis=1)
    count = np.count_nonzero(is_used)
    if count < _MIN_SAMPLES:
        raise RegistrationError(
            f'The window shares {count} pixels with valid depth with the map; '
            f'expected at least {_MIN_SAMPLES}.'
        )
    weights = samples.weights[is_used]
    log_ratios = np.log(samples.map_depth[is_used] / samples.depth[is_used])
    log_ratio, spread = robust_location(log_ratios, weights)
    window_poses = np.stack([prediction.window_from_camera[slot] for slot, _ in shared])
    map_poses = np.stack([keyframe.map_from_camera for _, keyframe in shared])
    # A pose that the map has from few windows is itself as uncertain as this window's.
    looks = np.array([keyframe.observations for _, keyframe in shared])
    fit = fit_poses(
        window_poses,
        map_poses,
        trust=looks / (looks + 1.0),
        confidence=_confidence(samples.weights, has_depth),
        distance=float(np.nanmedian(samples.map_depth)),
        log_ratio=log_ratio,
        ratio_sigma=spread * _VIEW_SHARE / float(has_depth.sum()) ** 0.5,
    )
    map_from_window = fit.map_from_window
    placed = map_from_window.apply_to_pose(window_poses)
    errors = samples.relative_errors(invert(map_poses) @ placed, map_from_window.scale)
    agrees = errors[is_used] < _INLIER
    return Registration(
        fit=fit,
        scale_spread=spread,
        inliers=float(weights @ agrees / weights.sum()),
        has_depth=has_depth,
    )


def refine(
    known: Sequence[Keyframe], prediction: WindowPrediction, registration: Registration
) -> None:
    """
    Let the keyframes that a window was registered by take in what it says of them.

    Those that the window put elsewhere than the others do not: it has not recognised them.
    """
    map_from_window = registration.map_from_window
    agreeing = np.flatnonzero(registration.fit.agreement >= _MIN_AGREEMENT)
    poses = map_from_window.apply_to_pose(prediction.window_from_camera[agreeing])
    refine_poses([known[slot] for slot in agreeing], poses)
    for slot in agreeing[registration.has_depth[agreeing]]:
        depth = np.float32(map_from_window.scale) * prediction.depth[slot].numpy()
        known[slot].refine_depth(torch.from_numpy(depth), prediction.confidence[slot])


def check_finite(prediction: WindowPrediction) -> None:
    """Raise ``RegistrationError`` when the network gave a camera that is no camera."""
    focal = prediction.intrinsics[:, [0, 1], [0, 1]]
    if not np.isfinite(prediction.window_from_camera).all() or not (focal > 0).all():
        raise RegistrationError(
            'The network gave a pose or a focal length that is not a finite number; the weights '
            "may be damaged, or the precision too low for them (try precision 'fp32')."
        )


def _sample(prediction: WindowPrediction, shared: Sequence[tuple[int, Keyframe]]) -> _Samples:
    """Return what registration looks at."""
    maps = [keyframe.depth for _, keyframe in shared]
    maps += [prediction.depth[slot] for slot, _ in shared]
    maps += [prediction.confidence[slot] for slot, _ in shared]
    samples = np.array([thinned(image.numpy(), _SAMPLES) for image in maps], dtype=np.float64)
    map_depth, depth, confidence = samples.reshape(3, len(shared), -1)
    valid = is_depth(depth) & is_depth(map_depth)
    # The network's confidence is 1 + exp(.): what it adds to 1 is what it knows.
    weights = np.where(valid, np.maximum(confidence - 1.0, 1e-3), 0.0)
    intrinsics = np.stack([keyframe.intrinsics for _, keyframe in shared])
    rays = sampled_rays(*maps[0].shape, _SAMPLES, intrinsics)
    return _Samples(map_depth, depth, weights, rays)


def _confidence(weights: np.ndarray, has_depth: np.ndarray) -> np.ndarray:
    """Return the confidence (K,) in each view; where there is no depth, that of the usual one."""
    means = weights.mean(axis=1)
    if has_depth.all():
        return means
    return np.where(has_depth, means, np.median(means[has_depth]))
