"""
Cameras from rays: the pose and the intrinsics that explain a map of rays best.

A pixel p of a pinhole camera looks along R K^-1 p, R = rotation of world_from_camera. So the
direction map is a homography H = R K^-1 of the pixel grid: H is fitted to the directions and split
into a rotation and an upper triangular matrix (QR), which is K^-1. That holds for any principal
point; the lower triangular split of the official code holds for a centred one only.

The fit minimises the weighted squared sine of the angle between H p and the measured direction d:

    sum w |H p|^2 sin^2 = h' A h,   A = sum w (I - d d') kron (p p')

whose minimiser of unit length is the last eigenvector of A, 9 x 9. Weights are the confidences,
divided by |H p|^2 and lowered for pixels that disagree (Geman-McClure, from wide to narrow, so
that no random draws are needed). No direction is special: cameras that look away from the
reference's axis, where the official division by z breaks down, are as good as any.

Shapes: M cameras, S pixels.
"""

from da3_ros.model.camera_head import Cameras, invert_rigid
import torch
from torch import Tensor

INLIER_SINE = 0.05  # about 3 degrees: where a pixel's say is down to a quarter
WIDENING = tuple(4.0**k for k in (5, 4, 3, 2, 1, 0, 0, 0))  # of the squared inlier sine


def cameras_from_rays(rays: Tensor, confidence: Tensor, size: tuple[int, int]) -> Cameras:
    """
    Fit a camera to each view's rays; the same rays always give the same camera.

    Args:
        rays: (B, V, h, w, 6), direction of any length and origin, in the world.
        confidence: (B, V, h, w), weights, not negative.
        size: height and width in pixels of the images that the intrinsics are meant for.

    Returns:
        camera_from_world (B, V, 3, 4) and intrinsics (B, V, 3, 3). The skew of the fit is dropped.
        Not finite where the rays determine no camera.

    """
    batch, views, height, width, _ = rays.shape
    rays = rays.detach().double().flatten(0, 1).flatten(1, 2)  # (M, S, 6)
    weights = confidence.detach().double().flatten(0, 1).flatten(1, 2)  # (M, S)
    weights = torch.where(rays.isfinite().all(dim=-1), weights, 0.0)
    rays = rays.nan_to_num(0.0, 0.0, 0.0)
    lengths = rays[..., :3].norm(dim=-1, keepdim=True)
    directions = rays[..., :3] / lengths.clamp(min=1e-12)
    weights = torch.where(lengths[..., 0] > 1e-6, weights, 0.0)
    weights = weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-12)

    pixels = pixel_grid(height, width, rays.device)  # (S, 3)
    homography, agreement = fit_homography(pixels, directions, weights)
    rotation, intrinsics = split_homography(homography)
    weights = weights * agreement
    centre = (weights[..., None] * rays[..., 3:]).sum(dim=1) / weights.sum(dim=1, keepdim=True)

    world_from_camera = torch.cat((rotation, centre[..., None]), dim=-1)
    camera_from_world = invert_rigid(world_from_camera).float()
    intrinsics = to_pixels(intrinsics, size).float()
    return Cameras(
        camera_from_world.unflatten(0, (batch, views)), intrinsics.unflatten(0, (batch, views))
    )


def pixel_grid(height: int, width: int, device: torch.device) -> Tensor:
    """Pixel centres (S, 3), homogeneous, on an image plane that spans [-1, 1] both ways."""
    x = (torch.arange(width, dtype=torch.float64, device=device) + 0.5) * 2 / width - 1
    y = (torch.arange(height, dtype=torch.float64, device=device) + 0.5) * 2 / height - 1
    columns, rows = torch.meshgrid(x, y, indexing='xy')
    return torch.stack((columns, rows, torch.ones_like(rows)), dim=-1).flatten(0, 1)


def fit_homography(pixels: Tensor, directions: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """
    Fit H so that H p points along each pixel's direction.

    Args:
        pixels: (S, 3), homogeneous.
        directions: (M, S, 3), unit length.
        weights: (M, S), summing to 1.

    Returns:
        H (M, 3, 3) with positive determinant, and how far each pixel agrees, (M, S) in [0, 1].

    """
    current = weights
    agreement = torch.ones_like(weights)
    for widening in WIDENING:
        homography = _least_squares(pixels, directions, current)
        predicted = torch.einsum('mij,sj->msi', homography, pixels)
        lengths = predicted.norm(dim=-1).clamp(min=1e-9)
        cosines = (predicted * directions).sum(dim=-1) / lengths
        sines_squared = (predicted / lengths[..., None] - cosines[..., None] * directions).square()
        sines_squared = sines_squared.sum(dim=-1)
        # Behind the camera is worse than beside it.
        misfit = torch.where(cosines > 0, sines_squared, 2 - sines_squared)
        scale = widening * INLIER_SINE**2
        agreement = (scale / (scale + misfit)).square()
        current = weights * agreement / lengths.square()
    return homography, agreement


def _least_squares(pixels: Tensor, directions: Tensor, weights: Tensor) -> Tensor:
    """Minimise the weighted squared distance of H p from the line along d; H of unit length."""
    outer = (pixels[:, :, None] * pixels[:, None, :]).flatten(1)  # (S, 9)
    across = torch.eye(3, dtype=weights.dtype, device=weights.device) - (
        directions[..., :, None] * directions[..., None, :]
    )  # (M, S, 3, 3), projects onto the plane across d
    moments = (weights[..., None] * across.flatten(2)).transpose(1, 2) @ outer  # (M, 9, 9)
    moments = moments.view(-1, 3, 3, 3, 3)  # (M, i, k, j, l): d_i d_k, p_j p_l
    normal = moments.permute(0, 1, 3, 2, 4).flatten(3).flatten(1, 2)  # (M, ij, kl)
    homography = torch.linalg.eigh(normal).eigenvectors[..., 0].unflatten(-1, (3, 3))
    return homography * torch.where(torch.linalg.det(homography) < 0, -1.0, 1.0)[:, None, None]


def split_homography(homography: Tensor) -> tuple[Tensor, Tensor]:
    """Split H ~ R K^-1 (M, 3, 3) into R and K, upper triangular with K[2, 2] = 1."""
    rotation, upper = torch.linalg.qr(homography)
    signs = torch.where(upper.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0)
    rotation = rotation * signs[:, None, :]
    upper = upper * signs[:, :, None]
    fx, fy = upper[:, 2, 2] / upper[:, 0, 0], upper[:, 2, 2] / upper[:, 1, 1]
    cy = -upper[:, 1, 2] / upper[:, 1, 1]
    cx = -(upper[:, 0, 1] * cy + upper[:, 0, 2]) / upper[:, 0, 0]
    skew = -upper[:, 0, 1] / upper[:, 0, 0] * fy
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    rows = ((fx, skew, cx), (zero, fy, cy), (zero, zero, one))
    return rotation, torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def to_pixels(intrinsics: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring intrinsics of the [-1, 1] plane to an image of (H, W) pixels and drop the skew."""
    height, width = size
    fx, fy = intrinsics[:, 0, 0] * width / 2, intrinsics[:, 1, 1] * height / 2
    cx, cy = (intrinsics[:, 0, 2] + 1) * width / 2, (intrinsics[:, 1, 2] + 1) * height / 2
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    rows = ((fx, zero, cx), (zero, fy, cy), (zero, zero, one))
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
