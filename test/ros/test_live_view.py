"""The viewer beside a running node: what it shows, when, and that it holds nobody up."""

from collections.abc import Callable, Iterator
import gc

from da3_ros.errors import InputError
from da3_ros.msg import Status
from da3_ros.ros.live_view import LiveView
from da3_ros.ros.view_topics import find_topics, PARTS, SHARED, ViewTopics
from da3_ros.viewer.board import Board
from nav_msgs.msg import Path as PosePath
import numpy as np
from peer import wait_for
import pytest
import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile
from rig import camera_info, image, Rig
from sensor_msgs.msg import Image
from view_listener import BoardListener, pixels

IMAGE, STATUS = 'sensor_msgs/msg/Image', 'da3_ros/msg/Status'


@pytest.fixture
def look() -> Iterator[Callable[[], BoardListener]]:
    """Return a function that starts a viewer, and what its browsers know; ended after the test."""
    views: list[LiveView] = []

    def start(namespace: str | None = None) -> BoardListener:
        board = Board()
        views.append(LiveView(namespace, board))
        views[-1].start()
        return BoardListener(board)

    yield start
    for view in views:
        view.close()


def wait_until_heard(rig: Rig, *cameras: str) -> None:
    """Wait until the node knows that somebody listens to all that a viewer shows."""
    topics = ViewTopics('/', cameras)
    wanted = {topics.part(camera, name) for camera in cameras for name in PARTS}
    wanted |= {f'/{name}' for name in SHARED}
    wait_for(
        lambda: all(
            publisher.get_subscription_count()
            for publisher in rig.node.publishers
            if publisher.topic_name in wanted
        ),
        'the viewer to be known',
    )


def test_before_a_node_runs_the_page_says_so(look: Callable[..., BoardListener]) -> None:
    listener = look('/nobody')
    wait_for(lambda: listener.header('notice'), 'a word')
    assert 'waiting for da3_node' in listener.header('notice')['text']


def test_what_the_node_sends_is_shown(
    make_rig: Callable[..., Rig], look: Callable[..., BoardListener]
) -> None:
    listener = look()
    wait_for(lambda: listener.header('notice'), 'a word')
    rig = make_rig()
    rig.send_info()
    wait_until_heard(rig, '')
    assert listener.header('notice')['text'] == '', 'the wait is over'
    stamps = [rig.send() for _ in range(4)]
    header, buffers = listener.wait_for_stamp(stamps[-1])
    depth, is_point = pixels(header, buffers)
    assert depth.shape == (24, 32) and is_point.mean() > 0.9
    assert depth[20, 10] == pytest.approx(1.0 + 0.1 + 0.4, rel=1e-4)
    wait_for(lambda: listener.clouds() == {f'@{stamps[0]}', f'@{stamps[3]}'}, 'two keyframes')
    wait_for(lambda: listener.header('status')['status']['state'] == 'TRACKING', 'the status')
    assert listener.header('hello')['mode'] == 'live'
    # A reset takes them all away.
    rig.trigger('reset')
    stamp = rig.send()

    def keyframes() -> list[str]:
        return [item['key'] for item in listener.header('keyframes')['items']]

    wait_for(lambda: keyframes() == [f'@{stamp}'], 'a new map')


def test_a_late_viewer_gets_keyframes_and_the_map_at_once(
    make_rig: Callable[..., Rig], look: Callable[..., BoardListener]
) -> None:
    rig = make_rig(parameters={'map_points.period_s': 0.1, 'map_points.voxel_m': 1e-6})
    for _ in range(2):
        rig.send()
    listener = look()
    wait_for(lambda: listener.header('keyframes'), 'the keyframes')
    wait_for(lambda: listener.header('map'), 'the map')
    header, buffers = listener.packets['map', None]
    assert header['count'] > 500
    points = np.frombuffer(buffers['points'], '<f4').reshape(-1, 3)
    assert np.isfinite(points).all() and len(points) == header['count']
    assert listener.clouds() == set(), 'no view was seen'


def test_a_rig_is_shown_camera_by_camera(
    make_rig: Callable[..., Rig], look: Callable[..., BoardListener]
) -> None:
    rig, listener = make_rig(parameters={'cameras': ['front', 'left']}), look()
    for camera in ('front', 'left'):
        rig.send_info(camera_info(), f'{camera}/camera_info')
    wait_until_heard(rig, 'front', 'left')
    for camera in ('front', 'left'):
        stamp = rig.send(image(rig.next_stamp_ns()), f'{camera}/image')
        header, _ = listener.wait_for_stamp(stamp, camera)
        assert header['camera'] == camera


def test_another_node_is_another_scene() -> None:
    """Its topics are listened to, those of the one before no more, and its map is gone."""
    board = Board()
    view, listener = LiveView(None, board), BoardListener(board)
    view.start()
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    nodes = []

    def begin(name: str) -> None:
        node = rclpy.create_node(name)
        nodes.append(node)
        node.create_publisher(Status, f'/{name}/status', 1)
        node.create_publisher(Image, f'/{name}/depth/image_rect', 1)
        node.create_publisher(PosePath, f'/{name}/keyframes', latched).publish(PosePath())

    def heard() -> set[str]:
        return {s.topic_name for s in view._node.subscriptions}

    try:
        begin('one')
        wait_for(lambda: listener.header('keyframes'), 'the keyframes')
        assert '/one/keyframes' in heard()
        nodes.pop().destroy_node()
        gc.collect()
        begin('two')
        wait_for(lambda: '/two/keyframes' in heard(), 'the other node')
        assert not [name for name in heard() if name.startswith('/one/')]
        listener.read()
        assert listener.order.count('hello') == 2, 'a page that is open begins anew'
    finally:
        view.close()
        for node in nodes:
            node.destroy_node()


def test_topics_of_one_node_are_found() -> None:
    types = {
        '/robot/front/depth/image_rect': IMAGE,
        '/robot/status': STATUS,
        '/robot/depth/image_rect': IMAGE,
        '/other/depth/image_rect': IMAGE,
        '/image': IMAGE,
        '/odd/depth/image_rect': 'std_msgs/msg/String',
    }
    topics = find_topics(types, None)
    assert topics == ViewTopics('/robot/', ('', 'front'))
    assert topics.part('front', 'points') == '/robot/front/points'
    assert topics.part('', 'points') == '/robot/points'
    assert find_topics(types, 'other') == ViewTopics('/other/', ('',))
    assert find_topics({'/image': IMAGE}, None) is None
    assert find_topics({'/status': STATUS}, None) is None


def test_without_status_the_namespace_is_what_cameras_share() -> None:
    one = {'/a/b/depth/image_rect': IMAGE}
    assert find_topics(one, None) == ViewTopics('/a/b/', ('',))
    two = one | {'/a/c/depth/image_rect': IMAGE}
    assert find_topics(two, None) == ViewTopics('/a/', ('b', 'c'))
    root = {'/depth/image_rect': IMAGE, '/left/depth/image_rect': IMAGE}
    assert find_topics(root, None) == ViewTopics('/', ('', 'left'))


def test_several_nodes_need_a_namespace() -> None:
    types = {
        f'/{n}/{t}': k for n in 'ab' for t, k in (('status', STATUS), ('depth/image_rect', IMAGE))
    }
    with pytest.raises(InputError, match='in /a, /b; choose one'):
        find_topics(types, None)
    assert find_topics(types, '/b/') == ViewTopics('/b/', ('',))
