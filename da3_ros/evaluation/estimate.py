"""What a method makes of footage: where each frame was taken from, and its depth."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from da3_ros.config import EngineConfig
from da3_ros.engine import Frame, KeyframePose, StreamingEngine
from da3_ros.engine.runner import Runner
from da3_ros.engine.scale import Robot
from da3_ros.engine.stage_clock import StageClock
from da3_ros.errors import FrameError
from da3_ros.evaluation.depth import resize_nearest
from da3_ros.evaluation.footage import CAMERA, Footage
from da3_ros.geometry.transforms import invert
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
    the time that each frame took beside the network's, NaN where nobody measured it. Of a map of
    keyframes, ``keyframes`` (K,) are the positions among the N of those that it has at the end, in
    ``map_parts`` parts, after so many ``loops_closed``.
    """

    method: str
    indices: np.ndarray
    map_from_camera: np.ndarray
    depth: np.ndarray
    is_metric: bool
    own_ms: np.ndarray
    keyframes: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=int))
    loops_closed: int = 0
    map_parts: int = 1


@dataclass(frozen=True)
class _Placed:
    """A frame as it was published, and the newest keyframe then, which it may be itself."""

    index: int
    map_from_camera: np.ndarray
    depth: np.ndarray
    keyframe: KeyframePose
    is_keyframe: bool
    own_ms: float


def engine_estimates(
    footage: Footage, runner: Runner, config: EngineConfig, robot: Robot | None = None
) -> tuple[Estimate, Estimate]:
    """
    Play footage through the engine; return what it published, and what it knows at the end.

    Of the first, 'engine', nothing is corrected afterwards: these are the poses that a robot would
    have had at the time. In the second, 'settled', each frame has gone with the keyframe that was
    the newest when it came, as the map does when a loop is closed. ``robot`` is whom the engine
    may ask for poses.
    """
    engine = StreamingEngine(config, runner, robot=robot)
    frames: list[_Placed] = []
    for index, stamp in enumerate(tqdm(footage.stamps_ns, 'engine', leave=False, disable=None)):
        rgb = footage.rgb(index)
        k = footage.intrinsics(index, *rgb.shape[:2])
        try:
            update = engine.push([Frame(CAMERA, int(stamp), rgb, k)])
        except FrameError:
            continue
        clock = StageClock()
        engine.update_map()
        clock.lap('map')
        view, stages = update.views[0], update.status.stage_ms | clock.stage_ms
        own_ms = sum(stages.get(name, 0.0) for name in ('registration', 'keyframes', 'map'))
        pose, depth = view.map_from_camera, compared_depth(view.depth_m)
        newest = engine.keyframes[-1]
        frames.append(_Placed(index, pose, depth, newest, view.is_keyframe, own_ms))
    indices = np.array([f.index for f in frames], dtype=int)
    stamps = footage.stamps_ns[indices]
    live = Estimate(
        method='engine',
        indices=indices,
        map_from_camera=np.array([f.map_from_camera for f in frames]),
        depth=np.array([f.depth for f in frames]),
        is_metric=bool(frames) and engine.status.is_metric,
        own_ms=np.array([f.own_ms for f in frames]),
        keyframes=np.flatnonzero(np.isin(stamps, [k.stamp_ns for k in engine.keyframes])),
        loops_closed=engine.status.loops_closed,
        map_parts=max(1, engine.status.map_parts),
    )
    settled = _settled(frames, engine)
    return live, replace(
        live,
        method='settled',
        map_from_camera=np.array([f.map_from_camera for f in settled]),
        depth=np.array([f.depth for f in settled]),
    )


def _settled(frames: Sequence[_Placed], engine: StreamingEngine) -> list[_Placed]:
    """Let each frame go where its keyframe has gone since; stay where that was forgotten."""
    now = {k.stamp_ns: k for k in engine.keyframes}
    settled = []
    for frame in frames:
        then = frame.keyframe
        after = now.get(then.stamp_ns, then)
        size = after.scale / then.scale
        keyframe_from_camera = np.eye(4)
        if not frame.is_keyframe:
            keyframe_from_camera = invert(then.map_from_camera) @ frame.map_from_camera
            keyframe_from_camera[:3, 3] *= size
        pose = after.map_from_camera @ keyframe_from_camera
        settled.append(replace(frame, map_from_camera=pose, depth=size * frame.depth))
    return settled


def compared_depth(depth: np.ndarray) -> np.ndarray:
    """Return depth (H, W) at the size at which it is compared."""
    height, width = depth.shape
    scale = min(1.0, _LONGER / max(height, width))
    return resize_nearest(depth, round(scale * height), round(scale * width))
