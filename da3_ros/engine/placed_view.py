"""A new view in the map, how it hangs together with it, and what of it is published."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from da3_ros.engine.frame import View
from da3_ros.engine.keyframes import covisibilities, Covisibility, Keyframe, overlap_points
from da3_ros.engine.motion import MotionFilter
from da3_ros.engine.scale.depths import median_depth
from da3_ros.engine.sight import certainty, Sight, sight
from da3_ros.geometry.transforms import Sim3
import numpy as np
import torch

# Points that are looked for in the keyframe that sees most of the view.
_EVERY = 2
# Variances of a pose that is a guess: a kilometre, and any direction [m², rad²].
_UNKNOWN = np.repeat([1e6, np.pi**2], 3)


@dataclass(frozen=True, eq=False)
class PlacedView:
    """
    A new view in the map's own units.

    ``confidence`` (H, W) of this view alone; ``map_from_camera`` (4, 4) where it is believed to
    be, and the ``covariance`` (6, 6) of that; ``shared`` with each of the keyframes that it was
    seen with, and ``sight`` what the one that shares most sees of it; ``certainty`` is how sure
    the network is of it.
    """

    keyframe: Keyframe
    confidence: torch.Tensor
    map_from_camera: np.ndarray
    covariance: np.ndarray
    shared: tuple[Covisibility, ...]
    sight: Sight
    certainty: float

    @classmethod
    def among(
        cls,
        keyframe: Keyframe,
        confidence: torch.Tensor,
        covariance: np.ndarray,
        known: Sequence[Keyframe],
    ) -> 'PlacedView':
        """Return a view that was placed by ``known`` keyframes."""
        pose = keyframe.map_from_camera
        points = overlap_points(keyframe.depth, keyframe.intrinsics, pose)
        shared = tuple(covisibilities(points, pose, known))
        seen = Sight(0.0, 0.0)
        if known:
            best = known[max(range(len(known)), key=lambda i: shared[i].overlap)]
            seen = sight(points[::_EVERY], best.map_from_camera, best.intrinsics, best.depth)
        return cls(keyframe, confidence, pose, covariance, shared, seen, certainty(confidence))

    def steadied(self, motion: MotionFilter) -> 'PlacedView':
        """
        Return the view where the motion of its camera makes it likely to be.

        The keyframe stays where it was measured: what the map averages must not lag behind. By one
        keyframe alone nothing is known of the errors that motion has to be weighed against.
        """
        if len(self.shared) < 2:
            return self
        pose, covariance = motion.update(
            self.keyframe.view.stamp_ns,
            self.map_from_camera,
            self.covariance,
            median_depth(self.keyframe.depth),
        )
        return replace(self, map_from_camera=pose, covariance=covariance)

    def published(
        self,
        scaled_from_map: Sim3,
        origin: np.ndarray,
        spread: float,
        is_keyframe: bool,
        is_adrift: bool,
    ) -> View:
        """
        Return the view in the one scale that everything is published in.

        An error of that scale, relative standard deviation ``spread``, moves a camera along the
        line from the ``origin`` (3,), which scaling leaves in its place. Where a part of the map
        that is adrift lies to the others is not known at all.
        """
        placed = self.keyframe.mapped(scaled_from_map)
        pose = scaled_from_map.apply_to_pose(self.map_from_camera)
        units = np.repeat([scaled_from_map.scale, 1.0], 3)
        covariance = units[:, None] * self.covariance * units
        offset = spread * (pose[:3, 3] - origin)
        covariance[:3, :3] += np.outer(offset, offset)
        if is_adrift:
            covariance += np.diag(_UNKNOWN)
        return View(
            camera=placed.view.camera,
            stamp_ns=placed.view.stamp_ns,
            depth_m=placed.depth.cpu().numpy(),
            confidence=self.confidence.cpu().numpy(),
            rgb=placed.rgb,
            intrinsics=placed.intrinsics,
            map_from_camera=pose,
            pose_covariance=covariance,
            is_keyframe=is_keyframe,
        )
