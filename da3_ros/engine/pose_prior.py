"""
Pose priors: windows that the network is shown together with the poses that the robot knows.

The network follows what it is told: of a rotation that is wrong by 10 degrees it takes over 8, and
says nothing. What gives a false prior away is what it does not take over, which is three to seven
times as much as of a right one. Its decoded poses are compared with the given ones for that, and a
window that disagrees is predicted again without a prior. The decoded poses are used, not the given
ones: they go with the depth (docs/pose_priors.md has the figures).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from da3_ros.config import EngineConfig
from da3_ros.engine.known_poses import KnownPoses, NoPrior, OdometryPoses, RigPoses
from da3_ros.engine.prior_status import PriorStatus
from da3_ros.engine.runner import Runner, WindowPrediction, WindowView
from da3_ros.engine.scale.robot import Robot
from da3_ros.engine.window import Company
from da3_ros.geometry.transforms import invert, rotation_angle_deg
import numpy as np

# By how much a view's decoded pose may differ from the given one, in degrees and as a share of the
# longest way in the window: in one window, and in the mean of the last few.
_MAX_ONCE = np.array([2.0, 0.6])
_MAX_MEAN = np.array([0.9, 0.3])
_GAIN = 0.2
# Cameras that are nearer to each other than this [m] are at one place: no direction to compare.
_SAME_PLACE_M = 0.02
# Windows that go without a prior after one that disagreed: more each time, up to so many; after so
# many that agreed all is forgotten.
_MAX_PAUSE = 64
_FORGIVEN_AFTER = 20
# Windows in a row without poses that were asked for, before it is worth a warning.
_WORRYING = 10

_SOURCES: Mapping[str, Callable[[Robot], KnownPoses]] = {
    'rig': RigPoses,
    'odometry': OdometryPoses,
}


class PosePrior:
    """Gives windows the poses that are known of them, and takes them back where they are false."""

    def __init__(self, config: EngineConfig, robot: Robot | None) -> None:
        """Take which poses may be used, and who knows them; nobody where there is no robot."""
        known = _SOURCES.get(config.pose_prior) if robot is not None else None
        self._poses = known(robot) if known is not None else None
        self.clear()

    @property
    def status(self) -> PriorStatus:
        """What became of the windows since the map was started."""
        return self._status

    def clear(self) -> None:
        """Forget the stream."""
        if self._poses is not None:
            self._poses.clear()
        self._status = PriorStatus()
        self._unused: Counter[str] = Counter()
        self._deviation: np.ndarray | None = None
        self._pause = self._paused_for = self._agreed = self._missed = 0
        self._verdict = ''  # what was wrong with the last prior that was dropped

    def infer(
        self,
        runner: Runner,
        company: Company,
        newest: Sequence[WindowView],
        depth_views: Sequence[int],
    ) -> WindowPrediction:
        """Predict a window, with what is known of where its views were taken."""
        views = [*company.views, *newest]
        if self._poses is None:
            return runner.infer(views, depth_views)
        poses = self._find(company, newest)
        if isinstance(poses, NoPrior):
            self._leave(poses)
            return runner.infer(views, depth_views)
        posed = [
            replace(view, world_from_camera=pose) for view, pose in zip(views, poses, strict=True)
        ]
        prediction = runner.infer(posed, depth_views)
        is_first = not len(company)
        if problem := self._disagreement(prediction, poses, len(company) + is_first):
            self._verdict = problem
            self._pause = min(max(2 * self._pause, 1), _MAX_PAUSE)
            self._paused_for, self._agreed, self._deviation = self._pause, 0, None
            self._leave(NoPrior('images', problem), warning=f'The pose prior is off: {problem}.')
            return runner.infer(views, depth_views)
        self._keep()
        return prediction

    def _find(self, company: Company, newest: Sequence[WindowView]) -> np.ndarray | NoPrior:
        """Return the poses (V, 4, 4) of a window, or why it goes without."""
        # Asked also where the answer won't be used: it is remembered for later windows.
        poses = self._poses.find(company, newest)
        views = [*company.views, *newest]
        blind = next((view.camera for view in views if view.intrinsics is None), None)
        if len(views) < 2:
            return NoPrior('alone')
        if blind is not None:
            sentence = f"camera '{blind}' has no CameraInfo, without which poses are no use"
            return NoPrior('no_camera_info', sentence)
        if isinstance(poses, NoPrior):
            return poses
        if self._paused_for > 0:
            self._paused_for -= 1
            return NoPrior('pause', self._verdict)
        return poses

    def _leave(self, why: NoPrior, warning: str = '') -> None:
        """Count a window without a prior; a warning lasts until windows agree again."""
        self._unused[why.reason] += 1
        self._missed = self._missed + 1 if why.problem else 0
        if self._missed >= _WORRYING and not self._status.warning:
            warning = warning or f'No pose prior for {self._missed} windows: {why.problem}.'
        self._status = replace(
            self._status,
            unused=dict(self._unused),
            problem=why.problem,
            warning=warning or self._status.warning,
        )

    def _keep(self) -> None:
        """Count a window with a prior."""
        self._missed = 0
        self._agreed += 1
        if self._agreed >= _FORGIVEN_AFTER:
            self._pause = 0
        self._status = replace(
            self._status,
            used=self._status.used + 1,
            problem='',
            warning=self._status.warning if self._pause else '',
            deviation_deg=float(self._deviation[0]),
        )

    def _disagreement(
        self, prediction: WindowPrediction, given: np.ndarray, first_new: int
    ) -> str:
        """Return in what decoded and given poses (V, 4, 4) of new views differ, or nothing."""
        if not np.isfinite(prediction.window_from_camera).all():
            return 'the network has no finite poses for what it was told'
        found = _deviation(prediction.window_from_camera, given)[:, first_new:].max(axis=1)
        before = found if self._deviation is None else self._deviation
        self._deviation = before + _GAIN * (found - before)
        for deviation, most in ((found, _MAX_ONCE), (self._deviation, _MAX_MEAN)):
            if (deviation > most).any():
                return (
                    f'the network sees the new view {deviation[0]:.1f} degrees and '
                    f'{100 * deviation[1]:.0f} % of the way off what it was told'
                )
        return ''


def _deviation(decoded: np.ndarray, given: np.ndarray) -> np.ndarray:
    """
    Return by how much views differ (2, V): degrees, and a share of the longest way.

    Decoded poses are of another size, which is what fits best.
    """
    decoded, given = invert(decoded[0]) @ decoded, invert(given[0]) @ given
    turned = np.swapaxes(decoded[:, :3, :3], 1, 2) @ given[:, :3, :3]
    seen, told = decoded[:, :3, 3], given[:, :3, 3]
    longest = np.linalg.norm(told, axis=1).max()
    offsets = np.zeros(len(given))
    if longest > _SAME_PLACE_M:
        size = max((seen * told).sum() / (told * told).sum(), 0.0)
        off = np.linalg.norm(seen - size * told, axis=1)
        offsets = off / max(size * longest, 1e-9)
    return np.stack([rotation_angle_deg(turned), offsets])
