"""
Fusion of depth images into points that several views agree on, as for DTU in MVSNet's way.

Shapes: V views, H x W pixels; projections are ``K [R | t]`` filled up to (4, 4).
"""

from da3_ros.geometry.transforms import invert
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

_AT_ONCE = 20


def projections(intrinsics: np.ndarray, world_from_camera: np.ndarray) -> Tensor:
    """Return (V, 4, 4) float32 of K (V, 3, 3) and poses (V, 4, 4)."""
    matrices = np.tile(np.eye(4), (len(intrinsics), 1, 1))
    matrices[:, :3] = intrinsics @ invert(world_from_camera)[:, :3]
    return torch.from_numpy(matrices).float()


def lifted(depth: Tensor, projection: Tensor) -> Tensor:
    """Return the points (V, 3, H, W) in the world of depth images (V, H, W)."""
    views, height, width = depth.shape
    inverse = torch.linalg.inv(projection)
    rays = inverse[:, :3, :3] @ _pixels(height, width)  # (V, 3, H W)
    points = rays * depth.reshape(views, 1, -1) + inverse[:, :3, 3:]
    return points.view(views, 3, height, width)


def consistent_points(
    depth: Tensor, projection: Tensor, view: int, distance: float, agreeing: int
) -> np.ndarray:
    """
    Return the points (N, 3) of one view that others agree with, each the mean of what they say.

    A view agrees where its own point at the place in its image is nearer than ``distance``; the
    view itself counts as one of the ``agreeing``.
    """
    height, width = depth.shape[1:]
    points = lifted(depth[view : view + 1], projection[view : view + 1])  # (1, 3, H, W)
    total = torch.zeros(3, height, width)
    count = torch.zeros(height, width)
    for start in range(0, len(depth), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        theirs = lifted(depth[some], projection[some])
        seen = _warped(theirs, projection[some], projection[view], depth[view])
        agrees = (seen - points).square().sum(dim=1).sqrt() < distance  # (v, H, W)
        # What a view does not see is no number, and no number times zero is none either.
        total += torch.where(agrees[:, None], seen, 0).sum(dim=0)
        count += agrees.sum(dim=0)
    kept = count >= agreeing
    return (total / count)[:, kept].T.numpy()


def _warped(points: Tensor, projection: Tensor, own: Tensor, depth: Tensor) -> Tensor:
    """Return what other views (v, 3, H, W) have at the places that a view's pixels project to."""
    height, width = depth.shape
    matrix = projection @ torch.linalg.inv(own)
    rays = matrix[:, :3, :3] @ _pixels(height, width)
    places = rays * depth.reshape(1, 1, -1) + matrix[:, :3, 3:]  # (v, 3, H W)
    grid = places[:, :2] / places[:, 2:] / torch.tensor([[width - 1], [height - 1]]) * 2 - 1
    grid = grid.permute(0, 2, 1).reshape(-1, height, width, 2)
    return grid_sample(points, grid, mode='bilinear', align_corners=True)


def _pixels(height: int, width: int) -> Tensor:
    """Return (3, H W): column, row, 1."""
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    return torch.stack((column, row, torch.ones_like(row))).reshape(3, -1).float()
