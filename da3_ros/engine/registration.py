"""
Placing a window in the map: a robust Sim(3) from the keyframes that both hold.

Each window has a gauge and a scale of its own. The keyframes that the map already knows are in it,
pixel for pixel: the ratio of their depths is the scale, and their points then give rotation and
translation. Neither needs the camera to have moved, so a robot that stands still or drives
straight is as well placed as any other; a fit of camera centres would be degenerate there (spec
§10).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from da3_ros.engine.keyframes import Keyframe, sample_points
from da3_ros.engine.runner import WindowPrediction
from da3_ros.errors import RegistrationError
from da3_ros.geometry.alignment import (
    robust_location,
    robust_rigid,
    sigma_of_norms,
    transformed,
)
from da3_ros.geometry.rays import pixel_grid, rays_through
from da3_ros.geometry.transforms import Sim3
import numpy as np
import torch

# Pixels used of each keyframe's depth, the fewest in all that a window may be placed by, and the
# points that stand for the scene in front of a camera.
_SAMPLES = 500
_MIN_SAMPLES = 50
_SCENE_POINTS = 40
# Steps of reweighting: to know the rotation for the scale, and to the end.
_FIRST_ITERATIONS = 2
_ITERATIONS = 4
# Errors that a view's depth has as a whole, relative, and that its camera's centre has, as a share
# of the distance to the scene; the latter is a guess that counts as so many measurements.
_RATIO_SIGMA = 0.015
_CENTRE_SIGMA = 0.007
_PRIOR_VIEWS = 6
# Depth errors are smooth over about a patch of the network, so a patch is one independent sample.
_PATCH_PIXELS = 14 * 14
# Points whose error is below this share of their range agree with the map.
_INLIER = 0.05


@dataclass(frozen=True)
class Registration:
    """
    Where a window lies in the map.

    ``scale_spread`` is the relative standard deviation of the depth ratios; ``inliers`` the share
    of weight that agrees to 5 % of its range; ``points_in_map`` (N, 3) what it was fitted to, and
    ``point_information`` (N,) the inverse variance of each of their coordinates.
    """

    map_from_window: Sim3
    scale_spread: float
    inliers: float
    points_in_map: torch.Tensor
    point_information: torch.Tensor

    def pose_covariance(self, map_from_camera: np.ndarray) -> np.ndarray:
        """
        Return the covariance (6, 6) of a camera's position and rotation about the map's axes.

        First order, from the fit's residuals; what the network gets wrong for a whole view at once
        is not in it, so it is a lower bound.
        """
        arms = self.points_in_map - self.points_in_map.new_tensor(map_from_camera[:3, 3])
        x, y, z = arms.unbind(1)
        zero = torch.zeros_like(x)
        skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).reshape(-1, 3, 3)
        identity = torch.eye(3, dtype=skew.dtype, device=skew.device).expand_as(skew)
        jacobian = torch.cat([identity, -skew], dim=2)  # (N, 3, 6)
        weighted = jacobian * self.point_information[:, None, None]
        information = torch.einsum('nij,nik->jk', weighted, jacobian).double().cpu().numpy()
        covariance = np.linalg.inv(information + 1e-12 * np.trace(information) * np.eye(6))
        # The scale moves a camera along its distance from what was matched.
        offset = arms.double().mean(0).cpu().numpy() * self.scale_spread / np.sqrt(len(arms))
        covariance[:3, :3] += np.outer(offset, offset)
        return 0.5 * (covariance + covariance.T)


def register(prediction: WindowPrediction, shared: Sequence[tuple[int, Keyframe]]) -> Registration:
    """
    Fit ``map_from_window`` to the keyframes of the window that the map knows.

    Args:
        prediction: What the network said of the window.
        shared: (slot in the window, keyframe) pairs.

    Raises:
        RegistrationError: if fewer than 50 pixels have a finite, positive depth in both.

    """
    samples = [_sample(prediction, slot, keyframe) for slot, keyframe in shared]
    rays, depth, map_depth, weights = (torch.cat(parts) for parts in zip(*samples, strict=True))
    if len(depth) < _MIN_SAMPLES:
        raise RegistrationError(
            f'The window shares {len(depth)} pixels with valid depth with the map; '
            f'expected at least {_MIN_SAMPLES}.'
        )
    counts = [len(sample[1]) for sample in samples]
    log_ratio, spread = robust_location(map_depth.log() - depth.log(), weights)
    window_poses = np.stack([prediction.window_from_camera[slot] for slot, _ in shared])
    map_poses = np.stack([keyframe.map_from_camera for _, keyframe in shared])
    scene = [_scene(keyframe) for _, keyframe in shared]
    views = sum(count > 0 for count in counts)
    # A pose that the map has from few windows is itself as uncertain as this window's.
    looks = np.array([keyframe.observations for _, keyframe in shared])
    trust = looks / (looks + 1.0)
    map_from_window = _fit(scene, trust, window_poses, map_poses, float(log_ratio), views)
    # How well the window agrees with the map is measured with its own depth.
    in_map = _placed(rays * map_depth[:, None], counts, map_poses)
    in_window = _placed(rays * depth[:, None], counts, window_poses)
    ranges = (rays * map_depth[:, None]).norm(dim=1)
    errors = (transformed(map_from_window, in_window) - in_map).norm(dim=1) / ranges
    sigma = sigma_of_norms(errors, weights)
    sampled = [k for (_, k), count in zip(shared, counts, strict=True) if count]
    pixels_per_sample = sum(k.depth.numel() for k in sampled) / len(depth)
    independent = min(1.0, pixels_per_sample / _PATCH_PIXELS)
    return Registration(
        map_from_window=map_from_window,
        scale_spread=float(spread),
        inliers=float((weights * (errors < _INLIER)).sum() / weights.sum()),
        points_in_map=in_map,
        point_information=independent / (sigma * ranges).square(),
    )


def _fit(
    scene: Sequence[torch.Tensor],
    trust: np.ndarray,
    window_poses: np.ndarray,
    map_poses: np.ndarray,
    log_ratio: float,
    views: int,
) -> Sim3:
    """
    Return ``map_from_window`` from poses (K, 4, 4) of all keyframes and the ratio of depths.

    ``scene`` holds what the map has in front of each keyframe, points (P, 3) in its camera. They
    are put before the cameras as the window has them: what is fitted is where the cameras are,
    weighed by the scene and by ``trust`` (K,), and no error of depth can tilt it. ``log_ratio`` of
    map over window depth comes from ``views`` views.
    """
    counts = [len(points) for points in scene]
    points = torch.cat(list(scene))
    ranges = points.norm(dim=1)
    in_map = _placed(points, counts, map_poses)
    turned = window_poses.copy()
    turned[:, :3, 3] = 0.0
    rotated = _placed(points, counts, turned)
    owner = np.repeat(np.arange(len(counts)), counts)
    centres = points.new_tensor(window_poses[owner, :3, 3])
    median_ranges = np.array([float(x.norm(dim=1).median()) for x in scene])
    centre_weights = trust / median_ranges**2
    scale = float(np.exp(log_ratio))
    weights = points.new_tensor(trust[owner])
    rigid = robust_rigid(rotated + scale * centres, in_map, weights, ranges, _FIRST_ITERATIONS)
    moved = window_poses[:, :3, 3] @ rigid.rotation.T
    log_scale = joint_log_scale(moved, map_poses[:, :3, 3], centre_weights, log_ratio, views)
    scale = float(np.exp(log_scale))
    rigid = robust_rigid(rotated + scale * centres, in_map, weights, ranges, _ITERATIONS)
    return Sim3(scale, rigid.rotation, rigid.translation)


def joint_log_scale(
    window_centres: np.ndarray,
    map_centres: np.ndarray,
    weights: np.ndarray,
    log_ratio: float,
    views: int,
) -> float:
    """
    Return the logarithm of the scale that depths and distances between cameras agree on best.

    Both are weighed by their information. That of the distances is what is left of them beyond
    the noise of the centres, so a camera that stands still leaves the scale to the depths, and
    noise, which makes distances longer, does not make the scale smaller.

    Args:
        window_centres: Camera centres (K, 3) in the window, already turned into the map's axes.
        map_centres: The same cameras (K, 3) in the map.
        weights: Of each centre (K,), 1 / range² to the scene for one that is as sure as any: its
            errors grow with that distance.
        log_ratio: Logarithm of map over window depth.
        views: Number of views that it was measured in.

    """
    share = weights / weights.sum()
    source = window_centres - share @ window_centres
    target = map_centres - share @ map_centres
    squares = float(weights @ np.sum(source**2, axis=1))
    products = float(weights @ np.sum(source * target, axis=1))
    scale = np.exp(log_ratio)
    residual = float(weights @ np.sum((target - scale * source) ** 2, axis=1))
    freedom = 3 * (len(weights) - 1)
    variance = (residual + _PRIOR_VIEWS * _CENTRE_SIGMA**2) / (freedom + _PRIOR_VIEWS)
    # Less what noise of the window's centres adds to their squares.
    true_squares = squares - residual / scale**2
    information = scale**2 * true_squares / variance
    if information <= freedom or products <= 0:
        return log_ratio
    by_depth = views / _RATIO_SIGMA**2
    by_distance = np.log(products / true_squares)
    return float((by_depth * log_ratio + information * by_distance) / (by_depth + information))


def refine(
    known: Sequence[Keyframe], prediction: WindowPrediction, registration: Registration
) -> None:
    """Let the keyframes take in what this window says of them."""
    map_from_window = registration.map_from_window
    for slot, keyframe in enumerate(known):
        keyframe.refine(
            map_from_window.scale * prediction.depth[slot],
            prediction.confidence[slot],
            map_from_window.apply_to_pose(prediction.window_from_camera[slot]),
        )


def check_finite(prediction: WindowPrediction) -> None:
    """Raise ``RegistrationError`` when the network gave a camera that is no camera."""
    focal = prediction.intrinsics[:, [0, 1], [0, 1]]
    if not np.isfinite(prediction.window_from_camera).all() or not (focal > 0).all():
        raise RegistrationError(
            'The network gave a pose or a focal length that is not a finite number; the weights '
            "may be damaged, or the precision too low for them (try precision 'fp32')."
        )


def _sample(
    prediction: WindowPrediction, slot: int, keyframe: Keyframe
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """
    Return rays (N, 3), depth in the window (N,), depth in the map (N,) and weights (N,).

    The same pixels of the same image in both, on a regular grid.
    """
    u, v = pixel_grid(*keyframe.depth.shape, _SAMPLES, keyframe.depth.device)
    depth, map_depth = prediction.depth[slot, v, u], keyframe.depth[v, u]
    valid = torch.isfinite(depth) & (depth > 0) & torch.isfinite(map_depth) & (map_depth > 0)
    rays = rays_through(u, v, keyframe.intrinsics)
    # The network's confidence is 1 + exp(.): what it adds to 1 is what it knows.
    weights = (prediction.confidence[slot, v, u] - 1.0).clamp_min(1e-3)
    return tuple(x[valid].double() for x in (rays, depth, map_depth, weights))


def _scene(keyframe: Keyframe) -> torch.Tensor:
    """Return points (P, 3) in a keyframe's camera that stand for what the map has before it."""
    return sample_points(keyframe.depth, keyframe.intrinsics, _SCENE_POINTS).double()


def _placed(
    points: torch.Tensor, counts: Sequence[int], poses: Sequence[np.ndarray]
) -> torch.Tensor:
    """Move the points of each camera, ``counts`` of them each, by that camera's pose (4, 4)."""
    parts = points.split(list(counts))
    moved = [transformed(Sim3.from_rigid(p), x) for p, x in zip(poses, parts, strict=True)]
    return torch.cat(moved)
