"""The thread that owns the engine: messages in, frames pushed, results to the outbox."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
import threading
import time
import traceback
from typing import Any

from da3_ros.config import NodeConfig
from da3_ros.engine import Engine, Frame, Update
from da3_ros.engine.device_faults import is_device_error
from da3_ros.engine.stage_clock import StageClock
from da3_ros.errors import Da3Error, DeviceError, FrameError
from da3_ros.ros.cameras import CameraInput
from da3_ros.ros.drops import DropLog
from da3_ros.ros.engine_keeper import EngineKeeper, first_line
from da3_ros.ros.inbox import Inbox
from da3_ros.ros.outbox import Outbox, Parcel
from da3_ros.ros.pose_wait import PoseWait
from da3_ros.ros.publishers import Outputs
from da3_ros.ros.robot import RosRobot
from da3_ros.ros.statistics import Statistics
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.task import Future

# (success, message) of a std_srvs/Trigger response.
Answer = tuple[bool, str]


class Worker:
    """
    Runs the engine in one thread from configure to cleanup; nobody else ever waits for it.

    An engine whose device fails is made anew here; ``on_lost`` is called, once and in this thread,
    when that is of no use any more.

    The streams' thread calls ``put`` and ``has_room``, the executor's ``request``, ``configure``,
    ``resume``, ``pause`` and ``stop``; none of them waits for the network. Nothing is published
    after ``pause`` has returned.
    """

    def __init__(
        self,
        keeper: EngineKeeper,
        robot: RosRobot,
        cameras: Mapping[str, CameraInput],
        outputs: Outputs,
        statistics: Statistics,
        drops: DropLog,
        logger: RcutilsLogger,
        config: NodeConfig,
        inbox: Inbox,
        on_lost: Callable[[], None],
    ) -> None:
        self._keeper = keeper
        self._robot = robot
        self._cameras = cameras
        self._statistics = statistics
        self._drops = drops
        self._logger = logger
        self._config = config
        self._engine_config = config
        self._on_lost = on_lost
        self._unsettled = 0  # messages of the current set that are not yet counted anywhere
        self.newest_stamp_ns = 0
        self._inbox = inbox
        self._pose_wait = PoseWait(robot, config)
        self._outbox = Outbox(keeper, outputs, statistics, drops, on_out=inbox.nudge)
        self._map_has_moved = False
        self._map_points = outputs.map_points
        # A daemon: a network that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name='da3_worker', daemon=True)
        self._thread.start()

    def put(self, camera: str, message: Any) -> None:
        """Leave a camera's newest image; the inbox decides whether an older one is given up."""
        self._statistics.receive(camera)
        self._supersede(self._inbox.put(camera, message))

    def has_room(self, camera: str) -> bool:
        """Tell whether the next image of a camera should be fetched."""
        return self._inbox.has_room(camera)

    def request(self, action: Callable[[Engine], str]) -> Future:
        """Have ``action`` run on the engine between two frames; the future gets an ``Answer``."""
        future = Future()

        def run() -> None:
            future.set_result(self._answer(action))

        if not self._inbox.request(run):
            future.set_result((False, 'The node is being cleaned up.'))
        return future

    def reset(self) -> Future:
        """Forget the map; the future gets an ``Answer``."""
        return self.request(self._reset)

    def configure(self, config: NodeConfig) -> None:
        """Use a new configuration from the next frame on."""
        self._config = config

    def resume(self) -> None:
        """Take images and publish."""
        self._outbox.open()
        self._map_points.open()
        self._inbox.open()

    def pause(self) -> None:
        """Take no more images and publish nothing more; a frame in the network is given up."""
        waiting = self._inbox.close()
        self._pose_wait.wake()
        if waiting:
            self._drops.drop('frame_deactivated', count=waiting)
        self._outbox.close()
        self._map_points.close()

    def stop(self, timeout_s: float) -> bool:
        """End all threads; False when one is still busy after ``timeout_s``."""
        end = time.monotonic() + timeout_s
        self.pause()
        for orphan in self._inbox.shut():
            orphan()
        self._thread.join(timeout_s)
        is_done = [
            part.shut(max(end - time.monotonic(), 0.0))
            for part in (self._outbox, self._map_points)
        ]
        return all(is_done) and not self._thread.is_alive()

    @property
    def has_requests(self) -> bool:
        """Whether a request waits."""
        return self._inbox.has_requests

    def _answer(self, action: Callable[[Engine], str]) -> Answer:
        """Run a request; whatever goes wrong becomes its answer."""
        if self._inbox.is_shut:
            return False, 'The node is being cleaned up.'
        if self._keeper.engine is None:
            return False, self._keeper.problem
        try:
            return True, action(self._keeper.engine)
        except Da3Error as error:
            return False, str(error)
        except Exception as error:
            self._logger.error(traceback.format_exc())
            return False, f'Unexpected {type(error).__name__}: {error}'

    def _reset(self, engine: Engine) -> str:
        engine.reset()
        self._announce(engine)
        return 'The map is forgotten; the next image starts a new one.'

    def _announce(self, engine: Engine) -> None:
        """Publish the map of an engine that has seen nothing yet."""
        self._map_points.put(engine.surfaces(), self._config, self.newest_stamp_ns)
        self._outbox.put(Parcel(self._config, self.newest_stamp_ns, keyframes=engine.keyframes))

    def _run(self) -> None:
        """Work until told to stop."""
        while (work := self._inbox.take()) is not None:
            for run in work.requests:
                run()
            self._supersede(work.taken.superseded)
            self._statistics.miss(work.taken.missing)
            if work.was_nudged:
                self._survive(self._tell_map)
            if messages := work.taken.messages:
                self._survive(partial(self._process, messages), len(messages))

    def _survive(self, work: Callable[[], None], messages: int = 0) -> None:
        """Do work on so many messages; whatever happens, the worker goes on."""
        self._unsettled, failure = messages, ''
        try:
            work()
        except Exception as error:
            failure = first_line(error) if is_device_error(error) else ''
            # Messages may all be accounted for: then it was the map that did not learn from them.
            kind = 'frame' if self._unsettled else 'map'
            reason = f'{kind}_device' if failure else f'{kind}_error'
            sentence = str(error) if isinstance(error, Da3Error) else traceback.format_exc()
            self._drop(reason, sentence, max(self._unsettled, 1))
        if failure:  # only here, not while the traceback keeps the engine, can another be made
            self._make_anew(failure)

    def _make_anew(self, failure: str) -> None:
        """Replace the engine, whose map is lost; where that fails take no more images."""
        config = self._config
        try:
            self._keeper.remake(config, failure)
        except DeviceError:
            self._inbox.close()
            self._on_lost()
            return
        self._engine_config = config
        self._announce(self._keeper.engine)

    def _supersede(self, count: int) -> None:
        """Count images that were overtaken by newer ones."""
        if count:
            self._drops.drop('frame_superseded', count=count)

    def _drop(self, reason: str, sentence: str, count: int) -> None:
        self._unsettled -= count
        self._drops.drop(reason, sentence, count)

    def _process(self, messages: Mapping[str, Any]) -> None:
        """Take one set of messages, at most one per camera, through the engine."""
        config = self._config
        engine = self._keeper.engine
        if config is not self._engine_config:
            engine.configure(config)
            self._engine_config = config
        clock = StageClock()
        frames = self._frames(messages)
        clock.lap('convert')
        frame_ids = {name: self._cameras[name].frame_id(m) for name, m in messages.items()}
        self._robot.learn(frame_ids)
        waited_ms = self._wait(frames)
        update = self._push(frames) if frames else None
        if update is None:
            self._outbox.put(Parcel(config, self.newest_stamp_ns))
            return
        self._map_has_moved |= update.keyframes_changed or update.was_reset
        stage_ms = {**clock.stage_ms, **waited_ms, **update.status.stage_ms}
        stamp_ns = self.newest_stamp_ns
        self._outbox.put(
            Parcel(config, stamp_ns, update.views, frame_ids, stage_ms=stage_ms, is_last=False)
        )

    def _tell_map(self) -> None:
        """
        Let the map learn from the views that are out, and publish where it has moved.

        Not before: threads that compute share one interpreter, and what is seen goes out first.
        """
        engine, config, stamp_ns = self._keeper.engine, self._config, self.newest_stamp_ns
        if engine is None:
            return
        clock = StageClock()
        engine.update_map()
        clock.lap('map')
        keyframes = None
        if self._map_has_moved:
            self._map_has_moved = False
            self._map_points.put(engine.surfaces(), config, stamp_ns)
            keyframes = engine.keyframes
        self._outbox.put(Parcel(config, stamp_ns, keyframes=keyframes, stage_ms=clock.stage_ms))

    def _frames(self, messages: Mapping[str, Any]) -> list[Frame]:
        """Return the messages that are usable images."""
        frames = []
        for name, message in messages.items():
            try:
                frames.append(self._cameras[name].frame(message))
            except FrameError as error:
                self._drop(error.reason, str(error), 1)
        return frames

    def _wait(self, frames: Sequence[Frame]) -> dict[str, float]:
        """Give the robot's transforms a moment to come; returns what it took."""
        stamps_ns = {frame.camera: frame.stamp_ns for frame in frames}
        if not stamps_ns:
            return {}
        return self._pose_wait.wait(stamps_ns, lambda: not self._inbox.is_open)

    def _push(self, frames: list[Frame]) -> Update | None:
        """Return what the engine makes of a set of frames, or None if it cannot use them."""
        try:
            update = self._keeper.engine.push(frames)
        except Da3Error as error:
            self._drop(getattr(error, 'reason', 'frame_error'), str(error), len(frames))
            return None
        self._unsettled -= len(update.views)
        self._statistics.process(len(update.views))
        for error in update.refused.values():
            self._drop(error.reason, str(error), 1)
        used = {f.camera for f in frames} - update.refused.keys()
        lost = sorted(used - {v.camera for v in update.views})
        if lost:
            sentence = f'The images of {lost} fit nowhere in the map, while others of the set do.'
            self._drop('frame_registration', sentence, len(lost))
        before_ns, self.newest_stamp_ns = (
            self.newest_stamp_ns,
            max(frame.stamp_ns for frame in frames if frame.camera in used),
        )
        if update.was_reset and self.newest_stamp_ns < before_ns:
            self._robot.forget()
        if update.was_reset:
            self._logger.warning(f'The map starts anew: {update.reset_reason}.')
        if update.notice:
            self._logger.info(f'{update.notice}.')
        return update
