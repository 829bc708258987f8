"""
Where a window lies in the map, by the poses that both give to the same cameras.

A network errs in each camera of a window by itself, in place and in direction, so both count, each
by what it is worth: directions alone say how the window is turned where cameras stand together or
in a line. A camera that the network put anywhere, since it shares nothing with the others, is
found by the others' agreement and left out.

Shapes: K keyframes. Everything here is small, so it is NumPy.
"""

from dataclasses import dataclass

from da3_ros.engine.joint_scale import CENTRE_SIGMA, joint_log_scale
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
        return np.diag(np.repeat([self.centre, self.direction], 3))

    def gauge_covariance(self, map_from_camera: np.ndarray) -> np.ndarray:
        """Return the part of ``pose_covariance`` that all views of the window have in common."""
        arm = map_from_camera[:3, 3] - self.pivot
        turned = -skew(arm)
        covariance = np.empty((6, 6))
        covariance[:3, :3] = (
            self.translation * np.eye(3)
            + turned @ self.rotation @ turned.T
            + self.log_scale * np.outer(arm, arm)
        )
        covariance[:3, 3:] = turned @ self.rotation
        covariance[3:, :3] = covariance[:3, 3:].T
        covariance[3:, 3:] = self.rotation
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
    poses = (window_from_camera, map_from_camera)
    one_each = np.ones(len(trust))
    gauge = most_agreed(*poses, trust * confidence, sigma, float(np.exp(log_ratio)))
    for _ in range(ITERATIONS):
        errors = trust * squared_errors(gauge, *poses, sigma)
        agreement = agreements(errors, one_each)
        weights = trust * agreement
        rotation = joint_rotation(*poses, weights, sigma, gauge.scale)
        log_scale, log_scale_variance = joint_log_scale(
            window_from_camera[:, :3, 3] @ rotation.T,
            map_from_camera[:, :3, 3],
            weights / distance**2,
            log_ratio,
            ratio_sigma,
        )
        share = weights / weights.sum()
        in_window, pivot = (share @ pose[:, :3, 3] for pose in poses)
        scale = float(np.exp(log_scale))
        gauge = Sim3(scale, rotation, pivot - scale * rotation @ in_window)
    errors = trust * squared_errors(gauge, *poses, sigma)
    agreement = agreements(errors, one_each)
    level = _level(errors, agreement)
    arms = skew(map_from_camera[:, :3, 3] - pivot)
    information = weights.sum() / sigma[1] ** 2 * np.eye(3)
    information += np.einsum('k,kji,kjl->il', weights, arms, arms) / sigma[0] ** 2
    return PoseFit(
        map_from_window=gauge,
        agreement=agreement,
        pivot=pivot,
        translation=level * sigma[0] ** 2 / weights.sum(),
        rotation=level * np.linalg.inv(information),
        log_scale=log_scale_variance,
        centre=_UNSEEN * level * sigma[0] ** 2,
        direction=_UNSEEN * level * sigma[1] ** 2,
    )


def most_agreed(
    window_from_camera: np.ndarray,
    map_from_camera: np.ndarray,
    weights: np.ndarray,
    sigma: np.ndarray,
    scale: float,
) -> Sim3:
    """Return the gauge in which one keyframe is right and the others are least wrong in sum."""
    rotations = map_from_camera[:, :3, :3] @ np.swapaxes(window_from_camera[:, :3, :3], 1, 2)
    turned = (rotations @ window_from_camera[:, :3, 3:])[..., 0]
    translations = map_from_camera[:, :3, 3] - scale * turned
    each = Sim3(scale, rotations[:, None], translations[:, None])  # (K, 1), for (K, K) errors
    costs = np.sqrt(squared_errors(each, window_from_camera, map_from_camera, sigma)) @ weights
    best = int(np.argmin(costs))
    return Sim3(scale, rotations[best], translations[best])


def squared_errors(
    gauge: Sim3, window_from_camera: np.ndarray, map_from_camera: np.ndarray, sigma: np.ndarray
) -> np.ndarray:
    """Return the mean of the squared errors (K,) of each pose's six coordinates, in variances."""
    errors = gauge.rotation @ window_from_camera[:, :3]  # (K, 3, 4)
    errors[..., 3] = gauge.scale * errors[..., 3] + gauge.translation
    errors -= map_from_camera[:, :3]
    # Half the squared chord between rotations is the squared angle, as long as that is small.
    per_square = np.array([0.5, 0.5, 0.5, 1.0]) / (6.0 * sigma[[1, 1, 1, 0]] ** 2)
    return np.sum(errors**2, axis=-2) @ per_square


def agreements(errors: np.ndarray, votes: np.ndarray, max_usual: float = np.inf) -> np.ndarray:
    """
    Return the weights (K,) of squared errors, against what is usual among them.

    That is their median by ``votes`` (K,), in those expected: from 1 to ``max_usual``.
    """
    order = np.argsort(errors)
    cumulated = np.cumsum(votes[order])
    # The lower of two medians: where one of two is wrong, the other sets what is usual.
    middle = order[np.searchsorted(cumulated, 0.5 * cumulated[-1] * (1.0 - 1e-9))]
    usual = min(max(errors[middle] / _MEDIAN_CHI, 1.0), max_usual)
    return 1.0 / (1.0 + errors / (_SUSPICIOUS * usual)) ** 2


def usual_sigma(distance: float) -> np.ndarray:
    """Return the errors (2,) that are never suspicious: of a centre, so far away; of direction."""
    return np.array([CENTRE_SIGMA * distance, _ROTATION_SIGMA])


def _level(errors: np.ndarray, agreement: np.ndarray) -> float:
    """Return the variance of this window's errors in those that are expected."""
    freedom = max(6.0 * agreement.sum() - 7.0, 0.0)
    total = 6.0 * float(agreement @ errors)
    return (total + _PRIOR_MEASUREMENTS) / (freedom + _PRIOR_MEASUREMENTS)


def joint_rotation(
    window_from_camera: np.ndarray,
    map_from_camera: np.ndarray,
    weights: np.ndarray,
    sigma: np.ndarray,
    scale: float,
) -> np.ndarray:
    """Return the rotation (3, 3) that turns directions and distances best (Wahba's problem)."""
    share = weights / weights.sum()
    source, target = (
        p[:, :3, 3] - share @ p[:, :3, 3] for p in (window_from_camera, map_from_camera)
    )
    directions = np.einsum(
        'k,kij,klj->il', weights, map_from_camera[:, :3, :3], window_from_camera[:, :3, :3]
    )
    distances = scale * (target.T * weights) @ source
    u, _, vt = np.linalg.svd(0.5 * directions / sigma[1] ** 2 + distances / sigma[0] ** 2)
    return (u * [1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt


def skew(vectors: np.ndarray) -> np.ndarray:
    """Return the matrices (..., 3, 3) that take cross products with vectors (..., 3)."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    rows = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1)
    return rows.reshape(*vectors.shape[:-1], 3, 3)
