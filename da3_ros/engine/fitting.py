"""From a camera's picture, whatever lens and size it has, to the one shape that all views have."""

from dataclasses import dataclass

from da3_ros.engine.content import Content
from da3_ros.engine.device import finish
from da3_ros.engine.device_preprocess import DevicePreprocess
from da3_ros.engine.frame import Frame
from da3_ros.engine.lenses import Lenses
from da3_ros.engine.letterbox import fit, letterboxed
from da3_ros.engine.preprocess import preprocess, Preprocessed
import torch


@dataclass(frozen=True)
class Fitted:
    """
    A picture as the network takes it.

    ``content`` is what of it a camera saw, None for all: the rest is padding. ``seen`` (H, W)
    bool, in main memory, is False where it shows nothing; None: nowhere. Its colours may be on
    their way from a GPU, until ``finish``.
    """

    prepared: Preprocessed
    content: Content | None
    seen: torch.Tensor | None


class Fitting:
    """Takes distortion away, resizes and normalises, and adds a letterbox if need be."""

    def __init__(self, device: torch.device, resolution: int) -> None:
        """Take where the network is, and the size that it sees."""
        self._device = device
        self._lenses = Lenses()
        self._resolution = resolution
        is_gpu = device.type == 'cuda'
        self._preprocess = DevicePreprocess(device) if is_gpu else preprocess

    def warm_up(self) -> None:
        """Have the first picture prepared as fast as the others."""
        if isinstance(self._preprocess, DevicePreprocess):
            self._preprocess.warm_up()

    def fit(self, frame: Frame, shape: tuple[int, int]) -> Fitted:
        """Return a frame in a shape (width, height)."""
        height, width = frame.rgb.shape[:2]
        resolution, content = fit(width, height, self._resolution, shape)
        lens = {'intrinsics': frame.intrinsics, 'distortion': frame.distortion}
        prepared = self._preprocess(frame.rgb, resolution, **lens)
        if content is not None:  # its picture is needed now
            finish(self._device)
        seen = self._lenses.seen(frame, resolution, content, shape)
        return Fitted(letterboxed(prepared, content, shape), content, seen)
