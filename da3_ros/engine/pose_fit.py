"""
Where a window lies in the map, by the poses that both give to the same cameras.

A network errs in each camera of a window by itself, in place and in direction, so both count, each
by what it is worth: directions alone say how the window is turned where cameras stand together or
in a line. A camera that the network put anywhere, since it shares nothing with the others, is
found by the others' agreement and left out.

Shapes: K keyframes. Everything here is small, so it is NumPy.
"""

from dataclasses import dataclass
import math

from da3_ros.engine.joint_scale import CENTRE_SIGMA, joint_log_scale
from da3_ros.engine.pose_pairs import PosePairs
from da3_ros.geometry.transforms import Sim3
import numpy as np

# Error of a view's direction about each axis, rad. Errors like it and CENTRE_SIGMA are never
# suspicious; how large a window's own are is measured, and guessed to be these where that is not
# possible: the guess counts as so many measurements.
_ROTATION_SIGMA = 0.005
_PRIOR_MEASUREMENTS = 0.01
# What a network errs about a view in the same way in every window can't be measured: a third, say,
# of the variance of a view that the map did not have before.
_UNSEEN = 1.5
# Steps of reweighting; the squared error, in variances, at which a keyframe has lost three
# quarters of its weight; the median of squared errors whose mean is 1.
ITERATIONS = 4
_SUSPICIOUS = 9.0
_MEDIAN_CHI = 0.89


@dataclass(frozen=True)
class PoseFit:
    """
    ``map_from_window``, and how sure it is.

    ``agreement`` (K,) is 1 for keyframes that are where the others say and goes to 0 for those
    that are not. ``pivot`` (3,) is the place in the map about which the errors of translation,
    variance ``translation``, of rotation, (3, 3) ``rotation``, and of the logarithm of scale,
    variance ``log_scale``, are independent; ``centre`` and ``direction`` are the variances of a
    single view of the window about each axis.
    """

    map_from_window: Sim3
    agreement: np.ndarray
    pivot: np.ndarray
    translation: float
    rotation: np.ndarray
    log_scale: float
    centre: float
    direction: float

    def pose_covariance(self, map_from_camera: np.ndarray) -> np.ndarray:
        """
        Return the covariance (6, 6) of position and rotation, about the map's axes, of a new view.

        First order, about where the map has the keyframes: their own errors are not in it.
        """
        return self.gauge_covariance(map_from_camera) + self.own_covariance

    @property
    def own_covariance(self) -> np.ndarray:
        """The part of ``pose_covariance`` (6, 6) that is of each view by itself."""
        return np.diag([self.centre] * 3 + [self.direction] * 3)

    def gauge_covariance(self, map_from_camera: np.ndarray) -> np.ndarray:
        """Return the part of ``pose_covariance`` that all views of the window have in common."""
        arm = map_from_camera[:3, 3] - self.pivot
        turned = np.concatenate([-skew(arm), np.eye(3)])  # (6, 3)
        covariance = turned @ self.rotation @ turned.T
        along = arm[:, None] * (self.log_scale * arm)
        along.flat[::4] += self.translation
        covariance[:3, :3] += along
        return 0.5 * (covariance + covariance.T)


def fit_poses(
    window_from_camera: np.ndarray,
    map_from_camera: np.ndarray,
    trust: np.ndarray,
    confidence: np.ndarray,
    distance: float,
    log_ratio: float,
    ratio_sigma: float,
) -> PoseFit:
    """
    Fit ``map_from_window`` to the poses (K, 4, 4) that window and map give to the same cameras.

    IRLS with Geman and McClure's weights, started at the keyframe that most others agree with:
    fewer than half of the keyframes may be anywhere.

    Args:
        window_from_camera: Poses in the window.
        map_from_camera: Poses in the map.
        trust: How sure the map is of each keyframe (K,), 0 to 1.
        confidence: How sure the network is of each (K,); it only settles who is right where as
            many keyframes say one thing as another.
        distance: From the cameras to the scene, in the map: errors of position grow with it.
        log_ratio: Logarithm of map over window depth.
        ratio_sigma: Its standard deviation.

    """
    sigma = usual_sigma(distance)
    pairs = PosePairs(window_from_camera, map_from_camera, sigma)
    one_each = np.ones(len(trust))
    gauge = pairs.most_agreed(trust * confidence, math.exp(log_ratio))
    for _ in range(ITERATIONS):
        weights = trust * agreements(trust * pairs.squared_errors(gauge), one_each)
        centres = pairs.centres(weights)
        rotation = pairs.rotation(weights, centres, gauge.scale)
        log_scale, log_scale_variance = joint_log_scale(
            centres.squares_a() / distance**2,
            centres.products(rotation) / distance**2,
            centres.squares_b() / distance**2,
            len(trust),
            log_ratio,
            ratio_sigma,
        )
        gauge = centres.gauge(math.exp(log_scale), rotation)
    errors = trust * pairs.squared_errors(gauge)
    agreement = agreements(errors, one_each)
    level = _level(errors, agreement)
    of_centre, of_direction = (sigma**2).tolist()
    # What arms from the pivot know of rotation: |arm|² about each axis, less that along the arm.
    information = centres.spread_b / -of_centre
    information.flat[::4] += centres.weight / of_direction + centres.squares_b() / of_centre
    return PoseFit(
        map_from_window=gauge,
        agreement=agreement,
        pivot=centres.mean_b,
        translation=level * of_centre / centres.weight,
        rotation=level * np.linalg.inv(information),
        log_scale=log_scale_variance,
        centre=_UNSEEN * level * of_centre,
        direction=_UNSEEN * level * of_direction,
    )


def agreements(errors: np.ndarray, votes: np.ndarray, max_usual: float = np.inf) -> np.ndarray:
    """
    Return the weights (K,) of squared errors, against what is usual among them.

    That is their median by ``votes`` (K,), in those expected: from 1 to ``max_usual``.
    """
    ranked = sorted(zip(errors.tolist(), votes.tolist(), strict=True))
    # The lower of two medians: where one of two is wrong, the other sets what is usual.
    left = 0.5 * sum(vote for _, vote in ranked) * (1.0 - 1e-9)
    for middle, vote in ranked:
        left -= vote
        if left <= 0.0:
            break
    usual = min(max(middle / _MEDIAN_CHI, 1.0), max_usual)
    return 1.0 / (1.0 + errors / (_SUSPICIOUS * usual)) ** 2


def usual_sigma(distance: float) -> np.ndarray:
    """Return the errors (2,) that are never suspicious: of a centre, so far away; of direction."""
    return np.array([CENTRE_SIGMA * distance, _ROTATION_SIGMA])


def _level(errors: np.ndarray, agreement: np.ndarray) -> float:
    """Return the variance of this window's errors in those that are expected."""
    freedom = max(6.0 * float(agreement.sum()) - 7.0, 0.0)
    total = 6.0 * float(agreement @ errors)
    return (total + _PRIOR_MEASUREMENTS) / (freedom + _PRIOR_MEASUREMENTS)


def skew(vector: np.ndarray) -> np.ndarray:
    """Return the matrix (3, 3) that takes cross products with a vector (3,)."""
    x, y, z = vector.tolist()
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
