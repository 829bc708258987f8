"""Plays a bag through the real node, in a process of its own, and records all that it says."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
import threading
import time

from da3_ros.errors import Da3Error
from da3_ros.msg import Status
from da3_ros.ros.bag import BagReader, BagWriter
from da3_ros.ros.node_process import NodeProcess
from da3_ros.ros.player import BagPlayer
from da3_ros.ros.recorder import BagRecorder
import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile

# What the node publishes for one camera without a name, all on one recording.
OUTPUT_TYPES = {
    '/depth/image_rect': 'sensor_msgs/msg/Image',
    '/depth/camera_info': 'sensor_msgs/msg/CameraInfo',
    '/confidence/image_rect': 'sensor_msgs/msg/Image',
    '/points': 'sensor_msgs/msg/PointCloud2',
    '/odometry': 'nav_msgs/msg/Odometry',
    '/tf': 'tf2_msgs/msg/TFMessage',
    '/keyframes': 'nav_msgs/msg/Path',
    '/status': 'da3_ros/msg/Status',
}
# Of these there is one message for each processed frame.
PER_FRAME_TOPICS = tuple(OUTPUT_TYPES)[:6]
# Once this one is heard, all are recorded.
LAST_TOPIC = tuple(OUTPUT_TYPES)[-1]

# Messages that the node keeps for us on each topic: on a busy machine it takes DDS seconds to send
# again what got lost, and by then a writer that keeps five has forgotten it. And reliable inputs:
# the player sees that it has found the node, but not that the node has found it, and what it sends
# before that is sent again, such as the only camera_info of a bag.
_LOSSLESS = {'qos.output_depth': 100, 'qos.input_reliability': 'reliable'}
# How often waiting threads look whether the node still lives.
_LOOK_S = 0.1
# A node whose status stays the same for so long has nothing more to come; it sends one a second.
_IDLE_S = 2.5

OnProgress = Callable[[int], None]


@dataclass(frozen=True)
class Replay:
    """
    What to play, how, and where everything goes.

    ``bag`` is played at ``rate``, its ``image_topic`` and ``info_topic`` (or None) as the node's
    inputs; ``output`` becomes the bag of all outputs and ``log`` the node's log. ``parameters``
    are the node's. ``domain_id`` keeps it apart from other ROS systems on the network.
    """

    bag: Path
    output: Path
    log: Path
    image_topic: str = '/image'
    info_topic: str | None = '/camera_info'
    rate: float = 1.0
    domain_id: int = 0
    parameters: Mapping[str, object] = field(default_factory=dict)
    ready_timeout_s: float = 60.0
    drain_timeout_s: float = 60.0

    def run(self, on_progress: OnProgress = lambda frames: None) -> 'ReplayCounts':
        """
        Play the bag to its end and return once the node has nothing more to say.

        ``on_progress`` is told how many frames are done. Ctrl-C ends everything in order; what was
        recorded up to then can be read.

        Raises:
            InputError: if the bag cannot be read or lacks a topic, or ``output`` exists.
            Da3Error: if the node dies or does not get ready or done in time; with the end of its
                log.

        """
        remappings = {self.image_topic: '/image'}
        if self.info_topic is not None:
            remappings[self.info_topic] = '/camera_info'
        with ExitStack() as stack:
            bag = stack.enter_context(BagReader(self.bag))
            writer = stack.enter_context(BagWriter(self.output))
            parameters = {**_LOSSLESS, **self.parameters, 'use_sim_time': True}
            process = NodeProcess(parameters, self.domain_id, self.log)
            stack.enter_context(process)
            node = stack.enter_context(_spinning_node(self.domain_id))
            player = BagPlayer(node, bag, tuple(remappings), remappings, self.rate)
            stack.callback(player.close)
            recorder = BagRecorder(node, writer, OUTPUT_TYPES)
            stack.callback(recorder.close)
            status = _StatusListener(node)
            self._wait_until_ready(process, player, recorder, status)
            sent = bag.count([self.image_topic])
            player.start()
            while not player.is_done():
                process.check()
                status.wait_for_change()
                on_progress(status.settled)
            self._drain(process, recorder, status, sent)
            on_progress(status.settled)
            return ReplayCounts(sent, status.newest)

    def _wait_until_ready(
        self,
        process: NodeProcess,
        player: BagPlayer,
        recorder: BagRecorder,
        status: '_StatusListener',
    ) -> None:
        """Wait until the node listens to us and we hear it: it is active and all is discovered."""
        deadline = time.monotonic() + self.ready_timeout_s
        while not (recorder.subscribe() and LAST_TOPIC in recorder.heard and player.is_heard()):
            process.check()
            if time.monotonic() > deadline:
                raise Da3Error(
                    f'The node was not ready within {self.ready_timeout_s:g} s; the end of its '
                    f'log:\n{process.log_tail()}'
                )
            status.wait_for_change()

    def _drain(
        self,
        process: NodeProcess,
        recorder: BagRecorder,
        status: '_StatusListener',
        sent: int,
    ) -> None:
        """Wait until every frame that arrived is settled and what came of it is recorded."""
        deadline = time.monotonic() + self.drain_timeout_s
        while not (status.is_settled(sent) and self._is_recorded(recorder, status)):
            process.check()
            if time.monotonic() > deadline:
                counts = ', '.join(f'{t} {recorder.counts[t]}' for t in OUTPUT_TYPES)
                raise Da3Error(
                    f'Not all was recorded {self.drain_timeout_s:g} s after the last frame: '
                    f'{status.newest.frames_published} frames were published, recorded are '
                    f'{counts}. The end of the log of the node:\n{process.log_tail()}'
                )
            status.wait_for_change()

    def _is_recorded(self, recorder: BagRecorder, status: '_StatusListener') -> bool:
        """Tell whether every published frame has all its messages in the recording."""
        published = status.newest.frames_published
        return all(recorder.counts[topic] >= published for topic in PER_FRAME_TOPICS)


@dataclass(frozen=True)
class ReplayCounts:
    """How many frames were sent, and the node's last word."""

    sent: int
    status: Status

    @property
    def lost(self) -> int:
        """Frames that never reached the node: best-effort transport may lose them."""
        return self.sent - self.status.frames_received

    @property
    def drops(self) -> dict[str, int]:
        """What the node did not use, by reason."""
        return dict(zip(self.status.drop_reasons, self.status.drop_counts, strict=True))


class _StatusListener:
    """Keeps the node's newest status and wakes who waits for it."""

    def __init__(self, node: Node) -> None:
        """Subscribe."""
        self.newest = Status()
        self._counts_changed_at = time.monotonic()
        self._changed = threading.Condition()
        node.create_subscription(Status, '/status', self._listen, QoSProfile(depth=100))

    @property
    def settled(self) -> int:
        """Frames that are processed or dropped by now."""
        return self.newest.frames_processed + self.newest.frames_dropped

    def wait_for_change(self) -> None:
        """Wait for the next status, but not for long."""
        with self._changed:
            self._changed.wait(_LOOK_S)

    def is_settled(self, sent: int) -> bool:
        """Tell whether all frames are settled, or all that seem ever to arrive."""
        received = self.newest.frames_received
        is_idle = time.monotonic() - self._counts_changed_at > _IDLE_S
        return self.settled == received and (received == sent or is_idle)

    def _listen(self, message: Status) -> None:
        with self._changed:
            if message.frames_received != self.newest.frames_received:
                self._counts_changed_at = time.monotonic()
            self.newest = message
            self._changed.notify_all()


@contextmanager
def _spinning_node(domain_id: int) -> Iterator[Node]:
    """Give a node on simulated time whose callbacks run in a thread of their own."""
    context = Context()
    rclpy.init(context=context, domain_id=domain_id)
    try:
        node = Node(
            'da3_replay',
            context=context,
            parameter_overrides=[Parameter('use_sim_time', value=True)],
        )
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        thread = threading.Thread(target=_spin, args=(executor,), name='replay executor')
        thread.start()
        try:
            yield node
        finally:
            executor.shutdown()
            thread.join()
            node.destroy_node()
    finally:
        rclpy.try_shutdown(context=context)


def _spin(executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        pass
