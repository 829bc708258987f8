"""Plots as SVG text, to stand in a page: lines over time, a histogram, ways from above."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

COLOURS = ('#1f77b4', '#e4572e', '#2a9d6f', '#8a5fbf')
_WIDTH, _HEIGHT = 460.0, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 8.0, 8.0, 36.0
_TICKS = 5


class _Frame:
    """The area of a plot, from data to the units of the picture."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self._x, self._y = x, y

    def place(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where data lies in the picture."""
        across, along = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        return (
            _LEFT + across * (np.asarray(x, float) - self._x[0]) / (self._x[1] - self._x[0]),
            _TOP + along * (self._y[1] - np.asarray(y, float)) / (self._y[1] - self._y[0]),
        )

    def axes(self, x_label: str, y_label: str) -> str:
        """Return grid lines, numbers and names of both axes."""
        parts = []
        for value in ticks(*self._y):
            (left, right), (height, _) = self.place(np.array(self._x), np.array([value, value]))
            parts.append(_line(left, height, right, height, '#e3e7ed'))
            parts.append(_text(left - 6, height + 4, f'{value:g}', 'end'))
        for value in ticks(*self._x):
            (x, _), (bottom, _) = self.place(np.array([value, value]), np.array([self._y[0]] * 2))
            parts.append(_line(x, bottom, x, bottom + 4, '#c3cad4'))
            parts.append(_text(x, bottom + 16, f'{value:g}', 'middle'))
        parts.append(_text(_WIDTH - _RIGHT, _HEIGHT - 4, x_label, 'end'))
        parts.append(_text(_LEFT, _HEIGHT - 4, y_label, 'start'))
        return ''.join(parts)


def line_plot(
    series: Mapping[str, tuple[np.ndarray, np.ndarray]], x_label: str, y_label: str
) -> str:
    """Return lines through (x, y), each by its name; a point that is not finite is a gap."""
    xs = np.concatenate([np.asarray(x, float) for x, _ in series.values()])
    ys = np.concatenate([np.asarray(y, float) for _, y in series.values()])
    frame = _Frame(_span(xs), _padded(ys))
    parts = [frame.axes(x_label, y_label)]
    for i, (name, (x, y)) in enumerate(series.items()):
        parts.append(_polyline(*frame.place(x, y), COLOURS[i % len(COLOURS)], name))
    return _svg(parts, tuple(series))


def histogram(values: np.ndarray, x_label: str, marks: Mapping[str, float]) -> str:
    """Return how often values fall where, with named values marked."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    counts, edges = np.histogram(values, bins=min(40, max(8, int(np.sqrt(len(values)) * 3))))
    frame = _Frame((edges[0], edges[-1]), (0.0, float(counts.max()) * 1.15))
    parts = [frame.axes(x_label, 'frames')]
    x, tops = frame.place(edges, np.zeros_like(edges))
    _, heights = frame.place(edges[:-1], counts)
    for i, count in enumerate(counts):
        if count:
            parts.append(
                f'<rect x="{x[i] + 0.5:.1f}" y="{heights[i]:.1f}" rx="1.5" '
                f'width="{max(x[i + 1] - x[i] - 1, 1):.1f}" height="{tops[i] - heights[i]:.1f}" '
                f'fill="{COLOURS[0]}"><title>{edges[i]:.1f} to {edges[i + 1]:.1f}: {count}'
                '</title></rect>'
            )
    for name, value in marks.items():
        (at, _), (bottom, top) = frame.place(
            np.array([value, value]), np.array([0.0, float(counts.max()) * 1.1])
        )
        parts.append(_line(at, bottom, at, top, COLOURS[1], 1.5))
        parts.append(_text(at + 4, top + 8, f'{name} {value:.0f}', 'start'))
    return _svg(parts, ())


def way_plot(ways: Mapping[str, np.ndarray], labels: tuple[str, str]) -> str:
    """Return ways (N, 2) on one scale in both directions, each with a dot where it begins."""
    points = np.concatenate(list(ways.values()))
    centre = (points.min(0) + points.max(0)) / 2
    across, along = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    half = 0.55 * np.max(np.ptp(points, axis=0) / (across / along, 1.0)) + 1e-6
    wide = half * across / along
    frame = _Frame((centre[0] - wide, centre[0] + wide), (centre[1] - half, centre[1] + half))
    parts = [frame.axes(*labels)]
    for i, (name, way) in enumerate(ways.items()):
        x, y = frame.place(way[:, 0], way[:, 1])
        colour = COLOURS[i % len(COLOURS)]
        parts.append(_polyline(x, y, colour, name))
        parts.append(f'<circle cx="{x[0]:.1f}" cy="{y[0]:.1f}" r="4" fill="{colour}"/>')
    return _svg(parts, tuple(ways))


def ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two, about five of them."""
    rough = (high - low) / _TICKS
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * min((1, 2, 5, 10), key=lambda n: abs(n * power - rough))
    first = np.ceil(low / step - 1e-9)
    values = step * np.arange(first, np.floor(high / step + 1e-9) + 1)
    return [float(f'{value:.12g}') + 0.0 for value in values]


def _span(values: np.ndarray) -> tuple[float, float]:
    """Return the least and the most of the values that are finite, never the same."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _padded(values: np.ndarray) -> tuple[float, float]:
    """Return a range around values, from zero where that is near."""
    low, high = _span(values)
    pad = 0.08 * (high - low)
    return (0.0 if 0 <= low < 0.6 * high else low - pad), high + pad


def _polyline(x: np.ndarray, y: np.ndarray, colour: str, name: str) -> str:
    """Return a line with a gap wherever a point is missing."""
    words, is_down = [], False
    for px, py in zip(x, y, strict=True):
        if not (np.isfinite(px) and np.isfinite(py)):
            is_down = False
            continue
        words.append(f'{"L" if is_down else "M"}{px:.1f} {py:.1f}')
        is_down = True
    return (
        f'<path d="{"".join(words)}" fill="none" stroke="{colour}" stroke-width="1.8" '
        f'stroke-linejoin="round" stroke-linecap="round"><title>{escape(name)}</title></path>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1.0) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width:g}"/>'
    )


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _svg(parts: Sequence[str], names: Sequence[str]) -> str:
    """Return the picture, under a legend where there is more than one thing in it."""
    legend = ''
    if len(names) > 1:
        keys = (
            f'<span><i style="background:{COLOURS[i % len(COLOURS)]}"></i>{escape(n)}</span>'
            for i, n in enumerate(names)
        )
        legend = f'<div class="legend">{"".join(keys)}</div>'
    return (
        f'{legend}<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img">'
        + ''.join(parts)
        + '</svg>'
    )
