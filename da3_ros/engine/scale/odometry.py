"""
Metres from odometry: how far the camera went, against how far the map says it went.

Keyframes are compared pair by pair, with the poses that the map believes them to have now, so each
time a keyframe is refined the scale gains from it. Pairs reach over a few keyframes only: odometry
drifts, and a frame that jumps (a reset, a slip) then spoils few of them.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.scale.baselines import motion_ratios, MotionRatios
from da3_ros.engine.scale.depths import median_depth
from da3_ros.engine.scale.estimate import combine, ScaleEstimate
from da3_ros.engine.scale.robot import Robot
from da3_ros.engine.scale.source import Evidence, ScaleSource
from da3_ros.geometry.transforms import invert
import numpy as np

# Keyframes that are compared, and how far apart in their order two of them may be.
_KEYFRAMES = 24
_REACH = 12
# Error of odometry: a share of the way of each pair, and what all pairs have in common (the
# wheels' radius, the gyro's gain).
_DRIFT = 0.01
_FLOOR = 0.005
# A keyframe for which odometry has not come by then will not get any.
_PATIENCE_NS = 5_000_000_000
# Images of a rig are of one moment when they are nearer in time.
_SAME_MOMENT_NS = 50_000_000
# Keyframes that must have moved against each other; two could both be wrong.
_MIN_KEYFRAMES = 3


@dataclass
class _Sighting:
    """A keyframe and where odometry has its camera, once known: (4, 4) in metres."""

    keyframe: Keyframe
    median_depth: float
    odom_from_camera: np.ndarray | None = None


class OdometrySource(ScaleSource):
    """
    Compares the motions between keyframes with those of the robot's odometry.

    A robot that stands, or turns about its camera, says nothing: pairs must be ``min_motion_m``
    apart, and far enough for the network to see. Odometry may lag behind the images, stop for a
    while, or jump.
    """

    name = 'odometry'

    def __init__(self, robot: Robot, min_motion_m: float) -> None:
        """Take who knows odometry, and the shortest motion that counts."""
        super().__init__()
        self._robot = robot
        self._min_motion_m = min_motion_m
        self._forget()

    @property
    def estimate(self) -> ScaleEstimate | None:
        """What the pairs add up to; the last word while there are none."""
        return self._estimate

    def resize(self, log_size: float) -> None:
        """Keep what was measured in metres."""
        if self._estimate is not None:
            log_scale = self._estimate.log_scale - log_size
            self._estimate = replace(self._estimate, log_scale=log_scale)

    def _forget(self) -> None:
        self._sightings: deque[_Sighting] = deque(maxlen=_KEYFRAMES)
        self._estimate: ScaleEstimate | None = None

    def _take(self, views: Sequence[Keyframe], kept: Sequence[Keyframe]) -> Evidence:
        self._sightings.extend(_Sighting(k, median_depth(k.depth)) for k in kept)
        has_new = self._look_up(max(view.view.stamp_ns for view in views))
        if not has_new:
            if kept:
                self.problem = "TF has no odometry at the keyframes' stamps"
            # The map may have been refined, but of that there is no hurry.
            return Evidence.ABSENT
        known = [s for s in self._sightings if s.odom_from_camera is not None]
        return self._solve(known) if len(known) > 1 else Evidence.IDLE

    def _look_up(self, now_ns: int) -> bool:
        """Ask for odometry that was not there yet; tell whether some of it came."""
        has_new = False
        for sighting in self._sightings:
            view = sighting.keyframe.view
            if sighting.odom_from_camera is None and now_ns - view.stamp_ns <= _PATIENCE_NS:
                pose = self._robot.odom_from_camera(view.camera, view.stamp_ns)
                sighting.odom_from_camera = pose
                has_new |= pose is not None
        return has_new

    def _solve(self, known: list[_Sighting]) -> Evidence:
        """Compare all pairs in reach."""
        first, second = np.triu_indices(len(known), k=1)
        is_near = (second - first <= _REACH) & _are_motion(known, first, second)
        first, second = first[is_near], second[is_near]
        if not len(first):
            self.problem = 'there are no two keyframes of different moments yet'
            return Evidence.IDLE
        in_odom = np.stack([s.odom_from_camera for s in known])
        in_map = np.stack([s.keyframe.map_from_camera for s in known])
        motion = invert(in_odom[first]) @ in_odom[second]
        ratios = motion_ratios(
            motion,
            invert(in_map[first]) @ in_map[second],
            float(np.median([s.median_depth for s in known])),
            _DRIFT,
        )
        length_m = np.linalg.norm(motion[:, :3, 3], axis=1)
        is_long = ratios.is_usable & (length_m >= self._min_motion_m)
        used = is_long & ratios.agrees
        keyframes = np.union1d(first[used], second[used])
        self.problem = self._problem_of(length_m, is_long, ratios, len(keyframes))
        if self.problem:
            return Evidence.IDLE
        # Every keyframe's error is in as many pairs as it has partners.
        redundancy = max(1.0, used.sum() / (len(keyframes) - 1))
        self._estimate = combine(ratios.log_scale[used], ratios.sigma[used], redundancy, _FLOOR)
        newest = len(known) - 1
        return Evidence.FRESH if newest in keyframes else Evidence.IDLE

    def _problem_of(
        self, length_m: np.ndarray, is_long: np.ndarray, ratios: MotionRatios, keyframes: int
    ) -> str:
        """Return why the pairs say nothing, or an empty string."""
        if not is_long.any():
            return (
                f'the camera moved {length_m.max():.2f} m among the last keyframes, too little '
                'to measure the map by'
            )
        if not (is_long & ratios.agrees).sum() * 2 > is_long.sum():
            return 'odometry and images disagree about how the camera moved'
        if keyframes < _MIN_KEYFRAMES:
            return f'{keyframes} keyframes with odometry are far enough apart; 3 are needed'
        return ''


def _are_motion(
    sightings: Sequence[_Sighting], first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """
    Tell which pairs (P,) are of two moments, and not of two cameras of a rig at one.

    Between those TF has extrinsics, of which a rig is made: it would be measured by itself.
    """
    stamps_ns = np.array([s.keyframe.view.stamp_ns for s in sightings])
    return np.abs(stamps_ns[first] - stamps_ns[second]) > _SAME_MOMENT_NS
