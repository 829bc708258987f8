"""A node's messages made a scene: the same for messages from the wire and from a recording."""

from collections.abc import Callable
import traceback
from typing import Any

from da3_ros.engine import TrackingState
from da3_ros.ros.clouds import unpacked_rgb
from da3_ros.ros.convert import stamp_ns
from da3_ros.ros.poses import matrix_of_pose
from da3_ros.ros.view_assembly import cloud_arrays, ViewAssembler
from da3_ros.ros.view_topics import PARTS, SHARED, ViewTopics
from da3_ros.viewer.scene import Scene
import numpy as np
from rclpy.logging import get_logger
from sensor_msgs.msg import Image, PointCloud2

_LOG = get_logger('da3_view')
_BYTES_PER_PIXEL = {'32FC1': 4, '16UC1': 2}


class SceneFeed:
    """
    Takes the messages of a node's topics, in one thread, and keeps a scene up to date.

    ``ignored`` counts messages that contradict themselves or cannot be read: whoever may publish,
    or has recorded, is not trusted, and may be of another version.
    """

    def __init__(self, scene: Scene, topics: ViewTopics) -> None:
        self._scene = scene
        self.ignored = 0
        self.kinds: dict[str, type] = {
            f'{topics.namespace}{name}': kind for name, kind in SHARED.items()
        }
        self._takers = {
            f'{topics.namespace}keyframes': self._take_keyframes,
            f'{topics.namespace}map_points': self._take_map,
            f'{topics.namespace}status': self._take_status,
        }
        self._parts: dict[str, tuple[ViewAssembler, str]] = {}
        self._assemblers: dict[str, ViewAssembler] = {}
        for camera in topics.cameras:
            assembler = self._assemblers[camera] = ViewAssembler(camera)
            for name, (part, kind) in PARTS.items():
                topic = topics.part(camera, name)
                self.kinds[topic] = kind
                self._parts[topic] = (assembler, part)

    def take(self, topic: str, make: Callable[[], Any]) -> None:
        """Take a message of a topic in ``kinds``; one that breaks it is told and left out."""
        try:
            self._take(topic, make())
        except Exception:
            self.ignored += 1
            _LOG.error(
                f'A message of {topic} could not be shown:\n{traceback.format_exc()}',
                throttle_duration_sec=10.0,
            )

    def _take(self, topic: str, message: Any) -> None:
        if not _is_sound(message):
            self.ignored += 1
        elif topic in self._takers:
            self._takers[topic](message)
        else:
            assembler, part = self._parts[topic]
            for view in assembler.add(part, message):
                self._scene.add_view(view)

    def flush(self) -> None:
        """Show what still waits for messages that will not come."""
        for assembler in self._assemblers.values():
            for view in assembler.flush():
                self._scene.add_view(view)

    def _take_keyframes(self, message: Any) -> None:
        poses = [matrix_of_pose(stamped.pose) for stamped in message.poses]
        stamps = [stamp_ns(stamped.header) for stamped in message.poses]
        matrices = np.array(poses).reshape(-1, 4, 4)
        if np.isfinite(matrices).all():
            self._scene.set_keyframes(stamps, matrices)
        else:
            self.ignored += 1

    def _take_map(self, message: Any) -> None:
        points, packed = cloud_arrays(message)
        self._scene.set_map(points, unpacked_rgb(packed))

    def _take_status(self, message: Any) -> None:
        fields = {
            name: getattr(message, name)
            for name, kind in message.get_fields_and_field_types().items()
            if '/' not in kind and 'sequence' not in kind
        }
        fields['state'] = TrackingState(min(message.state, max(TrackingState))).name
        fields['drops'] = dict(zip(message.drop_reasons, message.drop_counts, strict=False))
        stages = zip(message.stages, message.stage_latency_ms, strict=False)
        fields['stages'] = {name: float(ms) for name, ms in stages}
        self._scene.set_status(fields, stamp_ns(message.header), message.scale)


def _is_sound(message: Any) -> bool:
    """Tell whether the sizes that an image or a cloud claims fit its data."""
    if isinstance(message, Image):
        row = message.width * _BYTES_PER_PIXEL.get(message.encoding, 0)
        return 0 < row == message.step and len(message.data) == message.height * row > 0
    if isinstance(message, PointCloud2):
        offsets = {f.name: f.offset for f in message.fields if f.datatype == f.FLOAT32}
        return (
            offsets.keys() >= {'x', 'y', 'z', 'rgb'}
            and max(offsets.values()) + 4 <= message.point_step
            and message.width * message.height * message.point_step <= len(message.data)
        )
    return True
