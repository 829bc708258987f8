"""
What the network says of pixels that no camera saw: nothing that counts.

Such are the padding of a letterbox, and the borders that a lens leaves dark once its distortion is
taken away. The network gives them depth all the same.
"""

from collections.abc import Sequence
from dataclasses import replace

from da3_ros.engine.content import Content
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
    depth, confidence = list(prediction.depth), list(prediction.confidence)
    on_device = dict(prediction.on_device)
    for i in dense:
        seen, content = views[i].seen, views[i].content
        if seen is None and content is None:
            continue
        depth[i], confidence[i] = depth[i].clone(), confidence[i].clone()
        if seen is not None:
            depth[i].masked_fill_(~seen, torch.nan)
            confidence[i] = torch.where(seen, confidence[i], confidence[i].clamp_max(1.0))
        if content is not None:
            depth[i], confidence[i] = (
                _alone(image, content) for image in (depth[i], confidence[i])
            )
        if i in on_device:
            device = on_device[i][0].device
            on_device[i] = depth[i].to(device), confidence[i].to(device)
            finish(device)
    return replace(
        prediction, depth=tuple(depth), confidence=tuple(confidence), on_device=on_device
    )


def _alone(image: torch.Tensor, content: Content) -> torch.Tensor:
    """Return an image (H, W) with NaN around its content."""
    alone = torch.full_like(image, torch.nan)
    alone[content.pixels] = image[content.pixels]
    return alone
