"""The depth sensor that the scale may be measured by: subscriptions and newest messages."""

from collections import deque
from dataclasses import dataclass
import threading
from typing import Any

from da3_ros.config import NodeConfig
from da3_ros.errors import CameraInfoError, InputError
from da3_ros.ros.calibration import Calibration, calibration_from_info
from da3_ros.ros.convert import stamp_ns
from da3_ros.ros.drops import DropLog
from da3_ros.ros.endpoints import Endpoints
from da3_ros.ros.qos import input_qos
from da3_ros.ros.ranges import points_of_cloud, points_of_depth_image, points_of_scan
import numpy as np
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, Image, LaserScan, PointCloud2

_TOPICS = {
    'depth_image': (Image, 'depth_sensor/image'),
    'laser_scan': (LaserScan, 'depth_sensor/scan'),
    'point_cloud': (PointCloud2, 'depth_sensor/points'),
}
# Messages that wait to be asked for, and how far from an image's stamp one may be.
_KEPT = 20
_MAX_APART_NS = 100_000_000


@dataclass(frozen=True)
class Measurement:
    """Points (N, 3) in metres, in the frame of the sensor at a stamp."""

    points: np.ndarray
    frame_id: str
    stamp_ns: int


class DepthSensorInput:
    """
    Keeps the newest messages of one sensor; the thread that they come in only keeps them.

    They are made points when the worker asks for those of an image's stamp.
    """

    def __init__(self, config: NodeConfig, drops: DropLog, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._kind = config.scale.depth_sensor
        self._inputs = {_TOPICS[self._kind]: self._keep}
        if self._kind == 'depth_image':
            self._inputs[CameraInfo, 'depth_sensor/camera_info'] = self._learn
        self._qos = {
            topic: endpoints.subscription_qos(topic, input_qos(config.qos))
            for _, topic in self._inputs
        }
        self._drops = drops
        self._calibration: Calibration | None = None
        self._lock = threading.Lock()
        self._messages: deque[Any] = deque(maxlen=_KEPT)
        self._subscriptions: list[Subscription] = []

    def subscribe(self) -> None:
        """Listen to the sensor."""
        self._subscriptions = [
            self._endpoints.subscription(message_type, topic, callback, self._qos[topic])
            for (message_type, topic), callback in self._inputs.items()
        ]

    def unsubscribe(self) -> None:
        """Stop listening, and forget what was heard."""
        for subscription in self._subscriptions:
            self._endpoints.unsubscribe(subscription)
        self._subscriptions = []
        with self._lock:
            self._messages.clear()

    def at(self, stamp: int) -> Measurement | None:
        """Return the measurement nearest to a stamp [ns]; None if none is near, or none yet."""
        with self._lock:
            messages = list(self._messages)
        apart = [abs(stamp_ns(message.header) - stamp) for message in messages]
        if not apart or min(apart) > _MAX_APART_NS:
            return None
        message = messages[int(np.argmin(apart))]
        try:
            points = self._points(message)
        except InputError as error:
            self._drops.drop('sensor_message', str(error))
            return None
        if points is None:
            return None
        return Measurement(points, message.header.frame_id, stamp_ns(message.header))

    def _keep(self, message: Image | LaserScan | PointCloud2) -> None:
        with self._lock:
            self._messages.append(message)

    def _learn(self, message: CameraInfo) -> None:
        try:
            self._calibration = calibration_from_info(message)
        except CameraInfoError as error:
            self._drops.drop('sensor_info', str(error))

    def _points(self, message: Image | LaserScan | PointCloud2) -> np.ndarray | None:
        if self._kind == 'laser_scan':
            return points_of_scan(message)
        if self._kind == 'point_cloud':
            return points_of_cloud(message)
        calibration = self._calibration
        if calibration is None:
            self._drops.drop(
                'sensor_info',
                "A depth image came, but no CameraInfo on 'depth_sensor/camera_info'; without it "
                'the scale cannot be measured.',
            )
            return None
        return points_of_depth_image(message, calibration)
