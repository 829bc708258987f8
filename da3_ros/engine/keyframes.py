"""
Keyframes: the views that the map is made of, and the rule that says which frame becomes one.

Shapes: H W network image.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from da3_ros.config import KeyframeConfig
from da3_ros.engine.frame import KeyframePose
from da3_ros.engine.preprocess import normalise
from da3_ros.engine.rig_pose import RigSeat
from da3_ros.engine.runner import WindowView
from da3_ros.engine.sight import look, Looks
from da3_ros.geometry.rays import pixel_grid, rays_through, sampled
from da3_ros.geometry.transforms import (
    blend,
    pose_from_quaternion,
    quaternion_xyzw,
    Sim3,
)
import numpy as np
import torch

# Observations after which a running average keeps a constant weight, so that it can still follow.
MAX_OBSERVATIONS = 30
# Overlap by which another keyframe must be better than the reference to take its place.
_REFERENCE_HYSTERESIS = 0.1
# A point this much farther than what the keyframe sees there is hidden behind it.
_OCCLUSION = 1.15
# Points of the newest frame that the overlap is measured with, at most.
_OVERLAP_SAMPLES = 500


@dataclass(eq=False)
class Keyframe:
    """
    A view with a place in the map, refined each time the network sees it again.

    ``depth`` (H, W) along the optical axis in map units, ``weight`` (H, W) the confidence
    collected so far, ``rgb`` (H, W, 3) uint8, ``intrinsics`` (3, 3) pixels, ``map_from_camera``
    (4, 4) float64. ``part`` numbers the part of the map that it is in: parts are joined by nothing
    but a guess. ``size`` is what corrections have multiplied its depth by since it was made.
    ``seat`` is where its camera is on its rig, if it has one.
    """

    view: WindowView
    rgb: np.ndarray
    intrinsics: np.ndarray
    depth: torch.Tensor
    weight: torch.Tensor
    map_from_camera: np.ndarray
    observations: int = 1
    part: int = 0
    size: float = 1.0
    seat: RigSeat | None = None

    def refine_depth(self, depth: torch.Tensor, confidence: torch.Tensor) -> None:
        """
        Take one more look at this view's depth, already in map units, into the running average.

        It is averaged in logarithms, weighted by confidence: its errors are relative.
        """
        collected = self.weight + confidence
        refined = self.depth * (depth / self.depth) ** (confidence / collected)
        seen = (depth > 0) & (depth < torch.inf)
        self.depth = torch.where(seen, refined, self.depth)
        limited = torch.minimum(collected, MAX_OBSERVATIONS * confidence)
        self.weight = torch.where(seen, limited, self.weight)

    def mapped(self, other_from_map: Sim3) -> 'Keyframe':
        """Return this keyframe in another map, of another size for instance."""
        return replace(
            self,
            depth=other_from_map.scale * self.depth,
            map_from_camera=other_from_map.apply_to_pose(self.map_from_camera),
        )

    def pose_in(self, other_from_map: Sim3) -> KeyframePose:
        """Return where this keyframe is in another map."""
        pose = other_from_map.apply_to_pose(self.map_from_camera)
        scale = other_from_map.scale * self.size
        return KeyframePose(self.view.camera, self.view.stamp_ns, pose, scale)

    def move(self, now_from_then: Sim3) -> None:
        """Take a correction of the map: another place, and another size of all that it sees."""
        pose = now_from_then.apply_to_pose(self.map_from_camera)
        # Corrections are computed from poses: what rounding does to rotations would multiply.
        self.map_from_camera = pose_from_quaternion(pose[:3, 3], quaternion_xyzw(pose[:3, :3]))
        self.depth = now_from_then.scale * self.depth
        self.size *= now_from_then.scale

    @property
    def is_archived(self) -> bool:
        """Whether the network could not be shown the view as it is."""
        return self.view.image.numel() == 0

    def archive(self) -> None:
        """Keep only what the map needs, in half the room, once the view has left the window."""
        self.view = replace(self.view, image=self.view.image.new_empty(0))
        # Confidence is at least 1, and halves hold depth to 0.05 %; beyond 65504 there is no map.
        self.depth = self.depth.clamp_max(6e4).half().cpu()
        self.weight = self.weight.clamp_max(6e4).half().cpu()

    def recall(self) -> None:
        """Undo ``archive``: the picture that was kept is the one that the network saw."""
        if self.is_archived:
            device = self.view.image.device
            self.view = replace(self.view, image=normalise(self.rgb).to(device))
            self.depth = self.depth.float().to(device)
            self.weight = self.weight.float().to(device)


def refine_poses(keyframes: Sequence[Keyframe], map_from_camera: np.ndarray) -> None:
    """
    Take one more look at where K views are, poses (K, 4, 4), into their running averages.

    Averaging what each window says anew is what keeps a map of short windows from drifting.
    """
    for keyframe in keyframes:
        keyframe.observations += 1
    weights = np.array([1.0 / min(k.observations, MAX_OBSERVATIONS) for k in keyframes])
    before = np.stack([keyframe.map_from_camera for keyframe in keyframes])
    blended = blend(before, map_from_camera, weights)
    for keyframe, pose in zip(keyframes, blended, strict=True):
        keyframe.map_from_camera = pose


@dataclass(frozen=True)
class Covisibility:
    """How two views of the same place relate: shared share of the first, and median parallax."""

    overlap: float
    parallax_deg: float


def sample_points(depth: torch.Tensor, intrinsics: np.ndarray, count: int) -> torch.Tensor:
    """
    Return about ``count`` points (N, 3) of a depth image (H, W), on a grid, valid ones only.

    They are on the CPU.
    """
    rays = rays_through(*pixel_grid(*depth.shape, count), intrinsics)
    points = rays * sampled(depth, count)[:, None]
    return points[torch.isfinite(points).all(dim=1) & (points[:, 2] > 0)]


def overlap_points(
    depth: torch.Tensor, intrinsics: np.ndarray, map_from_camera: np.ndarray
) -> torch.Tensor:
    """
    Return the points (N, 3) in the map that stand for a view when overlaps are measured.

    They are on a grid, on the CPU, and NaN where depth (H, W) is missing.
    """
    seen = sampled(depth, _OVERLAP_SAMPLES)[:, None]
    seen = torch.where((seen > 0) & (seen < torch.inf), seen, torch.nan)
    rays = rays_through(*pixel_grid(*depth.shape, _OVERLAP_SAMPLES), intrinsics)
    matrix = seen.new_tensor(map_from_camera)
    return seen * rays @ matrix[:3, :3].T + matrix[:3, 3]


def looks(points_in_map: torch.Tensor, keyframes: Sequence[Keyframe]) -> Looks:
    """Return what keyframes, one or more and all of one size, see of points (N, 3)."""
    return look(
        points_in_map,
        np.stack([keyframe.map_from_camera for keyframe in keyframes]),
        np.stack([keyframe.intrinsics for keyframe in keyframes]),
        [keyframe.depth for keyframe in keyframes],
    )


def covisibilities(
    points_in_map: torch.Tensor,
    map_from_camera: np.ndarray,
    keyframes: Sequence[Keyframe],
    seen_by: Looks | None = None,
) -> list[Covisibility]:
    """
    Return how much of a view's points (N, 3) each keyframe sees, and the parallax between them.

    A point counts as seen when it falls into the keyframe's image and is not hidden behind what
    the keyframe sees there; points that are NaN don't count at all. ``seen_by`` is what ``looks``
    says of them, if that is known.
    """
    if not keyframes:
        return []
    found = seen_by or looks(points_in_map, keyframes)
    seen = found.inside & (found.z < _OCCLUSION * found.surface)
    centres = np.stack([map_from_camera[:3, 3], *(k.map_from_camera[:3, 3] for k in keyframes)])
    centres = points_in_map.new_tensor(centres)[:, None]
    here, there = points_in_map - centres[:1], points_in_map - centres[1:]  # (1 or K, N, 3)
    # atan2 of cross and dot keeps small angles exact, where acos would lose them.
    across = torch.linalg.cross(here.expand_as(there), there)
    angle = torch.atan2(across.norm(dim=2), (here * there).sum(dim=2))
    parallax = torch.where(seen, angle, torch.nan).nanmedian(dim=1).values.rad2deg()
    count = torch.isfinite(points_in_map[:, 2]).sum().clamp_min(1)
    table = torch.stack([seen.sum(dim=1) / count, parallax.nan_to_num(180.0)], dim=1)
    return [Covisibility(*row) for row in table.tolist()]


class KeyframeRule:
    """Decides which frames become keyframes: those that no keyframe sees well enough already."""

    def __init__(self, config: KeyframeConfig) -> None:
        """Take the thresholds."""
        self._config = config

    def is_new(self, to_keyframes: Iterable[Covisibility]) -> bool:
        """Tell whether every keyframe sees too little of a view, or from elsewhere."""
        return not any(
            c.overlap >= self._config.max_overlap
            and c.parallax_deg <= self._config.min_parallax_deg
            for c in to_keyframes
        )

    def next_reference(self, overlaps: Sequence[float]) -> int:
        """
        Return which keyframe should be the reference, given how much each sees of a view.

        ``overlaps[0]`` is that of the one that is it. It stays until it sees too little of the
        view and another sees clearly more, so that the gauge does not flicker between two.
        """
        best = max(range(len(overlaps)), key=overlaps.__getitem__)
        is_behind = overlaps[0] < self._config.min_reference_overlap
        is_better = overlaps[best] > overlaps[0] + _REFERENCE_HYSTERESIS
        return best if is_behind and is_better else 0
