"""What of a view is still on the GPU that computed it."""

from dataclasses import dataclass

from da3_ros.engine.content import Content
import torch


@dataclass(frozen=True, eq=False)
class DeviceView:
    """
    The images of a view on the device of the network; nothing writes into them any more.

    ``depth_m`` (h, w) and ``confidence`` (h, w) float32 are those of the ``View``; ``image``
    (3, h, w) float32 is its picture as the network saw it, normalised: its colours need not be
    uploaded again.
    """

    depth_m: torch.Tensor
    confidence: torch.Tensor
    image: torch.Tensor

    def within(self, content: Content) -> 'DeviceView':
        """Return the part that is a view's content; shares memory."""
        rows, columns = content.pixels
        return DeviceView(
            self.depth_m[rows, columns],
            self.confidence[rows, columns],
            self.image[:, rows, columns],
        )
