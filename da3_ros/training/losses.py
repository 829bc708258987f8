"""
What training minimises: depth, its gradient, rays, points and cameras, as the paper has them.

L = L_depth + L_gradient + L_ray + L_point + L_camera (paper, section 3), all L1; depth and rays
are weighted by the predicted confidence c as c |error| - lambda log c. Where this departs from the
paper: depth is compared as a logarithm (an absolute error, which ``depth_loss`` also has, gives no
gradient where depth is small); points and camera centres relative to their distance (far points
and wide baselines would drown the near ones that registration lives on).

Shapes: B windows, V views, H x W pixels, h x w rays a view.
"""

from typing import NamedTuple

from da3_ros.training.config import TrainConfig
from da3_ros.training.targets import at_rays, Targets
import torch
from torch import Tensor

GRADIENT_STRIDES = (1, 2, 4, 8)
# Below these distances (at unit scale) errors count absolutely.
NEAR_POINT = 0.3
NEAR_CENTRE = 0.1


class Outputs(NamedTuple):
    """
    What the network says of B windows.

    Attributes:
        depth: (B, V, H, W); depth_conf: the same.
        rays: (B, V, h, w, 6); ray_conf: (B, V, h, w).
        cameras: (B, V, 9) encoded.

    """

    depth: Tensor
    depth_conf: Tensor
    rays: Tensor
    ray_conf: Tensor
    cameras: Tensor


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``values`` where ``mask``; 0 where nothing is valid."""
    return torch.where(mask, values, 0).sum() / mask.sum().clamp_min(1)


def weighted_by_confidence(error: Tensor, confidence: Tensor, balance: float) -> Tensor:
    """C |error| - lambda log c: least at c = lambda / |error|."""
    return confidence * error - balance * confidence.log()


def depth_residual(outputs: Outputs, targets: Targets) -> Tensor:
    """Log of predicted over true depth (B, V, H, W), 0 where invalid."""
    residual = outputs.depth.clamp_min(1e-6).log() - targets.depth.log()
    return torch.where(targets.valid, residual, 0)


def compared_depth(outputs: Outputs, targets: Targets, config: TrainConfig) -> Tensor:
    """Return the residual of depth (B, V, H, W) that is minimised, 0 where invalid."""
    if config.depth_loss == 'log':
        return depth_residual(outputs, targets)
    return torch.where(targets.valid, outputs.depth - targets.depth, 0)


def gradient_loss(residual: Tensor, valid: Tensor) -> Tensor:
    """Mean change of the residual between neighbours, at a few distances."""
    terms = []
    for stride in GRADIENT_STRIDES:
        across = (residual[..., stride:] - residual[..., :-stride]).abs()
        down = (residual[..., stride:, :] - residual[..., :-stride, :]).abs()
        terms.append(masked_mean(across, valid[..., stride:] & valid[..., :-stride]))
        terms.append(masked_mean(down, valid[..., stride:, :] & valid[..., :-stride, :]))
    return sum(terms) / len(terms)


def ray_errors(outputs: Outputs, targets: Targets) -> Tensor:
    """Error of direction plus relative error of origin, (B, V, h, w)."""
    error = (outputs.rays - targets.rays).abs()
    distance = targets.rays[..., 3:].norm(dim=-1)
    return error[..., :3].sum(-1) + error[..., 3:].sum(-1) / (distance + NEAR_CENTRE) * 0.25


def point_errors(outputs: Outputs, targets: Targets) -> Tensor:
    """Relative error of depth times direction plus origin, (B, V, h, w)."""
    depth = at_rays(outputs.depth, *outputs.ray_conf.shape[-2:])
    points = outputs.rays[..., :3] * depth[..., None] + outputs.rays[..., 3:]
    distance = targets.points.norm(dim=-1)
    return (points - targets.points).abs().sum(-1) / (distance + NEAR_POINT)


class CameraErrors(NamedTuple):
    """Errors (B, V): centre relative to its distance, quaternion up to sign, fields of view."""

    centre: Tensor
    rotation: Tensor
    fov: Tensor


def camera_errors(outputs: Outputs, targets: Targets) -> CameraErrors:
    """Compare encoded cameras."""
    predicted, true = outputs.cameras.split((3, 4, 2), -1), targets.cameras.split((3, 4, 2), -1)
    distance = true[0].norm(dim=-1)
    centre = (predicted[0] - true[0]).abs().sum(-1) / (distance + NEAR_CENTRE)
    same = (predicted[1] - true[1]).abs().sum(-1)
    opposite = (predicted[1] + true[1]).abs().sum(-1)
    fov = (predicted[2] - true[2]).abs().sum(-1)
    return CameraErrors(centre, torch.minimum(same, opposite), fov)


def losses(outputs: Outputs, targets: Targets, config: TrainConfig) -> dict[str, Tensor]:
    """
    Weighted terms () by name; their sum is what is minimised.

    A monocular teacher learns depth alone: its other terms are 0.
    """
    balance = config.confidence_weight
    whole = 0.0 if config.monocular else 1.0
    residual = compared_depth(outputs, targets, config)
    depth = weighted_by_confidence(residual.abs(), outputs.depth_conf, balance)
    rays = weighted_by_confidence(ray_errors(outputs, targets), outputs.ray_conf, balance)
    points = point_errors(outputs, targets)
    cameras = camera_errors(outputs, targets)
    camera = config.centre_weight * 0.25 * cameras.centre.mean()
    camera = camera + config.rotation_weight * cameras.rotation.mean()
    camera = camera + config.fov_weight * cameras.fov.mean()
    return {
        'depth': config.depth_weight * masked_mean(depth, targets.valid),
        'gradient': config.gradient_weight * gradient_loss(residual, targets.valid),
        'ray': whole * config.ray_weight * rays.mean(),
        'point': whole * config.point_weight * masked_mean(points, targets.point_valid),
        'camera': whole * config.camera_weight * camera,
    }
