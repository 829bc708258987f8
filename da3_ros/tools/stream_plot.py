"""A picture of one stream: the ways from above, their errors, and the scale, against time."""

from collections.abc import Sequence
from pathlib import Path

from da3_ros.evaluation.estimate import Estimate
from da3_ros.evaluation.footage import Footage
from da3_ros.evaluation.stream_scores import log_scales, true_depths
from da3_ros.evaluation.trajectory import trajectory_errors
import matplotlib

matplotlib.use('Agg')

import numpy as np  # noqa: E402


def draw_stream(path: Path, footage: Footage, estimates: Sequence[Estimate]) -> None:
    """Draw what each method made of some footage, each aligned by its own Sim(3)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 5.0), dpi=110, layout='constrained')
    grid = figure.add_gridspec(2, 2, width_ratios=(1.0, 1.2))
    above = figure.add_subplot(grid[:, 0])
    error, scale = (figure.add_subplot(grid[row, 1]) for row in (0, 1))
    true_poses = footage.world_from_camera()
    centres = true_poses[:, :3, 3]
    # From above is along the direction in which the way is flattest.
    x, y = sorted(np.argsort(np.ptp(centres, axis=0))[1:])
    above.plot(centres[:, x], centres[:, y], color='0.6', linewidth=3.0, label='truth')
    for estimate in estimates:
        truth = true_poses[estimate.indices]
        errors = trajectory_errors(estimate.map_from_camera, truth)
        aligned = errors.true_from_estimated.apply(estimate.map_from_camera[:, :3, 3])
        label = f'{estimate.method}: {errors.ate_rmse_m:.3f} m'
        (line,) = above.plot(aligned[:, x], aligned[:, y], linewidth=1.0, label=label)
        distance = np.linalg.norm(aligned - truth[:, :3, 3], axis=1)
        error.plot(estimate.indices, distance, color=line.get_color(), linewidth=1.0)
        log_scale = log_scales(estimate, true_depths(estimate, footage))
        percent = 100.0 * (np.exp(log_scale - np.nanmedian(log_scale)) - 1.0)
        scale.plot(estimate.indices, percent, color=line.get_color(), linewidth=0.8)
    above.set(aspect='equal', xlabel='m', ylabel='m', title=footage.name)
    above.legend(fontsize=8)
    error.set(ylabel='position error [m]')
    scale.set(ylabel='scale of depth [%]', xlabel='frame')
    figure.savefig(path)
