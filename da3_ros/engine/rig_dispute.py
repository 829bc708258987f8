"""Whether images can tell at all that extrinsics are wrong: by what two cameras see together."""

from collections.abc import Sequence
from dataclasses import replace
import itertools

from da3_ros.engine.extrinsics_check import Tolerance
from da3_ros.engine.keyframes import covisibilities, Keyframe, overlap_points
from da3_ros.engine.rig_pose import aboard
from da3_ros.geometry.transforms import invert, rotation_angle_deg
import numpy as np

# Of cameras that see less than this of each other, a network only guesses how they are placed.
_MIN_OVERLAP = 0.2


def is_disputed(
    views: Sequence[Keyframe], rig_from_camera: np.ndarray, unit: float, tolerance: Tolerance
) -> bool:
    """
    Tell whether two views that surely see the same things are not to each other as TF says.

    ``views`` are N cameras where their window has them, and ``rig_from_camera`` (N, 4, 4) their
    extrinsics in metres, of which the map's length is ``unit``, 0 if that is not known.
    """
    for (a, on_a), (b, on_b) in itertools.combinations(
        zip(views, rig_from_camera, strict=True), 2
    ):
        by_tf = a.map_from_camera @ aboard(np.eye(4), invert(on_a) @ on_b, unit)
        between = invert(by_tf) @ b.map_from_camera
        is_turned = np.radians(rotation_angle_deg(between[:3, :3])) > tolerance.radians
        is_off = unit > 0 and np.linalg.norm(between[:3, 3]) > tolerance.metres * unit
        if (is_turned or is_off) and min(_overlaps(a, b, by_tf)) >= _MIN_OVERLAP:
            return True
    return False


def _overlaps(a: Keyframe, b: Keyframe, by_tf: np.ndarray) -> list[float]:
    """Return how much ``a`` and ``b`` see of each other, where images and where TF have ``b``."""
    overlaps = []
    points = overlap_points(a.depth, a.intrinsics, a.map_from_camera)
    for pose in (b.map_from_camera, by_tf):
        moved = replace(b, map_from_camera=pose)
        overlaps += [c.overlap for c in covisibilities(points, a.map_from_camera, [moved])]
        back = overlap_points(b.depth, b.intrinsics, pose)
        overlaps += [c.overlap for c in covisibilities(back, pose, [a])]
    return overlaps
