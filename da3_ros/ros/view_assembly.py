"""The topics of one camera put together again: messages of one stamp become one view."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from da3_ros.cloud_config import PointsConfig
from da3_ros.geometry.flying import is_flying
from da3_ros.geometry.transforms import invert
from da3_ros.ros.clouds import unpacked_rgb
from da3_ros.ros.convert import stamp_ns
from da3_ros.ros.poses import matrix_of_pose
from da3_ros.ros.recording import cloud_rows, image_values
from da3_ros.ros.view_topics import PARTS
from da3_ros.viewer.images import ViewImages
import numpy as np
from sensor_msgs.msg import PointCloud2

# A stamp whose messages do not all come is given up when so many newer ones have begun.
_MAX_WAITING = 2
# A stamp that goes back by more is not late: a bag that loops, or a simulation begun anew.
_NEW_START_NS = 2 * 10**9
_NEEDED = {'depth', 'info'}
_ALL = {part for part, _ in PARTS.values()}
# Where the node does not say which pixels are points.
_MAX_EDGE = PointsConfig.max_edge


class ViewMessages:
    """The messages of one image; arrays are made of them when somebody wants them."""

    def __init__(self, camera: str, stamp: int, parts: Mapping[str, Any]) -> None:
        self.camera = camera
        self.stamp_ns = stamp
        self._parts = parts
        self.map_from_camera = None
        if 'odometry' in parts:
            pose = matrix_of_pose(parts['odometry'].pose.pose)
            self.map_from_camera = pose if np.isfinite(pose).all() else None

    def images(self) -> ViewImages:
        """Return the view as arrays."""
        parts = self._parts
        depth_m = image_values(parts['depth'])
        intrinsics = np.array(parts['info'].k).reshape(3, 3)
        confidence = parts.get('confidence')
        if confidence is not None:
            confidence = image_values(confidence)
            confidence = confidence if confidence.shape == depth_m.shape else None
        if 'points' in parts:
            is_point, rgb = self._pixels_of_points(parts['points'], intrinsics, depth_m.shape)
        else:
            is_point, rgb = ~is_flying(depth_m, _MAX_EDGE), None
        return ViewImages(
            camera=self.camera,
            stamp_ns=self.stamp_ns,
            depth_m=depth_m,
            is_point=is_point & np.isfinite(depth_m),
            confidence=confidence,
            rgb=rgb,
            intrinsics=intrinsics,
            map_from_camera=self.map_from_camera,
        )

    def _pixels_of_points(
        self, cloud: PointCloud2, intrinsics: np.ndarray, shape: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """
        Return which pixels (H, W) of the depth have a point, and their colours (H, W, 3) uint8.

        Whatever the layout of the cloud is, organised, thinned or compact, in the camera's frame
        or in the map, each point came from a pixel and falls back onto it.
        """
        points, packed = cloud_arrays(cloud)
        if cloud.header.frame_id != self._parts['depth'].header.frame_id:
            if self.map_from_camera is None:
                points, packed = points[:0], packed[:0]
            else:
                camera_from_map = invert(self.map_from_camera).astype(np.float32)
                points = points @ camera_from_map[:3, :3].T + camera_from_map[:3, 3]
        (fx, _, cx), (_, fy, cy), _ = intrinsics
        with np.errstate(divide='ignore', invalid='ignore'):
            inverse = np.float32(1.0) / points[:, 2]
            u = np.rint(points[:, 0] * inverse * np.float32(fx) + np.float32(cx))
            v = np.rint(points[:, 1] * inverse * np.float32(fy) + np.float32(cy))
        is_inside = (u >= 0) & (u < shape[1]) & (v >= 0) & (v < shape[0]) & (inverse > 0)
        u, v = (values.compress(is_inside).astype(np.intp) for values in (u, v))
        place = v * shape[1] + u
        is_point, colours = np.zeros(shape, bool), np.zeros(shape, '<u4')
        is_point.ravel()[place] = True
        colours.ravel()[place] = packed.compress(is_inside)
        return is_point, unpacked_rgb(_filled(colours, is_point))


class ViewAssembler:
    """
    Collects the messages of a camera until all of one stamp are there.

    Messages may come in any order and may be lost; what is kept is bounded. Stamps may begin anew.
    """

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._waiting: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._done_ns = -1

    def add(self, part: str, message: Any) -> Iterator[ViewMessages]:
        """Take a message; yields the views that it completes or gives up waiting for."""
        stamp = stamp_ns(message.header)
        if self._done_ns - stamp > _NEW_START_NS:
            self._waiting.clear()
            self._done_ns = -1
        if stamp <= self._done_ns:
            return
        parts = self._waiting.setdefault(stamp, {})
        parts[part] = message
        if parts.keys() >= _ALL:
            yield from self._take(stamp)
        elif len(self._waiting) > _MAX_WAITING:
            yield from self._take(min(self._waiting))

    def flush(self) -> Iterator[ViewMessages]:
        """Yield what still waits, with what has come of it."""
        for stamp in sorted(self._waiting):
            yield from self._take(stamp)

    def _take(self, stamp: int) -> Iterator[ViewMessages]:
        """Yield the view of a stamp, if it can be drawn; older ones will not come any more."""
        parts = self._waiting.pop(stamp)
        self._done_ns = stamp
        for older in [s for s in self._waiting if s < stamp]:
            del self._waiting[older]
        if parts.keys() >= _NEEDED:
            yield ViewMessages(self._camera, stamp, parts)


def cloud_arrays(cloud: PointCloud2) -> tuple[np.ndarray, np.ndarray]:
    """Return the valid points (N, 3) float32 of a cloud, and their colours (N,) uint32."""
    rows = cloud_rows(cloud, x='f4', y='f4', z='f4', rgb='u4')
    x, y, z = (rows[axis].astype(np.float32) for axis in 'xyz')
    is_valid = np.isfinite(x + y + z)  # one pass instead of three
    points = np.stack([values.compress(is_valid) for values in (x, y, z)], axis=1)
    return points, rows['rgb'].compress(is_valid).astype('<u4')


def _filled(colours: np.ndarray, is_known: np.ndarray) -> np.ndarray:
    """Return colours (H, W) with those of unknown pixels taken from their row's last known."""
    if is_known.all():
        return colours
    places = np.where(is_known, np.arange(is_known.shape[1], dtype=np.int32), -1)
    places = np.maximum.accumulate(places, axis=1)
    first = np.argmax(is_known, axis=1)[:, None]
    return np.take_along_axis(colours, np.where(places < 0, first, places), axis=1)
