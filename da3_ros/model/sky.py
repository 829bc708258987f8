"""
The sky: which pixels show it, and what depth to give them.

Shapes: B windows, V views, H x W pixels, N values.
"""

from dataclasses import replace

from da3_ros.model.prediction import Prediction
import torch
from torch import Tensor

SKY_SCORE = 0.3
"""
A pixel with this score or more is sky.

The official code excludes and fills such pixels, yet reports a mask of 0.5 and more; here it is
one threshold for everything.
"""
FARTHEST_M = 200.0  # what the official code takes for the sky of a metric scene, at most
_FILL_QUANTILE = 0.99
_MIN_PIXELS = 10


def is_sky(score: Tensor) -> Tensor:
    """Sky scores of any shape -> where the sky is."""
    return score >= SKY_SCORE


def masked_quantile(values: Tensor, mask: Tensor, q: float) -> Tensor:
    """
    Return the q-quantile of the values under a mask, for each row; NaN where there is none.

    Interpolates like ``torch.quantile``, but has no limit of size, takes all values and not a
    random subset, and does not wait for the device.

    Args:
        values: (B, N).
        mask: (B, N), True where a value counts.
        q: in [0, 1].

    """
    count = mask.sum(dim=1, keepdim=True)
    ordered = torch.where(mask, values, torch.inf).sort(dim=1).values
    place = q * (count - 1).clamp(min=0).double()
    below = place.floor()
    low = ordered.gather(1, below.long())
    high = ordered.gather(1, place.ceil().long())
    quantile = low + (place - below).to(values.dtype) * torch.where(low == high, 0, high - low)
    return torch.where(count > 0, quantile, torch.nan).squeeze(1)


def fill_sky(prediction: Prediction) -> Prediction:
    """
    Give the sky the depth that the official code gives it: far, but finite.

    That is the 0.99-quantile of all other depth. A nested network's is taken over the window, is
    200 m at most, and comes with a confidence of 1. A single-view network's is taken over each
    view, and needs more than ten pixels of either kind. Nothing changes without a sky score.

    The official quantile couples all views of a batch, windows and single views alike, and above
    100000 pixels it is that of a random subset.
    """
    if prediction.sky is None:
        return prediction
    is_nested = prediction.depth_conf is not None
    sky, depth = (
        x.flatten(1) if is_nested else x.flatten(0, 1).flatten(1)
        for x in (is_sky(prediction.sky), prediction.depth)
    )  # (B, V * H * W) or (B * V, H * W)
    far = masked_quantile(depth, ~sky, _FILL_QUANTILE)
    enough = (~sky).sum(dim=1) > _MIN_PIXELS
    if is_nested:
        far = far.clamp(max=FARTHEST_M)
    else:
        enough &= sky.sum(dim=1) > _MIN_PIXELS
    filled = sky & enough[:, None]
    confidence = prediction.depth_conf
    if is_nested:
        confidence = torch.where(filled.view_as(confidence), 1.0, confidence)
    depth = torch.where(filled, far[:, None], depth).view_as(prediction.depth)
    return replace(prediction, depth=depth, depth_conf=confidence)
