"""
From a camera's picture to the network's input, number for number as the official code does it.

Two resizes on uint8: first to the resolution asked for, then each side to a multiple of the patch.
Pixel areas, not pixel centres, keep their place: intrinsics scale by the ratio of the sizes.
"""

from dataclasses import dataclass

import cv2
from da3_ros.errors import InputError
from da3_ros.geometry.cameras import Distortion, undistort
from da3_ros.model.presets import IMAGE_MEAN, IMAGE_STD
import numpy as np
import torch
from torch import Tensor

PATCH = 14
METHODS = ('upper_bound_resize', 'upper_bound_crop', 'lower_bound_resize', 'lower_bound_crop')


@dataclass(frozen=True)
class Preprocessed:
    """
    One view as the network takes it.

    Attributes:
        image: (3, h, w) float32, RGB, normalised by mean and standard deviation.
        rgb: (h, w, 3) uint8, the same pixels before that.
        intrinsics: (3, 3) float64 in pixels of ``image``, or None if none were given.

    """

    image: Tensor
    rgb: np.ndarray
    intrinsics: np.ndarray | None


def bounded_size(
    width: int, height: int, resolution: int, method: str = 'upper_bound_resize'
) -> tuple[int, int]:
    """
    Return the size (width, height) after the first resize, which keeps the aspect ratio.

    The longest side becomes ``resolution`` with an upper bound, the shortest with a lower one.
    """
    bound = max(width, height) if method.startswith('upper') else min(width, height)
    scale = resolution / float(bound)
    return max(1, round(width * scale)), max(1, round(height * scale))


def network_size(
    width: int, height: int, resolution: int = 504, method: str = 'upper_bound_resize'
) -> tuple[int, int]:
    """
    Return the size (width, height) that the network sees, multiples of the patch.

    ``*_resize`` rounds each side to the nearest multiple (ties go up), ``*_crop`` rounds down.

    Raises:
        InputError: if there is no such method, or nothing of the image would be left.

    """
    if method not in METHODS:
        raise InputError(f"Unknown method '{method}': expected one of {', '.join(METHODS)}.")
    if min(width, height) < 1:
        raise InputError(f'Expected an image of at least one pixel, got {width} x {height}.')
    bounded = bounded_size(width, height, resolution, method)
    half = PATCH // 2 if method.endswith('resize') else 0
    rounded = tuple((side + half) // PATCH * PATCH for side in bounded)
    if min(rounded) < PATCH:
        raise InputError(
            f'{width} x {height} at resolution {resolution} becomes '
            f'{bounded[0]} x {bounded[1]}: less than one patch of {PATCH} pixels.'
        )
    return rounded


def preprocess(
    rgb: np.ndarray,
    resolution: int = 504,
    method: str = 'upper_bound_resize',
    intrinsics: np.ndarray | None = None,
    distortion: Distortion | None = None,
) -> Preprocessed:
    """
    Take a lens's distortion away, resize and normalise one picture.

    Args:
        rgb: (H, W, 3) uint8.
        resolution: longest (``upper_bound_*``) or shortest (``lower_bound_*``) side in pixels.
        method: what bounds the size, and whether the rest is resized or cropped away.
        intrinsics: (3, 3) in pixels of ``rgb``.
        distortion: Of the lens; without ``intrinsics`` nothing is known of it.

    Raises:
        InputError: if ``rgb`` is no colour picture, or there is no such method, or nothing would
            be left.

    """
    check_picture(rgb)
    rgb = straightened(rgb, intrinsics, distortion)
    height, width = rgb.shape[:2]
    target = network_size(width, height, resolution, method)
    bounded = bounded_size(width, height, resolution, method)
    matrix = None if intrinsics is None else np.array(intrinsics, dtype=np.float64)

    rgb = _resize(rgb, bounded)
    matrix = _scale(matrix, bounded[0] / width, bounded[1] / height)
    if method.endswith('resize'):
        rgb = _resize(rgb, target)
        matrix = _scale(matrix, target[0] / bounded[0], target[1] / bounded[1])
    else:
        left, top = (bounded[0] - target[0]) // 2, (bounded[1] - target[1]) // 2
        rgb = rgb[top : top + target[1], left : left + target[0]]
        if matrix is not None:
            matrix[:2, 2] -= left, top
    return Preprocessed(normalise(rgb), rgb, matrix)


def straightened(
    rgb: np.ndarray, intrinsics: np.ndarray | None, distortion: Distortion | None
) -> np.ndarray:
    """Return the picture (H, W, 3) that the camera would have taken without distortion."""
    if distortion is None or intrinsics is None:
        return rgb
    return undistort(rgb, intrinsics, distortion)


def check_picture(rgb: np.ndarray) -> None:
    """Raise InputError unless ``rgb`` is (H, W, 3) uint8."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise InputError(f'rgb: expected (H, W, 3) uint8, got {rgb.shape} {rgb.dtype}.')


def normalise(rgb: np.ndarray) -> Tensor:
    """Turn (h, w, 3) uint8 into (3, h, w) float32 of mean 0 and deviation 1 over ImageNet."""
    image = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1).contiguous()
    mean, std = torch.tensor(IMAGE_MEAN)[:, None, None], torch.tensor(IMAGE_STD)[:, None, None]
    return (image.float() / 255 - mean) / std


def _resize(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize to (width, height): by area when shrinking, bicubic as soon as a side grows."""
    height, width = rgb.shape[:2]
    if size == (width, height):
        return rgb
    grows = size[0] > width or size[1] > height
    return cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC if grows else cv2.INTER_AREA)


def _scale(intrinsics: np.ndarray | None, x: float, y: float) -> np.ndarray | None:
    """Scale intrinsics with the image; x and y are new size / old size."""
    if intrinsics is None:
        return None
    return np.diag((x, y, 1.0)) @ intrinsics
