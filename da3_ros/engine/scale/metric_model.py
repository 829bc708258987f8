"""Metres from a network that knows how large things are: on keyframes, and not on all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.runner import WindowView
from da3_ros.engine.scale.depths import cell_of, depth_ratio
from da3_ros.engine.scale.source import Evidence, ReadingSource
from da3_ros.geometry.rays import is_depth, pixel_grid
import numpy as np
import torch

# Pixels of a keyframe that are compared, and the fewest.
_SAMPLES = 2000
_MIN_SAMPLES = 50
# Keyframes after which the estimate is settled, and then only every so-manieth is looked at.
_SETTLED = 20
_EVERY = 4
# A view's depth is off as a whole, and all views of a place are off alike.
_VIEW_SIGMA = 0.05
_FLOOR = 0.02


@dataclass(frozen=True)
class MetricPrediction:
    """
    Depth of one view in metres (H, W), and where there is sky (H, W) bool, which has none.

    Both are in main memory.
    """

    depth_m: torch.Tensor
    is_sky: torch.Tensor


class MetricRunner(Protocol):
    """Anything that predicts depth in metres from one view."""

    def infer(self, view: WindowView, intrinsics: np.ndarray) -> MetricPrediction:
        """Predict a view; ``intrinsics`` (3, 3) are the best that is known of its camera."""
        ...


class MetricModelSource(ReadingSource):
    """
    Compares the map's depth of keyframes with what a metric network says of them.

    What such a network costs is paid for a keyframe, and once its readings have settled for every
    fourth one.
    """

    name = 'metric_model'

    def __init__(self, runner: MetricRunner) -> None:
        """Take the network."""
        super().__init__(_FLOOR)
        self._runner = runner

    def _forget(self) -> None:
        super()._forget()
        self._skipped = 0

    def _take(self, views: Sequence[Keyframe], kept: Sequence[Keyframe]) -> Evidence:
        evidence = Evidence.IDLE  # the network is always there
        for keyframe in kept:
            if len(self._readings) >= _SETTLED and self._skipped < _EVERY - 1:
                self._skipped += 1
            elif self._read(keyframe):
                self._skipped = 0
                evidence = Evidence.FRESH
        return evidence

    def _read(self, keyframe: Keyframe) -> bool:
        """Take a reading from a keyframe; tell whether it has enough pixels for one."""
        prediction = self._runner.infer(keyframe.view, keyframe.intrinsics)
        height, width = keyframe.depth.shape
        u, v = pixel_grid(height, width, _SAMPLES)
        metres, depth = prediction.depth_m[v, u], keyframe.depth[v, u]
        valid = is_depth(metres) & is_depth(depth)
        valid &= ~prediction.is_sky[v, u]
        if int(valid.sum()) < _MIN_SAMPLES:
            self.problem = 'the metric network sees hardly anything but sky'
            return False
        weights = (keyframe.weight[v, u][valid] - 1.0).clamp_min(1e-3)
        cells = cell_of(u, v, height, width)[valid]
        ratio = depth_ratio(metres[valid], depth[valid], weights, cells, _VIEW_SIGMA)
        self._readings.add(ratio.log_scale, ratio.sigma)
        return True
