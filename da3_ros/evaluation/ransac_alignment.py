"""
Similarity between estimated and true cameras that a few lost views don't spoil.

The rule of Depth Anything 3's benchmark, draw for draw: ten samples of half the views, the one
that most views agree with, and a last fit to those. What counts as agreement is measured on a
first fit to all views.
"""

from da3_ros.evaluation.trajectory import align, is_static
from da3_ros.geometry.transforms import Sim3
import numpy as np
from scipy.spatial import cKDTree

_DRAWS = 10
_SEED = 42
_FEWEST = 3


def ransac_similarity(estimated: np.ndarray, true: np.ndarray) -> Sim3:
    """
    Return ``true_from_estimated`` of world_from_camera poses (F, 4, 4), by their centres.

    Two views leave the rotation about their baseline open: it is taken from their orientations,
    and nothing is drawn.

    Raises:
        InputError: if the shapes differ, there are fewer than two poses, or a camera never moves.

    """
    estimated, true = np.asarray(estimated, np.float64), np.asarray(true, np.float64)
    views = len(true)
    if views < _FEWEST or len(estimated) != views:
        return align(estimated, true, with_rotations=True)
    centres = true[:, :3, 3]
    first = align(estimated, true)
    limit = np.median(cKDTree(centres).query(first.apply(estimated[:, :3, 3]))[0])
    generator = np.random.default_rng(_SEED)
    size = max(_FEWEST, (views + 1) // 2)
    best, best_fit, agreeing = (-1, -np.inf), first, None
    for _ in range(_DRAWS):
        sample = generator.choice(np.arange(views), size=size, replace=False)
        if is_static(estimated[sample]) or is_static(true[sample]):
            continue
        fit = align(estimated[sample], true[sample])
        error = np.linalg.norm(fit.apply(estimated[:, :3, 3]) - centres, axis=1)
        agrees = error <= limit
        count = int(agrees.sum())
        score = count, -float(error[agrees].mean()) if count else -np.inf
        if score > best:
            best, best_fit, agreeing = score, fit, agrees
    if agreeing is None or agreeing.sum() < _FEWEST:
        return best_fit
    some = estimated[agreeing], true[agreeing]
    return best_fit if any(map(is_static, some)) else align(*some)
