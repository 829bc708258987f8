"""
Point clouds as PointCloud2: of one view, filtered as the parameters say, and of any points.

H rows, W columns of the depth image, thinned by the stride where a comment says h, w; N points.
"""

import cv2
from da3_ros.cloud_config import PointsConfig
from da3_ros.config import NodeConfig
from da3_ros.engine import View
from da3_ros.engine.device_points import DevicePoints
from da3_ros.geometry.cameras import unproject
from da3_ros.geometry.flying import is_flying
from da3_ros.ros.convert import fill, header_at, IS_BIG_ENDIAN
import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

_FIELDS = [
    PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
    for i, name in enumerate(('x', 'y', 'z', 'rgb'))
]
# x y z rgb without the padding of pcl::PointXYZRGB (32): consumers go by the offsets in the
# fields, and it halves what goes over the wire.
POINT_STEP = 16


def view_to_cloud(
    view: View,
    depth_m: np.ndarray | None,
    config: NodeConfig,
    frame_id: str,
    device_points: DevicePoints | None = None,
) -> PointCloud2:
    """
    Return the points of a view as ``config.points`` wants them, under the stamp of the view.

    ``depth_m`` (H, W) is the depth as it is published, NaN where there is none; ``frame_id`` the
    optical frame of the camera. A view without a pose stays in that frame. ``device_points`` make
    the points of a view that is on a GPU still, from the depth that is there.
    """
    wanted = config.points
    map_from_camera = view.map_from_camera if wanted.frame == 'map' else None
    if view.on_device is None or device_points is None:
        points = _points(view, depth_m, wanted, map_from_camera)
    else:
        points = device_points.of(view.on_device, view.intrinsics, map_from_camera, config)
    is_compact = wanted.layout == 'compact'
    if is_compact:
        is_point = np.isfinite(points[..., 2]).ravel()
        points = points.reshape(-1, 4).compress(is_point, axis=0)[None]  # (1, N, 4)
    frame_id = frame_id if map_from_camera is None else config.frames.map
    return cloud_message(points, header_at(view.stamp_ns, frame_id), is_dense=is_compact)


def _points(
    view: View, depth_m: np.ndarray, wanted: PointsConfig, map_from_camera: np.ndarray | None
) -> np.ndarray:
    """Return the points (h, w, 4) of a view, x y z rgb, NaN where they are not wanted."""
    thin = (slice(None, None, wanted.stride),) * 2
    # Pixel u of the thinned image is pixel stride * u of the full one.
    thinned = view.intrinsics / np.array([[wanted.stride], [wanted.stride], [1.0]])
    depth_m = depth_m[thin]
    points = np.empty((*depth_m.shape, 4), dtype=np.float32)  # (h, w, 4)
    unproject(depth_m, thinned, out=points[..., :3])
    points[..., 3] = packed_rgb(view.rgb[thin])
    left_out = _left_out(view, points, wanted)
    if left_out is not None:
        # By place in memory: three times as fast as by a mask.
        points.reshape(-1, 4)[np.flatnonzero(left_out), :3] = np.nan
    if map_from_camera is not None:
        _move(points, map_from_camera)
    return points


def _left_out(view: View, points: np.ndarray, config: PointsConfig) -> np.ndarray | None:
    """Tell which points (h, w, 4) of a view are not wanted; None: all are."""
    thin = (slice(None, None, config.stride),) * 2
    reasons = []
    if config.max_edge > 0:
        # Of all pixels and before anything else, so that neither stride nor limits make edges.
        reasons.append(is_flying(view.depth_m, config.max_edge)[thin])
    if config.min_confidence > 0:
        reasons.append(~(view.confidence[thin] >= config.min_confidence))
    if config.min_range > 0 or config.max_range > 0:
        squared = sum(np.square(points[..., i]) for i in range(3))
        reasons.append(squared < config.min_range**2)
        if config.max_range > 0:
            reasons.append(squared > config.max_range**2)
    return np.logical_or.reduce(reasons) if reasons else None


def _move(points: np.ndarray, b_from_a: np.ndarray) -> None:
    """Move points (h, w, 4) in place; by coordinate, which is faster than a product of four."""
    x, y, z = (points[..., i].copy() for i in range(3))
    for i, (rx, ry, rz, t) in enumerate(b_from_a[:3].astype(np.float32)):
        points[..., i] = rx * x + ry * y + rz * z + t


def packed_rgb(rgb: np.ndarray) -> np.ndarray:
    """Return colours (h, w, 3) uint8 as PCL packs them into a float (h, w): 0x00RRGGBB."""
    bgra = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGRA)
    return (bgra.view('<u4')[..., 0] & 0x00FFFFFF).astype(np.uint32).view(np.float32)


def unpacked_rgb(packed: np.ndarray) -> np.ndarray:
    """Return colours (..., 3) uint8 of little-endian uint32 0x00RRGGBB."""
    return packed.view(np.uint8).reshape(*packed.shape, 4)[..., 2::-1]


def coloured_cloud(points: np.ndarray, rgb: np.ndarray, header: Header) -> PointCloud2:
    """Return points (N, 3) and colours (N, 3) uint8 as one row of a cloud."""
    packed = np.empty((1, len(points), 4), dtype=np.float32)
    packed[0, :, :3] = points
    if len(points):
        packed[0, :, 3] = packed_rgb(rgb[None])[0]
    return cloud_message(packed, header, is_dense=True)


def cloud_message(points: np.ndarray, header: Header, is_dense: bool) -> PointCloud2:
    """Return points (h, w, 4) float32, x y z rgb, as a message; dense ones are all valid."""
    height, width = points.shape[:2]
    message = PointCloud2(
        header=header,
        height=height,
        width=width,
        fields=_FIELDS,
        is_bigendian=IS_BIG_ENDIAN,
        point_step=POINT_STEP,
        row_step=POINT_STEP * width,
        is_dense=is_dense,
    )
    fill(message.data, points)
    return message
