"""From a camera's picture, whatever lens and size it has, to the one shape that all views have."""

from collections.abc import Callable
from dataclasses import dataclass

from da3_ros.engine.content import Content
from da3_ros.engine.device import finish
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

    def __init__(
        self,
        device: torch.device,
        resolution: int,
        preprocess: Callable[..., Preprocessed] = preprocess,
    ) -> None:
        """Take where the network is, the size that it sees, and who resizes for it."""
        self._device = device
        self._lenses = Lenses()
        self._resolution = resolution
        self._preprocess = preprocess

    def fit(self, frame: Frame, shape: tuple[int, int]) -> Fitted:
        """Return a frame in a shape (width, height)."""
        straight = self._lenses.straighten(frame)
        height, width = straight.shape[:2]
        resolution, content = fit(width, height, self._resolution, shape)
        prepared = self._preprocess(straight, resolution, intrinsics=frame.intrinsics)
        if content is not None:  # its picture is needed now
            finish(self._device)
        seen = self._lenses.seen(frame, resolution, content, shape)
        return Fitted(letterboxed(prepared, content, shape), content, seen)
