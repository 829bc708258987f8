"""
Where the robot says that the views of a window were taken, and whether that can be believed.

The network takes the poses of all views of a window or of none, in any gauge and of any size: it
normalises them (``normalise_poses``). So odometry is asked about a view when it is new, and what
it says is remembered for as long as the view may be a keyframe; TF itself forgets after seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from da3_ros.engine.runner import WindowView
from da3_ros.engine.scale.robot import Robot, SIMULTANEOUS_NS
from da3_ros.engine.window import Company
from da3_ros.geometry.transforms import invert, rotation_angle_deg
import numpy as np

# Poses that are remembered, those of views that were last needed: more than a window can have.
_MEMORY = 256
# A step of odometry is a jump when it is so many times as fast as is usual, plus a floor: a robot
# that stands may start [m/s, degrees/s].
_JUMP = 5.0
_FLOOR = np.array([3.0, 180.0])
_SPEED_GAIN = 0.1


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
        if any(abs(view.stamp_ns - first.stamp_ns) > SIMULTANEOUS_NS for view in others):
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
    Knows views from odometry.

    Odometry that jumps (it was reset) is another one from there on: the poses before are
    forgotten, and windows have priors again when the keyframes from before have left. Of an old
    place odometry would be a false witness: where a guest is, and whether a lost view is there
    again, the images alone shall say.
    """

    def __init__(self, robot: Robot) -> None:
        """Take who knows odometry."""
        self._robot = robot
        self.clear()

    def clear(self) -> None:
        """Forget the stream."""
        self._odom_from_camera: dict[int, np.ndarray] = {}
        self._last: dict[str, tuple[int, np.ndarray]] = {}
        self._usual: np.ndarray | None = None

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
                'keyframe', 'a keyframe of the window is from before odometry came, or jumped'
            )
        return np.stack(poses)

    def _learn(self, before: Sequence[WindowView], newest: Sequence[WindowView]) -> str | None:
        """Remember where new views are; return the camera of one of which nothing is known."""
        poses = self._odom_from_camera
        for view in before:  # is needed still
            if view.key in poses:
                poses[view.key] = poses.pop(view.key)
        found = {v.key: self._robot.odom_from_camera(v.camera, v.stamp_ns) for v in newest}
        known = [view for view in newest if found[view.key] is not None]
        jumps = [self._jumps(view, found[view.key]) for view in known]
        if any(jumps):
            poses.clear()
        poses.update({view.key: found[view.key] for view in known})
        while len(poses) > _MEMORY:
            del poses[next(iter(poses))]
        return next((v.camera for v in newest if found[v.key] is None), None)

    def _jumps(self, view: WindowView, pose: np.ndarray) -> bool:
        """Take in a camera's next pose; tell whether no robot could get there in that time."""
        stamp_ns, before = self._last.get(view.camera, (view.stamp_ns, pose))
        self._last[view.camera] = view.stamp_ns, pose
        if view.stamp_ns <= stamp_ns:
            return False
        step = invert(before) @ pose
        length = np.array([np.linalg.norm(step[:3, 3]), rotation_angle_deg(step[:3, :3])])
        speed = length / (1e-9 * (view.stamp_ns - stamp_ns))
        if self._usual is None:  # a car may be on its way already
            self._usual = speed
        if (speed > _JUMP * self._usual + _FLOOR).any():
            return True
        self._usual += _SPEED_GAIN * (speed - self._usual)
        return False
