"""The report is one file that fetches nothing, holds what it says, and stays small."""

import base64
from collections.abc import Callable
import gzip
from html.parser import HTMLParser
import json
from pathlib import Path
import re
import struct
from xml.etree import ElementTree

from da3_ros.config import NodeConfig
from da3_ros.tools.html_report import Column, Report
from da3_ros.tools.report_scene import scene_text, SceneKeyframe
from da3_ros.tools.svg_plot import histogram, line_plot, ticks, way_plot
from da3_ros.viewer.images import ViewImages
import numpy as np
import pytest

MEGABYTE = 1_000_000


def images(height: int, width: int, seed: int = 0) -> ViewImages:
    """Return a view that compresses badly: depth and colours of noise."""
    rng = np.random.default_rng(seed)
    depth = rng.uniform(1, 5, (height, width)).astype(np.float32)
    return ViewImages(
        camera='',
        stamp_ns=seed,
        depth_m=depth,
        is_point=np.ones(depth.shape, bool),
        confidence=rng.uniform(1, 9, depth.shape).astype(np.float32),
        rgb=rng.integers(0, 256, (*depth.shape, 3), dtype=np.uint8),
        intrinsics=np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1.0]]),
        map_from_camera=None,
    )


def packets(text: str) -> list[dict]:
    """Return the headers of the packets in a scene."""
    data, found = gzip.decompress(base64.b64decode(text)), []
    while data:
        (size,) = struct.unpack('<Q', data[:8])
        packet, data = data[8 : 8 + size], data[8 + size :]
        length = int.from_bytes(packet[:4], 'little')
        found.append(json.loads(packet[4 : 4 + length]))
    return found


@pytest.fixture
def make_report(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes a report and returns its text."""

    def make(**changes) -> str:
        depth = np.linspace(1, 5, 24 * 32).reshape(24, 32).astype(np.float32)
        depth[0, 0] = np.nan
        fields = {
            'title': 'a <run>',
            'subtitle': 'of & something',
            'tiles': [('frames', '2 of 2', '0 dropped')],
            'seconds': [0.0, 0.5],
            'columns': [
                Column('image', [np.full((24, 32, 3), 99, np.uint8)] * 2),
                Column('depth', [depth] * 2, 'log', 'm'),
            ],
            'scene': scene_text([SceneKeyframe(images(24, 32), np.eye(4))], {}),
            'config': NodeConfig(),
            'latency_ms': np.array([10.0, 20.0, 30.0]),
            'latency_name': 'of it all',
        }
        path = tmp_path / 'report.html'
        Report(**(fields | changes)).write(path)
        return path.read_text()

    return make


class Tags(HTMLParser):
    """Collects what a page refers to, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.words = ''
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        """Keep what would be fetched."""
        fetched = ('src', 'href', 'srcset')
        self.references += [value for name, value in attributes if name in fetched]

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.words += data


def test_nothing_is_fetched_and_the_policy_sees_to_it(make_report) -> None:
    html = make_report()
    tags = Tags(html)
    assert len(tags.references) == 1 + 4  # the icon and four pictures
    assert all(reference.startswith('data:') for reference in tags.references)
    assert not re.search(r'https?://|url\(|@import|\bimport[ (]', html)
    assert "content=\"default-src 'none'" in html and 'connect-src' not in html
    assert not re.search(r'@[A-Z]+@', html)


def test_what_it_says_is_there_and_is_text(make_report) -> None:
    facts = {'model': 'embedded', 'licence of its weights': 'Apache-2.0'}
    html = make_report(
        notice='untrained!',
        facts=facts,
        config=NodeConfig(cameras=('front',), resolution=224),
        depth_error=(np.array([0.0, 1.0]), np.array([0.1, 0.2])),
        scale=(np.array([0.0, 1.0]), np.array([1.5, 1.6])),
        ways={'truth': np.eye(2), 'estimated': np.eye(2) + 0.1},
    )
    words = Tags(html).words
    for word in ('a <run>', 'of & something', '2 of 2', 'untrained!', 'Apache-2.0', 'resolution'):
        assert word in words, word
    for word in ('224', 'front', 'da3_ros', 'torch', 'Python', 'numpy', 'window.size'):
        assert word in words, word
    for title in ('Latency: of it all', 'Scale of the map over time', 'from above', 'Depth error'):
        assert title in words, title
    assert html.count('<svg') == 4
    assert '<run>' not in html


def test_what_is_not_known_has_no_plot(make_report) -> None:
    html = make_report(latency_ms=np.empty(0))
    assert '<svg' not in html and 'Depth error' not in Tags(html).words


def test_a_run_without_a_frame_is_a_report_too(make_report) -> None:
    columns = [Column('image', []), Column('depth', [], 'log', 'm')]
    html = make_report(seconds=[], columns=columns, scene=scene_text([], {}))
    assert '<img' not in html and 'a &lt;run&gt;' in html


def test_a_long_run_stays_below_ten_megabytes(make_report) -> None:
    """Noise at full size in each of 300 keyframes: nothing compresses worse."""
    keyframe = SceneKeyframe(images(280, 504), np.eye(4))
    scene = scene_text([keyframe] * 300, {'camera': np.zeros((100_000, 3))})
    picture = images(1080, 1920)
    columns = [
        Column('image', [picture.rgb] * 6),
        *(Column(name, [picture.depth_m] * 6) for name in ('a', 'b', 'c', 'd')),
    ]
    html = make_report(scene=scene, columns=columns, seconds=np.arange(6.0).tolist())
    assert 2 * MEGABYTE < len(html) < 10 * MEGABYTE
    assert len([p for p in packets(scene) if p['kind'] == 'cloud']) == 120


def test_a_scene_holds_keyframes_where_they_ended() -> None:
    pose = np.eye(4)
    pose[0, 3] = 7.0
    ways = {'camera': np.ones((4, 3)), 'truth': np.ones((3, 3))}
    text = scene_text([SceneKeyframe(images(24, 32), pose, 2.0)], ways)
    hello, cloud, keyframes, trail = packets(text)
    assert [p['kind'] for p in (hello, cloud, keyframes, trail)] == [
        'hello',
        'cloud',
        'keyframes',
        'trail',
    ]
    (item,) = keyframes['items']
    assert item['key'] == cloud['key'] and item['pose'][3] == 7.0 and item['scale'] == 2.0
    assert trail['cameras'] == ['camera', 'truth'] and trail['buffers']['points'][1] == 7 * 5 * 4


def test_the_same_run_gives_the_same_scene() -> None:
    texts = {scene_text([SceneKeyframe(images(24, 32), np.eye(4))], {}) for _ in range(2)}
    assert len(texts) == 1


@pytest.mark.parametrize(
    ('low', 'high', 'expected'),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-3.0, 12.0, [-2.0, 0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0]),
        (1e-4, 3e-4, [1e-4, 1.5e-4, 2e-4, 2.5e-4, 3e-4]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def points_of(svg: str) -> list[list[tuple[float, float]]]:
    """Return the points of the lines of a plot."""
    root = ElementTree.fromstring(svg[svg.index('<svg') :])
    paths = [path.get('d') for path in root.iter('path')]
    return [[tuple(map(float, at.split())) for at in re.split('[ML]', path)[1:]] for path in paths]


def test_lines_run_as_their_numbers_do() -> None:
    x, y = np.arange(5.0), np.array([1.0, 2.0, np.nan, 8.0, 4.0])
    svg = line_plot({'a & b': (x, y)}, 'seconds', 'm')
    (points,) = points_of(svg)
    assert len(points) == 4 and svg.count('M') == 2, 'a gap where a number is missing'
    across, along = np.array(points).T
    assert (np.diff(across) > 0).all()
    np.testing.assert_array_equal(np.argsort(-along), np.argsort([1.0, 2.0, 8.0, 4.0]))
    assert (along >= 0).all() and (along <= 250).all()


def test_a_line_of_equal_numbers_is_drawn() -> None:
    (points,) = points_of(line_plot({'a': (np.arange(3.0), np.full(3, 2.0))}, 's', 'm'))
    assert len({along for _, along in points}) == 1


def test_ways_have_one_scale_in_both_directions() -> None:
    square = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]])
    points, other = points_of(way_plot({'a': square, 'b': square + 1.0}, ('x', 'y')))
    corners = np.array(points)
    assert corners[1, 0] - corners[0, 0] == pytest.approx(corners[1, 1] - corners[2, 1], abs=0.2)
    assert len(other) == 4


def test_every_value_is_in_the_histogram() -> None:
    values = np.r_[np.random.default_rng(0).normal(100, 20, 500), np.nan]
    svg = histogram(values, 'ms', {'median': 100.0})
    counts = [int(n) for n in re.findall(r'<title>[^<]*: (\d+)</title>', svg)]
    assert sum(counts) == 500 and 'median 100' in svg
