"""
What the network should say of a window: the truth in the reference view's frame, at unit scale.

The reference is view 0. Lengths are divided by the mean distance from it of all valid points.

Shapes: B windows, V views, H x W pixels, h x w rays a view (8/14 of the pixels).
"""

from typing import NamedTuple

from da3_ros.model.camera_head import encode_cameras, invert_rigid
from da3_ros.training.data import Windows
import torch
from torch import Tensor
import torch.nn.functional as F

RAYS_PER_PATCH = 8
SHORTEST_M = 1e-2


class Targets(NamedTuple):
    """
    The truth at unit scale.

    Attributes:
        depth: (B, V, H, W), 1 where invalid.
        valid: (B, V, H, W) bool.
        rays: (B, V, h, w, 6): direction with z = 1 in its camera, turned into the reference;
            then the camera's centre.
        points: (B, V, h, w, 3) what the rays meet, at the pixel nearest to each ray.
        point_valid: (B, V, h, w) bool.
        cameras: (B, V, 9) encoded.
        reference_from_camera: (B, V, 4, 4) with centres at unit scale.
        length_m: (B,) what one unit is in metres.

    """

    depth: Tensor
    valid: Tensor
    rays: Tensor
    points: Tensor
    point_valid: Tensor
    cameras: Tensor
    reference_from_camera: Tensor
    length_m: Tensor

    def of_views(self, chosen: Tensor) -> 'Targets':
        """Leave what is dense for ``chosen`` views (v,) only; cameras stay those of all views."""
        dense = ('depth', 'valid', 'rays', 'points', 'point_valid')
        return self._replace(**{n: getattr(self, n).index_select(1, chosen) for n in dense})


def at_rays(images: Tensor, height: int, width: int) -> Tensor:
    """(B, V, H, W) -> (B, V, h, w): the pixel nearest to each ray's centre."""
    return F.interpolate(images, (height, width), mode='nearest-exact')


def ray_directions(
    intrinsics: Tensor, reference_from_camera: Tensor, rays: tuple[int, int], size: tuple[int, int]
) -> Tensor:
    """Directions (B, V, h, w, 3) of the centres of h x w cells of an (H, W) picture."""
    v, u = (
        (torch.arange(n, device=intrinsics.device) + 0.5) * (pixels / n)
        for n, pixels in zip(rays, size)
    )
    k = intrinsics[..., None, None, :, :]  # (B, V, 1, 1, 3, 3)
    x = (u - k[..., 0, 2]) / k[..., 0, 0]  # (B, V, 1, w)
    y = (v[:, None] - k[..., 1, 2]) / k[..., 1, 1]  # (B, V, h, 1)
    r = reference_from_camera[..., None, None, :3, :3]
    columns = [r[..., i] for i in range(3)]  # (B, V, 1, 1, 3) each
    return x[..., None] * columns[0] + y[..., None] * columns[1] + columns[2]


def relative_poses(world_from_camera: Tensor) -> Tensor:
    """(B, V, 4, 4) -> reference_from_camera (B, V, 4, 4), exact identity for view 0."""
    reference_from_world = invert_rigid(world_from_camera[:, :1])  # (B, 1, 3, 4)
    rotation = (reference_from_world[..., :3, None] * world_from_camera[:, :, None, :3, :3]).sum(
        -2
    )
    offset = world_from_camera[..., :3, 3] - world_from_camera[:, :1, :3, 3]
    centre = (reference_from_world[..., :3] * offset[..., None, :]).sum(-1)
    bottom = world_from_camera[..., 3:, :]
    return torch.cat((torch.cat((rotation, centre[..., None]), -1), bottom), -2)


def make_targets(windows: Windows, patch_size: int) -> Targets:
    """Turn the truth of windows into what the network should say."""
    height, width = windows.depth_m.shape[-2:]
    rays = height // patch_size * RAYS_PER_PATCH, width // patch_size * RAYS_PER_PATCH
    reference_from_camera = relative_poses(windows.world_from_camera)
    directions = ray_directions(windows.intrinsics, reference_from_camera, rays, (height, width))
    centre = reference_from_camera[..., :3, 3]  # (B, V, 3)
    depth = at_rays(windows.depth_m, *rays)
    point_valid = depth.isfinite()
    depth = torch.where(point_valid, depth, 1.0)
    points = directions * depth[..., None] + centre[:, :, None, None]
    distance = points.norm(dim=-1) * point_valid
    count = point_valid.sum((1, 2, 3)).clamp_min(1)
    length = (distance.sum((1, 2, 3)) / count).clamp_min(SHORTEST_M)  # (B,)
    unit = length[:, None, None]
    scaled = reference_from_camera[..., :3, 3:] / unit[..., None]
    pose = torch.cat((reference_from_camera[..., :3, :3], scaled), -1)
    pose = torch.cat((pose, reference_from_camera[..., 3:, :]), -2)
    valid = windows.depth_m.isfinite()
    origins = (centre / unit)[:, :, None, None].expand_as(directions)
    return Targets(
        depth=torch.where(valid, windows.depth_m / unit[..., None], 1.0),
        valid=valid,
        rays=torch.cat((directions, origins), -1),
        points=points / unit[..., None, None],
        point_valid=point_valid,
        cameras=encode_cameras(invert_rigid(pose), windows.intrinsics, (height, width)),
        reference_from_camera=pose,
        length_m=length,
    )
