"""Metres from a rig: known distances between cameras, against those that the map has."""

from collections.abc import Sequence
from dataclasses import dataclass
import itertools
import math

from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.scale.baselines import motion_ratios
from da3_ros.engine.scale.depths import median_depth
from da3_ros.engine.scale.estimate import combine
from da3_ros.engine.scale.robot import Robot
from da3_ros.engine.scale.source import Evidence, ReadingSource
from da3_ros.geometry.transforms import invert
import numpy as np

# Images further apart in time than this are not paired, even where odometry could bridge it.
_MAX_APART_NS = 100_000_000
# Error of extrinsics, as a share of the distance, and what all pairs have in common.
_CALIBRATION = 0.003
_FLOOR = 0.002
# Sets between two keyframes see much the same, so their mean counts for so many readings at most.
_MAX_GAIN = 4


@dataclass(frozen=True)
class _Placed:
    """A view as it was placed when it was new; keyframes may have moved since."""

    camera: str
    stamp_ns: int
    map_from_camera: np.ndarray
    median_depth: float


class RigSource(ReadingSource):
    """
    Compares distances between cameras that see at about the same time with those in TF.

    The cameras may come in one set or in sets of their own. A rig that is narrow for the scene
    that it sees (a stereo pair outdoors) says nothing: the network would only tell its own error.
    """

    name = 'rig'

    def __init__(self, robot: Robot) -> None:
        """Take who knows the extrinsics."""
        super().__init__(_FLOOR)
        self._robot = robot

    def _forget(self) -> None:
        super()._forget()
        self._newest: dict[str, _Placed] = {}
        self._since_keyframe: list[tuple[float, float]] = []

    def _take(self, views: Sequence[Keyframe], kept: Sequence[Keyframe]) -> Evidence:
        self._remember(views)
        cameras = {view.view.camera for view in views}
        evidence = Evidence.ABSENT
        if len(self._newest) < 2:
            self.problem = 'there is one camera; a rig has two or more'
        for a, b in itertools.combinations(self._newest.values(), 2):
            is_new = a.camera in cameras or b.camera in cameras
            if is_new and abs(a.stamp_ns - b.stamp_ns) <= _MAX_APART_NS:
                evidence = max(evidence, self._compare(a, b), key=lambda e: e.value)
        if not self._since_keyframe or not (kept or self.estimate is None):
            return Evidence.IDLE if evidence is Evidence.FRESH else evidence
        self._conclude()
        return Evidence.FRESH

    def _remember(self, views: Sequence[Keyframe]) -> None:
        """Keep the newest view of each camera."""
        for placed in views:
            view, pose = placed.view, placed.map_from_camera
            depth = median_depth(placed.depth)
            self._newest[view.camera] = _Placed(view.camera, view.stamp_ns, pose, depth)

    def _compare(self, a: _Placed, b: _Placed) -> Evidence:
        """Take a reading from two views."""
        known = self._robot.camera_from_other(a.camera, a.stamp_ns, b.camera, b.stamp_ns)
        if known is None:
            self.problem = (
                f"TF does not say where the cameras '{a.camera}' and '{b.camera}' are to each "
                'other at the stamps of their images'
            )
            return Evidence.ABSENT
        predicted = invert(a.map_from_camera) @ b.map_from_camera
        depth = 0.5 * (a.median_depth + b.median_depth)
        ratios = motion_ratios(known[None], predicted[None], depth, _CALIBRATION)
        if not ratios.agrees[0]:
            self.problem = (
                f"TF and images disagree about how the cameras '{a.camera}' and '{b.camera}' are "
                'placed'
            )
            return Evidence.IDLE
        if not ratios.is_usable[0]:
            self.problem = f"'{a.camera}' and '{b.camera}' are too close for the scene they see"
            return Evidence.IDLE
        self._since_keyframe.append((ratios.log_scale[0], ratios.sigma[0]))
        return Evidence.FRESH

    def _conclude(self) -> None:
        """Make one reading of all sets since the last keyframe."""
        log_scales, sigmas = np.array(self._since_keyframe).T
        gain = math.sqrt(min(len(sigmas), _MAX_GAIN))
        self._readings.add(combine(log_scales, sigmas).log_scale, float(np.median(sigmas)) / gain)
        self._since_keyframe = []
