"""The lifecycle node ``da3``: wires parameters, cameras, worker and outputs together."""

from collections.abc import Callable
from functools import partial
import traceback

from da3_ros.config import NodeConfig
from da3_ros.engine import Engine, make_engine
from da3_ros.ros.cameras import CameraInput
from da3_ros.ros.depth_sensor import DepthSensorInput
from da3_ros.ros.diagnostics import Diagnostics, Health
from da3_ros.ros.drops import DropLog
from da3_ros.ros.endpoints import Endpoints
from da3_ros.ros.engine_keeper import EngineKeeper
from da3_ros.ros.inbox import Inbox
from da3_ros.ros.parameters import Parameters
from da3_ros.ros.pending import pending
from da3_ros.ros.publishers import Outputs
from da3_ros.ros.qos import diagnostics_qos
from da3_ros.ros.robot import RosRobot
from da3_ros.ros.robot_tf import RobotTf
from da3_ros.ros.saving import saving
from da3_ros.ros.statistics import Statistics
from da3_ros.ros.streams import Streams
from da3_ros.ros.transitions import logged
from da3_ros.ros.worker import Worker
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.task import Future
from rclpy.timer import Timer
from std_srvs.srv import Trigger

# How long a transition waits for the frame that is in the network; it is left behind after that.
_STOP_TIMEOUT_S = 1.0
# And for a callback for a message, which takes milliseconds.
_STREAMS_TIMEOUT_S = 0.5
_PERIOD_S = 1.0
_LAST_WORD = Duration(seconds=0.5)
# What is published of a view is made on its GPU, and the view is let go then.
_make_engine = partial(make_engine, on_device=True)


class Da3Node(LifecycleNode):
    """
    Turns camera images into depth, clouds and poses; the topics are those of the README.

    Configure loads the network and makes publishers and all threads; activate makes subscriptions
    and lets the worker take images; deactivate and cleanup undo that. Parameters,
    services and diagnostics are there in every state. ``engine_factory`` makes the engine from the
    configuration and ``robot``, what it may ask of TF and of the depth sensor.
    """

    def __init__(self, engine_factory: Callable[..., Engine] = _make_engine, **kwargs) -> None:
        super().__init__('da3', **kwargs)
        self.problem = ''  # why the last transition failed, or nothing
        self.is_worker_left_behind = False
        # Called when nothing that this process does brings the engine back.
        self.on_process_lost: Callable[[], None] = lambda: None
        self._engine_factory = engine_factory
        self._keeper = EngineKeeper(engine_factory, self.get_logger())
        self.worker: Worker | None = None
        self._outputs: Outputs | None = None
        self.cameras: dict[str, CameraInput] = {}
        self._streams: Streams | None = None
        self._endpoints: Endpoints | None = None
        self._robot_tf: RobotTf | None = None
        self._depth_sensor: DepthSensorInput | None = None
        self._is_active = False
        self.statistics = Statistics()
        self._diagnostics = Diagnostics(self.get_fully_qualified_name())
        self.parameters = Parameters(self, self._on_parameters)
        self._diagnostics_publisher = self.create_publisher(
            DiagnosticArray, '/diagnostics', diagnostics_qos()
        )
        # Both must tick while a simulation stands still, so they go by the steady clock.
        self._steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_PERIOD_S, self._publish_diagnostics, clock=self._steady_clock)
        self._status_timer: Timer | None = None
        # A service that waits for the worker keeps its group, so it has one of its own.
        waiting = MutuallyExclusiveCallbackGroup()
        self.create_service(Trigger, '~/reset', self._on_reset, callback_group=waiting)
        self.create_service(Trigger, '~/save_map', self._on_save_map, callback_group=waiting)
        self._autostart_timer: Timer | None = None
        if self.parameters.config.autostart:
            self._autostart_timer = self.create_timer(0.0, self._start, clock=self._steady_clock)

    # Transitions

    @logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the network and make everything that lives until cleanup."""
        config = self.parameters.checked()
        try:
            self._build(config)
        except BaseException:
            self._release()
            raise
        return super().on_configure(state)

    @logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take images and publish."""
        result = super().on_activate(state)
        self.worker.resume()
        for camera in self.cameras.values():
            camera.subscribe(self.worker.put, self.worker.has_room)
        if self._depth_sensor is not None:
            self._depth_sensor.subscribe()
        self._status_timer = self.create_timer(
            _PERIOD_S, self._publish_status, clock=self._steady_clock
        )
        self._is_active = True
        return result

    @logged
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take no more images; the map stays."""
        self._keeper.check()
        self._halt()
        return super().on_deactivate(state)

    @logged
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give back everything that configure made, the network too."""
        keeper = self._keeper
        keeper.check()
        self._release()
        keeper.free()
        return super().on_cleanup(state)

    @logged
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give back everything, from whatever state."""
        self._release()
        return super().on_shutdown(state)

    @logged
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give back everything after a bug, so that the node can be configured again."""
        self._release()
        return super().on_error(state)

    def _start(self) -> None:
        """Configure and activate, once; a failure has said why and leaves the node waiting."""
        self.destroy_timer(self._autostart_timer)
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def _build(self, config: NodeConfig) -> None:
        self.parameters.is_locked = True
        self.statistics = Statistics()
        drops = DropLog(self.statistics, self.get_logger())
        self._streams = Streams(self, self._on_stream_failure)
        self._endpoints = Endpoints(self, self._streams, self.statistics)
        self._robot_tf = RobotTf(self._streams, config.frames.map)
        if config.scale.depth_sensor != 'none':
            self._depth_sensor = DepthSensorInput(config, drops, self._endpoints)
        robot = RosRobot(self._robot_tf, config.frames.odom, self._depth_sensor)
        self._keeper.make(config, robot)
        self.cameras = {
            name: CameraInput(name, config, drops, self._endpoints) for name in config.cameras
        }
        self._outputs = Outputs(
            self, config, self.statistics, drops, self._robot_tf, self._endpoints
        )
        self.worker = Worker(
            self._keeper,
            robot,
            self.cameras,
            self._outputs,
            self.statistics,
            drops,
            self.get_logger(),
            config,
            Inbox(pending(config), on_room=self._streams.wake),
            self._on_engine_lost,
        )

    def _fail(self) -> None:
        """Go through the error state, in which all is given back, after the engine was lost."""
        keeper = self._keeper
        if keeper.is_lost:
            (self.trigger_deactivate if self._is_active else self.trigger_cleanup)()
            self._publish_diagnostics()
        if keeper.is_process_lost:
            # What a process has not delivered when it ends nobody hears.
            self._diagnostics_publisher.wait_for_all_acked(_LAST_WORD)
            self.on_process_lost()

    def _halt(self) -> None:
        """Undo activate, from any state."""
        self._is_active = False
        for camera in self.cameras.values():
            camera.unsubscribe()
        if self._depth_sensor is not None:
            self._depth_sensor.unsubscribe()
        if self._status_timer is not None:
            self.destroy_timer(self._status_timer)
            self._status_timer = None
        if self.worker is not None:
            self.worker.pause()

    def _release(self) -> None:
        """Undo activate and configure, from any state."""
        if self._streams is not None and not self._streams.shut(_STREAMS_TIMEOUT_S):
            self.is_worker_left_behind = True
            self.get_logger().warning('A callback for a message hangs; it is left behind.')
        self._halt()
        if self.worker is not None and not self.worker.stop(_STOP_TIMEOUT_S):
            self.is_worker_left_behind = True
            self.get_logger().warning(
                f'The network was still busy after {_STOP_TIMEOUT_S} s; it is left behind and its '
                'memory is free when it ends.'
            )
        if self._outputs is not None:
            self._outputs.destroy()
        if self._robot_tf is not None:
            self._robot_tf.destroy()
        if self._endpoints is not None:
            self._endpoints.destroy()
        self._keeper = EngineKeeper(self._engine_factory, self.get_logger())
        self.worker = self._outputs = None
        self._robot_tf = self._depth_sensor = self._endpoints = self._streams = None
        self.cameras = {}
        self.parameters.is_locked = False

    def destroy_node(self) -> None:
        """Release everything, from whatever state, and destroy the node."""
        self._release()
        super().destroy_node()

    # Callbacks

    def _on_stream_failure(self, error: Exception) -> None:
        """Have the executor raise what a callback raised in the streams' thread."""

        def fail() -> None:
            raise error

        if self.executor is not None:
            self.executor.create_task(fail)
        else:
            self.get_logger().error(''.join(traceback.format_exception(error)))

    def _on_engine_lost(self) -> None:
        """Have the executor act: this is the worker's thread."""
        if self.executor is not None:
            self.executor.create_task(self._fail)

    def _on_parameters(self, config: NodeConfig) -> None:
        if self.worker is not None:
            self.worker.configure(config)

    async def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return await self._answer(response, self.worker and self.worker.reset())

    async def _on_save_map(
        self, _: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        save = saving(self.parameters.config.save_directory)
        return await self._answer(response, self.worker and self.worker.request(save))

    async def _answer(self, response: Trigger.Response, future: Future | None) -> Trigger.Response:
        """Wait, without keeping the executor, for what the worker says to a request."""
        if future is None:
            response.message = (
                'The node is not configured, so there is no map; configure it first.'
            )
            return response
        # An executor resumes a coroutine when it is awake; nothing else may happen to wake it.
        future.add_done_callback(lambda _: self.executor and self.executor.wake())
        response.success, response.message = await future
        return response

    def _publish_status(self) -> None:
        """Publish the status of a node that has no images to publish it with."""
        engine = self._keeper.engine
        if engine is not None and self._outputs.status_age_s > 0.9 * _PERIOD_S:
            self._outputs.publish_status(engine, self.worker.newest_stamp_ns)

    def _publish_diagnostics(self) -> None:
        keeper, counts = self._keeper, self.statistics.snapshot()
        problem = self.problem or keeper.problem
        health = Health(keeper.engine, counts, self._is_active, tuple(self.cameras), problem)
        self._diagnostics_publisher.publish(
            self._diagnostics.message(health, self.get_clock().now())
        )
