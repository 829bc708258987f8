"""
Measured ranges as points: depth images, laser scans and clouds to (N, 3) in the sensor's frame.

Incoming messages are untrusted: what contradicts itself is an ``InputError``.
"""

import cv2
from da3_ros.errors import InputError
from da3_ros.ros.calibration import Calibration
import numpy as np
from sensor_msgs.msg import Image, LaserScan, PointCloud2, PointField

# Bytes a pixel, and metres a unit, of depth images (REP 118).
_DEPTH_ENCODINGS = {'16UC1': ('u2', 1e-3), 'mono16': ('u2', 1e-3), '32FC1': ('f4', 1.0)}
_FLOATS = {PointField.FLOAT32: np.dtype('f4'), PointField.FLOAT64: np.dtype('f8')}
# A scale needs no more points than this.
_MAX_POINTS = 5000


def points_of_depth_image(message: Image, calibration: Calibration) -> np.ndarray:
    """
    Return the valid pixels of a depth image as points (N, 3) float64 in its optical frame.

    Dense and sparse images alike: NaN, infinity and 0 are no measurement.

    Raises:
        InputError: if the message contradicts itself or is no depth image of that camera.

    """
    if message.encoding not in _DEPTH_ENCODINGS:
        raise InputError(
            f'A depth image has the encoding {message.encoding!r}; expected one of '
            f'{", ".join(_DEPTH_ENCODINGS)}.'
        )
    if (message.width, message.height) != calibration.size:
        raise InputError(
            f'A depth image of {message.width}x{message.height} came, but its CameraInfo is for '
            f'{calibration.size[0]}x{calibration.size[1]}.'
        )
    kind, metres = _DEPTH_ENCODINGS[message.encoding]
    kind = np.dtype(kind).newbyteorder('>' if message.is_bigendian else '<')
    row_bytes = message.width * kind.itemsize
    if message.step < row_bytes or len(message.data) < message.height * message.step:
        raise InputError(
            f'A depth image of {message.width}x{message.height} has {len(message.data)} bytes in '
            f'steps of {message.step}; expected at least {row_bytes} a row.'
        )
    data = np.frombuffer(message.data, np.uint8, count=message.height * message.step)
    rows = np.ascontiguousarray(data.reshape(message.height, message.step)[:, :row_bytes])
    depth_m = metres * rows.view(kind).astype(np.float64)  # (H, W)
    v, u = np.nonzero(np.isfinite(depth_m) & (depth_m > 0))
    v, u = _thinned(v), _thinned(u)
    rays = _rays(np.stack([u, v], axis=1).astype(np.float64), calibration)
    return depth_m[v, u, None] * rays


def points_of_scan(message: LaserScan) -> np.ndarray:
    """
    Return the valid beams of a scan as points (N, 3) float64 in its frame (z = 0).

    Raises:
        InputError: if its angles or limits are not numbers.

    """
    limits = (
        message.angle_min,
        message.angle_increment,
        message.range_min,
        message.range_max,
    )
    if np.isnan(limits).any() or np.isinf(limits[:2]).any():
        raise InputError(
            f'A scan has angle_min, angle_increment, range_min and range_max {limits}; expected '
            'numbers, and the first two finite.'
        )
    ranges = np.asarray(message.ranges, dtype=np.float64)
    angles = message.angle_min + message.angle_increment * np.arange(len(ranges))
    is_valid = np.isfinite(ranges) & (ranges >= message.range_min) & (ranges <= message.range_max)
    ranges, angles = ranges[is_valid], angles[is_valid]
    return np.stack(
        [ranges * np.cos(angles), ranges * np.sin(angles), np.zeros_like(ranges)], axis=1
    )


def points_of_cloud(message: PointCloud2) -> np.ndarray:
    """
    Return the finite points (N, 3) float64 of a cloud in its frame.

    Raises:
        InputError: if it has no x, y and z, or less data than it says.

    """
    if message.width == 0 or message.height == 0:
        return np.empty((0, 3))
    row_bytes = message.width * message.point_step
    step = max(message.row_step, row_bytes)  # some senders leave it 0
    if len(message.data) < message.height * step:
        raise InputError(
            f'A cloud of {message.width}x{message.height} points of {message.point_step} bytes '
            f'has {len(message.data)} bytes; expected {message.height * step}.'
        )
    layout = _cloud_layout(message)
    data = np.frombuffer(message.data, np.uint8, count=message.height * step)
    rows = np.ascontiguousarray(data.reshape(message.height, step)[:, :row_bytes])
    read = _thinned(rows.reshape(-1).view(layout))
    points = np.stack([read[axis].astype(np.float64) for axis in 'xyz'], axis=1)
    return points[np.isfinite(points).all(axis=1)]


def _cloud_layout(message: PointCloud2) -> np.dtype:
    """Return the type of one point, of which x, y and z alone are read."""
    fields = {f.name: f for f in message.fields}
    kinds = [_FLOATS.get(fields[axis].datatype) if axis in fields else None for axis in 'xyz']
    if any(kind is None for kind in kinds):
        raise InputError(
            f'A cloud has the fields {sorted(fields)[:20]}; expected x, y and z of floating point.'
        )
    offsets = [fields[axis].offset for axis in 'xyz']
    ends = [offset + kind.itemsize for offset, kind in zip(offsets, kinds, strict=True)]
    if max(ends) > message.point_step:
        raise InputError(
            f'A cloud has points of {message.point_step} bytes with x, y and z at {offsets}; '
            'expected them inside.'
        )
    order = '>' if message.is_bigendian else '<'
    formats = [kind.newbyteorder(order) for kind in kinds]
    return np.dtype(
        {
            'names': list('xyz'),
            'formats': formats,
            'offsets': offsets,
            'itemsize': message.point_step,
        }
    )


def _thinned(values: np.ndarray) -> np.ndarray:
    """Return every n-th value (N,), so that not too many are left."""
    return values[:: max(1, len(values) // _MAX_POINTS)]


def _rays(pixels: np.ndarray, calibration: Calibration) -> np.ndarray:
    """Return the points (N, 3) with z = 1 that pixels (N, 2) of a camera see."""
    k, distortion = calibration.intrinsics, calibration.distortion
    if len(pixels) == 0:
        return np.empty((0, 3))
    if distortion is None:
        x = (pixels - k[:2, 2]) / k[[0, 1], [0, 1]]
    else:
        undistort = (
            cv2.fisheye.undistortPoints
            if distortion.model == 'equidistant'
            else cv2.undistortPoints
        )
        x = undistort(pixels[:, None], k, np.array(distortion.coefficients))[:, 0]
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)
