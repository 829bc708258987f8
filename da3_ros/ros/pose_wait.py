"""Waiting for the transforms of an image: TF is often some milliseconds behind the cameras."""

from collections.abc import Callable, Mapping
import time

from da3_ros.config import NodeConfig
from da3_ros.ros.robot import RosRobot

# Images in a row that waited in vain before no more do; where there is odometry at all, it is
# tried again after so many that went without waiting.
_MAX_IN_VAIN = 3
_TRY_AGAIN = 16


class PoseWait:
    """
    Lets images wait for the poses that ``pose_prior`` needs, in the worker's thread and not long.

    Where waiting does not help (no odometry, one that lags by more than the wait, one that has
    ended) nearly no image waits; where it has never been heard of, none.
    """

    def __init__(self, robot: RosRobot, config: NodeConfig) -> None:
        """Take who is asked, and what is needed for how long."""
        self._robot = robot
        self._timeout_s = config.pose_prior_wait_s
        self._needs = config.pose_prior
        self._in_vain = 0
        self._passed_by = _TRY_AGAIN

    def wait(
        self, stamps_ns: Mapping[str, int], has_map: bool, is_over: Callable[[], bool]
    ) -> dict[str, float]:
        """
        Return when the poses of a set of images are known, or will not be.

        Args:
            stamps_ns: Stamp of each camera's image.
            has_map: Whether there is a map: extrinsics are of use before only.
            is_over: Whether nobody wants the images any more; see ``wake``.

        Returns:
            What it took [ms], as a stage of the update; empty where no poses are needed.

        """
        start = time.perf_counter()
        if self._needs == 'odometry':
            knows = self._robot.knows_odometry
        elif self._needs == 'rig' and len(stamps_ns) > 1 and not has_map:
            knows = self._robot.knows_rig
        else:
            return {}
        self._robot.wait_for(lambda: is_over() or knows(stamps_ns), self._patience_s(stamps_ns))
        if knows(stamps_ns):
            self._in_vain, self._passed_by = 0, _TRY_AGAIN
        else:
            self._in_vain += 1
        return {'wait': (time.perf_counter() - start) * 1e3}

    def wake(self) -> None:
        """Have a wait look whether it is over."""
        self._robot.wake()

    def _patience_s(self, stamps_ns: Mapping[str, int]) -> float:
        """Return how long it is worth to wait now."""
        if self._in_vain < _MAX_IN_VAIN:
            return self._timeout_s
        if self._needs == 'odometry' and not self._robot.has_odometry(stamps_ns):
            return 0.0
        self._passed_by += 1
        if self._passed_by <= _TRY_AGAIN:
            return 0.0
        self._passed_by = 0
        return self._timeout_s
