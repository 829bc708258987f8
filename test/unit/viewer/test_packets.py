"""Packets say what was put into them, here and in the page's own JavaScript."""

from collections.abc import Callable
import json
from pathlib import Path
import shutil
import subprocess

import cv2
from da3_ros.viewer.images import CONFIDENCE_HIGH, ViewImages
from da3_ros.viewer.packets import encode
import numpy as np
from packet_reader import depth_of, read_packet
import pytest

PAGE = Path(__file__).parents[3] / 'da3_ros/viewer/page'
NODE = shutil.which('node')
needs_node = pytest.mark.skipif(NODE is None, reason='Node.js is not installed')


def test_a_packet_holds_header_and_buffers() -> None:
    values = np.array([1.5, -2.0], '>f4')
    data = encode('kind', {'name': 'ä', 'pose': np.eye(2)}, {'a': b'xyz', 'b': values})
    header, buffers = read_packet(data)
    assert header == {'kind': 'kind', 'name': 'ä', 'pose': [[1, 0], [0, 1]]}
    assert buffers['a'] == b'xyz'
    assert np.frombuffer(buffers['b'], '<f4').tolist() == [1.5, -2.0]


def test_buffers_lie_where_typed_arrays_may_begin() -> None:
    for name in ('a', 'ab', 'abc', 'abcd'):
        data = encode('kind', {name: 1}, {'odd': b'12345', 'floats': np.zeros(3, np.float32)})
        size = int.from_bytes(data[:4], 'little')
        offsets = [at for at, _ in json.loads(data[4 : 4 + size])['buffers'].values()]
        assert (4 + size) % 8 == 0 and not any(at % 8 for at in offsets)


def test_what_json_does_not_know_becomes_null() -> None:
    values = {'a': float('nan'), 'b': [1.0, np.inf], 'c': np.float32('nan'), 'd': {'e': -np.inf}}
    header, _ = read_packet(encode('kind', values))
    assert header == {'kind': 'kind', 'a': None, 'b': [1.0, None], 'c': None, 'd': {'e': None}}


def test_depth_is_kept_to_a_part_in_ten_thousand(make_images: Callable[..., ViewImages]) -> None:
    images = make_images()
    depth, is_point = depth_of(*read_packet(images.packet('view', 'key')))
    np.testing.assert_allclose(depth, images.depth_m, rtol=1e-4)
    assert (is_point == images.is_point).all()


def test_the_nearest_depth_stays_valid(make_images: Callable[..., ViewImages]) -> None:
    depth = np.full((24, 32), 100.0, np.float32)
    depth[0, 0], depth[1, 1], depth[2, 2] = 1e-6, 0.0, np.inf
    images = make_images(depth_m=depth, is_point=np.ones((24, 32), bool))
    read, is_point = depth_of(*read_packet(images.packet('view', 'key')))
    assert read[0, 0] > 0 and is_point[0, 0]
    for place in ((1, 1), (2, 2)):
        assert np.isnan(read[place]) and not is_point[place]


def test_a_view_without_a_point_is_a_packet_too(make_images: Callable[..., ViewImages]) -> None:
    nothing = np.full((24, 32), np.nan, np.float32)
    header, buffers = read_packet(
        make_images(depth_m=nothing, rgb=None, confidence=None, map_from_camera=None).packet(
            'view', 'key'
        )
    )
    assert set(buffers) == {'depth'} and not any(buffers['depth'])
    assert header['pose'] is None


def test_confidence_is_kept_to_two_percent(make_images: Callable[..., ViewImages]) -> None:
    confidence = np.geomspace(1.0, CONFIDENCE_HIGH, 24 * 32).reshape(24, 32).astype(np.float32)
    _, buffers = read_packet(make_images(confidence=confidence).packet('view', 'key'))
    steps = np.frombuffer(buffers['confidence'], np.uint8).reshape(24, 32)
    read = CONFIDENCE_HIGH ** (steps / 255.0)
    np.testing.assert_allclose(read, confidence, rtol=0.02)


def test_colours_are_a_picture(make_images: Callable[..., ViewImages]) -> None:
    images = make_images()
    _, buffers = read_packet(images.packet('view', 'key'))
    picture = cv2.imdecode(np.frombuffer(buffers['jpeg'], np.uint8), cv2.IMREAD_COLOR)
    error = np.abs(picture[..., ::-1].astype(int) - images.rgb).mean()
    assert error < 6  # not with red and blue exchanged


def test_a_thinned_view_has_the_same_points(make_images: Callable[..., ViewImages]) -> None:
    images = make_images()
    thin = images.thinned(100)
    assert thin.depth_m.size <= 100
    stride = 3
    for v, u in ((2, 4), (5, 7)):
        z = images.depth_m[stride * v, stride * u]
        assert thin.depth_m[v, u] == z
        full = np.linalg.inv(images.intrinsics) @ [stride * u, stride * v, 1.0]
        np.testing.assert_allclose(np.linalg.inv(thin.intrinsics) @ [u, v, 1.0], full)
    assert images.thinned(24 * 32) is images


@needs_node
def test_the_page_reads_what_is_written(
    make_images: Callable[..., ViewImages], tmp_path: Path
) -> None:
    images = make_images()
    (tmp_path / 'packet').write_bytes(images.packet('view', 'front@1'))
    script = f"""
        import {{ readFileSync }} from 'node:fs';
        import {{ as16, confidenceOf, decode, depthOf }} from '{(PAGE / 'packets.mjs').as_uri()}';
        const bytes = readFileSync('packet');
        const view = decode(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
        const depth = [...as16(view.buffers.depth)];
        console.log(JSON.stringify({{
          key: view.key, pose: view.pose, k: view.k,
          depth: depth.map((value) => depthOf(value, view.depth_unit)),
          isPoint: depth.map((value) => Boolean(value & 1)),
          confidence: [...view.buffers.confidence].map(confidenceOf),
          jpeg: view.buffers.jpeg.length,
        }}));"""
    (tmp_path / 'read.mjs').write_text(script)
    done = subprocess.run([NODE, 'read.mjs'], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    assert read['key'] == 'front@1' and read['k'] == [30.0, 31.0, 15.5, 11.5]
    assert read['pose'] == np.eye(4).ravel().tolist()
    expected = np.nan_to_num(images.depth_m).ravel()
    np.testing.assert_allclose(read['depth'], expected, rtol=1e-4)
    assert read['isPoint'] == images.is_point.ravel().tolist()
    np.testing.assert_allclose(read['confidence'], images.confidence.ravel(), rtol=0.02)
    assert read['jpeg'] > 100


@needs_node
def test_the_logic_of_the_page() -> None:
    tests = sorted(str(path) for path in Path(__file__).parent.glob('*.test.mjs'))
    assert tests
    done = subprocess.run([NODE, '--test', *tests], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
