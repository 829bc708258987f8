"""
What the network says of pixels that no camera saw: nothing that counts.

Such are the padding of a letterbox, and the borders that a lens leaves dark once its distortion is
taken away. The network gives them depth all the same.
"""

from collections.abc import Sequence
from dataclasses import replace

from da3_ros.engine.device import finish
from da3_ros.engine.runner import WindowPrediction, WindowView
import torch


def without_unseen(
    prediction: WindowPrediction, views: Sequence[WindowView], dense: Sequence[int]
) -> WindowPrediction:
    """
    Return the prediction of V views with NaN for depth that nobody saw.

    Confidence is 1 at dark borders, which are published, and NaN in padding, which never is.
    ``dense`` are the views that have depth.
    """
    blank = [i for i in dense if views[i].seen is not None or views[i].content is not None]
    if not blank:
        return prediction
    depth, confidence = list(prediction.depth), list(prediction.confidence)
    on_device = dict(prediction.on_device)
    for i in blank:
        depth[i], confidence[i] = images = _alone(depth[i], confidence[i], views[i])
        if i in on_device:
            there = on_device[i]
            on_device[i] = images if there[0].is_cpu else _alone(*there, views[i])
            finish(there[0].device)
    return replace(
        prediction, depth=tuple(depth), confidence=tuple(confidence), on_device=on_device
    )


def _alone(
    depth: torch.Tensor, confidence: torch.Tensor, view: WindowView
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return depth and confidence (H, W) of what a view shows, where they are."""
    if view.seen is not None:
        seen = view.seen.to(depth.device)
        depth = torch.where(seen, depth, torch.nan)
        confidence = torch.where(seen, confidence, confidence.clamp_max(1.0))
    if view.content is not None:
        pixels = view.content.pixels
        images = torch.full_like(depth, torch.nan), torch.full_like(confidence, torch.nan)
        for alone, image in zip(images, (depth, confidence), strict=True):
            alone[pixels] = image[pixels]
        depth, confidence = images
    return depth, confidence
