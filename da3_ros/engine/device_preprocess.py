"""
The same preprocessing on a GPU: one upload of the camera's bytes, and one kernel.

Both resizes of the official code are linear and separable, so together they are one matrix for the
rows and one for the columns. What is left out is the rounding to whole levels between the two: the
results differ by a level or two of 255 at most (see the tests). Where there is no Triton, two
matrix products do it, and the CPU takes the lens's distortion away.

Shapes: H W camera's picture, h w network image.
"""

from da3_ros.engine.device import downloading
from da3_ros.engine.preprocess import (
    bounded_size,
    check_picture,
    network_size,
    Preprocessed,
    straightened,
)
from da3_ros.engine.resizing import resizer, resizing_taps, Side
from da3_ros.geometry.cameras import Distortion, undistortion_sources
from da3_ros.model.acceleration import has_triton
from da3_ros.model.presets import IMAGE_MEAN, IMAGE_STD
import numpy as np
import torch
from torch import Tensor

# Lenses whose sources of pixels are kept on the device, 7 MB for a picture of 1280x720.
_MAX_LENSES = 16


class DevicePreprocess:
    """Stands for ``preprocess`` with its default method; resizes on the network's device."""

    def __init__(self, device: torch.device, fused: bool | None = None) -> None:
        """Take the network's device; ``fused`` tells whether the kernel runs, None: if it can."""
        self._device = device
        can_fuse = device.type == 'cuda' and has_triton(device)
        self._is_fused = can_fuse if fused is None else fused
        self._mean = 255 * torch.tensor(IMAGE_MEAN, device=device)[:, None, None]
        self._std = 255 * torch.tensor(IMAGE_STD, device=device)[:, None, None]
        self._sources: dict[tuple, Tensor] = {}

    @torch.inference_mode()
    def __call__(
        self,
        rgb: np.ndarray,
        resolution: int = 504,
        *,
        intrinsics: np.ndarray | None = None,
        distortion: Distortion | None = None,
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
            Side(*lengths, grows, grows_again)
            for lengths in zip((width, height), bounded, target, strict=True)
        )
        if self._is_fused:
            image, small = self._fused(rgb, rows, columns, intrinsics, distortion)
        else:
            straight = straightened(rgb, intrinsics, distortion)
            image, small = self._multiplied(straight, rows, columns)
        if intrinsics is not None:
            intrinsics = np.diag((target[0] / width, target[1] / height, 1.0)) @ intrinsics
        return Preprocessed(image, downloading(small).numpy(), intrinsics)

    def warm_up(self) -> None:
        """Have the kernel compiled, for pictures with and without distortion."""
        if self._is_fused:
            rgb, lens = np.zeros((14, 14, 3), np.uint8), Distortion('plumb_bob', (0.1,) * 5)
            self(rgb, 14)
            self(rgb, 14, intrinsics=np.eye(3), distortion=lens)

    def _fused(
        self,
        rgb: np.ndarray,
        rows: Side,
        columns: Side,
        intrinsics: np.ndarray | None,
        distortion: Distortion | None,
    ) -> tuple[Tensor, Tensor]:
        """Return image and rgb of a picture as it was taken."""
        from da3_ros.engine.picture_kernel import small_picture  # imports Triton

        sources = self._sources_of(rgb.shape[:2], intrinsics, distortion)
        taps = (resizing_taps(side, self._device) for side in (rows, columns))
        return small_picture(self._uploaded(rgb), *taps, sources)

    def _multiplied(self, rgb: np.ndarray, rows: Side, columns: Side) -> tuple[Tensor, Tensor]:
        """Return image and rgb of a picture without distortion."""
        planes = self._uploaded(rgb).permute(2, 0, 1).float()  # (3, H, W)
        down, across = (resizer(side, self._device) for side in (rows, columns))
        levels = (down @ planes @ across.T).round_().clamp_(0, 255)  # (3, h, w)
        # Whoever reads the colours of a pixel, and all do, wants them side by side.
        small = levels.byte().permute(1, 2, 0).contiguous()
        return (levels - self._mean) / self._std, small

    def _sources_of(
        self,
        size: tuple[int, int],
        intrinsics: np.ndarray | None,
        distortion: Distortion | None,
    ) -> Tensor | None:
        """Return where the pixels without distortion come from, None: from where they are."""
        if distortion is None or intrinsics is None or not any(distortion.coefficients):
            return None
        key = size, intrinsics.tobytes(), distortion
        sources = self._sources.pop(key, None)
        if sources is None:
            found = undistortion_sources(intrinsics, distortion, size[::-1])
            sources = torch.from_numpy(found).to(self._device)
        self._sources[key] = sources  # the newest last
        if len(self._sources) > _MAX_LENSES:
            del self._sources[next(iter(self._sources))]
        return sources

    def _uploaded(self, rgb: np.ndarray) -> Tensor:
        """Copy a picture (H, W, 3) to the device, through memory that it can read by itself."""
        if self._device.type != 'cuda':
            return torch.from_numpy(np.ascontiguousarray(rgb))
        # The allocator of pinned memory lends none again before copies from it are done.
        staged = torch.empty(rgb.shape, dtype=torch.uint8, pin_memory=True)
        np.copyto(staged.numpy(), rgb)
        return staged.to(self._device, non_blocking=True)
