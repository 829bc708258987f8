"""
Depth of networks that see each view alone, scored picture by picture.

Each picture has a scale of its own, the ratio of the medians; a metric network, which is told the
true focal length, is scored without any scale too.
"""

from collections.abc import Sequence

from da3_ros.engine.preprocess import preprocess
from da3_ros.evaluation.datasets.dataset import Scene
from da3_ros.evaluation.depth import at_truth, depth_metrics, mean_metrics
from da3_ros.model.single_view import SingleViewNetwork
from da3_ros.model.sky import is_sky
import numpy as np
import torch


class MonocularNetwork:
    """A single-view network with what it takes to show it pictures from files."""

    def __init__(self, net: SingleViewNetwork, device: torch.device, resolution: int) -> None:
        """Take a network; ``resolution`` is the longer side of what it sees, in pixels."""
        self._net = net
        self._device = device
        self._resolution = resolution
        self.is_metric = net.config.canonical_focal_px is not None

    @torch.inference_mode()
    def depth(self, rgb: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
        """
        Predict the depth (h, w) float32 of a picture (H, W, 3) uint8; the sky has none (NaN).

        In metres, by K (3, 3) in pixels of the picture, where the network is metric.
        """
        seen = preprocess(rgb, self._resolution, intrinsics=intrinsics)
        image = seen.image.to(self._device, self._net.dtype)
        k = torch.as_tensor(seen.intrinsics, dtype=torch.float32, device=self._device)
        prediction = self._net(image[None, None], k[None, None])
        depth = torch.where(is_sky(prediction.sky), torch.nan, prediction.depth)
        return depth[0, 0].float().cpu().numpy()


def monocular_scores(
    scene: Scene, frames: Sequence[int], network: MonocularNetwork
) -> dict[str, float]:
    """
    Return ``abs_rel`` and ``delta1``, means over the frames; {} where no true depth is known.

    Of a metric network also ``metric_abs_rel`` and ``metric_delta1``: metres as they come. What
    the network takes for the sky is not compared.

    Raises:
        InputError: if a file of the scene is missing or can't be read.

    """
    if scene.depth_m is None:
        return {}
    scaled, metric = [], []
    for frame in frames:
        depth = network.depth(scene.rgb(frame), scene.intrinsics[frame])
        predicted, true = at_truth(depth, scene.depth_m(frame))
        scaled.append(depth_metrics(predicted, true, 'median'))
        if network.is_metric:
            metric.append(depth_metrics(predicted, true))
    found = mean_metrics(scaled)
    if not found.pixels:
        return {}
    scores = {'abs_rel': found.abs_rel, 'delta1': found.delta1}
    if network.is_metric:
        in_metres = mean_metrics(metric)
        scores |= {'metric_abs_rel': in_metres.abs_rel, 'metric_delta1': in_metres.delta1}
    return scores
