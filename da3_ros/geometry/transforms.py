"""
Rigid (SE3) and similarity (Sim3) transforms in float64 NumPy.

A name ``b_from_a`` maps coordinates in frame ``a`` to coordinates in frame ``b``, so names cancel
when transforms are composed: ``c_from_a = c_from_b @ b_from_a``. Rigid transforms are (4, 4)
matrices. Quaternions are x, y, z, w.
"""

from dataclasses import dataclass

from da3_ros.geometry.rotations import power, quaternion_of, rows_of
import numpy as np
from scipy.spatial.transform import Rotation

# A level camera that looks along the x axis of a REP 103 frame (x forward, y left, z up); its own
# optical axes are x right, y down, z forward.
BODY_FROM_OPTICAL = np.array(
    [[0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
)
# As many rotations are faster in plain floats than in SciPy, which takes long to begin.
_FEW = 12
# Takes the nine entries of a rotation to its axis, times twice the sine of its angle, and trace.
_AXIS_AND_TRACE = np.zeros((9, 4))
_AXIS_AND_TRACE[[7, 2, 3], [0, 1, 2]] = 1.0
_AXIS_AND_TRACE[[5, 6, 1], [0, 1, 2]] = -1.0
_AXIS_AND_TRACE[[0, 4, 8], 3] = 1.0


def rigid(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """Return the (..., 4, 4) float64 matrix of rotations (..., 3, 3), translations (..., 3)."""
    b_from_a = np.zeros((*rotation.shape[:-2], 4, 4))
    b_from_a[..., :3, :3] = rotation
    b_from_a[..., :3, 3] = translation
    b_from_a[..., 3, 3] = 1.0
    return b_from_a


def invert(b_from_a: np.ndarray) -> np.ndarray:
    """Return ``a_from_b`` of a rigid transform (..., 4, 4), without a general matrix inverse."""
    a_from_b = np.zeros_like(b_from_a)
    rotation = np.swapaxes(b_from_a[..., :3, :3], -1, -2)
    a_from_b[..., :3, :3] = rotation
    a_from_b[..., :3, 3] = -(rotation @ b_from_a[..., :3, 3, None])[..., 0]
    a_from_b[..., 3, 3] = 1.0
    return a_from_b


def quaternion_xyzw(rotation: np.ndarray) -> np.ndarray:
    """Return the unit quaternion (..., 4) of rotation matrices (..., 3, 3), with w >= 0."""
    if rotation.size <= 9 * _FEW:
        found = [quaternion_of(rows) for rows in rotation.reshape(-1, 3, 3).tolist()]
        return np.array(found).reshape(*rotation.shape[:-2], 4)
    quaternion = Rotation.from_matrix(rotation).as_quat()
    # SciPy does this itself (canonical=True) from 1.11; ROS 2 Humble's Ubuntu has 1.8.
    return np.where(quaternion[..., 3:] < 0, -quaternion, quaternion)


def pose_from_quaternion(translation: np.ndarray, quaternion: np.ndarray) -> np.ndarray:
    """Return the (4, 4) rigid transform of a translation (3,) and a quaternion (4,) x, y, z, w."""
    return rigid(np.array(rows_of(quaternion.tolist())), translation)


def rotation_angle_deg(rotation: np.ndarray) -> np.ndarray:
    """Return the angle in degrees, 0 to 180, of rotation matrices (..., 3, 3)."""
    found = rotation.reshape(*rotation.shape[:-2], 9) @ _AXIS_AND_TRACE
    sine = np.sqrt((found[..., :3] ** 2).sum(axis=-1))
    # atan2 is exact at both ends, near 0 and near 180 degrees.
    return np.degrees(np.arctan2(sine, found[..., 3] - 1.0))


def blend(
    b_from_a: np.ndarray, b_from_a_new: np.ndarray, weight: float | np.ndarray
) -> np.ndarray:
    """
    Return the poses a share ``weight`` of the way from the first rigid transforms to the second.

    Those are (4, 4), or (N, 4, 4) with weights (N,). Rotation along the geodesic, translation on
    the straight line: a running average with ``weight = 1 / n`` stays a rotation.
    """
    before = b_from_a[..., :3, :3]
    steps = np.swapaxes(before, -1, -2) @ b_from_a_new[..., :3, :3]
    share = np.zeros((*steps.shape[:-2], 1)) + np.asarray(weight)[..., None]
    each = zip(steps.reshape(-1, 3, 3).tolist(), share.ravel().tolist(), strict=True)
    parts = [rows_of(power(quaternion_of(rows), part)) for rows, part in each]
    translation = (1.0 - share) * b_from_a[..., :3, 3] + share * b_from_a_new[..., :3, 3]
    return rigid(before @ np.array(parts).reshape(steps.shape), translation)


def mean_pose(b_from_a: np.ndarray) -> np.ndarray:
    """Return the mean (4, 4) of rigid transforms (N, 4, 4) that are near each other."""
    rotation = Rotation.from_matrix(b_from_a[:, :3, :3]).mean().as_matrix()
    return rigid(rotation, b_from_a[:, :3, 3].mean(axis=0))


@dataclass(frozen=True)
class Sim3:
    """A similarity ``b_from_a``: ``p_b = scale * rotation @ p_a + translation``."""

    scale: float
    rotation: np.ndarray
    translation: np.ndarray

    @classmethod
    def identity(cls) -> 'Sim3':
        """Return the similarity that changes nothing."""
        return cls(1.0, np.eye(3), np.zeros(3))

    @classmethod
    def from_rigid(cls, b_from_a: np.ndarray, scale: float = 1.0) -> 'Sim3':
        """Return the similarity with the rotation and translation of a (4, 4) rigid transform."""
        return cls(scale, b_from_a[:3, :3], b_from_a[:3, 3])

    def __matmul__(self, other: 'Sim3') -> 'Sim3':
        """Return ``c_from_a`` of ``c_from_b @ b_from_a``."""
        return Sim3(
            self.scale * other.scale,
            self.rotation @ other.rotation,
            self.apply(other.translation),
        )

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Map points (..., 3) from frame ``a`` to frame ``b``."""
        return self.scale * points @ self.rotation.T + self.translation

    def apply_to_pose(self, a_from_camera: np.ndarray) -> np.ndarray:
        """Map a camera pose (..., 4, 4); the result is rigid, the camera itself is not resized."""
        b_from_camera = np.zeros_like(a_from_camera)
        b_from_camera[..., :3, :3] = self.rotation @ a_from_camera[..., :3, :3]
        b_from_camera[..., :3, 3] = self.apply(a_from_camera[..., :3, 3])
        b_from_camera[..., 3, 3] = 1.0
        return b_from_camera

    def inverse(self) -> 'Sim3':
        """Return ``a_from_b``."""
        rotation = self.rotation.T
        return Sim3(1.0 / self.scale, rotation, -(rotation @ self.translation) / self.scale)
