"""
3D Gaussians in the world, one of each pixel, made of what the Gaussian head says of it.

Shapes: B windows, V views, H x W pixels; "..." is whatever the Gaussians are arranged in.
"""

from dataclasses import dataclass

from da3_ros.model.camera_head import invert_rigid, quaternion_from_matrix
from da3_ros.model.harmonics import HARMONICS, rotation_of_harmonics
import torch
from torch import Tensor

RAW_CHANNELS = 2 + 3 + 4 + 3 * HARMONICS + 1 + 1
"""Offset in the image, scales, quaternion, harmonics, offset of depth, opacity."""

_MIN_SCALE, _MAX_SCALE = 1e-5, 30.0
_PIXELS_PER_SCALE = 0.1
# Gain of each harmonic by its degree: the colour seen from everywhere first, its changes later.
_HARMONIC_GAIN = (1.0,) + 3 * (0.1 * 0.25,) + 5 * (0.1 * 0.25**2,)


@dataclass(frozen=True)
class Gaussians:
    """
    Anisotropic 3D Gaussians with view-dependent colour, as 3D Gaussian splatting renders them.

    Attributes:
        means: (..., 3).
        scales: (..., 3), standard deviations along the Gaussian's own axes.
        rotations: (..., 4), unit quaternions w x y z that turn these axes into the world.
        harmonics: (..., 3, 9), spherical harmonics of red, green and blue.
        opacities: (...), in [0, 1].

    """

    means: Tensor
    scales: Tensor
    rotations: Tensor
    harmonics: Tensor
    opacities: Tensor

    def select(self, index: object) -> 'Gaussians':
        """Return those that an index or a mask over the leading dimensions picks."""
        return Gaussians(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def to(self, device: str | torch.device) -> 'Gaussians':
        """Return the same on another device."""
        return Gaussians(*(getattr(self, n).to(device) for n in self.__dataclass_fields__))

    def scaled(self, scale: Tensor) -> 'Gaussians':
        """Multiply all lengths of Gaussians (B, ...) by a factor (B,)."""
        factor = scale.view(-1, *(1 for _ in self.means.shape[1:]))
        return Gaussians(
            self.means * factor,
            self.scales * factor,
            self.rotations,
            self.harmonics,
            self.opacities,
        )

    def moved(self, scale: float, rotation: Tensor, translation: Tensor) -> 'Gaussians':
        """Apply x -> scale * rotation (3, 3) @ x + translation (3,), to the colours too."""
        turn = quaternion_from_matrix(rotation)[[3, 0, 1, 2]]
        return Gaussians(
            scale * self.means @ rotation.T + translation,
            scale * self.scales,
            multiply_quaternions(turn, self.rotations),
            self.harmonics @ rotation_of_harmonics(rotation).T,
            self.opacities,
        )


def multiply_quaternions(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product of quaternions w x y z (..., 4): first turn by b, then by a."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        (
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ),
        dim=-1,
    )


def gaussians_from_raw(
    raw: Tensor, depth: Tensor, camera_from_world: Tensor, intrinsics: Tensor
) -> Gaussians:
    """
    Place what the Gaussian head says of each pixel in the world (spec §8).

    Two oddities of the official code are what the weights were trained with, so they stay: depth
    along the optical axis is laid off along the ray, a length of one, and the quaternion's four
    numbers trade places twice, see ``_rotations``. One is not part of the network and is left out:
    with known poses the official code scales the Gaussians, clamped to a factor of three, towards
    these. Here they share the gauge of the depth that they were made of.

    Args:
        raw: (B, V, H, W, 38), from ``GaussianHead``.
        depth: (B, V, H, W), along the optical axis.
        camera_from_world: (B, V, 3, 4).
        intrinsics: (B, V, 3, 3), pixels.

    Returns:
        Gaussians of shape (B, V, H, W).

    """
    offset, scales, quaternion, harmonics, depth_offset, opacity = raw.split(
        (2, 3, 4, 3 * HARMONICS, 1, 1), dim=-1
    )
    world_from_camera = invert_rigid(camera_from_world)  # (B, V, 3, 4)
    rotation, centre = world_from_camera[..., :3], world_from_camera[:, :, None, None, :, 3]
    distance = depth[..., None] + depth_offset
    rays = _unit_rays(offset, intrinsics) @ rotation.mT[:, :, None]  # (B, V, H, W, 3)
    gain = harmonics.new_tensor(_HARMONIC_GAIN)
    turn = (gain[:, None] * rotation_of_harmonics(rotation).mT)[:, :, None, None]
    scales = _MIN_SCALE + (_MAX_SCALE - _MIN_SCALE) * scales.sigmoid()
    return Gaussians(
        means=centre + rays * distance,
        scales=scales * distance * _pixel_width(intrinsics)[..., None, None, None],
        rotations=_rotations(quaternion, rotation[:, :, None, None]),
        harmonics=harmonics.unflatten(-1, (3, HARMONICS)) @ turn,
        opacities=opacity.squeeze(-1).sigmoid(),
    )


def _unit_rays(offset: Tensor, intrinsics: Tensor) -> Tensor:
    """Offsets (B, V, H, W, 2) px from the pixels' centres -> unit rays in the cameras."""
    height, width = offset.shape[2:4]
    u = torch.arange(width, dtype=offset.dtype, device=offset.device) + 0.5
    v = torch.arange(height, dtype=offset.dtype, device=offset.device) + 0.5
    k = intrinsics[:, :, None, None]
    x = (u + offset[..., 0] - k[..., 0, 2]) / k[..., 0, 0]
    y = (v[:, None] + offset[..., 1] - k[..., 1, 2]) / k[..., 1, 1]
    rays = torch.stack((x, y, torch.ones_like(x)), dim=-1)
    return rays / rays.norm(dim=-1, keepdim=True)


def _pixel_width(intrinsics: Tensor) -> Tensor:
    """Intrinsics (B, V, 3, 3) -> the length, at a distance of one, that scales count in (B, V)."""
    return _PIXELS_PER_SCALE * (1 / intrinsics[..., 0, 0] + 1 / intrinsics[..., 1, 1])


def _rotations(raw: Tensor, rotation: Tensor) -> Tensor:
    """
    Turn the head's quaternions (..., 4) into the world by rotations (..., 3, 3).

    The official code takes the head's numbers for x y z w, moves the last to the front, and reads
    the result as x y z w once more; the product with the camera's rotation, x y z w again, goes to
    the renderer as w x y z. The renderer that the weights were trained with saw these numbers in
    this order, so this is what they mean.
    """
    raw = raw / (raw.norm(dim=-1, keepdim=True) + 1e-8)
    in_camera = raw[..., [2, 3, 0, 1]]  # w x y z of (raw[3], raw[0], raw[1], raw[2]) as x y z w
    camera = quaternion_from_matrix(rotation)[..., [3, 0, 1, 2]]
    product = multiply_quaternions(*torch.broadcast_tensors(camera, in_camera))
    return product[..., [1, 2, 3, 0]]
