"""The scale of a window, from depths and from distances between cameras, each by what it knows."""

import math

# Error of a camera's centre about each axis, as a share of the distance to the scene.
CENTRE_SIGMA = 0.007
# How many measurements that guess counts as.
_PRIOR_MEASUREMENTS = 6


def joint_log_scale(
    squares: float,
    products: float,
    map_squares: float,
    count: int,
    log_ratio: float,
    ratio_sigma: float,
) -> tuple[float, float]:
    """
    Return the logarithm of the scale that depths and distances agree on best, and its variance.

    Both are weighed by their information. That of the distances between cameras is what is left
    of them beyond the noise of the centres, so a camera that stands still leaves the scale to the
    depths, and noise, which makes distances longer, does not make the scale smaller.

    The weights of the sums are 1 / range² to the scene for a centre that is as sure as any: its
    errors grow with that distance.

    Args:
        squares: Weighted sum of squares of where the centres are in the window, from their mean.
        products: That of products with where they are in the map, axes turned alike.
        map_squares: That of squares in the map.
        count: Number of centres.
        log_ratio: Logarithm of map over window depth.
        ratio_sigma: Its standard deviation.

    """
    scale = math.exp(log_ratio)
    residual = map_squares - scale * (2.0 * products - scale * squares)
    freedom = 3 * (count - 1)
    variance = (residual + _PRIOR_MEASUREMENTS * CENTRE_SIGMA**2) / (freedom + _PRIOR_MEASUREMENTS)
    # Less what noise of the window's centres adds to their squares.
    true_squares = squares - residual / scale**2
    information = scale**2 * true_squares / variance
    by_depth = 1.0 / ratio_sigma**2
    if information <= freedom or products <= 0:
        return log_ratio, 1.0 / by_depth
    by_distance = math.log(products / true_squares)
    total = by_depth + information
    return (by_depth * log_ratio + information * by_distance) / total, 1.0 / total
