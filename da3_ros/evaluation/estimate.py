"""What a method makes of footage: where each frame was taken from, and its depth."""

from dataclasses import dataclass

from da3_ros.config import EngineConfig
from da3_ros.engine import Frame, StreamingEngine
from da3_ros.engine.runner import Runner
from da3_ros.errors import FrameError
from da3_ros.evaluation.depth import resize_nearest
from da3_ros.evaluation.footage import CAMERA, Footage
import numpy as np
from tqdm import tqdm

# Depth is compared at no more than so many pixels along its longer side.
_LONGER = 112


@dataclass(frozen=True)
class Estimate:
    """
    N of the F frames of some footage, placed in one map.

    ``indices`` (N,) of the frames that were placed; ``map_from_camera`` (N, 4, 4) and ``depth``
    (N, h, w) float32 in units of the map, which are metres if ``is_metric``; ``own_ms`` (N,) is
    the time that each frame took beside the network's, NaN where nobody measured it.
    """

    method: str
    indices: np.ndarray
    map_from_camera: np.ndarray
    depth: np.ndarray
    is_metric: bool
    own_ms: np.ndarray


def engine_estimate(
    footage: Footage, runner: Runner, config: EngineConfig, method: str = 'engine'
) -> Estimate:
    """
    Play footage through the engine and keep what it publishes, frame by frame.

    Nothing is corrected afterwards: these are the poses that a robot would have had at the time.
    """
    engine = StreamingEngine(config, runner)
    indices, poses, depths, own_ms = [], [], [], []
    for index, stamp in enumerate(tqdm(footage.stamps_ns, method, leave=False, disable=None)):
        rgb = footage.rgb(index)
        k = footage.intrinsics(index, *rgb.shape[:2])
        try:
            update = engine.push([Frame(CAMERA, int(stamp), rgb, k)])
        except FrameError:
            continue
        view, stages = update.views[0], update.status.stage_ms
        indices.append(index)
        poses.append(view.map_from_camera)
        depths.append(compared_depth(view.depth_m))
        own_ms.append(sum(stages.get(name, 0.0) for name in ('registration', 'keyframes')))
    is_metric = bool(indices) and engine.status.is_metric
    return Estimate(
        method, np.array(indices), np.array(poses), np.array(depths), is_metric, np.array(own_ms)
    )


def compared_depth(depth: np.ndarray) -> np.ndarray:
    """Return depth (H, W) at the size at which it is compared."""
    height, width = depth.shape
    scale = min(1.0, _LONGER / max(height, width))
    return resize_nearest(depth, round(scale * height), round(scale * width))
