"""
The same preprocessing on a GPU: one upload of the camera's bytes, and two matrix products.

Both resizes of the official code are linear and separable, so together they are one matrix for the
rows and one for the columns. What is left out is the rounding to whole levels between the two: the
results differ by a level or two of 255 at most (see the tests).

Shapes: H W camera's picture, h w network image.
"""

from functools import lru_cache

import cv2
from da3_ros.engine.device import downloading
from da3_ros.engine.preprocess import bounded_size, check_picture, network_size, Preprocessed
from da3_ros.model.presets import IMAGE_MEAN, IMAGE_STD
import numpy as np
import torch
from torch import Tensor


class DevicePreprocess:
    """Stands for ``preprocess`` with its default method; resizes on the network's device."""

    def __init__(self, device: torch.device) -> None:
        """Take the device of the network."""
        self._device = device
        self._mean = 255 * torch.tensor(IMAGE_MEAN, device=device)[:, None, None]
        self._std = 255 * torch.tensor(IMAGE_STD, device=device)[:, None, None]

    @torch.inference_mode()
    def __call__(
        self, rgb: np.ndarray, resolution: int = 504, *, intrinsics: np.ndarray | None = None
    ) -> Preprocessed:
        """
        Resize and normalise one picture; see ``preprocess``. ``image`` is on the device.

        Nothing is waited for: ``rgb`` is complete after ``finish``.

        Raises:
            InputError: if ``rgb`` is no colour picture, or nothing would be left.

        """
        check_picture(rgb)
        height, width = rgb.shape[:2]
        target = network_size(width, height, resolution)
        bounded = bounded_size(width, height, resolution)
        grows = any(b > s for b, s in zip(bounded, (width, height), strict=True))
        grows_again = any(t > b for t, b in zip(target, bounded, strict=True))
        columns, rows = (
            _resizer(*sides, grows, grows_again, self._device)
            for sides in zip((width, height), bounded, target, strict=True)
        )
        planes = self._uploaded(rgb).permute(2, 0, 1).float()  # (3, H, W)
        levels = (rows @ planes @ columns.T).round_().clamp_(0, 255)  # (3, h, w)
        # Whoever reads the colours of a pixel, and all do, wants them side by side.
        small = downloading(levels.byte().permute(1, 2, 0).contiguous())
        if intrinsics is not None:
            intrinsics = np.diag((target[0] / width, target[1] / height, 1.0)) @ intrinsics
        return Preprocessed((levels - self._mean) / self._std, small.numpy(), intrinsics)

    def _uploaded(self, rgb: np.ndarray) -> Tensor:
        """Copy a picture (H, W, 3) to the device, through memory that it can read by itself."""
        if self._device.type != 'cuda':
            return torch.from_numpy(np.ascontiguousarray(rgb))
        # The allocator of pinned memory lends none again before copies from it are done.
        staged = torch.empty(rgb.shape, dtype=torch.uint8, pin_memory=True)
        np.copyto(staged.numpy(), rgb)
        return staged.to(self._device, non_blocking=True)


@lru_cache(maxsize=32)
def _resizer(
    size: int, bounded: int, target: int, grows: bool, grows_again: bool, device: torch.device
) -> Tensor:
    """Return the matrix (target, size) of both resizes along one axis, as OpenCV weighs them."""
    matrix = _weights(bounded, target, grows_again) @ _weights(size, bounded, grows)
    return torch.from_numpy(matrix).to(device)


def _weights(size: int, target: int, grows: bool) -> np.ndarray:
    """Return what one resize makes of each pixel alone, (target, size) float32."""
    if size == target:
        return np.eye(size, dtype=np.float32)
    method = cv2.INTER_CUBIC if grows else cv2.INTER_AREA
    return cv2.resize(np.eye(size, dtype=np.float32), (size, target), interpolation=method)
