"""One HTML file that says all of a run: nothing in it comes from elsewhere when it is opened."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import metadata
from pathlib import Path
import platform

import cv2
from da3_ros.parameter_tree import Config, leaves
from da3_ros.tools.colours import colours
from da3_ros.tools.options import changed
from da3_ros.tools.svg_plot import histogram, line_plot, way_plot
from da3_ros.tools.version import version
from da3_ros.viewer.images import jpeg
from da3_ros.viewer.page import bundle, filled, REPORT_MODULES, text_of
import numpy as np

_PICTURE_WIDTH = 320
_LIBRARIES = ('torch', 'numpy', 'opencv-python-headless', 'safetensors', 'rclpy')


@dataclass(frozen=True)
class Column:
    """
    Pictures of one kind: (H, W, 3) uint8 colours, or (H, W) numbers drawn on one scale for all.

    ``spacing`` is linear, or log for depth, whose near is warm and whose far is cold; ``unit``
    stands with the two ends of the scale, which are ``limits`` or follow from the numbers.
    """

    name: str
    pictures: Sequence[np.ndarray]
    spacing: str = 'linear'
    unit: str = ''
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Report:
    """
    What a report says.

    ``tiles`` (name, value, more); ``seconds`` of the frames in every column; ``latency_ms`` (N,)
    of all frames; ``ways`` (N, 2) from above by name with ``way_labels`` of the axes;
    ``scale`` and ``depth_error``: seconds (N,) and values (N,), or None; ``scene`` from
    ``report_scene``; ``notice`` a sentence of warning.
    """

    title: str
    subtitle: str
    tiles: Sequence[tuple[str, str, str]]
    seconds: Sequence[float]
    columns: Sequence[Column]
    scene: str
    config: Config
    latency_ms: np.ndarray
    latency_name: str
    ways: Mapping[str, np.ndarray] = field(default_factory=dict)
    way_labels: tuple[str, str] = ('x', 'y')
    scale: tuple[np.ndarray, np.ndarray] | None = None
    depth_error: tuple[np.ndarray, np.ndarray] | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    notice: str = ''

    def write(self, path: Path) -> None:
        """Write the file."""
        notice = f'<p class="warning">{escape(self.notice)}</p>' if self.notice else ''
        text = filled(
            'report.html',
            TITLE=escape(self.title),
            SUBTITLE=escape(self.subtitle),
            NOTICE=notice,
            STYLE=text_of('report.css'),
            TILES='\n'.join(_tile(*tile) for tile in self.tiles),
            COLUMNS=str(len(self.columns)),
            FRAMES='\n'.join(self._frames()),
            PLOTS='\n'.join(self._plots()),
            CONFIGURATION=_configuration(self.config),
            VERSIONS=_table({**self.facts, **versions()}),
            SCENE=self.scene,
            SCRIPT=bundle(REPORT_MODULES),
        )
        path.write_text(text, encoding='utf-8')

    def _frames(self) -> list[str]:
        """Return the cells of the table of pictures."""
        drawn = [_drawn(column) for column in self.columns]
        cells = ['<span></span>', *(f'<b>{escape(name)}</b>' for name, _ in drawn)]
        for row, second in enumerate(self.seconds):
            cells.append(f'<time>{second:.1f} s</time>')
            for (name, pictures), column in zip(drawn, self.columns, strict=True):
                data = base64.b64encode(pictures[row]).decode()
                alt = escape(f'{column.name} at {second:.1f} s')
                cells.append(f'<img alt="{alt}" src="data:image/jpeg;base64,{data}">')
        return cells

    def _plots(self) -> list[str]:
        """Return every plot that there is data for."""
        plots = {}
        if self.ways:
            plots['Way of the camera, from above'] = way_plot(self.ways, self.way_labels)
        if self.depth_error is not None and len(self.depth_error[0]):
            plots['Depth error against the truth (AbsRel, one scale for all)'] = line_plot(
                {'AbsRel': self.depth_error}, 'seconds', 'AbsRel'
            )
        if len(self.latency_ms):
            p50, p95 = np.percentile(self.latency_ms, (50, 95))
            marks = {'median': float(p50), '95 %': float(p95)}
            plots[f'Latency: {self.latency_name}'] = histogram(self.latency_ms, 'ms', marks)
        if self.scale is not None and len(self.scale[0]):
            plots['Scale of the map over time'] = line_plot(
                {'scale': self.scale}, 'seconds', 'published per network unit'
            )
        return [
            f'<div class="plot"><h2>{escape(name)}</h2>{svg}</div>' for name, svg in plots.items()
        ]


def versions() -> dict[str, str]:
    """Return what ran: the libraries and the machine."""
    found = {'da3_ros': version()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {**found, 'Python': platform.python_version(), 'system': platform.platform()}


def _drawn(column: Column) -> tuple[str, list[bytes]]:
    """Return the heading of a column and its pictures as JPEGs."""
    if not column.pictures or column.pictures[0].ndim == 3:
        return column.name, [jpeg(_sized(picture)) for picture in column.pictures]
    is_log = column.spacing == 'log'
    values = [np.log(np.where(p > 0, p, np.nan)) if is_log else p for p in column.pictures]
    known = np.concatenate([v[np.isfinite(v)] for v in values])
    low, high = np.percentile(known, (1, 99)) if len(known) else (0.0, 1.0)
    if column.limits is not None:
        low, high = np.log(column.limits) if is_log else column.limits
    high = max(high, low + 1e-6)
    ends = [float(np.exp(end)) if is_log else float(end) for end in (low, high)]
    heading = f'{column.name}, {ends[0]:.2f} to {ends[1]:.2f} {column.unit}'.rstrip()
    return heading, [jpeg(_coloured(v, low, high, is_log)) for v in values]


def _coloured(values: np.ndarray, low: float, high: float, is_depth: bool) -> np.ndarray:
    """Return numbers (H, W) as colours; what is not known is a light grey."""
    share = np.clip((values - low) / (high - low), 0.0, 1.0)
    share = 1.0 - share if is_depth else share
    rgb = colours(share, cv2.COLORMAP_TURBO if is_depth else cv2.COLORMAP_MAGMA)
    rgb[~np.isfinite(values)] = (217, 221, 227)
    return _sized(rgb)


def _sized(rgb: np.ndarray) -> np.ndarray:
    """Return a picture no wider than the page shows it."""
    height, width = rgb.shape[:2]
    if width <= _PICTURE_WIDTH:
        return rgb
    size = (_PICTURE_WIDTH, max(1, round(height * _PICTURE_WIDTH / width)))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)


def _tile(name: str, value: str, more: str) -> str:
    return (
        f'<div class="tile"><span>{escape(name)}</span><b>{escape(value)}</b>'
        f'<small>{escape(more)}</small></div>'
    )


def _configuration(config: Config) -> str:
    """Return what was set, and all parameters folded away."""
    every = _table({name: str(value) for name, _, value in leaves(config)})
    own = {name: str(value) for name, value in changed(config).items()}
    shown = _table(own) if own else '<p>All parameters have their defaults.</p>'
    return f'{shown}<details><summary>all parameters</summary>{every}</details>'


def _table(rows: Mapping[str, str]) -> str:
    body = (f'<tr><td>{escape(k)}</td><td>{escape(v)}</td></tr>' for k, v in rows.items())
    return f'<table>{"".join(body)}</table>'
