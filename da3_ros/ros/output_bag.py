"""What the node would publish, written to a bag: for tools that run the engine without DDS."""

from pathlib import Path

from da3_ros.config import NodeConfig
from da3_ros.engine import Engine, Update, View
from da3_ros.ros.bag import BagWriter
from da3_ros.ros.clouds import view_to_cloud
from da3_ros.ros.convert import (
    depth_to_image,
    float_image,
    header_at,
    intrinsics_to_info,
    published_depth,
)
from da3_ros.ros.diagnostics import status_message
from da3_ros.ros.poses import odometry_message, PathBuilder, transform_message
from da3_ros.ros.rate import RateLimit
from da3_ros.ros.statistics import Statistics
from tf2_msgs.msg import TFMessage


class OutputBag:
    """
    Writes the topics of a node with one unnamed camera, made by the same functions.

    Messages are recorded at the stamps of their images. Leaving the ``with`` block, for whatever
    reason, completes the bag.
    """

    def __init__(self, path: Path, config: NodeConfig, frame_id: str) -> None:
        """Create the bag of an optical frame; raises ``InputError`` if it is there."""
        self._writer = BagWriter(path)
        self._config = config
        self._frame_id = frame_id
        self._path = PathBuilder()
        self._statistics = Statistics()
        self._points_rate = RateLimit()
        self._stamp_ns = 0

    def __enter__(self) -> 'OutputBag':
        """Return the open bag."""
        return self

    def __exit__(self, *error: object) -> None:
        """Complete the bag."""
        self._writer.__exit__(*error)

    def drop(self, reason: str, engine: Engine) -> None:
        """Count a frame that was not processed."""
        self._statistics.receive()
        self._statistics.drop(reason)
        if self._stamp_ns > 0:
            self._write_status(engine)

    def write(self, update: Update, engine: Engine, elapsed_ms: float) -> None:
        """Write all topics for an update; ``elapsed_ms`` is how long it took."""
        self._stamp_ns = max(view.stamp_ns for view in update.views)
        for view in update.views:
            self._statistics.receive()
            self._write_view(view)
            self._statistics.publish(elapsed_ms)
        self._statistics.process(len(update.views))
        self._statistics.time(update.status.stage_ms)
        if update.keyframes_changed or update.was_reset:
            header = header_at(self._stamp_ns, self._config.frames.map)
            path = self._path.build(engine.keyframes, header)
            self._writer.write('/keyframes', self._stamp_ns, path)
        self._write_status(engine)

    def _write_view(self, view: View) -> None:
        """Write the topics of one view."""
        config, frame_id, stamp_ns = self._config, self._frame_id, view.stamp_ns
        header = header_at(stamp_ns, frame_id)
        depth_m = published_depth(view.depth_m, view.confidence, config.depth)
        # TF first: whoever plays the bag then need not wait for it.
        messages = {} if view.map_from_camera is None else self._pose_messages(view)
        if view.intrinsics is not None:
            size = (depth_m.shape[1], depth_m.shape[0])
            messages['/depth/camera_info'] = intrinsics_to_info(view.intrinsics, size, header)
            if self._points_rate.takes(stamp_ns, config.points.max_rate_hz):
                messages['/points'] = view_to_cloud(view, depth_m, config, frame_id)
        messages |= {
            '/depth/image_rect': depth_to_image(depth_m, config.depth.encoding, header),
            '/confidence/image_rect': float_image(view.confidence, header),
        }
        for topic, message in messages.items():
            self._writer.write(topic, stamp_ns, message)

    def _pose_messages(self, view: View) -> dict[str, object]:
        """Return the topics of a view's pose."""
        map_frame, stamp_ns = self._config.frames.map, view.stamp_ns
        pose, in_map = view.map_from_camera, header_at(stamp_ns, map_frame)
        transform = transform_message(pose, map_frame, self._frame_id, stamp_ns)
        return {
            '/tf': TFMessage(transforms=[transform]),
            '/odometry': odometry_message(pose, view.pose_covariance, in_map, self._frame_id),
        }

    def _write_status(self, engine: Engine) -> None:
        snapshot = self._statistics.snapshot()
        status = status_message(engine, snapshot, self._stamp_ns, self._config.frames.map)
        self._writer.write('/status', self._stamp_ns, status)
