"""A recording in the viewer: what is shown when, for one camera and for rigs; the player."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
import sys

import cv2
from da3_ros.errors import InputError
from da3_ros.ros.bag import BagMessage, BagWriter
from da3_ros.ros.convert import header_at
from da3_ros.ros.recorded_view import FASTEST, RecordedView, SLOWEST
from da3_ros.tools.main import main
from da3_ros.tools.view import bag_in
from da3_ros.viewer.board import Board
from fake_engine import pose
import numpy as np
from peer import wait_for
import pytest
from sensor_msgs.msg import Image
from view_bag import PERIOD_NS, SIZE, write_view_bag
from view_listener import BoardListener, pixels

Play = Callable[..., tuple[RecordedView, BoardListener]]


@pytest.fixture
def play() -> Iterator[Play]:
    """Return a function that plays a bag, fast, and what listens to it; closed after the test."""
    views: list[RecordedView] = []

    def start(path: Path, namespace: str | None = None, **wishes) -> tuple:
        board = Board()
        view = RecordedView(path, namespace, board)
        views.append(view)
        view.command({'speed': FASTEST} | wishes)
        view.start()
        return view, BoardListener(board)

    yield start
    for view in views:
        view.close()


def is_at_end(listener: BoardListener) -> bool:
    """Tell whether all was played."""
    player = listener.header('player')
    return not player['playing'] and player['position_s'] == player['duration_s']


def test_messages_that_cannot_be_read_do_not_stop_it(
    tmp_path: Path, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from a status of another version of the package."""
    stamps = write_view_bag(tmp_path / 'bag')
    read = BagMessage.message

    def halved(raw: BagMessage) -> object:
        data = raw.data if raw.topic != '/status' else raw.data[: len(raw.data) // 2]
        return read(replace(raw, data=data))

    monkeypatch.setattr(BagMessage, 'message', halved)
    view, listener = play(tmp_path / 'bag')
    listener.wait_for_stamp(stamps[-1])
    wait_for(lambda: is_at_end(listener), 'the end')
    assert view.ignored == len(stamps)


def test_a_recording_is_shown_to_its_end(tmp_path: Path, play: Play) -> None:
    stamps = write_view_bag(tmp_path / 'bag')
    _, listener = play(tmp_path / 'bag')
    header, buffers = listener.wait_for_stamp(stamps[-1])
    wait_for(lambda: is_at_end(listener), 'the end')
    depth, is_point = pixels(header, buffers)
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    expected = 1.0 + 0.01 * u + 0.02 * v
    expected[:2, :3] = 0.0
    np.testing.assert_allclose(depth, expected, rtol=1e-4)
    assert is_point.mean() > 0.9 and not is_point[:2, :3].any()
    np.testing.assert_allclose(np.reshape(header['pose'], (4, 4)), pose(7), atol=1e-9)
    picture = cv2.imdecode(np.frombuffer(buffers['jpeg'], np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(picture[..., ::-1].reshape(-1, 3).mean(0) - (10, 120, 240)).max() < 4
    # The fake makes every third image a keyframe.
    assert listener.clouds() == {f'@{stamps[i]}' for i in (0, 3, 6)}
    items = listener.header('keyframes')['items']
    assert [item['key'] for item in items] == [f'@{stamps[i]}' for i in (0, 3, 6)]
    status = listener.header('status')['status']
    assert status['state'] == 'TRACKING' and status['keyframes'] == 3
    assert status['stages'] == {'network': 1.0} and status['scale'] == 2.0
    assert listener.order[0] == 'hello'


def test_a_rig_has_a_view_for_each_camera(tmp_path: Path, play: Play) -> None:
    cameras = ('front', 'side/left')
    stamps = write_view_bag(tmp_path / 'bag', cameras, namespace='/robot/')
    _, listener = play(tmp_path / 'bag')
    for camera in cameras:
        listener.wait_for_stamp(stamps[-1], camera)
    wait_for(lambda: is_at_end(listener), 'the end')
    assert listener.clouds() == {f'{c}@{stamps[i]}' for c in cameras for i in (0, 3, 6)}


def test_one_of_several_nodes_is_chosen_by_its_namespace(tmp_path: Path, play: Play) -> None:
    write_view_bag(tmp_path / 'a', namespace='/a/')
    with pytest.raises(InputError, match='no depth/image_rect in b'):
        RecordedView(tmp_path / 'a', 'b', Board())
    _, listener = play(tmp_path / 'a', '/a')
    wait_for(lambda: listener.header('view', ''), 'a view')


def test_pause_holds_and_seek_shows_that_moment(tmp_path: Path, play: Play) -> None:
    stamps = write_view_bag(tmp_path / 'bag', count=20)
    view, listener = play(tmp_path / 'bag', playing=False)
    wait_for(lambda: listener.header('player'), 'the player')
    player = listener.header('player')
    assert player['duration_s'] == pytest.approx(1.9, abs=1e-6) and not player['playing']

    def seek(index: int, keyframes: int) -> None:
        view.command({'seek': index * PERIOD_NS / 1e9})
        # Of the newest image, the last message tells that it is whole.
        listener.wait_for_stamp(stamps[index])
        wait_for(lambda: len(listener.clouds()) == keyframes, f'{keyframes} keyframes')
        assert listener.header('player')['position_s'] == pytest.approx(index / 10)

    seek(10, 4)
    seek(3, 2)  # backward: what came later is gone
    seek(19, 7)


def test_play_at_the_end_begins_anew(tmp_path: Path, play: Play) -> None:
    stamps = write_view_bag(tmp_path / 'bag', count=4)
    view, listener = play(tmp_path / 'bag')
    wait_for(lambda: is_at_end(listener), 'the end')
    hellos = listener.order.count('hello')
    view.command({'playing': True})
    wait_for(lambda: listener.read().order.count('hello') > hellos, 'the beginning')
    listener.wait_for_stamp(stamps[-1])
    wait_for(lambda: is_at_end(listener), 'the end')


def test_speed_is_kept_within_bounds(tmp_path: Path, play: Play) -> None:
    write_view_bag(tmp_path / 'bag', count=2)
    view, listener = play(tmp_path / 'bag', playing=False)
    for wanted, given in ((1e9, FASTEST), (-3, SLOWEST), (2, 2.0)):
        view.command({'speed': wanted})
        assert listener.header('player')['speed'] == given


@pytest.mark.parametrize(
    'wish', [{'playing': 1}, {'seek': 'x'}, {'seek': True}, {'speed': None, 'seek': []}]
)
def test_nonsense_is_refused(wish: dict, tmp_path: Path, play: Play) -> None:
    write_view_bag(tmp_path / 'bag', count=2)
    view, _ = play(tmp_path / 'bag')
    with pytest.raises(InputError, match='expected'):
        view.command(wish)


def test_messages_that_contradict_themselves_are_left_out(tmp_path: Path, play: Play) -> None:
    with BagWriter(tmp_path / 'bag') as writer:
        for i in range(3):
            bad = Image(header=header_at(10**9 + i, 'o'), width=4, height=4, encoding='32FC1')
            writer.write('/depth/image_rect', 10**9 + i, bad)
    view, listener = play(tmp_path / 'bag')
    wait_for(lambda: is_at_end(listener), 'the end')
    assert listener.header('view', '') is None
    assert view.ignored == 3


def test_a_bag_without_depth_is_a_sentence(tmp_path: Path, capsys) -> None:
    with BagWriter(tmp_path / 'bag') as writer:
        writer.write('/image', 10**9, Image())
    assert main(['view', str(tmp_path / 'bag')]) == 2
    assert 'has no depth/image_rect' in (words := capsys.readouterr().err) and '/image' in words
    assert main(['view', str(tmp_path / 'nothing')]) == 2
    assert 'is not a rosbag2' in capsys.readouterr().err
    assert main(['view', '--port', '65536']) == 2
    assert '--port is 65536' in capsys.readouterr().err


@pytest.mark.parametrize('name', ['output', 'outputs'])
def test_the_folder_of_a_demo_or_of_infer_is_enough(name: str, tmp_path: Path) -> None:
    write_view_bag(tmp_path / name, count=1)
    assert bag_in(tmp_path) == bag_in(tmp_path / name) == tmp_path / name
    assert bag_in(tmp_path / 'other.mcap') == tmp_path / 'other.mcap'


def test_without_websockets_there_is_a_sentence(
    tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'websockets', None)
    monkeypatch.delitem(sys.modules, 'da3_ros.viewer.server', raising=False)
    assert main(['view', str(tmp_path)]) == 2
    assert "pip install 'websockets" in capsys.readouterr().err
