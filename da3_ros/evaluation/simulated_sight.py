"""
What views truly see of the world, and so what a network could make of several of them.

Views are told apart by camera, stamp and size, not by their keys: it is the truth that is kept.

Shapes: V views, N points of a view, D of a descriptor, H W network image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from da3_ros.engine.content import Content
from da3_ros.engine.runner import WindowView
from da3_ros.evaluation.truth import Truth
from da3_ros.geometry.cameras import pixel_rays
import numpy as np
from scipy.sparse.csgraph import connected_components
import torch

# Since a view is in many windows.
_KEPT_VIEWS, _KEPT_PAIRS = 128, 4096
_POINTS = 200
# A point this much farther than what the other view sees there is hidden from it.
_OCCLUSION = 1.1
# Length of a descriptor.
DESCRIPTOR = 512
# Points that are closer than this look alike to a descriptor.
_BLUR_M = 0.5

Identity = tuple[str, int, int, int, Content]  # camera, stamp, height, width, the part of it


@dataclass(frozen=True, eq=False)
class Glimpse:
    """
    What is true of a view.

    ``depth`` (H, W) float32, NaN where it isn't known, as in padding; ``points`` (N, 3) of it in
    the world; ``intrinsics`` (3, 3); ``world_from_camera`` (4, 4).
    """

    depth: torch.Tensor
    points: np.ndarray
    intrinsics: np.ndarray
    world_from_camera: np.ndarray


class Sight:
    """What is true of views, and of two views together; looks once at each and keeps some."""

    def __init__(self, truth: Truth) -> None:
        """Take the truth."""
        self._truth = truth
        self._glimpse = lru_cache(_KEPT_VIEWS)(self._look)
        self._overlap = lru_cache(_KEPT_PAIRS)(self._shared)
        # Random Fourier features (Rahimi and Recht 2007): of any world, the same ones.
        rng = np.random.default_rng(0)
        self._frequencies = rng.normal(scale=1.0 / _BLUR_M, size=(3, DESCRIPTOR))
        self._phases = rng.uniform(0.0, 2.0 * np.pi, DESCRIPTOR)

    def glimpse(self, view: WindowView) -> Glimpse:
        """Return what is true of a view."""
        return self._glimpse(_identity(view))

    def overlap(self, first: WindowView, second: WindowView) -> float:
        """Return the share of what the first view sees that the second one sees too."""
        return self._overlap(_identity(first), _identity(second))

    def groups(self, views: Sequence[WindowView], min_overlap: float) -> np.ndarray:
        """
        Return the group (V,) of each view, as a number.

        Two views are in one group if one sees ``min_overlap`` or more of the other, or if others
        link them.
        """
        linked = np.array([[self.overlap(a, b) >= min_overlap for b in views] for a in views])
        return connected_components(linked, directed=False)[1]

    def descriptor(self, view: WindowView) -> np.ndarray:
        """
        Return what would tell the place of a view (D,), of unit length; zero if it sees nothing.

        It stands for where the surfaces are that are seen, whichever way they are looked at: the
        product of two is large as far as points of one view are within ``_BLUR_M`` of the
        other's.
        """
        glimpse = self.glimpse(view)
        # A pixel counts for more of a surface the farther that is; without this, what is seen
        # from near by would outweigh all else.
        distances = np.linalg.norm(glimpse.points - glimpse.world_from_camera[:3, 3], axis=1)
        features = distances @ np.cos(glimpse.points @ self._frequencies + self._phases)
        return features / max(float(np.linalg.norm(features)), 1e-12)

    def _look(self, identity: Identity) -> Glimpse:
        camera, stamp_ns, height, width, content = identity
        pose = self._truth.world_from_camera(camera, stamp_ns)
        seen = camera, stamp_ns, content.height, content.width
        k = content.placed(self._truth.intrinsics(*seen))
        depth = np.full((height, width), np.nan, np.float32)
        depth[content.pixels] = self._truth.depth_m(*seen)
        step = max(1, round((height * width / _POINTS) ** 0.5))
        coarse = (slice(step // 2, None, step),) * 2
        points = (pixel_rays(k, height, width)[coarse] * depth[coarse][..., None]).reshape(-1, 3)
        points = points[np.isfinite(points).all(axis=1)]
        return Glimpse(torch.from_numpy(depth), points @ pose[:3, :3].T + pose[:3, 3], k, pose)

    def _shared(self, first: Identity, second: Identity) -> float:
        """Return the share of points of the first view that the second one sees."""
        points, other = self._glimpse(first).points, self._glimpse(second)
        if len(points) == 0:
            return 0.0
        # Row vectors: (p - centre) @ R is R^T (p - centre).
        pose, (height, width) = other.world_from_camera, other.depth.shape
        pixels = ((points - pose[:3, 3]) @ pose[:3, :3]) @ other.intrinsics.T  # (N, 3)
        z = pixels[:, 2]
        ahead = z > 1e-6
        u, v = np.rint(pixels[ahead, :2].T / z[ahead])
        inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
        at = v[inside].astype(int), u[inside].astype(int)
        # Where the depth isn't known nothing is known to hide the point.
        is_hidden = z[ahead][inside] > _OCCLUSION * other.depth.numpy()[at]
        return float(np.count_nonzero(~is_hidden) / len(points))


def _identity(view: WindowView) -> Identity:
    height, width = view.image.shape[-2:]
    content = view.content or Content(0, 0, width, height)
    return view.camera, view.stamp_ns, height, width, content
