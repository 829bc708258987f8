"""Everything that goes out for a processed frame, made only where somebody listens."""

from collections.abc import Mapping, Sequence
import time

from da3_ros.config import NodeConfig
from da3_ros.engine import Engine, KeyframePose, View
from da3_ros.engine.device_points import DevicePoints
from da3_ros.msg import Status
from da3_ros.ros.cameras import topic
from da3_ros.ros.clouds import view_to_cloud
from da3_ros.ros.convert import (
    depth_to_image,
    float_image,
    header_at,
    intrinsics_to_info,
    published_depth,
)
from da3_ros.ros.diagnostics import status_message
from da3_ros.ros.drops import DropLog
from da3_ros.ros.endpoints import Endpoints
from da3_ros.ros.map_points import MapPoints
from da3_ros.ros.poses import odometry_message, PathBuilder
from da3_ros.ros.qos import latched_qos, output_qos
from da3_ros.ros.rate import RateLimit
from da3_ros.ros.robot_tf import RobotTf
from da3_ros.ros.statistics import Statistics
from da3_ros.ros.tf import CameraPose, make_tf
from nav_msgs.msg import Odometry, Path
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from sensor_msgs.msg import CameraInfo, Image, PointCloud2


def is_heard(publisher: LifecyclePublisher) -> bool:
    """Tell whether anybody would receive a message now."""
    return publisher.is_activated and publisher.get_subscription_count() > 0


class CameraPublishers:
    """The topics of one camera: depth with its camera_info, confidence, points, odometry."""

    def __init__(self, endpoints: Endpoints, camera: str, config: NodeConfig) -> None:
        def publisher(message_type: type, name: str) -> LifecyclePublisher:
            return endpoints.publisher(message_type, topic(camera, name), output_qos(config.qos))

        self._depth = publisher(Image, 'depth/image_rect')
        self._info = publisher(CameraInfo, 'depth/camera_info')
        self._confidence = publisher(Image, 'confidence/image_rect')
        self._points = publisher(PointCloud2, 'points')
        self._odometry = publisher(Odometry, 'odometry')
        self._points_rate = RateLimit()
        self._device_points = DevicePoints()

    def publish(self, view: View, frame_id: str, config: NodeConfig) -> None:
        """Publish one view under the stamp and the frame of its image."""
        header = header_at(view.stamp_ns, frame_id)
        is_calibrated = view.intrinsics is not None
        wants_depth = is_heard(self._depth) or (is_calibrated and is_heard(self._info))
        wants_points = (
            is_calibrated
            and is_heard(self._points)
            and self._points_rate.takes(view.stamp_ns, config.points.max_rate_hz)
        )
        depth_m = None
        if wants_depth or (wants_points and view.on_device is None):
            depth_m = published_depth(view.depth_m, view.confidence, config.depth)
        if wants_depth:  # the two are one measurement: whoever hears one may look for the other
            if is_calibrated:
                height, width = depth_m.shape
                self._info.publish(intrinsics_to_info(view.intrinsics, (width, height), header))
            self._depth.publish(depth_to_image(depth_m, config.depth.encoding, header))
        if is_heard(self._confidence):
            self._confidence.publish(float_image(view.confidence, header))
        if wants_points:
            self._points.publish(
                view_to_cloud(view, depth_m, config, frame_id, self._device_points)
            )
        if view.map_from_camera is not None and is_heard(self._odometry):
            in_map = header_at(view.stamp_ns, config.frames.map)
            self._odometry.publish(
                odometry_message(view.map_from_camera, view.pose_covariance, in_map, frame_id)
            )


class Outputs:
    """
    Everything that the node publishes: the cameras' topics, keyframes, status, TF and the map.

    ``map_points`` is published from a thread of its own.
    """

    def __init__(
        self,
        node: LifecycleNode,
        config: NodeConfig,
        statistics: Statistics,
        drops: DropLog,
        robot_tf: RobotTf,
        endpoints: Endpoints,
    ) -> None:
        self._node = node
        self._map_frame = config.frames.map
        self._statistics = statistics
        self._status_at = 0.0
        self._path = PathBuilder()
        self._keyframes = endpoints.publisher(Path, 'keyframes', latched_qos())
        self._status = endpoints.publisher(Status, 'status', output_qos(config.qos))
        self._cameras = {
            name: CameraPublishers(endpoints, name, config) for name in config.cameras
        }
        self.map_points = MapPoints(endpoints, drops)
        self._tf = make_tf(node, config, drops, robot_tf)

    def publish(
        self, views: Sequence[View], frame_ids: Mapping[str, str], config: NodeConfig
    ) -> None:
        """Publish every view; ``frame_ids`` are the optical frames of the cameras."""
        if self._tf is not None:  # first: whoever transforms the rest is not kept waiting for it
            self._tf.send(
                [
                    CameraPose(view.map_from_camera, frame_ids[view.camera], view.stamp_ns)
                    for view in views
                    if view.map_from_camera is not None
                ]
            )
        for view in views:
            self._cameras[view.camera].publish(view, frame_ids[view.camera], config)
            now_ns = self._node.get_clock().now().nanoseconds
            # A simulation whose clock was never heard has no time yet: it reads 0.
            latency_ms = (now_ns - view.stamp_ns) * 1e-6 if now_ns else None
            self._statistics.publish(latency_ms)

    def publish_keyframes(self, keyframes: tuple[KeyframePose, ...], stamp: int) -> None:
        """Publish where every keyframe is believed to be; latched, also while nobody listens."""
        self._keyframes.publish(self._path.build(keyframes, header_at(stamp, self._map_frame)))

    def publish_status(self, engine: Engine, stamp: int) -> None:
        """Publish how the node is doing; ``stamp`` is that of the newest processed image [ns]."""
        self._status_at = time.monotonic()
        if is_heard(self._status):
            self._status.publish(
                status_message(engine, self._statistics.snapshot(), stamp, self._map_frame)
            )

    @property
    def status_age_s(self) -> float:
        """Seconds since the status was last published."""
        return time.monotonic() - self._status_at

    def destroy(self) -> None:
        """Take TF's broadcasters back from the node; the publishers are ``endpoints``'."""
        if self._tf is not None:
            self._tf.destroy()
