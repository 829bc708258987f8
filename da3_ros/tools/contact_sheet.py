"""The demo in one picture: what went in, the truth, what came out, and the way the camera took."""

from pathlib import Path

from da3_ros.geometry.cameras import unproject
from da3_ros.ros.recording import Recording
from da3_ros.tools.comparison import Comparison
from da3_ros.tools.evenly import evenly
from da3_ros.tools.film import Film
import matplotlib

matplotlib.use('Agg')

from matplotlib.axes import Axes  # noqa: E402
from matplotlib.colors import LogNorm  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.gridspec import SubplotSpec  # noqa: E402
from matplotlib.image import AxesImage  # noqa: E402
from matplotlib.ticker import MaxNLocator  # noqa: E402
import numpy as np  # noqa: E402

_ROWS = 5
# Half the height of the slice of the scene that the top view shows.
_SLICE_M = 0.8
# What the top view shows of the scene: points so near to the way, and so much around them.
_NEAR_M = 6.0
_MARGIN_M = 0.4
_DEPTH_TICKS = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_DEPTH_COLOURS = 'turbo_r'
_CONFIDENCE_COLOURS = 'magma'
_INK, _FAINT, _TRUE, _ESTIMATED = '#1d2530', '#8a94a3', '#1f77b4', '#e4572e'
_STYLE = {
    'font.family': 'DejaVu Sans',
    'font.size': 9,
    'axes.edgecolor': _FAINT,
    'axes.labelcolor': _INK,
    'text.color': _INK,
    'xtick.color': _FAINT,
    'ytick.color': _FAINT,
}


def write_contact_sheet(
    path: Path, film: Film, recording: Recording, comparison: Comparison, is_trained: bool
) -> None:
    """Draw rows of image, true depth, depth and confidence beside a top view of the trajectory."""
    rows = evenly(len(recording.frames), _ROWS)
    height, width = film.rgb.shape[1:3]
    with matplotlib.rc_context(_STYLE):
        row_height = 2.3 * height / width + 0.12
        figure = Figure(figsize=(15.0, 1.35 + max(3, len(rows)) * row_height), dpi=110)
        outer = figure.add_gridspec(
            1,
            2,
            width_ratios=(9.6, 4.4),
            left=0.045,
            right=0.985,
            top=0.86,
            bottom=0.1,
            wspace=0.1,
        )
        _title(figure, comparison, is_trained)
        _draw_rows(figure, outer[0], rows, film, recording, comparison)
        right = outer[1].subgridspec(2, 1, height_ratios=(2.2, 1.0), hspace=0.32)
        _draw_trajectory(figure.add_subplot(right[0]), film, recording, comparison)
        _draw_latency(figure.add_subplot(right[1]), film, comparison)
        figure.savefig(path)


def _title(figure: Figure, comparison: Comparison, is_trained: bool) -> None:
    """Write what this is, and how good, in two lines."""
    figure.text(0.045, 0.955, 'da3_ros demo', fontsize=18, fontweight='bold', va='center')
    depth, errors = comparison.one_scale, comparison.trajectory
    words = [f'{len(comparison.indices)} frames']
    words.append(f'depth delta1 {depth.delta1:.2f}, AbsRel {depth.abs_rel:.2f} with one scale')
    if errors is not None:
        words.append(f'trajectory {errors.ate_percent:.1f} % of its length')
    if len(comparison.latency_ms):
        words.append(f'{np.median(comparison.latency_ms):.0f} ms from stamp to depth')
    figure.text(0.045, 0.918, '  ·  '.join(words), color=_FAINT, fontsize=10.5, va='center')
    if not is_trained:
        figure.text(
            0.985,
            0.955,
            'untrained, seeded random weights: not a measure of quality',
            color='white',
            ha='right',
            va='center',
            fontsize=10.5,
            bbox={'boxstyle': 'round,pad=0.5', 'facecolor': _ESTIMATED, 'edgecolor': 'none'},
        )


def _draw_rows(
    figure: Figure,
    place: SubplotSpec,
    rows: list[int],
    film: Film,
    recording: Recording,
    comparison: Comparison,
) -> None:
    """Draw one row a frame and a colour scale under each column that needs one."""
    grid = place.subgridspec(
        len(rows) + 1, 4, height_ratios=[1.0] * len(rows) + [0.07], wspace=0.03, hspace=0.05
    )
    true_depth = comparison.true_depth_m[rows]
    near, far = np.nanpercentile(true_depth, (1, 99)) if len(rows) else (1.0, 2.0)
    depth_look = {'cmap': _DEPTH_COLOURS, 'norm': LogNorm(near, max(far, near * 1.01))}
    confidence = [recording.frames[row].confidence for row in rows]
    low, high = np.percentile(confidence, (1, 99)) if rows else (1.0, 2.0)
    confidence_look = {'cmap': _CONFIDENCE_COLOURS, 'vmin': low, 'vmax': max(high, low + 1e-6)}
    for i, row in enumerate(rows):
        estimated = comparison.one_scale.scale * recording.frames[row].depth_m
        index = comparison.indices[row]
        columns = (
            ('image', film.rgb[index], {}),
            ('true depth', comparison.true_depth_m[row], depth_look),
            ('depth (one scale for all)', estimated, depth_look),
            ('confidence', confidence[i], confidence_look),
        )
        for column, (name, values, look) in enumerate(columns):
            axes = figure.add_subplot(grid[i, column])
            shown = axes.imshow(values, interpolation='nearest', aspect='auto', **look)
            _bare(axes)
            if i == 0:
                axes.set_title(name, fontsize=10.5, pad=6)
            if column == 0:
                seconds = (film.stamps_ns[index] - film.stamps_ns[0]) / 1e9
                axes.set_ylabel(f'{seconds:.1f} s', fontsize=9, color=_FAINT)
            if i == len(rows) - 1 and column == 1:
                _colour_scale(figure, shown, grid[len(rows), 1:3], 'metres')
            if i == len(rows) - 1 and column == 3:
                _colour_scale(figure, shown, grid[len(rows), 3], 'confidence, 1 and up')


def _bare(axes: Axes) -> None:
    """Take ticks and frame from a picture; invalid pixels stay a light grey."""
    axes.set_facecolor('#d9dde3')
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _colour_scale(figure: Figure, shown: AxesImage, place: SubplotSpec, label: str) -> None:
    """Draw the scale of a column."""
    bar = figure.colorbar(shown, cax=figure.add_subplot(place), orientation='horizontal')
    bar.outline.set_visible(False)
    bar.set_label(label, color=_FAINT)
    bar.locator = MaxNLocator(4)
    if isinstance(shown.norm, LogNorm):
        ticks = [t for t in _DEPTH_TICKS if shown.norm.vmin <= t <= shown.norm.vmax]
        bar.set_ticks(ticks, labels=[f'{t:g}' for t in ticks])
        bar.ax.minorticks_off()


def _draw_trajectory(axes: Axes, film: Film, recording: Recording, comparison: Comparison) -> None:
    """Draw the true and the aligned way of the camera from above, in a plan of the scene."""
    axes.set_title('from above: the way of the camera', fontsize=10.5, pad=6)
    points, colours = _floor_plan(film)
    axes.scatter(*points.T, s=1.6, c=colours, linewidths=0, alpha=0.8)
    true = film.world_from_camera
    axes.plot(*true[:, :2, 3].T, color=_TRUE, linewidth=2.2, label='true')
    for pose in true[:: max(1, len(true) // 8)]:
        tip = pose[:2, 3] + 0.25 * pose[:2, 2]
        axes.plot(*zip(pose[:2, 3], tip, strict=True), color=_TRUE, linewidth=1, alpha=0.6)
    axes.plot(*true[0, :2, 3], 'o', color=_TRUE, markersize=7, label='start')
    if comparison.trajectory is not None:
        true_from_estimated = comparison.trajectory.true_from_estimated
        poses = np.stack([frame.map_from_camera for frame in recording.frames])
        way = true_from_estimated.apply(poses[:, :3, 3])
        axes.plot(*way[:, :2].T, color=_ESTIMATED, linewidth=1.6, label='estimated, aligned')
        keyframes = true_from_estimated.apply(recording.keyframes[:, :3, 3])
        axes.plot(
            *keyframes[:, :2].T,
            's',
            color=_ESTIMATED,
            markersize=6,
            markerfacecolor='white',
            markeredgewidth=1.5,
            label='keyframes',
        )
    _frame_around(axes, true[:, :2, 3], points)
    axes.set_xlabel('x [m]')
    axes.set_ylabel('y [m]')
    axes.legend(loc='upper left', fontsize=8, framealpha=0.9, edgecolor='none')
    _open_frame(axes)


def _frame_around(axes: Axes, way: np.ndarray, points: np.ndarray) -> None:
    """Show a square around the way (F, 2) and most of the points (N, 2) not far from it."""
    near = points[np.linalg.norm(points - way.mean(0), axis=1) < _NEAR_M]
    seen = np.quantile(near, (0.03, 0.97), axis=0) if len(near) else way
    shown = np.concatenate([way, seen])
    centre = (shown.min(0) + shown.max(0)) / 2
    half = 0.5 * np.ptp(shown, axis=0).max() + _MARGIN_M
    axes.set_xlim(centre[0] - half, centre[0] + half)
    axes.set_ylim(centre[1] - half, centre[1] + half)
    axes.set_aspect('equal', adjustable='box', anchor='N')


def _draw_latency(axes: Axes, film: Film, comparison: Comparison) -> None:
    """Draw how old each image was when its depth arrived, and which images have no depth."""
    seconds = (film.stamps_ns - film.stamps_ns[0]) / 1e9
    width = 0.8 * np.diff(seconds).min()
    processed = seconds[comparison.indices]
    axes.bar(processed, comparison.latency_ms, width, color=_TRUE, alpha=0.85)
    dropped = np.delete(seconds, comparison.indices)
    axes.plot(dropped, np.zeros(len(dropped)), 'x', color=_ESTIMATED, markersize=6, clip_on=False)
    note = f' (x: {len(dropped)} images dropped)' if len(dropped) else ''
    axes.set_title(f'latency, stamp to depth [ms]{note}', fontsize=10.5, pad=6)
    axes.set_xlabel('time [s]')
    axes.set_xlim(seconds[0] - width, seconds[-1] + width)
    _open_frame(axes)


def _open_frame(axes: Axes) -> None:
    """Leave only the left and the lower side of a plot's frame."""
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)


def _floor_plan(film: Film) -> tuple[np.ndarray, np.ndarray]:
    """Return points (N, 2) and colours (N, 3) of the scene at the camera's height, from above."""
    points, colours = [], []
    for i in range(0, len(film), max(1, len(film) // 12)):
        in_camera = unproject(film.depth_m[i], film.intrinsics)[::3, ::3].reshape(-1, 3)
        pose = film.world_from_camera[i]
        in_world = in_camera @ pose[:3, :3].T + pose[:3, 3]
        # What stands in the way of a camera: neither floor nor ceiling.
        is_level = np.abs(in_world[:, 2] - pose[2, 3]) < _SLICE_M
        points.append(in_world[is_level][:, :2])
        colours.append(film.rgb[i, ::3, ::3].reshape(-1, 3)[is_level] / 255.0)
    return np.concatenate(points), np.concatenate(colours)
