"""Which pixels are left dark once a lens's distortion is taken away."""

from da3_ros.engine.content import Content
from da3_ros.engine.frame import Frame
from da3_ros.engine.letterbox import letterboxed_mask
from da3_ros.engine.preprocess import preprocess
import numpy as np
import torch

# Calibrations whose dark pixels are remembered: a camera has a few, and sends one at a time.
_MAX_CALIBRATIONS = 32


class Lenses:
    """
    Tells what no pixel of a camera looks at.

    A picture without distortion has other borders than the one that was taken: a lens that sees
    farther in the middle of the sides than in the corners, or the other way round, leaves some of
    its pixels dark. The network gives them depth all the same, which is of nothing.
    """

    def __init__(self) -> None:
        """Know no lens."""
        self._seen: dict[tuple, torch.Tensor | None] = {}

    def seen(
        self,
        frame: Frame,
        resolution: int,
        content: Content | None = None,
        shape: tuple[int, int] | None = None,
    ) -> torch.Tensor | None:
        """
        Return which pixels (h, w) at a resolution show what the camera saw, and no border.

        In a letterbox of a ``shape`` (width, height), if the picture is its ``content``. None
        where the lens leaves none dark. Computed once for each calibration.
        """
        if frame.distortion is None or frame.intrinsics is None:
            return None
        lens = frame.intrinsics.tobytes(), frame.distortion, frame.rgb.shape
        key = *lens, resolution, content, shape
        if key not in self._seen:
            if len(self._seen) >= _MAX_CALIBRATIONS:
                del self._seen[next(iter(self._seen))]
            self._seen[key] = letterboxed_mask(self._look(frame, resolution), content, shape)
        return self._seen[key]

    def _look(self, frame: Frame, resolution: int) -> torch.Tensor | None:
        """Have the lens see white: what is white in the end is made of seen pixels alone."""
        white = np.full_like(frame.rgb, 255)
        lens = {'intrinsics': frame.intrinsics, 'distortion': frame.distortion}
        seen = preprocess(white, resolution, **lens).rgb.min(axis=2) == 255
        return None if seen.all() else torch.from_numpy(seen)
