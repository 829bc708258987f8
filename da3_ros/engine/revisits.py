"""
Places seen before: which old keyframe may show where we are, and whether the network agrees.

A keyframe that is not in the window but may see the same place is let in as a guest. It takes the
room of another keyframe and part in every inference, but not in the registration; so each frame
gives one measurement of where the guest lies as seen from here, at no cost in time. Once a few of
them agree with each other, and surfaces with surfaces, the guest is believed.

Shapes: H W network image.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from da3_ros.engine.keyframes import covisibilities, Keyframe, overlap_points, sample_points
from da3_ros.engine.map import Map
from da3_ros.engine.registration import Registration
from da3_ros.engine.runner import WindowPrediction
from da3_ros.engine.scale.depths import median_depth
from da3_ros.engine.sight import certainty, sight
from da3_ros.geometry.alignment import robust_location
from da3_ros.geometry.rays import is_depth, sampled
from da3_ros.geometry.transforms import mean_pose, rotation_angle_deg, Sim3
import numpy as np
import torch

# Looks that have to agree before a guest is believed, and the most that it is given for it.
_LOOKS = 3
_MAX_LOOKS = 6
# Keyframes nearest by where the map has them that are considered.
_BY_PLACE = 5
# Descriptors of two views that may well show the same place are at least so similar.
_ALIKE = 0.5
# A guest must be seen, and see, at least so much.
_MIN_INSIDE = 0.15
_MIN_AGREEING = 0.5
_MIN_CONFIDENCE = 0.1
_MAX_SPREAD = 0.25
# What looks may differ by: positions as a share of the depth of the scene, degrees, log scale.
_SAME_POSITION = 0.08
_SAME_ROTATION_DEG = 4.0
_SAME_LOG_SCALE = 0.1
# Keyframes that are passed over after one of their neighbours turned out to be no help.
_MEMORY = 20
_SAMPLES = 300


@dataclass(frozen=True)
class Look:
    """
    What one window says of a guest.

    ``now_from_then`` takes what the map has of the guest to where this window has it; ``is_good``
    tells whether the window sees the same surfaces there, and is sure of them.
    """

    now_from_then: Sim3
    is_good: bool


@dataclass
class Guest:
    """An old keyframe on probation, the new one on whose behalf, and the looks at it so far."""

    keyframe: Keyframe
    host: Keyframe
    looks: list[Look]


class Revisits:
    """Finds guests, one at a time, and judges them."""

    def __init__(self, keyframes: Map, recent: int) -> None:
        """Take the map to look for them in, and how many of the newest keyframes are no news."""
        self._map = keyframes
        self._recent = recent
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.guest: Guest | None = None
        self._passed_over: deque[int] = deque(maxlen=_MEMORY)

    def invite(
        self, host: Keyframe, descriptor: torch.Tensor, present: Sequence[Keyframe]
    ) -> None:
        """
        Look for a guest for a new keyframe, unless there is one; ``present`` is in the window.

        First those that the map knows to see the same surfaces, then those that only look alike.
        """
        if self.guest is not None:
            return
        excluded = {k.view.key for k in present} | set(self._passed_over)
        excluded |= {k.view.key for k in self._map.newest(self._recent)}
        found = self._by_place(host, present, excluded)
        found = found or self._by_looks(host, descriptor, excluded)
        if found is not None:
            found.recall()
            self.guest = Guest(found, host, [])
        elif self._passed_over:
            self._passed_over.popleft()  # another look from elsewhere may do

    def dismiss(self) -> Keyframe | None:
        """Let the guest go without a verdict; returns it."""
        guest, self.guest = self.guest, None
        if guest is None:
            return None
        self.pass_over(guest.keyframe)
        return guest.keyframe

    def pass_over(self, keyframe: Keyframe) -> None:
        """Invite others before this one again."""
        self._passed_over.append(keyframe.view.key)

    def look(
        self,
        slot: int,
        prediction: WindowPrediction,
        registration: Registration,
        newest: Keyframe,
    ) -> Sim3 | None:
        """
        Take one more look at the guest, at a ``slot`` of a window that was registered.

        ``newest`` is the new view, in the map.

        Returns:
            ``now_from_then`` once the guest is believed, else None. A guest that had all its looks
            in vain is dismissed by the caller: see ``is_exhausted``.

        """
        guest = self.guest
        guest.looks.append(_look(guest.keyframe, slot, prediction, registration, newest))
        good = [look for look in guest.looks if look.is_good][-_LOOKS:]
        if len(good) < _LOOKS:
            return None
        mean = _mean_if_alike(good, guest.keyframe)
        if mean is not None:
            self.guest = None
        return mean

    @property
    def is_exhausted(self) -> bool:
        """Whether the guest had all the looks that there are."""
        return self.guest is not None and len(self.guest.looks) >= _MAX_LOOKS

    def _by_place(
        self, host: Keyframe, present: Sequence[Keyframe], excluded: set[int]
    ) -> Keyframe | None:
        """Return the keyframe that sees most of the host, by the map, if any sees enough."""
        others = [k for k in self._map if k.part == host.part and k.view.key not in excluded]
        if not others:
            return None
        nearest = _nearest(host, others)
        points = overlap_points(host.depth, host.intrinsics, host.map_from_camera)
        members = [k for k in present if k is not host]
        seen = covisibilities(points, host.map_from_camera, [*nearest, *members])
        shares = [c.overlap for c in seen]
        best = int(np.argmax(shares[: len(nearest)]))
        # The least helpful keyframe of the window would make room.
        least = min(shares[len(nearest) :], default=0.0)
        return nearest[best] if shares[best] > max(_MIN_INSIDE, least) else None

    def _by_looks(
        self, host: Keyframe, descriptor: torch.Tensor, excluded: set[int]
    ) -> Keyframe | None:
        """Return the keyframe that looks most like the host, if it looks enough like it."""
        away = excluded | self._map.around(host, 2)
        for key, similarity in self._map.places.query(descriptor, 1, away):
            if similarity >= _ALIKE:
                return self._map[key]
        return None


def _look(
    keyframe: Keyframe,
    slot: int,
    prediction: WindowPrediction,
    registration: Registration,
    newest: Keyframe,
) -> Look:
    """Return what a window says of a guest; see ``Revisits.look``."""
    map_from_window = registration.map_from_window
    pose = map_from_window.apply_to_pose(prediction.window_from_camera[slot])
    depth = map_from_window.scale * prediction.depth[slot]
    now, then = sampled(depth, _SAMPLES), sampled(keyframe.depth, _SAMPLES)
    valid = is_depth(now) & is_depth(then)
    if np.count_nonzero(valid) < _SAMPLES // 10:
        return Look(Sim3.identity(), False)
    weights = np.maximum(sampled(prediction.confidence[slot], _SAMPLES)[valid] - 1.0, 1e-3)
    log_scale, spread = robust_location(np.log(now[valid] / then[valid]), weights)
    placed_now = Sim3.from_rigid(pose, float(np.exp(log_scale)))
    now_from_then = placed_now @ Sim3.from_rigid(keyframe.map_from_camera).inverse()
    placed = Sim3.from_rigid(newest.map_from_camera)
    points = placed.apply(sample_points(newest.depth, newest.intrinsics, _SAMPLES))
    seen = sight(points, pose, keyframe.intrinsics, depth)
    slots = [0, *range(slot + 1, len(prediction.depth))]
    usual = float(np.median([certainty(prediction.confidence[i]) for i in slots]))
    is_sure = certainty(prediction.confidence[slot]) >= _MIN_CONFIDENCE * usual
    is_good = (
        is_sure
        and spread <= _MAX_SPREAD
        and seen.inside >= _MIN_INSIDE
        and seen.agreeing >= _MIN_AGREEING
    )
    return Look(now_from_then, is_good)


def _mean_if_alike(looks: Sequence[Look], keyframe: Keyframe) -> Sim3 | None:
    """Return the mean of looks at a keyframe, or None if they don't tell the same."""
    scene = median_depth(keyframe.depth)
    nows = [look.now_from_then for look in looks]
    poses = np.stack([now.apply_to_pose(keyframe.map_from_camera) for now in nows])
    scales = np.log([now.scale for now in nows])
    middle = np.median(poses[:, :3, 3], axis=0)
    off = np.linalg.norm(poses[:, :3, 3] - middle, axis=1).max()
    turned = rotation_angle_deg(np.swapaxes(poses[:1, :3, :3], 1, 2) @ poses[:, :3, :3]).max()
    if (
        off > _SAME_POSITION * scene * float(np.exp(scales.mean()))
        or turned > _SAME_ROTATION_DEG
        or np.ptp(scales) > _SAME_LOG_SCALE
    ):
        return None
    mean = mean_pose(poses)
    return (
        Sim3.from_rigid(mean, float(np.exp(scales.mean())))
        @ Sim3.from_rigid(keyframe.map_from_camera).inverse()
    )


def _nearest(host: Keyframe, others: Sequence[Keyframe]) -> list[Keyframe]:
    """Return the few keyframes whose cameras are most like the host's, in place and direction."""
    poses = np.stack([k.map_from_camera for k in others])
    scene = median_depth(host.depth)
    away = np.linalg.norm(poses[:, :3, 3] - host.map_from_camera[:3, 3], axis=1) / scene
    turned = 1.0 - poses[:, :3, 2] @ host.map_from_camera[:3, 2]
    order = np.argsort(away + turned)[:_BY_PLACE]
    return [others[i] for i in order]
