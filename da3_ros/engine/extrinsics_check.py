"""Whether extrinsics are right: what images say of a camera's place on its rig, set after set."""

from dataclasses import dataclass

from da3_ros.geometry.transforms import invert
import numpy as np
from scipy.spatial.transform import Rotation

# Sets that must have been seen before anything is said, and over which the mean goes.
_MIN_SETS = 5
_MEMORY = 20
# What images and TF may differ by, on the mean: in errors of a single view, and at least so many
# degrees, and so large a share of the distance to the scene.
_ERRORS = 4.0
_DEGREES = 2.0
_SHARE = 0.05
# Share of the mean square that the square of the mean must be: errors that are alike each time.
_ALIKE = 0.5
# A camera is trusted again once it is nearer than this share of that.
_FORGIVEN = 0.5


@dataclass(frozen=True)
class Tolerance:
    """How far a camera may be from its place: ``radians`` and ``metres``."""

    radians: float
    metres: float

    @classmethod
    def of(cls, sigma: np.ndarray, unit: float, distance: float) -> 'Tolerance':
        """Return it for errors ``sigma`` (2,) of a view and what it sees, both in the map."""
        metres = max(_ERRORS * float(sigma[0]), _SHARE * distance) / unit if unit > 0 else np.inf
        return cls(max(_ERRORS * float(sigma[1]), float(np.radians(_DEGREES))), metres)


class ExtrinsicsCheck:
    """
    The mean of where images have a camera, seen from where TF has it.

    Errors of a network differ from view to view; a mean that stays far from nothing is an error of
    the extrinsics, or of the clock of one camera.
    """

    def __init__(self) -> None:
        """Suspect nothing."""
        self._sets = 0
        self._turned = np.zeros(3)
        self._off_m = np.zeros(3)
        self._squares = np.zeros(2)
        self.is_wrong = False

    def update(
        self, expected: np.ndarray, measured: np.ndarray, unit: float, tolerance: Tolerance
    ) -> None:
        """Take in where TF and images have the camera (4, 4) in the map, of ``unit`` a metre."""
        difference = invert(expected) @ measured
        self._sets += 1
        weight = 1.0 / min(self._sets, _MEMORY)
        turned = Rotation.from_matrix(difference[:3, :3]).as_rotvec()
        off_m = difference[:3, 3] / unit if unit > 0 else np.zeros(3)
        self._turned += weight * (turned - self._turned)
        self._off_m += weight * (off_m - self._off_m)
        self._squares += weight * (np.array([turned @ turned, off_m @ off_m]) - self._squares)
        allowed = _FORGIVEN if self.is_wrong else 1.0
        means = np.array([np.linalg.norm(self._turned), np.linalg.norm(self._off_m)])
        is_far = means > allowed * np.array([tolerance.radians, tolerance.metres])
        is_alike = means**2 > _ALIKE * self._squares
        self.is_wrong = bool((is_far & is_alike).any()) and self._sets >= _MIN_SETS

    def sentence(self, camera: str) -> str:
        """Return what is wrong with the extrinsics of a camera."""
        degrees, metres = np.degrees(np.linalg.norm(self._turned)), np.linalg.norm(self._off_m)
        return (
            f"TF puts the camera '{camera}' {degrees:.1f} deg and {metres:.2g} m from where the "
            'images of the rig do; it is left out of the rig'
        )
