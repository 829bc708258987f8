"""The node under test, and a peer that publishes images and keeps whatever the node sends."""

from collections import defaultdict
import gc
from typing import Any

from da3_ros.msg import Status
from da3_ros.ros.convert import byte_array, header_at
from da3_ros.ros.node import Da3Node
from diagnostic_msgs.msg import DiagnosticArray
from fake_engine import FakeEngine
from lifecycle_msgs.srv import GetState
from nav_msgs.msg import Odometry, Path
import numpy as np
from peer import Peer, Spinner, wait_for
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage

FRAME_ID = 'camera_optical_frame'
WIDTH, HEIGHT = 64, 48
K = np.array([[60.0, 0.0, 31.5], [0.0, 61.0, 23.5], [0.0, 0.0, 1.0]])
CAMERA_TOPICS = {
    'depth/image_rect': Image,
    'depth/camera_info': CameraInfo,
    'confidence/image_rect': Image,
    'points': PointCloud2,
    'odometry': Odometry,
}
NODE_TOPICS = {'keyframes': Path, 'status': Status, '/tf': TFMessage}
ON_DEMAND_TOPICS = {'map_points': PointCloud2, '/diagnostics': DiagnosticArray}
LATCHED_TOPICS = ('keyframes', 'map_points')
_LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_SECOND_NS = 10**9


def image(stamp_ns: int, width: int = WIDTH, height: int = HEIGHT, **fields: Any) -> Image:
    """Return an rgb8 image of a colour gradient."""
    v, u = np.mgrid[:height, :width]
    rgb = np.stack([4 * u, 5 * v, u + v], axis=-1).astype(np.uint8)
    message = Image(header=header_at(stamp_ns, FRAME_ID), width=width, height=height)
    message.encoding, message.step, message.data = 'rgb8', 3 * width, byte_array(rgb)
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def camera_info(k: np.ndarray = K, width: int = WIDTH, height: int = HEIGHT) -> CameraInfo:
    """Return the CameraInfo of the images."""
    return CameraInfo(width=width, height=height, k=k.ravel().tolist())


class Rig:
    """
    A ``Da3Node`` with a fake engine, spinning, and a peer node that spins beside it.

    ``parameters`` are the node's overrides; ``messages[topic]`` is what the peer has heard.
    """

    def __init__(
        self,
        parameters: dict[str, Any] | None = None,
        engine: type = FakeEngine,
        is_active: bool = True,
        **kwargs: Any,
    ) -> None:
        parameters = {'autostart': is_active} | (parameters or {})
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.engines: list[FakeEngine] = []

        def make_engine(config: Any, **parts: Any) -> FakeEngine:
            self.engines.append(engine(config, **parts))
            return self.engines[-1]

        self.node = Da3Node(make_engine, parameter_overrides=overrides, **kwargs)
        self._spinner = Spinner(self.node)
        self.peer = Peer()
        self.messages: dict[str, list] = defaultdict(list)
        self._publishers: dict[str, Any] = {}
        self._stamp_ns = 1_000 * _SECOND_NS
        if is_active:
            # Of several nodes of one name in a test, another may answer for this one.
            wait_for(lambda: self.node._is_active, 'the node to be active')
            self.wait_until('active')

    @property
    def engine(self) -> FakeEngine:
        """The newest engine that the node made."""
        return self.engines[-1]

    def close(self) -> None:
        """End both nodes."""
        for engine in self.engines:
            if isinstance(engine, FakeEngine):
                engine.gate.set()
        self._spinner.stop()
        self.node.destroy_node()
        self.peer.destroy_node()
        # rclpy takes the lifecycle services from the network only when the object goes.
        del self.node
        gc.collect()

    @staticmethod
    def parameter(name: str, value: Any) -> Parameter:
        """Return a parameter to be set."""
        return Parameter(name, value=value)

    def state(self) -> str:
        """Return the label of the node's lifecycle state."""
        return self.peer.call(GetState, '/da3/get_state').current_state.label

    def wait_until(self, state: str) -> None:
        """Wait for a lifecycle state."""
        wait_for(lambda: self.state() == state, f'the state {state}')

    def trigger(self, name: str) -> Trigger.Response:
        """Call one of the node's Trigger services."""
        return self.peer.call(Trigger, f'/da3/{name}')

    def listen(self, *topics: str, camera: str = '') -> None:
        """Subscribe to topics, by default all but a few, and wait until the node knows."""
        prefix = f'{camera}/' if camera else ''
        kinds = {prefix + name: kind for name, kind in CAMERA_TOPICS.items()} | NODE_TOPICS
        for name in topics or kinds:
            qos = _LATCHED if name in LATCHED_TOPICS else QoSProfile(depth=100)
            kept = self.messages[name]
            kind = (kinds | ON_DEMAND_TOPICS)[name]
            self.peer.create_subscription(kind, name, kept.append, qos)
            if name not in ('/tf', '/diagnostics'):
                wait_for(
                    lambda name=name: any(
                        p.topic_name.endswith(f'/{name}') and p.get_subscription_count()
                        for p in self.node.publishers
                    ),
                    f'a match on {name}',
                )
        if '/tf' in self.messages:
            wait_for(lambda: self._is_tf_matched(), 'a match on /tf')

    def _is_tf_matched(self) -> bool:
        found = [p for p in self.node.publishers if p.topic_name == '/tf']
        return not found or found[0].get_subscription_count() > 0

    def publish(self, message: Any, topic: str) -> None:
        """Publish to one of the node's inputs, once it listens."""
        if topic not in self._publishers:
            qos = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
            publisher = self.peer.create_publisher(type(message), topic, qos)
            wait_for(publisher.get_subscription_count, f'a subscription to {topic}')
            self._publishers[topic] = publisher
        self._publishers[topic].publish(message)

    def next_stamp_ns(self) -> int:
        """Return a stamp 0.1 s after the one before."""
        self._stamp_ns += _SECOND_NS // 10
        return self._stamp_ns

    def send_info(self, message: CameraInfo | None = None, topic: str = 'camera_info') -> None:
        """Publish a CameraInfo and wait until the node has learnt it or counted it as nonsense."""
        camera = self.node.cameras[topic.rpartition('/')[0]]
        learnt, nonsense = camera.calibrations, self._nonsense()
        self.publish(message or camera_info(), topic)
        wait_for(
            lambda: camera.calibrations is not learnt or self._nonsense() > nonsense,
            f'the node to take a message on {topic}',
        )

    def send(self, message: Image | CompressedImage | None = None, topic: str = 'image') -> int:
        """Publish an image, wait until it is counted as processed or dropped; return its stamp."""
        message = message or image(self.next_stamp_ns())
        before = self._settled()
        self.publish(message, topic)
        wait_for(lambda: self._settled() > before, 'the image to be processed or dropped')
        return message.header.stamp.sec * _SECOND_NS + message.header.stamp.nanosec

    def counts(self) -> Any:
        """Return the node's statistics."""
        return self.node.statistics.snapshot()

    def _nonsense(self) -> int:
        return self.counts().drops.get('info_intrinsics', 0)

    def _settled(self) -> int:
        counts = self.counts()
        return counts.frames_processed + counts.frames_dropped

    def heard(self, topic: str, count: int = 1) -> list:
        """Wait for so many messages on a topic and return all of them."""
        wait_for(lambda: len(self.messages[topic]) >= count, f'{count} messages on {topic}')
        return self.messages[topic]
