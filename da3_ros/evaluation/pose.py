"""
Accuracy of relative camera poses: angular errors of all pairs and the area under their curve.

The pairwise form of PoseDiffusion, VGGT and Depth Anything 3's benchmark: invariant to a
similarity of the whole reconstruction, so nothing has to be aligned.
"""

from dataclasses import dataclass

from da3_ros.errors import InputError
from da3_ros.geometry.transforms import invert, rotation_angle_deg
import numpy as np

AUC_THRESHOLDS_DEG = (3, 5, 15, 30)


@dataclass(frozen=True)
class PairErrors:
    """
    Errors in degrees of all P = F (F - 1) / 2 pairs of F views, (P,) each.

    ``rotation_deg`` 0 to 180. ``translation_deg`` angle between the directions of the baselines, 0
    to 90: sign is not told apart, and a baseline of length zero counts as 90.
    """

    rotation_deg: np.ndarray
    translation_deg: np.ndarray

    @property
    def worst_deg(self) -> np.ndarray:
        """The larger of the two errors of each pair, (P,)."""
        return np.maximum(self.rotation_deg, self.translation_deg)


def pair_errors(world_from_camera: np.ndarray, true_world_from_camera: np.ndarray) -> PairErrors:
    """
    Compare the relative poses of all pairs i < j of two sets of poses (F, 4, 4), float64.

    The two may live in different worlds and scales.

    Raises:
        InputError: if the shapes differ or there are fewer than two poses.

    """
    estimated = np.asarray(world_from_camera, dtype=np.float64)
    true = np.asarray(true_world_from_camera, dtype=np.float64)
    if estimated.shape != true.shape or estimated.ndim != 3 or estimated.shape[1:] != (4, 4):
        raise InputError(
            f'Got poses of shapes {estimated.shape} and {true.shape}; expected two of (F, 4, 4).'
        )
    if len(true) < 2:
        raise InputError(f'Got {len(true)} poses; expected at least two to make a pair.')
    estimated_motion, true_motion = _pair_motions(estimated), _pair_motions(true)
    error = np.swapaxes(true_motion[:, :3, :3], -1, -2) @ estimated_motion[:, :3, :3]
    return PairErrors(
        rotation_deg=rotation_angle_deg(error),
        translation_deg=_direction_error_deg(estimated_motion[:, :3, 3], true_motion[:, :3, 3]),
    )


def _pair_motions(world_from_camera: np.ndarray) -> np.ndarray:
    """
    Return the motion from view j to view i of all pairs i < j, (P, 4, 4), in the first view.

    The benchmark composes ``inv(E_i) @ E_j`` of extrinsics E = camera_from_first, so the motion is
    expressed in the first view's frame rather than in that of view i.
    """
    first, second = np.triu_indices(len(world_from_camera), k=1)
    first_from_camera = invert(world_from_camera[0]) @ world_from_camera
    return first_from_camera[first] @ invert(first_from_camera)[second]


def _direction_error_deg(estimated: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return the angle in degrees, 0 to 90, between the lines along two sets of vectors (P, 3)."""
    along = np.abs(np.sum(estimated * true, axis=1))
    across = np.linalg.norm(np.cross(estimated, true), axis=1)
    # atan2 keeps its precision near 0 and 90 degrees, where acos has none.
    angle = np.degrees(np.arctan2(across, along))
    tiny = np.finfo(np.float64).tiny
    is_defined = (np.linalg.norm(estimated, axis=1) > tiny) & (np.linalg.norm(true, axis=1) > tiny)
    return np.where(is_defined, angle, 90.0)


def pose_auc(errors: PairErrors, threshold_deg: int) -> float:
    """
    Return the area under the recall curve of the worse error up to a threshold, 0 to 1.

    Recall in bins of one degree: mean of the cumulated histogram over 0..threshold. An error of 0
    gives 1.
    """
    histogram, _ = np.histogram(errors.worst_deg, bins=np.arange(threshold_deg + 1))
    return float(np.mean(np.cumsum(histogram / len(errors.worst_deg))))


def pose_aucs(errors: PairErrors) -> dict[str, float]:
    """Return AUC3, AUC5, AUC15 and AUC30 under the names ``auc3`` ... ``auc30``."""
    return {f'auc{t}': pose_auc(errors, t) for t in AUC_THRESHOLDS_DEG}
