"""
A picture of 3D Gaussians, tile by tile: the plain reference, in PyTorch alone.

Gaussians are projected to ellipses on the image by the local linear map of the camera and blended
from front to back (Zwicker et al. 2001, Kerbl et al. 2023), with the constants of the usual
renderers. Pixel (0, 0) has its centre at (0.5, 0.5).

Shapes: N Gaussians, H x W pixels.
"""

from dataclasses import dataclass

from da3_ros.model.gaussians import Gaussians
from da3_ros.model.harmonics import harmonics_at
import torch
from torch import Tensor

# Added to the variance of each ellipse [px^2], so that it covers its pixel.
_BLUR = 0.3
_NEAR = 0.01
_MIN_ALPHA, _MAX_ALPHA = 1 / 255, 0.999
# A pixel through which less than this can be seen is finished.
_OPAQUE = 1e-4
# Outside the image by this share of it, the local map is that of the place there.
_MARGIN = 0.3
_TILE = 16
# Gaussians of a tile that are blended at once.
_AT_ONCE = 2048


@dataclass(frozen=True)
class _Ellipses:
    """Projected Gaussians, front to back: ``inverse`` (N, 3) has a, b, c of [[a, b], [b, c]]."""

    centres: Tensor
    inverse: Tensor
    reach: Tensor
    opacities: Tensor
    colours: Tensor


@torch.inference_mode()
def render(
    gaussians: Gaussians, camera_from_world: Tensor, intrinsics: Tensor, size: tuple[int, int]
) -> Tensor:
    """
    Return the picture (3, H, W), on black, that a camera sees of Gaussians (N,).

    Args:
        gaussians: in the world.
        camera_from_world: (3, 4) or (4, 4).
        intrinsics: (3, 3), pixels.
        size: (H, W).

    """
    height, width = size
    ellipses = _projected(gaussians, camera_from_world, intrinsics, size)
    picture = ellipses.centres.new_zeros(3, height, width)
    low, high = ellipses.centres - ellipses.reach, ellipses.centres + ellipses.reach
    for top in range(0, height, _TILE):
        in_rows = (low[:, 1] < top + _TILE) & (high[:, 1] > top)
        row = in_rows.nonzero()[:, 0]
        row_low, row_high = low[row, 0], high[row, 0]
        for left in range(0, width, _TILE):
            some = row[(row_low < left + _TILE) & (row_high > left)]
            if len(some):
                bottom, right = min(top + _TILE, height), min(left + _TILE, width)
                tile = _blended(ellipses, some, (top, bottom), (left, right))
                picture[:, top:bottom, left:right] = tile
    return picture


def _projected(
    gaussians: Gaussians, camera_from_world: Tensor, intrinsics: Tensor, size: tuple[int, int]
) -> _Ellipses:
    """Return the ellipses of all Gaussians that can be seen, the nearest first."""
    rotation, translation = camera_from_world[:3, :3], camera_from_world[:3, 3]
    order = (gaussians.means @ rotation[2] + translation[2]).argsort()
    gaussians = gaussians.select(order)
    local = gaussians.means @ rotation.T + translation
    seen = (local[:, 2] > _NEAR) & (gaussians.opacities >= _MIN_ALPHA)
    gaussians, local = gaussians.select(seen), local[seen]
    x, y, z = local.unbind(-1)
    fx, fy, cx, cy = (intrinsics[i, j] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    centres = torch.stack((fx * x / z + cx, fy * y / z + cy), dim=-1)
    x, y = z * _limited(x / z, fx, cx, size[1]), z * _limited(y / z, fy, cy, size[0])
    zero = torch.zeros_like(z)
    jacobian = torch.stack((fx / z, zero, -fx * x / z**2, zero, fy / z, -fy * y / z**2), dim=-1)
    axes = _rotations(gaussians.rotations) * gaussians.scales[:, None]  # (N, 3, 3)
    spread = jacobian.view(-1, 2, 3) @ rotation @ axes
    covariance = spread @ spread.mT
    a, b, c = (covariance[:, i, j] for i, j in ((0, 0), (0, 1), (1, 1)))
    a, c = a + _BLUR, c + _BLUR
    determinant = a * c - b * b
    # Beyond this many deviations what is left of the opacity is too faint to be seen.
    deviations = (2 * (gaussians.opacities / _MIN_ALPHA).log()).clamp_min(0).sqrt()
    reach = deviations[:, None] * torch.stack((a, c), dim=-1).sqrt()
    centre = -rotation.T @ translation
    directions = torch.nn.functional.normalize(gaussians.means - centre, dim=-1)
    colours = (gaussians.harmonics * harmonics_at(directions)[:, None]).sum(dim=-1) + 0.5
    inverse = torch.stack((c, -b, a), dim=-1) / determinant[:, None]
    return _Ellipses(centres, inverse, reach, gaussians.opacities, colours.clamp_min(0))


def _limited(tangent: Tensor, focal: Tensor, middle: Tensor, side: int) -> Tensor:
    """Keep tangents of directions (N,) not far outside the image: the map is wild there."""
    margin = _MARGIN * 0.5 * side / focal
    return tangent.clamp(-middle / focal - margin, (side - middle) / focal + margin)


def _rotations(quaternions: Tensor) -> Tensor:
    """Return (N, 3, 3) of quaternions w x y z (N, 4)."""
    w, x, y, z = torch.nn.functional.normalize(quaternions, dim=-1).unbind(-1)
    rows = (
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack(rows, dim=-1).view(-1, 3, 3)


def _blended(
    ellipses: _Ellipses, some: Tensor, rows: tuple[int, int], columns: tuple[int, int]
) -> Tensor:
    """Return the colours (3, h, w) of a tile that some ellipses, front to back, reach."""
    device = ellipses.centres.device
    v, u = (torch.arange(*span, device=device) + 0.5 for span in (rows, columns))
    pixels = torch.cartesian_prod(v, u).flip(-1)  # (P, 2), x and y
    colour = pixels.new_zeros(len(pixels), 3)
    passing = pixels.new_ones(len(pixels))
    for part in some.split(_AT_ONCE):
        x, y = (pixels[:, None] - ellipses.centres[part]).unbind(-1)  # (P, n)
        a, b, c = ellipses.inverse[part].unbind(-1)
        power = -0.5 * (a * x * x + c * y * y) - b * x * y
        alpha = (ellipses.opacities[part] * power.exp()).clamp_max(_MAX_ALPHA)
        alpha = torch.where(alpha >= _MIN_ALPHA, alpha, 0)
        behind = passing[:, None] * (1 - alpha).cumprod(dim=1)
        before = torch.cat((passing[:, None], behind[:, :-1]), dim=1)
        # What would make a pixel opaque is not drawn any more, nor is anything behind it.
        drawn = behind > _OPAQUE
        colour += (torch.where(drawn, alpha * before, 0)) @ ellipses.colours[part]
        passing = torch.where(drawn.all(dim=1), behind[:, -1], 0)
        if not passing.any():
            break
    return colour.T.view(3, rows[1] - rows[0], columns[1] - columns[0])
