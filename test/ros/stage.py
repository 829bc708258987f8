"""A node on a simulated network in a furnished room, and a peer that is the robot around it."""

from collections.abc import Callable, Mapping
from typing import Any

from da3_ros.engine import StreamingEngine
from da3_ros.evaluation.simulated_stream import FURNISHED_ROOM
from da3_ros.evaluation.simulator import NetworkSimulator, Noise
from da3_ros.evaluation.truth import RoomTruth
from da3_ros.geometry.cameras import unproject
from da3_ros.geometry.transforms import invert, rigid
from da3_ros.msg import Status
from da3_ros.ros.convert import header_at, intrinsics_to_info, stamp_ns
from da3_ros.ros.poses import transform_message
import numpy as np
from rig import image, Rig, wait_for
from sensor_msgs.msg import Image
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster

SIZE = (112, 84)
K = np.array([[80.0, 0.0, 56.0], [0.0, 80.0, 42.0], [0.0, 0.0, 1.0]])
START_NS, STEP_NS = 1_000_000_000_000, 100_000_000
# A sensor that is turned and shifted against the camera, as they are on robots.
SENSOR_IN_CAMERA = rigid(
    np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]), np.array([0.05, -0.02, 0.0])
)
PARAMETERS = {
    'resolution': SIZE[0],
    'device': 'cpu',
    'keyframe.max_overlap': 0.95,
    'keyframe.min_parallax_deg': 2.0,
}


class Stage:
    """A node on a simulated network, and a peer that is the robot around it."""

    def __init__(
        self,
        make_rig: Callable[..., Rig],
        poses: list[np.ndarray],
        offsets: Mapping[str, np.ndarray] | None = None,
        noise: Noise = Noise(depth_bias=0.01),
        **parameters: Any,
    ) -> None:
        self.offsets = offsets or {'': np.eye(4)}
        self._sent: dict[str, int] = {}  # the newest stamp of each camera
        self.stamps = [START_NS + i * STEP_NS for i in range(len(poses))]
        by_camera = {
            camera: {s: p @ offset for s, p in zip(self.stamps, poses, strict=True)}
            for camera, offset in self.offsets.items()
        }
        # The node's warm-up names no camera.
        self.truth = RoomTruth(FURNISHED_ROOM, {'': next(iter(by_camera.values()))} | by_camera,
                               K, SIZE)  # fmt: skip

        self.network = NetworkSimulator(self.truth, noise)

        def engine(config: Any, robot: Any) -> StreamingEngine:
            return StreamingEngine(config, self.network, robot=robot)

        cameras = {} if offsets is None else {'cameras': list(offsets)}
        self.rig = make_rig(parameters=PARAMETERS | cameras | parameters, engine=engine)
        self.rig.listen('status')
        for camera in self.offsets:
            self.rig.listen(self.topic(camera, 'depth/image_rect'), camera=camera)
            info = intrinsics_to_info(K, SIZE, header_at(0, ''))
            self.rig.send_info(info, self.topic(camera, 'camera_info'))
        self.broadcaster = TransformBroadcaster(self.rig.peer)
        self.static = StaticTransformBroadcaster(self.rig.peer)
        wait_for(self.broadcaster.pub_tf.get_subscription_count, 'the node to listen to /tf')

    @staticmethod
    def topic(camera: str, name: str) -> str:
        return f'{camera}/{name}' if camera else name

    def frame(self, camera: str) -> str:
        return f'{camera or "camera"}_optical'

    def fix(self, parent: str, child: str, parent_from_child: np.ndarray) -> None:
        """Send a static transform and wait until the node has it."""
        self.static.sendTransform(transform_message(parent_from_child, parent, child, 0))
        self.wait_for_tf(parent, child, 0)

    def move(self, stamp: int, factor: float = 1.0) -> None:
        """Send odom → camera, and wait until the node has it."""
        pose = self.truth.world_from_camera('', stamp).copy()
        pose[:3, 3] *= factor
        self.broadcaster.sendTransform(transform_message(pose, 'odom', self.frame(''), stamp))
        self.wait_for_tf('odom', self.frame(''), stamp)

    def wait_for_tf(self, parent: str, child: str, stamp: int) -> None:
        tf = self.rig.node._robot_tf
        wait_for(lambda: tf.find(parent, child, stamp) is not None, f'{parent} → {child} in TF')

    def look(self, stamp: int) -> Status:
        """Send an image of each camera, and return the status after the last."""
        for camera in self.offsets:
            message = image(stamp, *SIZE)
            message.header.frame_id = self.frame(camera)
            self.rig.send(message, self.topic(camera, 'image'))
            self._sent[camera] = stamp
            count = self.rig.counts().frames_processed
            wait_for(
                lambda count=count: any(
                    s.frames_published == count for s in self.rig.messages['status']
                ),
                'the status after the image',
            )
        return self.rig.messages['status'][-1]

    def depth_error(self, camera: str = '') -> float:
        """Return the logarithm of published over true depth in the newest image."""
        stamp = self._sent[camera]
        message = wait_for(
            lambda: [m for m in self._depths(camera) if stamp_ns(m.header) == stamp],
            'the depth of the newest image',
        )[-1]
        depth = np.frombuffer(message.data, np.float32).reshape(message.height, message.width)
        return float(np.nanmedian(np.log(depth / self.truth.depth_m(camera, stamp, *depth.shape))))

    def _depths(self, camera: str) -> list[Image]:
        return self.rig.messages[self.topic(camera, 'depth/image_rect')]

    def cloud_in_sensor(self, stamp: int) -> np.ndarray:
        """Return the true points (H, W, 3) of the camera's view, in the sensor's frame."""
        points = unproject(self.truth.depth_m('', stamp, SIZE[1], SIZE[0]), K)
        sensor_from_camera = invert(SENSOR_IN_CAMERA)
        return points @ sensor_from_camera[:3, :3].T + sensor_from_camera[:3, 3]
