"""
Cameras in, cameras out: the encoder of known poses and the decoder of predicted ones.

Both always compute in float32. Shapes: B batch, V views, C channels of the trunk.
A camera is encoded in nine numbers: centre (3) and quaternion x y z w (4) of world_from_camera,
vertical and horizontal field of view (2, rad). The principal point is not part of it: the encoder
ignores it and the decoder puts it in the middle of the image.
"""

from typing import NamedTuple

from da3_ros.model.layers import Block, LayerNorm, Linear, Mlp
from da3_ros.model.presets import ModelConfig
import torch
from torch import nn, Tensor
import torch.nn.functional as F

ENCODING_DIM = 9


def invert_rigid(b_from_a: Tensor) -> Tensor:
    """Invert rigid transforms (..., 3 or 4, 4) -> (..., 3, 4)."""
    rotation = b_from_a[..., :3, :3].transpose(-1, -2)
    return torch.cat((rotation, -rotation @ b_from_a[..., :3, 3:]), dim=-1)


def matrix_from_quaternion(xyzw: Tensor) -> Tensor:
    """(..., 4) of any length but zero -> rotation matrices (..., 3, 3)."""
    x, y, z, w = xyzw.unbind(-1)
    s = 2 / xyzw.square().sum(-1)
    rows = (
        (1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)),
        (s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)),
        (s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def quaternion_from_matrix(rotation: Tensor) -> Tensor:
    """
    Rotation matrices (..., 3, 3) -> quaternions x y z w (..., 4) with w >= 0.

    Row k of ``products`` is 4 q_k times the quaternion; the longest row is the best conditioned.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = (row.unbind(-1) for row in rotation.unbind(-2))
    products = torch.stack(
        [
            torch.stack(row, dim=-1)
            for row in (
                (1 + xx - yy - zz, yx + xy, xz + zx, zy - yz),
                (yx + xy, 1 - xx + yy - zz, yz + zy, xz - zx),
                (xz + zx, yz + zy, 1 - xx - yy + zz, yx - xy),
                (zy - yz, xz - zx, yx - xy, 1 + xx + yy + zz),
            )
        ],
        dim=-2,
    )  # (..., 4, 4)
    squares = products.diagonal(dim1=-2, dim2=-1)  # 4 q_k^2
    largest = squares.argmax(dim=-1)[..., None]
    row = torch.take_along_dim(products, largest[..., None], dim=-2).squeeze(-2)
    xyzw = row / (2 * torch.take_along_dim(squares, largest, dim=-1).sqrt())
    return torch.where(xyzw[..., 3:] < 0, -xyzw, xyzw)


def encode_cameras(camera_from_world: Tensor, intrinsics: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, V, 3 or 4, 4), (B, V, 3, 3) px and (H, W) -> encodings (B, V, 9)."""
    world_from_camera = invert_rigid(camera_from_world.float())
    intrinsics = intrinsics.float()
    height, width = size
    fov = torch.stack(
        (
            2 * torch.atan(height / 2 / intrinsics[..., 1, 1]),
            2 * torch.atan(width / 2 / intrinsics[..., 0, 0]),
        ),
        dim=-1,
    )
    quaternion = quaternion_from_matrix(world_from_camera[..., :3])
    return torch.cat((world_from_camera[..., 3], quaternion, fov), dim=-1)


class Cameras(NamedTuple):
    """camera_from_world (B, V, 3, 4) and intrinsics (B, V, 3, 3) in px, float32."""

    camera_from_world: Tensor
    intrinsics: Tensor


def decode_cameras(encoding: Tensor, size: tuple[int, int]) -> Cameras:
    """Turn encodings (B, V, 9) into cameras whose principal point is the middle of (H, W)."""
    centre, quaternion, fov = encoding.split((3, 4, 2), dim=-1)
    world_from_camera = torch.cat((matrix_from_quaternion(quaternion), centre[..., None]), dim=-1)
    height, width = size
    half_tangents = (fov / 2).tan().clamp(min=1e-6)  # (B, V, 2)
    fy, fx = (height / 2 / half_tangents[..., 0]), (width / 2 / half_tangents[..., 1])
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    rows = ((fx, zero, one * width / 2), (zero, fy, one * height / 2), (zero, zero, one))
    intrinsics = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    return Cameras(invert_rigid(world_from_camera), intrinsics)


class CameraEncoder(nn.Module):
    """Known cameras of all views -> one token per view that takes the place of its role token."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim = config.embed_dim
        self.pose_branch = Mlp(ENCODING_DIM, dim // 2, dim)
        self.token_norm = LayerNorm(dim, eps=1e-5)
        self.trunk = nn.Sequential(
            *(
                Block(dim, config.camera_encoder_heads, Mlp(dim, 4 * dim), norm_eps=1e-5)
                for _ in range(config.camera_encoder_depth)
            )
        )
        self.trunk_norm = LayerNorm(dim, eps=1e-5)

    def forward(
        self, camera_from_world: Tensor, intrinsics: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """Cameras (normalised, see ``normalise_poses``) and (H, W) -> tokens (B, V, C)."""
        with torch.autocast(camera_from_world.device.type, enabled=False):
            tokens = self.pose_branch(encode_cameras(camera_from_world, intrinsics, size))
            return self.trunk_norm(self.trunk(self.token_norm(tokens)))


class CameraDecoder(nn.Module):
    """The last tap's camera slots -> encoded cameras."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim = config.tap_dim
        self.hidden = nn.ModuleList((Linear(dim, dim), Linear(dim, dim)))
        self.centre = Linear(dim, 3)
        self.quaternion = Linear(dim, 4)
        self.fov = Linear(dim, 2)
        # Start from a camera like others: no rotation, a field of view of 1 rad.
        self.quaternion.bias = nn.Parameter(torch.tensor((0.0, 0.0, 0.0, 1.0)))
        nn.init.ones_(self.fov.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, V, 2C) -> encodings (B, V, 9), for ``decode_cameras``."""
        with torch.autocast(features.device.type, enabled=False):
            x = features.float()
            for layer in self.hidden:
                x = F.relu(layer(x))
            return torch.cat((self.centre(x), self.quaternion(x), F.relu(self.fov(x))), dim=-1)


class NormalisedPoses(NamedTuple):
    """
    Poses as the camera encoder expects them.

    Attributes:
        camera_from_reference: (B, V, 4, 4), view 0 the identity, translations divided by
            ``length``.
        length: (B,), what one unit of the normalised translations is in the units of the input;
            the network's depth comes in these units, multiply it by ``length``.

    """

    camera_from_reference: Tensor
    length: Tensor


def normalise_poses(camera_from_world: Tensor, shortest: float = 0.1) -> NormalisedPoses:
    """
    Express poses relative to view 0 and scale the typical distance from it to 1.

    The official wrapper takes the lower median of the distances of *all* views from view 0, which
    counts the zero of view 0 itself: with two views the median is 0, its floor of 0.1 takes over,
    and the baseline reaches the network ten times too long. Here the median is over the other
    views: equal to the official one at three views, a baseline of 1 at two, at most one rank
    above it otherwise.

    Args:
        camera_from_world: (B, V, 4, 4) or (B, V, 3, 4), rigid.
        shortest: the least divisor, in the units of the input, so that the noise of a rig at rest
            is not blown up; the official value.

    """
    views = camera_from_world.shape[1]
    # Made on the device: a copy from the host would break the capture of a CUDA graph.
    last_row = F.pad(camera_from_world.new_ones(1), (3, 0)).expand(
        *camera_from_world.shape[:2], 1, 4
    )
    poses = torch.cat((camera_from_world[..., :3, :], last_row), dim=-2)
    world_from_reference = torch.cat((invert_rigid(poses[:, :1]), last_row[:, :1]), dim=-2)
    poses = poses @ world_from_reference  # (B, V, 4, 4)
    distances = poses[:, 1:, :3, 3].norm(dim=-1)  # (B, V - 1)
    if views > 1:
        length = distances.median(dim=-1).values.clamp(min=shortest)
    else:
        length = distances.new_ones(len(distances))
    scale = torch.ones_like(poses)
    scale[..., :3, 3] = 1 / length[:, None, None]
    return NormalisedPoses(poses * scale, length)
