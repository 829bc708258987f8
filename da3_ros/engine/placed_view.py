"""A new view in the map, how it hangs together with it, and what of it is published."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from da3_ros.engine.device_view import DeviceView
from da3_ros.engine.frame import View
from da3_ros.engine.keyframes import covisibilities, Covisibility, Keyframe, looks, overlap_points
from da3_ros.engine.motion import MotionFilter
from da3_ros.engine.pose_fit import skew
from da3_ros.engine.rig_pose import aboard, RigSeat
from da3_ros.engine.scale.depths import median_depth
from da3_ros.engine.sight import certainty, Sight
from da3_ros.engine.view_size import size_among
from da3_ros.geometry.transforms import Sim3
import numpy as np
import torch

# Points that are looked for in the keyframe that sees most of the view.
_EVERY = 2
# Variances of a pose that is a guess: a kilometre, and any direction [m², rad²].
_UNKNOWN = np.repeat([1e6, np.pi**2], 3)


@dataclass(frozen=True, eq=False)
class RigPlace:
    """
    Where the rig of a set of views is, in the map's own units.

    ``frame`` is the camera whose optical frame is the rig's, ``stamp_ns`` that of the set;
    ``map_from_rig`` (4, 4) with its ``covariance`` (6, 6); ``unit`` is the map's length of a
    metre.
    """

    frame: str
    stamp_ns: int
    map_from_rig: np.ndarray
    covariance: np.ndarray
    unit: float

    def steadied(self, motion: MotionFilter, distance: float) -> 'RigPlace':
        """Return where the motion of the rig, so far from what it sees, makes it likely to be."""
        pose, covariance = motion.update(
            self.stamp_ns, self.map_from_rig, self.covariance, distance
        )
        return replace(self, map_from_rig=pose, covariance=covariance)

    def covariance_at(self, position: np.ndarray) -> np.ndarray:
        """Return the covariance (6, 6) of what is fixed to the rig at a ``position`` (3,)."""
        transport = np.eye(6)
        transport[:3, 3:] = -skew(position - self.map_from_rig[:3, 3])
        return transport @ self.covariance @ transport.T


@dataclass(frozen=True, eq=False)
class PlacedView:
    """
    A new view in the map's own units.

    ``confidence`` (H, W) of this view alone; ``map_from_camera`` (4, 4) where it is believed to
    be, and the ``covariance`` (6, 6) of that; ``shared`` with each of the keyframes that it was
    seen with, and ``sight`` what the one that shares most sees of it; ``certainty`` is how sure
    the network is of it. ``rig`` is that of a view that was placed as part of one: then
    ``measured`` is the keyframe where its own window had it, and ``is_carried`` tells that it is
    where it is by the other cameras alone, and ``is_sure`` that the network is about as sure of
    it as of those. ``on_device`` is what of it is on a GPU still.
    """

    keyframe: Keyframe
    confidence: torch.Tensor
    map_from_camera: np.ndarray
    covariance: np.ndarray
    shared: tuple[Covisibility, ...]
    sight: Sight
    certainty: float
    rig: RigPlace | None = None
    measured: Keyframe | None = None
    is_carried: bool = False
    is_sure: bool = True
    on_device: DeviceView | None = None

    @classmethod
    def among(
        cls,
        keyframe: Keyframe,
        confidence: torch.Tensor,
        covariance: np.ndarray,
        known: Sequence[Keyframe],
        on_device: DeviceView | None = None,
    ) -> 'PlacedView':
        """Return a view that was placed by ``known`` keyframes."""
        pose = keyframe.map_from_camera
        points = overlap_points(keyframe.depth, keyframe.intrinsics, pose)
        shared, sight = (), Sight(0.0, 0.0)
        if known:
            seen_by = looks(points, known)
            shared = tuple(covisibilities(points, pose, known, seen_by))
            best = max(range(len(known)), key=lambda i: shared[i].overlap)
            sight = seen_by.sight(best, _EVERY)
        sureness = certainty(confidence)
        seen = keyframe, confidence, pose, covariance, shared, sight, sureness
        return cls(*seen, on_device=on_device)

    @property
    def as_measured(self) -> Keyframe:
        """The keyframe where the window had it, whatever a rig has made of that."""
        return self.keyframe if self.measured is None else self.measured

    def seated(self, rig: RigPlace, seat: RigSeat) -> 'PlacedView':
        """Return the view where its rig has it."""
        pose = aboard(rig.map_from_rig, seat.rig_from_camera, rig.unit)
        return replace(
            self,
            keyframe=replace(self.keyframe, map_from_camera=pose, seat=seat),
            map_from_camera=pose,
            covariance=rig.covariance_at(pose[:3, 3]),
            rig=rig,
            measured=self.as_measured,
        )

    def carried(self, known: Sequence[Keyframe], is_sure: bool) -> 'PlacedView':
        """
        Return a seated view as one that its window knew nothing of.

        Its depth is then of any size: it is made as large as what ``known`` keyframes see there.
        """
        keyframe = self.keyframe
        factor = size_among(keyframe.depth, keyframe.intrinsics, keyframe.map_from_camera, known)
        keyframe = replace(keyframe, depth=factor * keyframe.depth)
        on_device = None if self.on_device is None else self.on_device.scaled(factor)
        anew = PlacedView.among(keyframe, self.confidence, self.covariance, known, on_device)
        return replace(
            anew, rig=self.rig, measured=self.measured, is_carried=True, is_sure=is_sure
        )

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

    def on(self, rig: RigPlace) -> 'PlacedView':
        """Return the view where its rig, steadied say, has it; the keyframe stays."""
        pose = aboard(rig.map_from_rig, self.keyframe.seat.rig_from_camera, rig.unit)
        return replace(
            self, map_from_camera=pose, covariance=rig.covariance_at(pose[:3, 3]), rig=rig
        )

    def published(
        self,
        scaled_from_map: Sim3,
        origin: np.ndarray,
        spread: float,
        is_keyframe: bool,
        is_adrift: bool,
        on_device: bool,
    ) -> View:
        """
        Return the view in the one scale that everything is published in.

        An error of that scale, relative standard deviation ``spread``, moves a camera along the
        line from the ``origin`` (3,), which scaling leaves in its place. Where a part of the map
        that is adrift lies to the others is not known at all. ``on_device`` tells whether it keeps
        what is on a GPU.
        """
        keyframe, scale = self.keyframe, scaled_from_map.scale
        pose = scaled_from_map.apply_to_pose(self.map_from_camera)
        units = np.repeat([scale, 1.0], 3)
        covariance = units[:, None] * self.covariance * units
        offset = spread * (pose[:3, 3] - origin)
        covariance[:3, :3] += np.outer(offset, offset)
        if is_adrift:
            covariance += np.diag(_UNKNOWN)
        return View(
            camera=keyframe.view.camera,
            stamp_ns=keyframe.view.stamp_ns,
            depth_m=np.float32(scale) * keyframe.depth.numpy(),
            confidence=self.confidence.numpy(),
            rgb=keyframe.rgb,
            intrinsics=keyframe.intrinsics,
            map_from_camera=pose,
            pose_covariance=covariance,
            is_keyframe=is_keyframe,
            on_device=(
                self.on_device.scaled(scale) if on_device and self.on_device is not None else None
            ),
        ).within(keyframe.view.content)
