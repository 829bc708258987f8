"""What the node made of a film, against the film's truth."""

from dataclasses import dataclass

from da3_ros.evaluation.depth import depth_metrics, DepthMetrics, mean_metrics, resize_nearest
from da3_ros.evaluation.trajectory import trajectory_errors, TrajectoryErrors
from da3_ros.ros.recording import Recording
from da3_ros.tools.film import Film
import numpy as np


@dataclass(frozen=True)
class Comparison:
    """
    Depth and trajectory against the truth, for the N frames that came back.

    ``indices`` (N,) are their places in the film; ``true_depth_m`` (N, h, w) has the size of the
    estimate. ``one_scale`` aligns the whole sequence with one factor, ``scale_per_frame`` each
    frame with its own. ``trajectory`` is None for fewer than two frames.
    """

    indices: np.ndarray
    true_depth_m: np.ndarray
    latency_ms: np.ndarray
    one_scale: DepthMetrics
    scale_per_frame: DepthMetrics
    trajectory: TrajectoryErrors | None


def compare(film: Film, recording: Recording, rate: float) -> Comparison:
    """
    Compare a recording with the film that was played at ``rate``.

    Latency is from an image's stamp to the arrival of its depth, by the clock of the player, and
    in real milliseconds.
    """
    index_of = {int(stamp): i for i, stamp in enumerate(film.stamps_ns)}
    frames = recording.frames
    indices = np.array([index_of[frame.stamp_ns] for frame in frames], dtype=int)
    if not frames:
        empty = mean_metrics([])
        none = np.empty(0)
        return Comparison(indices, none.reshape(0, 0, 0), none, empty, empty, None)
    height, width = frames[0].depth_m.shape
    truth = np.stack([resize_nearest(film.depth_m[i], height, width) for i in indices])
    depth = np.stack([frame.depth_m for frame in frames])
    trajectory = None
    if len(frames) > 1:
        poses = np.stack([frame.map_from_camera for frame in frames])
        trajectory = trajectory_errors(poses, film.world_from_camera[indices])
    delays_ns = np.array([frame.received_ns - frame.stamp_ns for frame in frames])
    return Comparison(
        indices=indices,
        true_depth_m=truth,
        latency_ms=delays_ns / 1e6 / rate,
        one_scale=depth_metrics(depth, truth, 'median'),
        scale_per_frame=mean_metrics(
            depth_metrics(d, t, 'median') for d, t in zip(depth, truth, strict=True)
        ),
        trajectory=trajectory,
    )
