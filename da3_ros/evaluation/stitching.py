"""
Chunks of a film, each predicted at once and stitched to the one before: what the engine must beat.

This is the way of DA3-Streaming without its loop closure: neighbouring chunks share frames, and a
similarity is fitted to what both say of the shared pixels, weighted by confidence, with Huber's
loss. Chunks of two frames that share one are frame-to-frame chaining.

Shapes: V views of a chunk, H W network image.
"""

from collections.abc import Iterator, Sequence

from da3_ros.engine.preprocess import preprocess
from da3_ros.engine.runner import Runner, WindowPrediction, WindowView
from da3_ros.errors import InputError
from da3_ros.evaluation.estimate import compared_depth, Estimate
from da3_ros.evaluation.footage import CAMERA, Footage
from da3_ros.geometry.alignment import transformed, weighted_similarity
from da3_ros.geometry.rays import pixel_grid, rays_through
from da3_ros.geometry.transforms import Sim3
import numpy as np
import torch
from tqdm import tqdm

# Pixels with less than this share of the smaller median confidence are left out.
_MIN_CONFIDENCE = 0.1
# Huber's limit as a share of the median distance, and steps of reweighting.
_HUBER = 0.1
_ITERATIONS = 5
_POINTS_PER_VIEW = 2000


def chunks(frames: int, chunk: int, overlap: int) -> Iterator[range]:
    """
    Yield ranges of ``chunk`` frames, each sharing ``overlap`` with the next; the last is shorter.

    Raises:
        InputError: if a chunk has no frame of its own, or shares none.

    """
    if not 1 <= overlap < chunk:
        raise InputError(f'Chunk {chunk} and overlap {overlap}: expected 1 <= overlap < chunk.')
    for start in range(0, max(1, frames - overlap), chunk - overlap):
        yield range(start, min(start + chunk, frames))


def stitched_estimate(
    footage: Footage, runner: Runner, resolution: int, chunk: int, overlap: int
) -> Estimate:
    """
    Predict footage chunk by chunk and stitch; a shared frame is placed by its first chunk.

    Raises:
        InputError: if ``chunk`` and ``overlap`` do not go together.

    """
    method = f'chunks {chunk}/{overlap}' if chunk > 2 else 'frame to frame'
    poses: list[np.ndarray] = []
    depths: list[np.ndarray] = []
    before, before_range, map_from_before = None, range(0), Sim3.identity()
    ranges = list(chunks(len(footage), chunk, overlap))
    for frames in tqdm(ranges, method, leave=False, disable=None):
        views = [_view(footage, index, resolution) for index in frames]
        prediction = runner.infer(views)
        if before is None:
            map_from_chunk = Sim3.identity()
        else:
            shared = range(frames.start, before_range.stop)
            before_from_chunk = _fit(
                prediction,
                [index - frames.start for index in shared],
                before,
                [index - before_range.start for index in shared],
                [footage.intrinsics(index, *views[0].image.shape[-2:]) for index in shared],
            )
            map_from_chunk = map_from_before @ before_from_chunk
        for slot in range(len(poses) - frames.start, len(frames)):
            poses.append(map_from_chunk.apply_to_pose(prediction.window_from_camera[slot]))
            depth = map_from_chunk.scale * prediction.depth[slot].numpy()
            depths.append(compared_depth(depth))
        before, before_range, map_from_before = prediction, frames, map_from_chunk
    count = len(poses)
    return Estimate(
        method, np.arange(count), np.stack(poses), np.stack(depths), False, np.full(count, np.nan)
    )


def _view(footage: Footage, index: int, resolution: int) -> WindowView:
    """Return a frame as the network takes it."""
    rgb = footage.rgb(index)
    prepared = preprocess(rgb, resolution, intrinsics=footage.intrinsics(index, *rgb.shape[:2]))
    stamp = int(footage.stamps_ns[index])
    return WindowView(index, CAMERA, stamp, prepared.image, prepared.intrinsics)


def _fit(
    chunk: WindowPrediction,
    slots: Sequence[int],
    before: WindowPrediction,
    slots_before: Sequence[int],
    intrinsics: Sequence[np.ndarray],
) -> Sim3:
    """Return ``before_from_chunk`` by the pixels of the views that both hold."""
    in_chunk, weights = _points(chunk, slots, intrinsics)
    in_before, weights_before = _points(before, slots_before, intrinsics)
    limit = _MIN_CONFIDENCE * min(weights.nanmedian(), weights_before.nanmedian())
    used = (weights > limit) & (weights_before > limit)
    used &= torch.isfinite(in_chunk).all(dim=1) & torch.isfinite(in_before).all(dim=1)
    in_chunk, in_before = in_chunk[used], in_before[used]
    confidence = (weights * weights_before)[used].sqrt()
    huber = _HUBER * (in_before - in_before.median(dim=0).values).norm(dim=1).median()
    w = confidence
    for _ in range(_ITERATIONS):
        before_from_chunk = weighted_similarity(in_chunk, in_before, w)
        errors = (transformed(before_from_chunk, in_chunk) - in_before).norm(dim=1)
        w = confidence * huber / errors.clamp_min(huber)
    return before_from_chunk


def _points(
    prediction: WindowPrediction, slots: Sequence[int], intrinsics: Sequence[np.ndarray]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return points (N, 3) of some views in the chunk's frame, and what confidence adds to 1."""
    points, weights = [], []
    for slot, k in zip(slots, intrinsics, strict=True):
        depth = prediction.depth[slot]
        u, v = pixel_grid(*depth.shape, _POINTS_PER_VIEW)
        in_camera = (rays_through(u, v, k) * depth[v, u, None]).double()
        pose = Sim3.from_rigid(prediction.window_from_camera[slot])
        points.append(transformed(pose, in_camera))
        weights.append((prediction.confidence[slot][v, u] - 1.0).double())
    return torch.cat(points), torch.cat(weights)
