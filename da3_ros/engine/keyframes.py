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
from da3_ros.geometry.rays import is_depth, sampled, sampled_rays
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

    What it has of the map is in main memory; only the picture of its ``view``, as long as the
    network is shown it, is where the network is.

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
        # In NumPy, which takes a quarter of PyTorch's time for it, both on one thread.
        before, now, weight = (x.numpy() for x in (self.depth, depth, confidence))
        collected = self.weight.numpy() + weight
        with np.errstate(all='ignore'):  # what has no depth is left out below
            refined = now / before
            np.power(refined, weight / collected, out=refined)
            refined *= before
        limited = np.minimum(collected, MAX_OBSERVATIONS * weight)
        seen = is_depth(now)
        if not seen.all():
            refined = np.where(seen, refined, before)
            limited = np.where(seen, limited, self.weight.numpy())
        self.depth, self.weight = torch.from_numpy(refined), torch.from_numpy(limited)

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
        # It came from a GPU to memory that cannot be paged out, of which there is little.
        self.rgb = self.rgb.copy()
        # Confidence is at least 1, and halves hold depth to 0.05 %; beyond 65504 there is no map.
        self.depth = self.depth.clamp_max(6e4).half()
        self.weight = self.weight.clamp_max(6e4).half()

    def recall(self) -> None:
        """Undo ``archive``: the picture that was kept is the one that the network saw."""
        if self.is_archived:
            device = self.view.image.device
            self.view = replace(self.view, image=normalise(self.rgb).to(device))
            self.depth = self.depth.float()
            self.weight = self.weight.float()


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


def sample_points(depth: torch.Tensor, intrinsics: np.ndarray, count: int) -> np.ndarray:
    """Return about ``count`` points (N, 3) of a depth image (H, W), on a grid, valid ones only."""
    z = sampled(depth, count)
    rays = sampled_rays(*depth.shape, count, intrinsics)
    valid = is_depth(z)
    return rays[valid] * z[valid, None]


def overlap_points(
    depth: torch.Tensor, intrinsics: np.ndarray, map_from_camera: np.ndarray
) -> np.ndarray:
    """
    Return the points (N, 3) in the map that stand for a view when overlaps are measured.

    They are on a grid, and NaN where depth (H, W) is missing.
    """
    z = sampled(depth, _OVERLAP_SAMPLES)
    z = np.where(is_depth(z), z, np.nan)
    points = z[:, None] * sampled_rays(*depth.shape, _OVERLAP_SAMPLES, intrinsics)
    return points @ map_from_camera[:3, :3].T + map_from_camera[:3, 3]


def looks(points_in_map: np.ndarray, keyframes: Sequence[Keyframe]) -> Looks:
    """Return what keyframes, one or more and all of one size, see of points (N, 3)."""
    return look(
        points_in_map,
        np.stack([keyframe.map_from_camera for keyframe in keyframes]),
        np.stack([keyframe.intrinsics for keyframe in keyframes]),
        [keyframe.depth for keyframe in keyframes],
    )


def covisibilities(
    points_in_map: np.ndarray,
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
    seen_by = seen_by or looks(points_in_map, keyframes)
    seen = seen_by.inside & (seen_by.z < _OCCLUSION * seen_by.surface)
    here = (points_in_map - map_from_camera[:3, 3]).T  # (3, N)
    centres = np.stack([keyframe.map_from_camera[:3, 3] for keyframe in keyframes])
    there = points_in_map.T - centres[:, :, None]  # (K, 3, N)
    squares = np.sum(here**2, axis=0) * np.sum(there**2, axis=1)
    cosines = np.sum(here * there, axis=1) / np.sqrt(squares)
    count = max(np.count_nonzero(np.isfinite(points_in_map[:, 2])), 1)
    found = []
    for cosine, is_seen in zip(cosines, seen, strict=True):
        of_seen = np.sort(cosine[is_seen])
        # The middle angle is the one of the middle cosine, of two the upper one. In double
        # precision that holds small angles to 1e-6 degrees.
        middle = of_seen[len(of_seen) // 2] if len(of_seen) else -1.0
        parallax = np.degrees(np.arccos(min(middle, 1.0)))
        found.append(Covisibility(len(of_seen) / count, float(parallax)))
    return found


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
