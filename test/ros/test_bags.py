"""Bags in and out: every kind that ``da3 infer`` reads, what they keep, and the player's clock."""

from pathlib import Path
from types import SimpleNamespace

import cv2
from da3_ros.engine import Frame
from da3_ros.errors import FrameError, InputError
from da3_ros.ros.bag import BagReader, BagWriter, write_bag
from da3_ros.ros.camera_bag import BagCamera, write_camera_bag
from da3_ros.ros.convert import byte_array, header_at, intrinsics_to_info, stamp_ns
from da3_ros.ros.player import BagPlayer
from da3_ros.ros.recorder import BagRecorder
from da3_ros.ros.replay import Replay
from da3_ros.tools.main import main
import numpy as np
from peer import Peer, wait_for
import pytest
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

K = np.array([[80.0, 0.0, 41.5], [0.0, 81.0, 27.5], [0.0, 0.0, 1.0]])
START_NS = 1_700_000_000 * 10**9
PERIOD_NS = 100_000_000


def picture(i: int) -> np.ndarray:
    """Return an RGB image (56, 84, 3) that is bluer on the right and moves with ``i``."""
    rng = np.random.default_rng(0)
    rgb = cv2.resize(rng.integers(0, 200, (7, 20, 3), dtype=np.uint8), (168, 56))
    rgb[:, 84:, 2] = 255
    return np.ascontiguousarray(rgb[:, 4 * i : 4 * i + 84])


def frames(count: int = 3) -> list[Frame]:
    return [Frame('', START_NS + i * PERIOD_NS, picture(i), K, np.eye(4)) for i in range(count)]


def compressed_messages():
    for i in range(3):
        header = header_at(START_NS + i * PERIOD_NS, 'lens')
        stamp = stamp_ns(header)
        _, png = cv2.imencode('.png', cv2.cvtColor(picture(i), cv2.COLOR_RGB2BGR))
        yield (
            '/cam/image/compressed',
            stamp,
            CompressedImage(header=header, format='png', data=byte_array(png)),
        )
        yield '/cam/camera_info', stamp, intrinsics_to_info(K, (84, 56), header)


def rewritten(source: Path, target: Path, plugin: StoragePlugin) -> None:
    """Copy a bag with rosbags alone, into another storage."""
    store = get_typestore(Stores.ROS2_JAZZY)
    with BagReader(source) as reader, Writer(target, version=8, storage_plugin=plugin) as writer:
        connections = {
            topic: writer.add_connection(topic, name, typestore=store)
            for topic, name in reader.topics.items()
        }
        for raw in reader.messages():
            writer.write(connections[raw.topic], raw.stamp_ns, raw.data)


@pytest.mark.parametrize('kind', ['mcap', 'mcap file', 'sqlite3', 'compressed'])
def test_frames_of_a_bag_are_those_that_went_in(kind, tmp_path):
    path = tmp_path / 'bag'
    if kind == 'compressed':
        write_bag(path, compressed_messages())
    else:
        write_camera_bag(path, frames(), 'lens')
    if kind == 'sqlite3':
        path = tmp_path / 'bag3'
        rewritten(tmp_path / 'bag', path, StoragePlugin.SQLITE3)
    if kind == 'mcap file':
        path = next(path.glob('*.mcap'))
    with BagReader(path) as bag:
        camera = BagCamera(bag)
        assert (len(camera), camera.frame_id()) == (3, 'lens')
        read = list(camera.frames())
    for frame, original in zip(read, frames(), strict=True):
        assert frame.stamp_ns == original.stamp_ns
        np.testing.assert_array_equal(frame.rgb, original.rgb)
        np.testing.assert_array_equal(frame.intrinsics, K)


def test_infer_on_a_bag_writes_the_topics_of_the_node(tmp_path, capsys):
    write_camera_bag(tmp_path / 'bag', frames(), 'lens')
    output = tmp_path / 'out'
    sizes = ['--resolution', '84', '--window', '2', '--device', 'cpu']
    assert main(['infer', str(tmp_path / 'bag'), '--output', str(output), *sizes]) == 0
    assert '3 frames in' in capsys.readouterr().out
    with BagReader(output / 'outputs') as bag:
        stamps = {t: [m.stamp_ns for m in bag.messages([t])] for t in bag.topics}
        info = next(bag.messages(['/depth/camera_info'])).message()
        status = list(bag.messages(['/status']))[-1].message()
        tf = next(bag.messages(['/tf'])).message()
    expected = [frame.stamp_ns for frame in frames()]
    per_frame = {'/depth/image_rect', '/depth/camera_info', '/confidence/image_rect', '/points'}
    for topic in per_frame | {'/odometry', '/tf', '/status'}:
        assert stamps[topic] == expected, topic
    assert stamps['/keyframes']
    np.testing.assert_allclose(info.k.reshape(3, 3), K)
    assert (status.frames_processed, status.frames_dropped) == (3, 0)
    assert tf.transforms[0].child_frame_id == 'lens'


def test_a_damaged_image_does_not_stop_the_bag(tmp_path):
    def messages():
        for frame in frames():
            header = header_at(frame.stamp_ns, 'lens')
            data = byte_array(frame.rgb if frame.stamp_ns > START_NS else frame.rgb[:1])
            yield (
                '/image',
                frame.stamp_ns,
                Image(header=header, height=56, width=84, encoding='rgb8', step=252, data=data),
            )

    write_bag(tmp_path / 'bag', messages())
    with BagReader(tmp_path / 'bag') as bag:
        read = list(BagCamera(bag).frames())
    assert isinstance(read[0], FrameError) and read[0].reason == 'frame_data'
    assert [frame.stamp_ns for frame in read[1:]] == [f.stamp_ns for f in frames()[1:]]
    assert read[1].intrinsics is None


def test_choosing_a_topic(tmp_path):
    image = Image(header=header_at(START_NS, 'lens'), height=1, width=1, encoding='rgb8', step=3)
    image.data = byte_array(np.zeros(3, np.uint8))
    topics = ('/left/image', '/right/image', '/left/depth/image_rect')
    write_bag(tmp_path / 'bag', ((topic, START_NS, image) for topic in topics))
    with BagReader(tmp_path / 'bag') as bag:
        with pytest.raises(InputError, match='2 topics with colour images; choose one'):
            BagCamera(bag)
        assert BagCamera(bag, 'right/image').topic == '/right/image'
        with pytest.raises(InputError, match="no image topic '/middle'.*: /left/depth/image_rect"):
            BagCamera(bag, '/middle')


def test_a_bag_survives_what_interrupts_it(tmp_path):
    with pytest.raises(KeyboardInterrupt), BagWriter(tmp_path / 'bag') as writer:
        writer.write('/image', START_NS, Image())
        raise KeyboardInterrupt
    with BagReader(tmp_path / 'bag') as bag:
        assert bag.count() == 1
    with pytest.raises(InputError, match='exists already'):
        BagWriter(tmp_path / 'bag')


def test_what_is_no_bag(tmp_path):
    (tmp_path / 'bag.mcap').write_bytes(b'no bag')
    with pytest.raises(InputError, match='is not a rosbag2 that can be read'):
        BagReader(tmp_path / 'bag.mcap')


@pytest.fixture
def played(tmp_path):
    """Return how a bag was played, twice as fast: the stamp of each image, and the clock then."""
    write_camera_bag(tmp_path / 'bag', frames(6), 'lens')
    sender, listener = rclpy.create_node('sender'), Peer('listener')
    images, ticks = [], []  # (when it was published, its time), both in nanoseconds

    def hear(message: Image, info: dict) -> None:
        images.append((info['source_timestamp'], stamp_ns(message.header)))

    def tick(message: Clock, info: dict) -> None:
        clock_ns = message.clock.sec * 10**9 + message.clock.nanosec
        ticks.append((info['source_timestamp'], clock_ns))

    listener.create_subscription(Image, '/renamed', hear, 10)
    listener.create_subscription(Clock, '/clock', tick, 10_000)
    with BagReader(tmp_path / 'bag') as bag:
        player = BagPlayer(sender, bag, ['/image'], {'/image': '/renamed'}, rate=2.0)
        wait_for(player.is_heard, 'somebody to listen')
        player.start()
        wait_for(lambda: player.is_done() and len(images) == 6, 'all images')
        last = START_NS + 5 * PERIOD_NS
        wait_for(lambda: ticks[-1][1] > last, 'the clock to go on after the end')
        player.close()
    sender.destroy_node()
    listener.destroy_node()
    return [(stamp, max(c for at, c in ticks if at <= sent)) for sent, stamp in images]


def test_player_keeps_order_names_and_time(played):
    expected = [START_NS + i * PERIOD_NS for i in range(6)]
    assert [stamp for stamp, _ in played] == expected
    # The clock announces each, in whatever order the two topics reach a listener.
    assert [clock for _, clock in played] == expected


def test_player_and_node_lose_nothing_that_is_played_early(tmp_path, monkeypatch):
    """Both are reliable, also for a bag of best-effort topics, unless the user says otherwise."""
    best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    with BagWriter(tmp_path / 'bag') as writer:
        writer.add_topic('/image', 'sensor_msgs/msg/Image', best_effort)
        writer.write('/image', START_NS, Image())
    node = rclpy.create_node('sender')
    with BagReader(tmp_path / 'bag') as bag:
        assert bag.qos('/image').reliability == ReliabilityPolicy.BEST_EFFORT
        player = BagPlayer(node, bag, ['/image'])
        (found,) = node.get_publishers_info_by_topic('/image')
        assert found.qos_profile.reliability == ReliabilityPolicy.RELIABLE
        player.close()
    node.destroy_node()

    given = []

    def no_process(parameters, domain_id, log):
        given.append(parameters)
        raise InputError('not now')

    monkeypatch.setattr('da3_ros.ros.replay.NodeProcess', no_process)
    for name, parameters in (('a', {}), ('b', {'qos.input_reliability': 'best_effort'})):
        replay = Replay(tmp_path / 'bag', tmp_path / name, tmp_path / 'log', parameters=parameters)
        with pytest.raises(InputError, match='not now'):
            replay.run()
    assert [p['qos.input_reliability'] for p in given] == ['reliable', 'best_effort']


def test_player_refuses_what_it_cannot_play(tmp_path):
    write_camera_bag(tmp_path / 'bag', frames(1), 'lens')
    node = rclpy.create_node('sender')
    with BagReader(tmp_path / 'bag') as bag:
        with pytest.raises(InputError, match='no topic /nothing; it has /camera_info'):
            BagPlayer(node, bag, ['/nothing'])
        with pytest.raises(InputError, match='rate is 0'):
            BagPlayer(node, bag, ['/image'], rate=0.0)
    node.destroy_node()


class Discovery:
    """What a recorder asks of a node: who publishes by now, and which subscriptions it makes."""

    def __init__(self) -> None:
        self.published: set[str] = set()
        self.subscribed: list[str] = []

    def get_publishers_info_by_topic(self, topic: str) -> list[SimpleNamespace]:
        found = SimpleNamespace(qos_profile=QoSProfile(depth=1))
        return [found] if topic in self.published else []

    def create_subscription(self, kind: type, topic: str, *_: object, **__: object) -> object:
        self.subscribed.append(topic)
        return object()


def test_the_recorder_subscribes_to_its_last_topic_after_all_others(tmp_path):
    node = Discovery()
    types = dict.fromkeys(('/b', '/a', '/last'), 'sensor_msgs/msg/Image')
    with BagWriter(tmp_path / 'bag') as writer:
        recorder = BagRecorder(node, writer, types)
        node.published = {'/last', '/b'}
        assert not recorder.subscribe() and node.subscribed == ['/b']
        node.published.add('/a')
        assert recorder.subscribe() and node.subscribed == ['/b', '/a', '/last']
        assert recorder.subscribe() and len(node.subscribed) == 3
