"""Waiting for the transforms of an image: TF is often some milliseconds behind the cameras."""

from collections.abc import Callable, Mapping
from functools import partial
import time

from da3_ros.config import NodeConfig
from da3_ros.ros.robot import RosRobot

# Images in a row that waited in vain before no more do; where there is odometry at all, it is
# tried again after so many that went without waiting.
_MAX_IN_VAIN = 3
_TRY_AGAIN = 16


class PoseWait:
    """
    Lets images wait for odometry, which ``pose_prior`` needs, in the worker's thread and not long.

    Where waiting does not help (odometry that has ended, or lags by more than the wait) nearly no
    image waits; where odometry has never been heard of, none.
    """

    def __init__(self, robot: RosRobot, config: NodeConfig) -> None:
        """Take who is asked, and whether and for how long."""
        self._robot = robot
        self._timeout_s = config.pose_prior_wait_s
        self._is_needed = config.pose_prior == 'odometry'
        self._in_vain = 0
        self._passed_by = _TRY_AGAIN

    def wait(self, stamps_ns: Mapping[str, int], is_over: Callable[[], bool]) -> dict[str, float]:
        """
        Return when odometry is there at the stamp of each camera's image, or will not be.

        ``is_over`` tells whether nobody wants the images any more; ``wake`` has it asked.

        Returns:
            What it took [ms], as a stage of the update; empty where odometry is not needed.

        """
        if not self._is_needed:
            return {}
        start = time.perf_counter()
        knows = partial(self._robot.knows_odometry, stamps_ns)
        came = self._robot.wait_for(lambda: is_over() or knows(), self._patience_s(stamps_ns))
        if came and not is_over():
            self._in_vain, self._passed_by = 0, _TRY_AGAIN
        elif not is_over():
            self._in_vain += 1
        return {'wait': (time.perf_counter() - start) * 1e3}

    def wake(self) -> None:
        """Have a wait look whether it is over."""
        self._robot.wake()

    def _patience_s(self, stamps_ns: Mapping[str, int]) -> float:
        """Return how long it is worth to wait now."""
        if self._in_vain < _MAX_IN_VAIN:
            return self._timeout_s
        if not self._robot.has_odometry(stamps_ns):
            return 0.0
        self._passed_by += 1
        if self._passed_by <= _TRY_AGAIN:
            return 0.0
        self._passed_by = 0
        return self._timeout_s
