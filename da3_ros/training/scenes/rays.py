"""
Camera rays through pixel centres, and the frames they are seen from.

Pixel rule of the whole renderer: the centre of pixel (column i, row j) is at (i + 0.5, j + 0.5),
so a centred camera has cx = W / 2. (A ROS CameraInfo counts centres at whole numbers: subtract
0.5 from cx and cy there.) Frames are OpenCV optical: x right, y down, z forward. Directions have
z = 1 in the camera, so distances along them are z-depths.

Legend: B scenes, V views, P slots, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

from da3_ros.training.scenes.primitives import Components
import torch


def rotate(matrix: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Matrix product of small (..., 3, 3) matrices in full precision, whatever TF32 is set to."""
    return (matrix.unsqueeze(-1) * other.unsqueeze(-3)).sum(-2)


def apply(matrix: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """(..., 3, 3) times (..., 3) in full precision."""
    return (matrix * vector.unsqueeze(-2)).sum(-1)


def intrinsics_from_fov(
    fov_deg: float, width: int, height: int, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """Pinhole (3, 3) in pixels with square pixels and horizontal field of view `fov_deg`."""
    focal = 0.5 * width / torch.tan(torch.deg2rad(torch.tensor(fov_deg / 2, dtype=dtype)))
    matrix = torch.eye(3, dtype=dtype)
    matrix[0, 0] = matrix[1, 1] = focal
    matrix[0, 2], matrix[1, 2] = width / 2, height / 2
    return matrix


@dataclass(frozen=True)
class Rays:
    """
    A regular grid of rays per view.

    `x` (B, V, 1, W) and `y` (B, V, H, 1) are the direction's camera-frame components over z;
    `origin` (B, V, 3) and `world_from_camera` (B, V, 3, 3) place the camera.
    """

    x: torch.Tensor
    y: torch.Tensor
    origin: torch.Tensor
    world_from_camera: torch.Tensor

    def directions(self, frame_from_camera: torch.Tensor) -> Components:
        """
        Direction components (B, V, H, W) after a linear map (B, V, 3, 3) of the camera frame.

        Each is a sum of a row vector and a column vector, so this costs one addition per pixel.
        """
        m = frame_from_camera.unsqueeze(-1).unsqueeze(-1)  # (B, V, 3, 3, 1, 1)
        x, y, z = (
            m[:, :, row, 0] * self.x + (m[:, :, row, 1] * self.y + m[:, :, row, 2])
            for row in range(3)
        )
        return x, y, z


def camera_rays(
    world_from_camera: torch.Tensor,
    intrinsics: torch.Tensor,
    height: int,
    width: int,
    per_side: int = 1,
) -> Rays:
    """
    Rays of (B, V, 4, 4) cameras with (B, V, 3, 3) intrinsics.

    With `per_side` n the grid is (n H, n W): n x n evenly spread samples in each pixel, the first
    at ((2k + 1) / 2n); n = 1 is the pixel centre.
    """
    settings = {'device': intrinsics.device, 'dtype': intrinsics.dtype}
    u = (torch.arange(width * per_side, **settings) + 0.5) / per_side
    v = (torch.arange(height * per_side, **settings) + 0.5) / per_side
    fx, fy = intrinsics[..., 0, 0, None], intrinsics[..., 1, 1, None]
    cx, cy = intrinsics[..., 0, 2, None], intrinsics[..., 1, 2, None]
    return Rays(
        x=((u - cx) / fx).unsqueeze(-2),
        y=((v - cy) / fy).unsqueeze(-1),
        origin=world_from_camera[..., :3, 3],
        world_from_camera=world_from_camera[..., :3, :3],
    )
