"""
What the network says of pixels that no camera saw: nothing that counts.

Such are the padding of a letterbox, and the borders that a lens leaves dark once its distortion is
taken away. The network gives them depth all the same.
"""

from collections.abc import Sequence
from dataclasses import replace

from da3_ros.engine.runner import WindowPrediction, WindowView
import torch


def without_unseen(prediction: WindowPrediction, views: Sequence[WindowView]) -> WindowPrediction:
    """
    Return the prediction of V views with NaN for depth (V, H, W) that nobody saw.

    Confidence is 1 at dark borders, which are published, and NaN in padding, which never is.
    """
    if all(view.seen is None and view.content is None for view in views):
        return prediction
    depth, confidence = prediction.depth.clone(), prediction.confidence.clone()
    for i, view in enumerate(views):
        if view.seen is not None:
            depth[i].masked_fill_(~view.seen, torch.nan)
            confidence[i] = torch.where(view.seen, confidence[i], confidence[i].clamp_max(1.0))
        if view.content is not None:
            for values in (depth[i], confidence[i]):
                inside = values[view.content.pixels].clone()
                values.fill_(torch.nan)
                values[view.content.pixels] = inside
    return replace(prediction, depth=depth, confidence=confidence)
