"""
Cameras from rays: the pose and the intrinsics that explain a map of rays best.

A pixel p of a pinhole camera looks along R K^-1 p, R = rotation of world_from_camera. So the
direction map is a homography H = R K^-1 of the pixel grid: H is fitted to the directions and split
into a rotation and an upper triangular matrix (QR), which is K^-1. That holds for any principal
point; the lower triangular split of the official code holds for a centred one only.

The fit first tries homographies through four pixels each, at places that are drawn once and for
all, and keeps the one that most pixels agree with. From there it minimises the weighted squared
sine of the angle between H p and the measured direction d,

    sum w |H p|^2 sin^2 = h' A h,   A = sum w (I - d d') kron (p p'),

a 9 x 9 eigenproblem. Weights are the confidences, divided by |H p|^2 and lowered for pixels that
disagree (Geman-McClure, scaled by what the majority agrees to). No direction is special:
cameras that look away from the reference's axis, where the official division by z breaks down,
are as good as any.

Shapes: M cameras, S pixels, T trials.
"""

from da3_ros.model.camera_head import Cameras, invert_rigid
from da3_ros.model.tables import table
import torch
from torch import Tensor

MAJORITY = 0.4  # share of the weight that must agree for a camera to be found
CUTOFF = 9.0  # a pixel's say is down to a quarter at three times the spread of the majority
SMALLEST_MISFIT, LARGEST_MISFIT = 1e-7, 4e-3  # bounds of that spread, sines squared
STEPS = 8
TRIALS = 128
CONTENDERS = 4  # pixels that compete, by confidence, for each place of a trial
SCORED_PIXELS = 512


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
    trials = trial_pixels(height, width, rays.device)
    homography, agreement = fit_homography(pixels, directions, weights, trials)
    rotation, intrinsics = split_homography(homography)
    weights = weights * agreement
    centre = (weights[..., None] * rays[..., 3:]).sum(dim=1) / weights.sum(dim=1, keepdim=True)

    world_from_camera = torch.cat((rotation, centre[..., None]), dim=-1)
    camera_from_world = invert_rigid(world_from_camera).float()
    intrinsics = to_pixels(intrinsics, size).float()
    return Cameras(
        camera_from_world.unflatten(0, (batch, views)), intrinsics.unflatten(0, (batch, views))
    )


@table
def pixel_grid(height: int, width: int, device: torch.device) -> Tensor:
    """Return pixel centres (S, 3), homogeneous, on a plane that spans [-1, 1] both ways."""
    x = (torch.arange(width, dtype=torch.float64, device=device) + 0.5) * 2 / width - 1
    y = (torch.arange(height, dtype=torch.float64, device=device) + 0.5) * 2 / height - 1
    columns, rows = torch.meshgrid(x, y, indexing='xy')
    return torch.stack((columns, rows, torch.ones_like(rows)), dim=-1).flatten(0, 1)


@table
def trial_pixels(height: int, width: int, device: torch.device) -> Tensor:
    """
    Draw the pixels that all trials use, by a fixed seed: indices (T, 4, contenders).

    Each trial has one place in each quadrant, off the axes, so that its pixels lie far apart.
    """
    generator = torch.Generator().manual_seed(0)
    reach = 0.1 + 0.9 * torch.rand(TRIALS, 4, CONTENDERS, 2, generator=generator)
    quadrants = torch.tensor([[1, 1], [1, -1], [-1, -1], [-1, 1]])[:, None]
    size = torch.tensor([width, height])
    places = ((1 + quadrants * reach) / 2 * size).long().clamp(max=size - 1)  # x, y
    return (places[..., 1] * width + places[..., 0]).to(device)


def fit_homography(
    pixels: Tensor, directions: Tensor, weights: Tensor, trials: Tensor
) -> tuple[Tensor, Tensor]:
    """
    Fit H so that H p points along each pixel's direction.

    Args:
        pixels: (S, 3), homogeneous.
        directions: (M, S, 3), unit length.
        weights: (M, S), summing to 1.
        trials: (T, 4, contenders), indices of pixels to start from.

    Returns:
        H (M, 3, 3) with positive determinant, and how far each pixel agrees, (M, S) in [0, 1].

    """
    sample = slice(None, None, max(1, len(pixels) // SCORED_PIXELS))
    homography = _best_trial(pixels, directions, weights, trials, sample)
    for _ in range(STEPS):
        misfit, lengths = _misfit(homography, pixels, directions)
        agreement = _agreement(misfit, _spread(misfit[..., sample], weights[:, sample]))
        current = weights * (agreement / lengths.square())[:, 0]
        homography = _least_squares(pixels, directions, current)[:, None]
    return homography[:, 0], agreement[:, 0]


def _best_trial(
    pixels: Tensor, directions: Tensor, weights: Tensor, trials: Tensor, sample: slice
) -> Tensor:
    """Return the homography through four pixels that the majority fits best, (M, 1, 3, 3)."""
    views = torch.arange(len(weights), device=weights.device)[:, None, None]
    winner = weights[:, trials].argmax(dim=-1, keepdim=True)  # (M, T, 4, 1)
    chosen = torch.take_along_dim(trials[None], winner, dim=-1).squeeze(-1)  # (M, T, 4)
    from_basis = _frame(directions[views, chosen])  # (M, T, 3, 3)
    to_basis = _adjugate(_frame(pixels[chosen]))
    homographies = _oriented(from_basis @ to_basis)

    misfit, _ = _misfit(homographies, pixels[sample], directions[:, sample])
    best = _spread(misfit, weights[:, sample]).argmin(dim=-1, keepdim=True)
    return homographies[views[:, :, 0], best]


def _frame(points: Tensor) -> Tensor:
    """
    Return the matrix (..., 3, 3) that maps the projective basis to four points (..., 4, 3).

    Its columns are multiples of the first three points whose sum is a multiple of the fourth.
    """
    a, b, c, d = points.unbind(-2)
    shares = torch.stack((_determinant(d, b, c), _determinant(a, d, c), _determinant(a, b, d)), -1)
    return points[..., :3, :].transpose(-1, -2) * shares[..., None, :]


def _determinant(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return (a * torch.linalg.cross(b, c)).sum(dim=-1)


def _adjugate(matrix: Tensor) -> Tensor:
    """Return a multiple of the inverse; three pixels in a row give a useless one, not an error."""
    a, b, c = matrix.unbind(-1)
    rows = (torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b))
    return torch.stack(rows, dim=-2)


def _oriented(homography: Tensor) -> Tensor:
    """Choose the sign that makes the determinant positive, as a rotation's is, and unit length."""
    sign = torch.where(torch.linalg.det(homography) < 0, -1.0, 1.0)[..., None, None]
    return (
        homography * sign / homography.flatten(-2).norm(dim=-1).clamp(min=1e-30)[..., None, None]
    )


def _misfit(homographies: Tensor, pixels: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Compare H (M, T, 3, 3) with directions: sine squared and |H p|, (M, T, S) each."""
    predicted = homographies @ pixels.T  # (M, T, 3, S)
    lengths = predicted.norm(dim=-2).clamp(min=1e-9)
    cosines = torch.einsum('mtis,msi->mts', predicted, directions) / lengths
    sines_squared = (1 - cosines.square()).clamp(min=0)
    return torch.where(cosines > 0, sines_squared, 2 - sines_squared), lengths  # behind: worst


def _spread(misfit: Tensor, weights: Tensor) -> Tensor:
    """Return the misfit that the majority stays below, (M, T)."""
    ordered, order = misfit.sort(dim=-1)
    share = torch.take_along_dim(weights[:, None], order, dim=-1).cumsum(dim=-1)
    below = share < MAJORITY * share[..., -1:]
    return ordered.masked_fill(below, torch.inf).amin(dim=-1)


def _agreement(misfit: Tensor, spread: Tensor) -> Tensor:
    """Return each pixel's say, (M, T, S) in [0, 1], given the spread (M, T)."""
    scale = CUTOFF * spread.clamp(SMALLEST_MISFIT, LARGEST_MISFIT)[..., None]
    return (scale / (scale + misfit)).square()


def _least_squares(pixels: Tensor, directions: Tensor, weights: Tensor) -> Tensor:
    """
    Minimise the share of sum w |H p|^2 that is across d: (M, 3, 3).

    As a share, and not under |H| = 1, noise in the directions adds the same to every H and so does
    not pull the fit. Pixels with unit scatter make it an ordinary eigenproblem.
    """
    outer = (pixels[:, :, None] * pixels[:, None, :]).flatten(1)  # (S, 9)
    identity = torch.eye(3, dtype=weights.dtype, device=weights.device)
    across = identity - directions[..., :, None] * directions[..., None, :]  # (M, S, 3, 3)
    moments = (weights[..., None] * across.flatten(2)).transpose(1, 2) @ outer  # (M, 9, 9)
    moments = moments.unflatten(1, (3, 3)).unflatten(3, (3, 3))  # (M, i, k, j, l)

    scatter = (weights @ outer).unflatten(1, (3, 3)) + 1e-12 * identity
    factor, _ = torch.linalg.cholesky_ex(scatter)
    whiten = torch.linalg.solve_triangular(factor, identity.expand_as(factor), upper=False)
    normal = torch.einsum('maj,mikjl,mbl->miakb', whiten, moments, whiten)
    normal = normal.flatten(3).flatten(1, 2)  # (M, 9, 9)
    homography = torch.linalg.eigh(normal).eigenvectors[..., 0].unflatten(-1, (3, 3))
    return _oriented(homography @ whiten)


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
