"""The engine in use: made at configure, and made anew when its device fails."""

from collections import deque
from collections.abc import Callable
import time

from da3_ros.config import NodeConfig
from da3_ros.engine import Engine, licence_line
from da3_ros.engine.device import empty_cache
from da3_ros.engine.device_faults import is_device_error
from da3_ros.errors import DeviceError
from da3_ros.ros.robot import RosRobot
from rclpy.impl.rcutils_logger import RcutilsLogger

# A device that fails more often than so many times in a period [s] is not worth another try.
_MAX_REMAKES = 3
_PERIOD_S = 60.0


class EngineKeeper:
    """
    Makes engines and holds the one in use, for all who look at it; the worker alone runs it.

    ``engine`` is None while there is none; ``problem`` says why, if there was one. ``is_lost``
    tells that there will be none any more, and ``is_process_lost``, that it takes another process
    to have one: CUDA refuses this one.
    """

    def __init__(self, factory: Callable[..., Engine], logger: RcutilsLogger) -> None:
        self._factory = factory
        self._logger = logger
        self._robot: RosRobot | None = None
        self._remade_at: deque[float] = deque(maxlen=_MAX_REMAKES)
        self.engine: Engine | None = None
        self.problem = ''
        self.is_lost = False
        self.is_process_lost = False

    def make(self, config: NodeConfig, robot: RosRobot) -> None:
        """Load the network, warm it up, and say what it is; raises what the factory raises."""
        self._robot = robot
        self._logger.info(f"Loading '{config.model}' ...")
        engine = self._factory(config, robot=robot)
        engine.warm_up(new=len(config.cameras), progress=self._on_prepared)
        self.engine = engine
        self._logger.info(f"'{engine.model_name}' is ready on {engine.device}.")
        self._logger.info(licence_line(engine.model_name, engine.licence))
        if shrunk_to := engine.status.window_shrunk_to:
            self._logger.warning(f'Window shrunk to {shrunk_to}: out of GPU memory.')
        if not engine.is_trained:
            self._logger.warning('The network is untrained; its depth means nothing.')

    def remake(self, config: NodeConfig, failure: str) -> None:
        """
        Make another engine in the place of one whose device failed; its map is lost.

        Raises:
            DeviceError: if that fails too, or was done too often of late.

        """
        device, self.engine = self.engine.device, None  # a device need not hold two
        self.problem = f'The engine is made anew after {failure}'
        now = time.monotonic()
        if len(self._remade_at) == _MAX_REMAKES and now - self._remade_at[0] < _PERIOD_S:
            self._lose(
                f'The device failed {_MAX_REMAKES + 1} times within {_PERIOD_S:.0f} s, the last '
                f'time with {failure}; look at the GPU (dmesg, nvidia-smi), then configure again.'
            )
        self._remade_at.append(now)
        try:
            empty_cache(device)
            self.make(config, self._robot)
        except Exception as error:
            self.is_process_lost = is_device_error(error)
            self._lose(
                f'The device failed with {failure} and the engine could not be made anew '
                f'({first_line(error)}); configure again when the GPU is back, or in a new '
                'process if the GPU is there: no process can use one again that failed under it.'
            )
        self.problem = ''
        self._logger.warning(f'The map starts anew: the engine was made anew after {failure}.')

    def free(self) -> None:
        """Let the engine go, and what PyTorch keeps of its GPU's memory for another one."""
        if self.engine is not None:
            device, self.engine = self.engine.device, None
            empty_cache(device)

    def check(self) -> None:
        """Raise ``DeviceError`` if the engine is lost."""
        if self.is_lost:
            raise DeviceError(self.problem)

    def _lose(self, sentence: str) -> None:
        self.problem, self.is_lost = sentence, True
        raise DeviceError(sentence)

    def _on_prepared(self, done: int, total: int) -> None:
        """Say how far the engine's preparation is, where it is more than one step."""
        if total > 1:
            self._logger.info(f'Prepared {done} of {total} sizes of the window.')


def first_line(error: Exception) -> str:
    """Return what an error is and says, without the advice that CUDA's errors go on with."""
    return f'{type(error).__name__}: {error}'.partition('\n')[0].rstrip('.')
