"""What of a view is still on the GPU that computed it."""

from dataclasses import dataclass, replace

from da3_ros.engine.content import Content
import torch


@dataclass(frozen=True, eq=False)
class DeviceView:
    """
    The images of a view on the device of the network, complete; nothing writes into them any more.

    ``scale`` times ``depth`` (h, w) float32 is the depth of the ``View``, ``confidence`` (h, w)
    float32 is its confidence; ``image`` (3, h, w) float32 is its picture as the network saw it,
    normalised: its colours need not be uploaded again.
    """

    depth: torch.Tensor
    confidence: torch.Tensor
    image: torch.Tensor
    scale: float = 1.0

    def scaled(self, factor: float) -> 'DeviceView':
        """Return the view with all depth multiplied; shares memory."""
        return replace(self, scale=factor * self.scale)

    def within(self, content: Content) -> 'DeviceView':
        """Return the part that is a view's content; shares memory."""
        rows, columns = content.pixels
        return DeviceView(
            self.depth[rows, columns],
            self.confidence[rows, columns],
            self.image[:, rows, columns],
            self.scale,
        )
