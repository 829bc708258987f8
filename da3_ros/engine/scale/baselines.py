"""
Comparing motions in metres with motions in map units.

A motion ``a_from_b`` (4, 4) is the pose of camera b in the frame of camera a. What is compared is
the known translation and the predicted one's part along it: the predicted one is the noisier of
the two, and its length would grow with its noise.
"""

from dataclasses import dataclass

from da3_ros.geometry.transforms import rotation_angle_deg
import numpy as np

# Standard deviation of a predicted camera's position, as a share of the scene's median depth.
POSE_NOISE = 0.01
# A motion that the network is expected to get wrong by more than this is not used.
_MAX_SIGMA = 0.25
# Known and predicted motion that disagree by more than this are not of the same cameras.
_MAX_ROTATION_DEG = 10.0
_MAX_DIRECTION_DEG = 30.0


@dataclass(frozen=True)
class MotionRatios:
    """
    Readings (P,) from P motions: logarithm of metres per map unit, and sigma.

    ``is_usable`` (P,) where the motion is long enough for the network; ``agrees`` (P,) where known
    and predicted motion can be of the same cameras.
    """

    log_scale: np.ndarray
    sigma: np.ndarray
    is_usable: np.ndarray
    agrees: np.ndarray


def motion_ratios(
    known: np.ndarray, predicted: np.ndarray, median_depth: float, drift: float
) -> MotionRatios:
    """
    Compare known motions (P, 4, 4) in metres with predicted ones in map units.

    ``median_depth`` of the scene in map units; ``drift`` the error of the known lengths, as a
    share of them.
    """
    metres, units = known[:, :3, 3], predicted[:, :3, 3]
    length = np.linalg.norm(metres, axis=1)
    along = np.sum(metres * units, axis=1) / np.maximum(length, 1e-12)
    across = np.linalg.norm(np.cross(metres, units), axis=1) / np.maximum(length, 1e-12)
    is_forward = (along > 0) & (length > 0)
    with np.errstate(divide='ignore', invalid='ignore'):
        log_scale = np.where(is_forward, np.log(length / along), 0.0)
    # Which motions are long enough must not be asked of the predicted lengths: their errors would
    # then decide who is heard. The known lengths, at a first guess of the scale, decide.
    noise = np.sqrt(2.0) * POSE_NOISE * median_depth
    expected = length * np.exp(-_first_guess(log_scale[is_forward], length[is_forward]))
    sigma = np.hypot(noise / np.maximum(expected, 1e-12), drift)
    turned = np.swapaxes(known[:, :3, :3], -1, -2) @ predicted[:, :3, :3]
    direction_deg = np.degrees(np.arctan2(across, along))
    allowed_deg = np.maximum(_MAX_DIRECTION_DEG, np.degrees(3.0 * sigma))
    return MotionRatios(
        log_scale=log_scale,
        sigma=sigma,
        is_usable=sigma <= _MAX_SIGMA,
        agrees=is_forward
        & (direction_deg <= allowed_deg)
        & (rotation_angle_deg(turned) <= _MAX_ROTATION_DEG),
    )


def _first_guess(log_scale: np.ndarray, length: np.ndarray) -> float:
    """Return the median of readings, weighted as the error of a motion falls with its length."""
    if not len(length):
        return 0.0
    order = np.argsort(log_scale)
    cumulative = np.cumsum(length[order] ** 2)
    return float(log_scale[order][np.searchsorted(cumulative, 0.5 * cumulative[-1])])
