"""
Measured ranges as points: depth images, laser scans and clouds to (N, 3) in the sensor's frame.

Incoming messages are untrusted: what contradicts itself is an ``InputError``.
"""

import cv2
from da3_ros.errors import InputError
from da3_ros.ros.convert import Calibration
import numpy as np
from sensor_msgs.msg import Image, LaserScan, PointCloud2, PointField
from sensor_msgs_py.point_cloud2 import read_points

# Bytes a pixel, and metres a unit, of depth images (REP 118).
_DEPTH_ENCODINGS = {'16UC1': ('u2', 1e-3), 'mono16': ('u2', 1e-3), '32FC1': ('f4', 1.0)}
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
    if np.isnan(limits).any():
        raise InputError(
            f'A scan has angle_min, angle_increment, range_min and range_max {limits}; expected '
            'numbers.'
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
    kinds = {f.name: f.datatype for f in message.fields}
    if any(kinds.get(axis) not in (PointField.FLOAT32, PointField.FLOAT64) for axis in 'xyz'):
        raise InputError(
            f'A cloud has the fields {sorted(kinds)}; expected x, y and z of floating point.'
        )
    expected = message.width * message.height * message.point_step
    if message.point_step == 0 or len(message.data) < expected:
        raise InputError(
            f'A cloud of {message.width}x{message.height} points of {message.point_step} bytes '
            f'has {len(message.data)} bytes; expected {expected}.'
        )
    read = read_points(message, field_names=('x', 'y', 'z'))
    points = np.stack([_thinned(read[axis]).astype(np.float64) for axis in 'xyz'], axis=1)
    return points[np.isfinite(points).all(axis=1)]


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
