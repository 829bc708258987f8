"""A new view in the map, and what of it is published."""

from dataclasses import dataclass

from da3_ros.engine.frame import View
from da3_ros.engine.keyframes import Keyframe
from da3_ros.geometry.transforms import Sim3
import numpy as np
import torch


@dataclass(frozen=True)
class PlacedView:
    """
    A new view in the map's own units.

    ``confidence`` (H, W) of this view alone, ``covariance`` (6, 6) of its pose.
    """

    keyframe: Keyframe
    confidence: torch.Tensor
    covariance: np.ndarray
    is_keyframe: bool

    def published(self, scaled_from_map: Sim3, origin: np.ndarray, spread: float) -> View:
        """
        Return the view in the one scale that everything is published in.

        An error of that scale, relative standard deviation ``spread``, moves a camera along the
        line from the ``origin`` (3,), which scaling leaves in its place.
        """
        placed = self.keyframe.mapped(scaled_from_map)
        units = np.repeat([scaled_from_map.scale, 1.0], 3)
        covariance = units[:, None] * self.covariance * units
        offset = spread * (placed.map_from_camera[:3, 3] - origin)
        covariance[:3, :3] += np.outer(offset, offset)
        return View(
            camera=placed.view.camera,
            stamp_ns=placed.view.stamp_ns,
            depth_m=placed.depth.cpu().numpy(),
            confidence=self.confidence.cpu().numpy(),
            rgb=placed.rgb,
            intrinsics=placed.intrinsics,
            map_from_camera=placed.map_from_camera,
            pose_covariance=covariance,
            is_keyframe=self.is_keyframe,
        )
