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

from da3_ros.engine.keyframes import Keyframe
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

# Pixels used of each keyframe, and the fewest in all that a window may be placed by.
_SAMPLES = 2000
_MIN_SAMPLES = 50
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
    log_scale, spread = robust_location(map_depth.log() - depth.log(), weights)
    scale = float(log_scale.exp())
    counts = [len(sample[1]) for sample in samples]
    window_poses = [prediction.window_from_camera[slot] for slot, _ in shared]
    map_poses = [keyframe.map_from_camera for _, keyframe in shared]
    in_map = _placed(rays * map_depth[:, None], counts, map_poses)
    ranges = (rays * map_depth[:, None]).norm(dim=1)
    # The map's own depth, seen from where the window has the cameras: what is fitted is where the
    # cameras are, weighed by the scene in front of them, and no error of depth can tilt it.
    from_window = _placed(rays * map_depth[:, None] / scale, counts, window_poses)
    rigid = robust_rigid(scale * from_window, in_map, weights, ranges)
    map_from_window = Sim3(scale, rigid.rotation, rigid.translation)
    # How well the window agrees with the map is measured with its own depth.
    in_window = _placed(rays * depth[:, None], counts, window_poses)
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


def _placed(
    points: torch.Tensor, counts: Sequence[int], poses: Sequence[np.ndarray]
) -> torch.Tensor:
    """Move the points of each camera, ``counts`` of them each, by that camera's pose (4, 4)."""
    parts = points.split(list(counts))
    moved = [transformed(Sim3.from_rigid(p), x) for p, x in zip(poses, parts, strict=True)]
    return torch.cat(moved)
