"""
Pinhole cameras and lens distortion, in OpenCV's conventions.

Optical frames are x right, y down, z forward. Pixel (u, v) is column u, row v, and ``x = (u - cx)
z / fx`` with the integer index of the pixel, as depth_image_proc unprojects. Resizing scales the
first two rows of K and shifts nothing: image_proc and the official network's preprocessing do the
same, so what is published agrees with both; the half pixel that this leaves out is below a third
of a pixel of the network's image.
"""

from dataclasses import dataclass
import threading

import cv2
from da3_ros.errors import InputError
import numpy as np

# Number of coefficients that each model of sensor_msgs/CameraInfo may have.
DISTORTION_MODELS = {'plumb_bob': (4, 5), 'rational_polynomial': (8, 12, 14), 'equidistant': (4,)}

# Larger coefficients are no lens; they come from a fit that failed, or from nowhere.
_MAX_COEFFICIENT = 1e6
# What the maps of undistorted images may take: some 90 cameras of 1280x720.
_MAX_MAP_BYTES = 2**29


@dataclass(frozen=True)
class Distortion:
    """Lens distortion as sensor_msgs/CameraInfo gives it: a model's name and its coefficients."""

    model: str
    coefficients: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raise ``InputError`` for an unknown model or a wrong number of coefficients."""
        counts = DISTORTION_MODELS.get(self.model)
        if counts is None:
            known = ', '.join(DISTORTION_MODELS)
            raise InputError(f'Distortion model is {self.model!r}; expected one of {known}.')
        allowed = ' or '.join(map(str, counts))
        if len(self.coefficients) not in counts:
            raise InputError(
                f'Distortion model {self.model} has {len(self.coefficients)} coefficients; '
                f'expected {allowed}.'
            )
        if not all(abs(c) <= _MAX_COEFFICIENT for c in self.coefficients):  # False for NaN
            raise InputError(
                f'Distortion model {self.model} has coefficients {self.coefficients}; '
                f'expected {allowed} numbers of at most {_MAX_COEFFICIENT:g}.'
            )


def undistort(rgb: np.ndarray, intrinsics: np.ndarray, distortion: Distortion) -> np.ndarray:
    """
    Return the image (H, W, 3) that a camera with the same K and no distortion would take.

    Bilinear, and black where the camera did not look. Where each pixel comes from is computed once
    for a camera and kept.
    """
    if not any(distortion.coefficients):
        return rgb
    height, width = rgb.shape[:2]
    maps = _MAPS.of(np.asarray(intrinsics, dtype=np.float64), distortion, (width, height))
    return cv2.remap(rgb, *maps, cv2.INTER_LINEAR)


def undistortion_sources(
    intrinsics: np.ndarray, distortion: Distortion, size: tuple[int, int]
) -> np.ndarray:
    """
    Return x and y (H, W, 2) float32, in the image taken, of what ``undistort`` puts at each pixel.

    To the 32nd of a pixel that it rounds to.
    """
    whole, fraction = _MAPS.of(np.asarray(intrinsics, dtype=np.float64), distortion, size)
    parts = np.stack([fraction & 31, fraction >> 5], axis=-1)
    return whole.astype(np.float32) + parts.astype(np.float32) / 32


class _UndistortionMaps:
    """Keeps where the pixels of undistorted images come from, the last used within a limit."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._maps: dict[tuple, tuple[np.ndarray, np.ndarray]] = {}

    def of(
        self, intrinsics: np.ndarray, distortion: Distortion, size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the two maps that cv2.remap takes, (H, W, 2) int16 and (H, W) uint16."""
        key = (intrinsics.tobytes(), distortion, size)
        with self._lock:
            maps = self._maps.pop(key, None) or _undistortion_maps(intrinsics, distortion, size)
            self._maps[key] = maps  # the newest last
            kept_bytes = sum(array.nbytes for pair in self._maps.values() for array in pair)
            while kept_bytes > self._max_bytes and len(self._maps) > 1:
                oldest = self._maps.pop(next(iter(self._maps)))
                kept_bytes -= sum(array.nbytes for array in oldest)
        return maps


_MAPS = _UndistortionMaps(_MAX_MAP_BYTES)


def _undistortion_maps(
    intrinsics: np.ndarray, distortion: Distortion, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return where the pixels of an undistorted (width, height) image are in the distorted one."""
    is_fisheye = distortion.model == 'equidistant'
    make = cv2.fisheye.initUndistortRectifyMap if is_fisheye else cv2.initUndistortRectifyMap
    coefficients = np.array(distortion.coefficients)
    return make(intrinsics, coefficients, np.eye(3), intrinsics, size, cv2.CV_16SC2)


def camera_matrix(fx: float, fy: float, cx: float, cy: float) -> np.ndarray:
    """Return K (3, 3) of a pinhole camera without skew, pixels."""
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def scale_intrinsics(
    intrinsics: np.ndarray, from_size: tuple[int, int], to_size: tuple[int, int]
) -> np.ndarray:
    """Return K (3, 3) for the image resized from one (width, height) to another."""
    ratio = np.array([to_size[0] / from_size[0], to_size[1] / from_size[1], 1.0])
    return intrinsics * ratio[:, None]


def pixel_rays(intrinsics: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the points (H, W, 3) float64 with z = 1 that the pixels of a camera see."""
    (fx, skew, cx), (_, fy, cy), _ = intrinsics
    y = ((np.arange(height) - cy) / fy)[:, None]  # (H, 1)
    rays = np.empty((height, width, 3))
    rays[..., 0] = (np.arange(width) - cx - skew * y) / fx  # (H, W)
    rays[..., 1] = y
    rays[..., 2] = 1.0
    return rays


def unproject(
    depth: np.ndarray, intrinsics: np.ndarray, out: np.ndarray | None = None
) -> np.ndarray:
    """
    Return the points (H, W, 3) float32 in the optical frame of a z-depth image (H, W).

    Invalid depth (NaN) gives NaN in all three coordinates. ``out`` (H, W, 3) float32, a view of a
    message for instance, is filled instead of a new array.
    """
    (fx, skew, cx), (_, fy, cy), _ = intrinsics
    height, width = depth.shape
    points = np.empty((height, width, 3), np.float32) if out is None else out
    x_of_column = ((np.arange(width) - cx) / fx).astype(np.float32)
    y_of_row = ((np.arange(height) - cy) / fy).astype(np.float32)
    np.multiply(depth, y_of_row[:, None], out=points[..., 1])
    np.multiply(depth, x_of_column, out=points[..., 0])
    if skew:
        points[..., 0] -= (skew / fx) * points[..., 1]
    points[..., 2] = depth
    return points
