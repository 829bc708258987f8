"""
Where the robot says that the views of a window were taken, and whether that can be believed.

The network takes the poses of all views of a window or of none, in any gauge and of any size: it
normalises them (``normalise_poses``). So odometry is asked about a view when it is new, and what
it says is remembered for as long as the view may be a keyframe; TF itself forgets after seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.runner import WindowView
from da3_ros.engine.scale.depths import median_depth
from da3_ros.engine.scale.robot import Robot
from da3_ros.engine.window import Company
from da3_ros.geometry.transforms import invert, rotation_angle_deg
import numpy as np

# Views that are no further apart in time were taken together, for a robot at walking pace.
_TOGETHER_NS = 5_000_000
# Poses that are remembered, those of views that were last needed: more than a window can have.
_MEMORY = 256
# What map and odometry may differ by between two keyframes of a window: degrees, a share of the
# scene's depth plus a share of the way, and a factor on ways of at least a share of the depth.
# Both wander, the map by a few degrees and some percent of its depth.
_MAX_ROTATION_DEG = 8.0
_MAX_OFFSET = (0.15, 0.3)
_MAX_STRETCH = 3.0
_MIN_WAY = 0.05


@dataclass(frozen=True)
class NoPrior:
    """
    Why a window goes to the network without poses.

    ``reason`` is the name to count it under; ``problem`` a sentence for whoever wants poses to be
    used, empty where it is in the nature of the window.
    """

    reason: str
    problem: str = ''


class KnownPoses(Protocol):
    """Anything that may know where the views of a window were taken."""

    def find(self, company: Company, newest: Sequence[WindowView]) -> np.ndarray | NoPrior:
        """Return the poses (V, 4, 4) of the company and the new views in one frame, in metres."""
        ...

    def clear(self) -> None:
        """Forget the stream."""
        ...


class RigPoses:
    """
    Knows views that were taken together, from the extrinsics of their cameras.

    Windows with others have none: how the robot has moved between them, extrinsics don't tell. So
    it is the beginning of a map that they help.
    """

    def __init__(self, robot: Robot) -> None:
        """Take who knows the extrinsics."""
        self._robot = robot

    def find(self, company: Company, newest: Sequence[WindowView]) -> np.ndarray | NoPrior:
        """Return the poses (V, 4, 4) in the frame of the first view's camera."""
        first, *others = (*company.views, *newest)
        if any(abs(view.stamp_ns - first.stamp_ns) > _TOGETHER_NS for view in others):
            return NoPrior('apart')
        poses = [np.eye(4)]
        for view in others:
            pose = self._robot.camera_from_other(
                first.camera, first.stamp_ns, view.camera, view.stamp_ns
            )
            if pose is None:
                return NoPrior(
                    'no_extrinsics',
                    f"TF does not know camera '{view.camera}' as seen from '{first.camera}'",
                )
            poses.append(pose)
        return np.stack(poses)

    def clear(self) -> None:
        """Forget nothing: extrinsics stay."""


class OdometryPoses:
    """
    Knows views from odometry, as long as it goes along with the map.

    Odometry that has drifted or jumped between two keyframes contradicts the map, which has seen
    both; it is used again when those from before have left the window. Of an old place odometry
    would be a false witness: where a guest is, and whether a lost view is there again, the images
    alone shall say.
    """

    def __init__(self, robot: Robot) -> None:
        """Take who knows odometry."""
        self._robot = robot
        self.clear()

    def clear(self) -> None:
        """Forget the stream."""
        self._odom_from_camera: dict[int, np.ndarray] = {}

    def find(self, company: Company, newest: Sequence[WindowView]) -> np.ndarray | NoPrior:
        """Return the poses (V, 4, 4) in the odometry frame."""
        missing = self._learn(company.views, newest)
        if missing is not None:
            return NoPrior(
                'no_odometry', f"TF has no odometry of camera '{missing}' at its image's stamp"
            )
        if company.is_recollected:
            return NoPrior('lost')
        if company.guests:
            return NoPrior('guest')
        poses = [self._odom_from_camera.get(view.key) for view in (*company.views, *newest)]
        if any(pose is None for pose in poses):
            return NoPrior(
                'keyframe', 'TF had no odometry when a keyframe of the window was taken'
            )
        if problem := _contradiction(company.known, np.stack(poses)[: len(company)]):
            return NoPrior('drift', problem)
        return np.stack(poses)

    def _learn(self, before: Sequence[WindowView], newest: Sequence[WindowView]) -> str | None:
        """Remember where new views are; return the camera of one of which nothing is known."""
        poses = self._odom_from_camera
        for view in before:  # is needed still
            if view.key in poses:
                poses[view.key] = poses.pop(view.key)
        missing = None
        for view in newest:
            pose = self._robot.odom_from_camera(view.camera, view.stamp_ns)
            if pose is None:
                missing = view.camera
            else:
                poses[view.key] = pose
        while len(poses) > _MEMORY:
            del poses[next(iter(poses))]
        return missing


def _contradiction(known: Sequence[Keyframe], in_odom: np.ndarray) -> str:
    """
    Return in what odometry, poses (K, 4, 4), and map differ about keyframes, or an empty string.

    Each pair of keyframes is a motion that both saw; how large the map is follows from all.
    """
    if len(known) < 2:
        return ''
    in_map = np.stack([keyframe.map_from_camera for keyframe in known])
    first, second = np.triu_indices(len(known), k=1)
    by_odom = invert(in_odom[first]) @ in_odom[second]
    by_map = invert(in_map[first]) @ in_map[second]
    turned = np.swapaxes(by_odom[:, :3, :3], 1, 2) @ by_map[:, :3, :3]
    rotation_deg = float(rotation_angle_deg(turned).max())
    if rotation_deg > _MAX_ROTATION_DEG:
        return f'odometry and map differ by {rotation_deg:.0f} degrees about the keyframes'
    depth = median_depth(known[0].depth)
    ways, lengths = (np.linalg.norm(motion[:, :3, 3], axis=1) for motion in (by_odom, by_map))
    is_long = lengths > _MIN_WAY * depth
    if not is_long.any():
        return ''
    with np.errstate(divide='ignore'):
        log_stretch = np.log(ways[is_long] / lengths[is_long])
    usual = float(np.median(log_stretch))
    if not np.isfinite(usual):
        return 'the map saw the camera move where odometry did not'
    off = float(np.abs(log_stretch - usual).max())
    if off > np.log(_MAX_STRETCH):
        return f'odometry and map differ by a factor of {np.exp(off):.3g} about how far it was'
    offsets = np.linalg.norm(by_map[:, :3, 3] - by_odom[:, :3, 3] / np.exp(usual), axis=1)
    if (offsets > _MAX_OFFSET[0] * depth + _MAX_OFFSET[1] * lengths).any():
        share = 100.0 * float(offsets.max()) / depth
        return f'odometry and map differ by {share:.0f} % of the depth about where keyframes are'
    return ''
