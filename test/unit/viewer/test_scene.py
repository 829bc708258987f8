"""Views, keyframes and status become a scene that is bounded and says where everything is now."""

from collections.abc import Callable

from da3_ros.geometry.transforms import rigid
from da3_ros.viewer import scene as scene_module
from da3_ros.viewer.board import Board
from da3_ros.viewer.images import ViewImages
from da3_ros.viewer.scene import key_of, Scene
import numpy as np
from packet_reader import read_packet
import pytest


class Source:
    """A view whose pictures are counted."""

    def __init__(self, images: ViewImages) -> None:
        self.camera, self.stamp_ns = images.camera, images.stamp_ns
        self.map_from_camera = images.map_from_camera
        self._images = images
        self.asked = 0

    def images(self) -> ViewImages:
        """Return the pictures."""
        self.asked += 1
        return self._images


@pytest.fixture
def make_source(make_images: Callable[..., ViewImages]) -> Callable[..., Source]:
    """Return a function that makes a view of a camera, at a place along x."""

    def make(stamp_ns: int, x: float = 0.0, camera: str = '') -> Source:
        pose = rigid(np.eye(3), np.array([x, 0.0, 0.0]))
        return Source(make_images(camera=camera, stamp_ns=stamp_ns, map_from_camera=pose))

    return make


def at(*xs: float) -> np.ndarray:
    """Return poses at places along x."""
    return np.array([rigid(np.eye(3), np.array([x, 0.0, 0.0])) for x in xs]).reshape(-1, 4, 4)


def said(board: Board) -> dict[str, tuple[dict, dict]]:
    """Return what is on the board, by name."""
    found, version = {}, 0
    for name in board.names():
        version, data = board.after(version)
        found[name] = read_packet(data)
    return found


def keyframes(board: Board) -> dict[str, dict]:
    """Return the keyframes on the board, by key."""
    return {item['key']: item for item in said(board)['keyframes'][0]['items']}


def test_a_view_whose_stamp_is_a_keyframe_leaves_its_cloud(make_source) -> None:
    board = Board()
    scene = Scene(board, {'mode': 'live'})
    for i in range(4):
        scene.add_view(make_source(i, float(i)))
    scene.set_keyframes([1], at(1.0))
    packets = said(board)
    assert list(packets)[0] == 'hello'
    header, _ = packets[f'cloud/{key_of("", 1)}']
    assert (header['kind'], header['stamp_s']) == ('cloud', 1e-9)
    assert keyframes(board)['@1']['pose'][3] == 1.0
    assert not any(name.startswith('cloud/@0') for name in packets)


def test_the_list_of_keyframes_may_come_before_its_view(make_source) -> None:
    board = Board()
    scene = Scene(board, {})
    scene.set_keyframes([5], at(0.0))
    assert 'cloud/@5' not in said(board)
    scene.add_view(make_source(5))
    assert 'cloud/@5' in said(board)


def test_pictures_of_views_that_nobody_looks_at_are_not_made(make_source) -> None:
    scene = Scene(Board(), {})
    sources = [make_source(i) for i in range(20)]
    for source in sources:
        scene.add_view(source)
    assert sum(source.asked for source in sources) == 0


def test_keyframes_move_without_their_clouds_being_sent_again(make_source) -> None:
    board = Board()
    scene = Scene(board, {})
    scene.add_view(make_source(1))
    scene.set_keyframes([1], at(0.0))
    version = 0
    while (news := board.after(version)) is not None:
        version = news[0]
    scene.set_keyframes([1], at(7.0))
    header, _ = read_packet(board.after(version)[1])
    assert header['kind'] == 'keyframes' and header['items'][0]['pose'][3] == 7.0
    assert board.after(version + 1) is None


def test_keyframes_that_are_gone_are_forgotten(make_source) -> None:
    board = Board()
    scene = Scene(board, {})
    for i in range(2):
        scene.add_view(make_source(i))
    scene.set_keyframes([0, 1], at(0.0, 1.0))
    scene.set_keyframes([1], at(1.0))
    assert {n for n in board.names() if n.startswith('cloud/')} == {'cloud/@1'}
    scene.set_keyframes([], at())
    assert keyframes(board) == {} and not any(n.startswith('cloud/') for n in board.names())


def test_depth_from_before_a_change_of_scale_is_resized(make_source) -> None:
    board = Board()
    scene = Scene(board, {})
    scene.add_view(make_source(1))
    scene.set_keyframes([1], at(0.0))
    scene.set_status({}, 1, 2.0)
    assert keyframes(board)['@1']['scale'] == 1.0
    scene.add_view(make_source(2))
    scene.set_status({}, 2, 5.0)
    scene.set_keyframes([1, 2], at(0.0, 1.0))
    scene.set_status({}, 2, 5.0)
    assert {key: item['scale'] for key, item in keyframes(board).items()} == {'@1': 2.5, '@2': 1.0}
    scene.set_status({}, 3, float('nan'))
    assert keyframes(board)['@1']['scale'] == 2.5


def test_keyframes_of_one_stamp_go_to_the_cameras_that_stood_there(make_source) -> None:
    board = Board()
    scene = Scene(board, {})
    scene.add_view(make_source(1, 0.0, 'left'))
    scene.add_view(make_source(1, 3.0, 'right'))
    scene.set_keyframes([1, 1], at(3.1, 0.1))
    assert {k: item['pose'][3] for k, item in keyframes(board).items()} == {
        'right@1': 3.1,
        'left@1': 0.1,
    }
    # No camera is given two of them, though one stood nearer to both.
    scene.set_keyframes([1, 1], at(3.1, 2.9))
    assert {k: item['pose'][3] for k, item in keyframes(board).items()} == {
        'right@1': 3.1,
        'left@1': 2.9,
    }
    # Both move, and later one of them is forgotten.
    scene.set_keyframes([1, 1], at(4.0, 1.0))
    scene.set_keyframes([1], at(1.0))
    assert list(keyframes(board)) == ['left@1']


def test_keyframes_from_before_the_viewer_came_are_shown_without_clouds() -> None:
    board = Board()
    scene = Scene(board, {})
    scene.set_keyframes([1, 1, 2], at(0.0, 1.0, 2.0))
    assert len(keyframes(board)) == 3
    assert not any(name.startswith('cloud/') for name in board.names())


def test_the_way_hangs_on_keyframes(make_source) -> None:
    board = Board()
    scene = Scene(board, {})
    scene.add_view(make_source(1, 0.0))
    scene.set_keyframes([1], at(1.0))
    scene.add_view(make_source(2, 1.5))
    header, buffers = said(board)['trail']
    rows = np.frombuffer(buffers['points'], '<f4').reshape(-1, 5)
    anchors = [header['anchors'][int(row[1])] for row in rows]
    assert anchors == ['', '@1'] and rows[:, 2].tolist() == [0.0, 0.5]


def test_the_way_ends_with_its_map(make_source) -> None:
    board = Board()
    scene = Scene(board, {})
    for i in range(3):
        scene.add_view(make_source(i, float(i)))
        scene.set_keyframes([0], at(0.0))
    scene.set_keyframes([7], at(0.0))
    scene.add_view(make_source(7))
    header, buffers = said(board)['trail']
    assert header['anchors'] == ['@7'] and len(buffers['points']) == 20


def test_what_is_kept_is_bounded(make_source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene_module, '_MAX_CLOUDS', 3)
    monkeypatch.setattr(scene_module, '_MAX_TRAIL', 50)
    monkeypatch.setattr(scene_module, '_MAX_KEYFRAME_PIXELS', 100)
    board = Board()
    scene = Scene(board, {})
    for i in range(120):
        scene.add_view(make_source(i, float(i)))
        scene.set_keyframes(list(range(i + 1)), at(*range(i + 1)))
    packets = said(board)
    clouds = [name for name in packets if name.startswith('cloud/')]
    assert clouds == ['cloud/@117', 'cloud/@118', 'cloud/@119']
    assert all(packets[n][0]['width'] * packets[n][0]['height'] <= 100 for n in clouds)
    assert len(packets['trail'][1]['points']) <= 50 * 20
    assert len(keyframes(board)) == 120


def test_a_large_map_is_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene_module, '_MAX_MAP_POINTS', 500)
    board = Board()
    scene = Scene(board, {})
    points = np.random.default_rng(0).uniform(-1, 1, (5000, 3)).astype(np.float32)
    points[:, 2] = 0.0
    scene.set_map(points, np.full((5000, 3), 200, np.uint8))
    header, buffers = said(board)['map']
    assert 100 < header['count'] <= 500
    read = np.frombuffer(buffers['points'], '<f4').reshape(-1, 3)
    assert len(read) == header['count'] and np.abs(read).max() <= 1.0
    colours = np.frombuffer(buffers['colours'], np.uint8).reshape(-1, 4)
    assert (colours == (200, 200, 200, 255)).all()


def test_clear_begins_anew_with_hello(make_source) -> None:
    board = Board()
    scene = Scene(board, {'mode': 'recorded', 'title': 'bag'})
    scene.add_view(make_source(1))
    scene.set_keyframes([1], at(0.0))
    scene.clear()
    assert list(said(board)) == ['hello']
    assert said(board)['hello'][0]['title'] == 'bag'
    scene.set_keyframes([1], at(0.0))
    assert 'cloud/@1' not in board.names(), 'views from before are forgotten too'
