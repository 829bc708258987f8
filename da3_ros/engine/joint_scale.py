"""The scale of a window, from depths and from distances between cameras, each by what it knows."""

import numpy as np

# Error of a camera's centre about each axis, as a share of the distance to the scene.
CENTRE_SIGMA = 0.007
# How many measurements that guess counts as.
_PRIOR_MEASUREMENTS = 6


def joint_log_scale(
    window_centres: np.ndarray,
    map_centres: np.ndarray,
    weights: np.ndarray,
    log_ratio: float,
    ratio_sigma: float,
) -> tuple[float, float]:
    """
    Return the logarithm of the scale that depths and distances agree on best, and its variance.

    Both are weighed by their information. That of the distances between cameras is what is left
    of them beyond the noise of the centres, so a camera that stands still leaves the scale to the
    depths, and noise, which makes distances longer, does not make the scale smaller.

    Args:
        window_centres: Camera centres (K, 3) in the window, already turned into the map's axes.
        map_centres: The same cameras (K, 3) in the map.
        weights: Of each centre (K,), 1 / range² to the scene for one that is as sure as any: its
            errors grow with that distance.
        log_ratio: Logarithm of map over window depth.
        ratio_sigma: Its standard deviation.

    """
    share = weights / weights.sum()
    source = window_centres - share @ window_centres
    target = map_centres - share @ map_centres
    squares = float(weights @ np.sum(source**2, axis=1))
    products = float(weights @ np.sum(source * target, axis=1))
    scale = np.exp(log_ratio)
    residual = float(weights @ np.sum((target - scale * source) ** 2, axis=1))
    freedom = 3 * (len(weights) - 1)
    variance = (residual + _PRIOR_MEASUREMENTS * CENTRE_SIGMA**2) / (freedom + _PRIOR_MEASUREMENTS)
    # Less what noise of the window's centres adds to their squares.
    true_squares = squares - residual / scale**2
    information = scale**2 * true_squares / variance
    by_depth = 1.0 / ratio_sigma**2
    if information <= freedom or products <= 0:
        return log_ratio, 1.0 / by_depth
    by_distance = np.log(products / true_squares)
    total = by_depth + information
    return float((by_depth * log_ratio + information * by_distance) / total), 1.0 / total
