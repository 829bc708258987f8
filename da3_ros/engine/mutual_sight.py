"""Whether images can tell at all how two cameras are placed: by what they see together."""

from dataclasses import replace

from da3_ros.engine.keyframes import covisibilities, Keyframe, overlap_points
import numpy as np

# Of cameras that see less than this of each other, a network only guesses how they are placed.
_MIN_OVERLAP = 0.2


def see_each_other(a: Keyframe, b: Keyframe, b_by_tf: np.ndarray) -> bool:
    """
    Tell whether two views share enough to say how they are placed.

    They have to where images put ``b`` and where TF does, ``b_by_tf`` (4, 4) in the map.
    """
    points = overlap_points(a.depth, a.intrinsics, a.map_from_camera)
    for pose in (b.map_from_camera, b_by_tf):
        back = overlap_points(b.depth, b.intrinsics, pose)
        moved = replace(b, map_from_camera=pose)
        (of_a,) = covisibilities(points, a.map_from_camera, [moved])
        (of_b,) = covisibilities(back, pose, [a])
        if min(of_a.overlap, of_b.overlap) < _MIN_OVERLAP:
            return False
    return True
