"""
Trajectory metrics: alignment, absolute and relative errors of poses over time.

Positions are camera centres. Names as in the literature: ATE is the distance of positions after
one alignment of the whole trajectory (Sturm et al. 2012), RPE the error of motions between frames.
"""

from dataclasses import dataclass

from da3_ros.errors import InputError
from da3_ros.geometry.alignment import weighted_similarity
from da3_ros.geometry.transforms import invert, rotation_angle_deg, Sim3
import numpy as np
from scipy.spatial.transform import Rotation
import torch

# A trajectory whose centres spread by less than this share of their distance from the origin (or
# of 1 m, if that is more) is one point: what is left is rounding.
_STATIC = 1e-9
# The end of a trajectory is at most so many poses. One is where the camera was before if another
# one of the first half is nearer than this share of the path, and looks the same way to so much.
_END = 10
_SAME_PLACE = 0.03
_SAME_DIRECTION_DEG = 45.0


@dataclass(frozen=True)
class TrajectoryErrors:
    """
    Errors of an estimated trajectory after alignment to the truth.

    ``ate_rmse_m`` root mean square distance of camera centres; ``ate_percent`` the same in percent
    of the length of the true path; ``rotation_deg`` mean angle between the orientations after the
    one rotation that fits them best (so a straight path, which leaves its roll open, does no
    harm); ``true_from_estimated`` the alignment; ``path_length_m`` of the truth. For a static
    camera, whose scale nobody can tell, ``ate_rmse_m`` and ``ate_percent`` are NaN and the
    alignment has scale 1.
    """

    ate_rmse_m: float
    ate_percent: float
    rotation_deg: float
    path_length_m: float
    true_from_estimated: Sim3


@dataclass(frozen=True)
class RelativeErrors:
    """RPE: root mean square error of the motion over a fixed number of frames."""

    translation_rmse_m: float
    rotation_rmse_deg: float


def is_static(world_from_camera: np.ndarray) -> bool:
    """Tell whether the camera centres of (F, 4, 4) are all in one place, to rounding."""
    centres = world_from_camera[:, :3, 3]
    spread = np.linalg.norm(centres - centres.mean(0), axis=1).max()
    return bool(spread <= _STATIC * max(1.0, np.abs(centres).max()))


def path_length(world_from_camera: np.ndarray) -> float:
    """Return the length of the polyline through the camera centres of (F, 4, 4)."""
    return float(np.linalg.norm(np.diff(world_from_camera[:, :3, 3], axis=0), axis=1).sum())


def align(
    estimated: np.ndarray, true: np.ndarray, with_scale: bool = True, with_rotations: bool = False
) -> Sim3:
    """
    Return ``true_from_estimated`` that brings camera centres of poses (F, 4, 4) together.

    Least squares in closed form (Umeyama 1991): Sim(3), or SE(3) without scale. On a straight line
    the rotation about it is open and one of the best is returned; ``with_rotations`` takes the
    rotation from the orientations instead, which no path leaves open.

    Raises:
        InputError: if the shapes differ, there are fewer than two poses, or a scale is wanted of a
            static trajectory.

    """
    estimated, true = _checked(estimated, true)
    if with_scale and (is_static(estimated) or is_static(true)):
        raise InputError(
            'A trajectory whose camera never moves has no scale; align it with with_scale=False.'
        )
    source, target = estimated[:, :3, 3], true[:, :3, 3]
    if not with_rotations:
        return weighted_similarity(
            torch.from_numpy(source), torch.from_numpy(target), with_scale=with_scale
        )
    rotation = mean_rotation(estimated, true)
    source_c, target_c = source - source.mean(0), target - target.mean(0)
    turned = source_c @ rotation.T
    scale = float((turned * target_c).sum() / (turned**2).sum()) if with_scale else 1.0
    return Sim3(scale, rotation, target.mean(0) - scale * rotation @ source.mean(0))


def mean_rotation(estimated: np.ndarray, true: np.ndarray) -> np.ndarray:
    """
    Return the rotation (3, 3) ``true_from_estimated`` that fits orientations of (F, 4, 4) best.

    Chordal mean: the projection of the summed residual rotations onto SO(3).
    """
    residuals = true[:, :3, :3] @ np.swapaxes(estimated[:, :3, :3], -1, -2)  # (F, 3, 3)
    return Rotation.from_matrix(residuals).mean().as_matrix()


def trajectory_errors(
    estimated: np.ndarray, true: np.ndarray, with_scale: bool = True
) -> TrajectoryErrors:
    """
    Compare world_from_camera poses (F, 4, 4) with the truth after Sim(3) or SE(3) alignment.

    Raises:
        InputError: if the shapes differ or there are fewer than two poses.

    """
    estimated, true = _checked(estimated, true)
    length = path_length(true)
    rotation = mean_rotation(estimated, true)
    rotation_deg = np.mean(
        rotation_angle_deg(np.swapaxes(true[:, :3, :3], -1, -2) @ rotation @ estimated[:, :3, :3])
    )
    if is_static(true) or (with_scale and is_static(estimated)):
        fallback = align(estimated, true, with_scale=False)
        nan = float('nan')
        return TrajectoryErrors(nan, nan, float(rotation_deg), length, fallback)
    true_from_estimated = align(estimated, true, with_scale)
    error = true_from_estimated.apply(estimated[:, :3, 3]) - true[:, :3, 3]
    ate = float(np.sqrt(np.mean(np.sum(error**2, axis=1))))
    return TrajectoryErrors(
        ate, 100.0 * ate / length, float(rotation_deg), length, true_from_estimated
    )


def relative_errors(
    estimated: np.ndarray, true: np.ndarray, delta: int = 1, scale: float = 1.0
) -> RelativeErrors:
    """
    Compare the motions over ``delta`` frames of poses (F, 4, 4) (Sturm et al. 2012, eq. 1-3).

    ``scale`` is what the estimate's lengths are multiplied with, e.g.
    ``true_from_estimated.scale``.

    Raises:
        InputError: if the shapes differ, or there are not more poses than ``delta``, or that is
            less than 1.

    """
    estimated, true = _checked(estimated, true)
    if not 1 <= delta < len(true):
        raise InputError(f'Delta is {delta}; expected 1 to {len(true) - 1} for {len(true)} poses.')
    estimated_motion = invert(estimated[:-delta]) @ estimated[delta:]  # (F - delta, 4, 4)
    estimated_motion[:, :3, 3] *= scale
    true_motion = invert(true[:-delta]) @ true[delta:]
    error = invert(true_motion) @ estimated_motion
    angle = rotation_angle_deg(error[:, :3, :3])
    return RelativeErrors(
        translation_rmse_m=float(np.sqrt(np.mean(np.sum(error[:, :3, 3] ** 2, axis=1)))),
        rotation_rmse_deg=float(np.sqrt(np.mean(angle**2))),
    )


def end_error_m(estimated: np.ndarray, true: np.ndarray, scale: float = 1.0) -> float:
    """
    Return how far off the end of world_from_camera poses (F, 4, 4) is, seen from where it began.

    Each of the last ten poses that is back where the camera was in the first half is compared in
    the frame of the pose there: what is left of all drift in between, and what a closed loop takes
    away. Root mean square; NaN if the last pose is nowhere near an earlier one. ``scale`` as for
    relative errors.

    Raises:
        InputError: if the shapes differ or there are fewer than two poses.

    """
    estimated, true = _checked(estimated, true)
    half = len(true) // 2
    end, before = np.arange(max(half, len(true) - _END), len(true)), np.arange(half)
    centres, ahead = true[:, :3, 3], true[:, :3, 2]
    away = np.linalg.norm(centres[end, None] - centres[None, before], axis=2)
    is_alike = ahead[end] @ ahead[before].T > np.cos(np.radians(_SAME_DIRECTION_DEG))
    away = np.where(is_alike, away, np.inf)
    is_back = away.min(axis=1) <= _SAME_PLACE * path_length(true)
    if not is_back[-1]:
        return float('nan')
    first, end = before[away.argmin(axis=1)][is_back], end[is_back]
    estimated_motion = invert(estimated[first]) @ estimated[end]
    true_motion = invert(true[first]) @ true[end]
    error = scale * estimated_motion[:, :3, 3] - true_motion[:, :3, 3]
    return float(np.sqrt(np.mean(np.sum(error**2, axis=1))))


def _checked(estimated: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both in float64, or raise an ``InputError`` for shapes that can't be compared."""
    estimated, true = np.asarray(estimated, np.float64), np.asarray(true, np.float64)
    if estimated.shape != true.shape or estimated.ndim != 3 or estimated.shape[1:] != (4, 4):
        raise InputError(
            f'Got poses of shapes {estimated.shape} and {true.shape}; expected two of (F, 4, 4).'
        )
    if len(true) < 2:
        raise InputError(f'Got {len(true)} poses; expected at least two.')
    return estimated, true
