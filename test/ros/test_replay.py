"""``replay``: every image in its order however slow the network is, or the newest and no delay."""

from collections.abc import Callable
import os
from pathlib import Path
import re
import subprocess
import sys
from typing import Any

from da3_ros.msg import Status
from da3_ros.ros.pending import AllSets, CAPACITY, Grouping, NewestSets
from peer import end, Peer, wait_for
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rig import image, Rig
from sensor_msgs.msg import Image

NODE = Path(__file__).parent / 'fake_node.py'
ONE_PROCESS = Path(__file__).parent / 'one_process.py'
FASTDDS = Path(__file__).parents[2] / 'config/fastdds.xml'
COUNT = 200
PUSH_S = 0.02
MILLISECOND_NS = 1_000_000
TWO = Grouping(('front', 'left'), 20 * MILLISECOND_NS, 0.05)
KEEP_ALL = QoSProfile(history=HistoryPolicy.KEEP_ALL, reliability=ReliabilityPolicy.RELIABLE)


def play(rig: Rig, count: int, topic: str = '/image') -> list[int]:
    """Publish images as fast as possible and return their stamps."""
    publisher = rig.peer.create_publisher(Image, topic, KEEP_ALL)
    wait_for(publisher.get_subscription_count, f'a subscription to {topic}')
    stamps = [rig.next_stamp_ns() for _ in range(count)]
    for stamp in stamps:
        publisher.publish(image(stamp))
    return stamps


def watch(rig: Rig) -> list[int]:
    """Return a list that gets how many images wait in the node, at each push."""
    waiting: list[int] = []
    push = rig.engine.push

    def watched(frames: Any) -> Any:
        waiting.append(len(rig.node.worker._inbox._messages))
        return push(frames)

    rig.engine.push = watched
    return waiting


def test_every_frame_is_processed_in_order(make_rig: Callable[..., Rig]) -> None:
    """None is dropped, the node holds a few, and its services answer all the while."""
    rig = make_rig(parameters={'replay': 'every_frame'})
    waiting = watch(rig)
    rig.engine.delay_s = PUSH_S
    rig.engine.gate.clear()
    stamps = play(rig, COUNT)
    wait_for(lambda: rig.counts().frames_received == CAPACITY + 1, 'a full inbox')
    assert rig.state() == 'active'  # answered by the executor that does not fetch images
    assert rig.counts().frames_received == CAPACITY + 1
    rig.engine.gate.set()
    wait_for(lambda: rig.counts().frames_processed == COUNT, 'all images to be processed')
    assert [frame.stamp_ns for frame in rig.engine.frames] == stamps
    assert rig.counts().frames_received == COUNT and not rig.counts().drops
    assert 0 < max(waiting) <= CAPACITY


def test_realtime_goes_on_with_the_newest(make_rig: Callable[..., Rig]) -> None:
    """What was overtaken is counted, and the last image is never among that."""
    rig = make_rig(parameters={'qos.input_reliability': 'reliable'})
    rig.engine.gate.clear()
    rig.publish(image(rig.next_stamp_ns()), 'image')
    wait_for(lambda: rig.engine.is_pushing, 'the first image to be in the network')
    for count in range(2, COUNT + 1):
        stamp = rig.next_stamp_ns()
        rig.publish(image(stamp), 'image')
        wait_for(lambda count=count: rig.counts().frames_received == count, 'the image')
    rig.engine.gate.set()
    wait_for(lambda: rig.counts().frames_processed == 2, 'the newest image to be processed')
    assert rig.engine.frames[-1].stamp_ns == stamp
    assert rig.counts().drops == {'frame_superseded': COUNT - 2}


def test_a_full_inbox_holds_up_its_own_camera_alone(make_rig: Callable[..., Rig]) -> None:
    """The other camera's images still come in, and all are processed in their order."""
    rig = make_rig(parameters={'replay': 'every_frame', 'cameras': ['front', 'left']})
    rig.engine.gate.clear()
    front = play(rig, 3 * CAPACITY, '/front/image')
    wait_for(lambda: not rig.node.worker.has_room('front'), 'a full inbox')
    left = play(rig, 2, '/left/image')
    wait_for(lambda: rig.counts().frames_received == CAPACITY + 3, "the other camera's images")
    rig.engine.gate.set()
    total = len(front) + len(left)
    wait_for(lambda: rig.counts().frames_processed == total, 'all images to be processed')
    for name, stamps in (('front', front), ('left', left)):
        assert [f.stamp_ns for f in rig.engine.frames if f.camera == name] == stamps
    assert not rig.counts().drops


def test_deactivate_gives_up_what_waits_and_activate_starts_afresh(
    make_rig: Callable[..., Rig],
) -> None:
    """A full inbox stays closed no longer than the images in it."""
    rig = make_rig(parameters={'replay': 'every_frame'})
    rig.engine.gate.clear()
    play(rig, 2 * CAPACITY)
    wait_for(lambda: rig.counts().frames_received == CAPACITY + 1, 'a full inbox')
    assert rig.node.trigger_deactivate().name == 'SUCCESS'
    assert rig.counts().drops == {'frame_deactivated': CAPACITY}
    rig.engine.gate.set()
    assert rig.node.trigger_activate().name == 'SUCCESS'
    stamps = play(rig, 2 * CAPACITY)
    wait_for(
        lambda: rig.engine.frames and rig.engine.frames[-1].stamp_ns == stamps[-1], 'the last'
    )
    assert [f.stamp_ns for f in rig.engine.frames][-len(stamps) :] == stamps


def test_cameras_go_together_by_their_stamps() -> None:
    """Whoever waited longest goes first, with the others' images of that moment."""
    messages = AllSets(TWO)
    stamps = {'front': (0, 33, 66, 100), 'left': (2, 101)}
    for camera, all_ms in stamps.items():
        for ms in all_ms:
            assert messages.put(camera, image(ms * MILLISECOND_NS)) == 0
    taken = []
    while messages:
        taken.append(
            {
                n: m.header.stamp.nanosec // MILLISECOND_NS
                for n, m in messages.take().messages.items()
            }
        )
    assert taken == [
        {'front': 0, 'left': 2},
        {'front': 33},
        {'front': 66},
        {'front': 100, 'left': 101},
    ]
    assert not messages.take().messages


def test_a_bag_that_loops_keeps_the_order_of_arrival() -> None:
    """Stamps that go back do not overtake those before."""
    messages = AllSets(TWO)
    for camera, ms in (('front', 900), ('left', 900), ('front', 0), ('left', 0)):
        messages.put(camera, image(ms * MILLISECOND_NS))
    taken = [messages.take().messages, messages.take().messages]
    assert [set(t) for t in taken] == [{'front', 'left'}] * 2
    assert [t['left'].header.stamp.nanosec for t in taken] == [900 * MILLISECOND_NS, 0]


def test_the_newest_message_takes_the_place_of_an_older_one() -> None:
    """One a camera, and there is always room."""
    messages = NewestSets(TWO)
    sent = [('front', 0), ('left', 0), ('front', 100), ('left', 100)]
    lost = [messages.put(name, image(ms * MILLISECOND_NS)) for name, ms in sent]
    assert lost == [0, 0, 0, 2]
    assert messages.has_room('front') and len(messages) == 2
    assert messages.clear() == 2 and not messages


def bounded_profiles(tmp_path: Path, with_library_settings: bool = False) -> dict[str, str]:
    """Return an environment with the bound, and settings, that config/fastdds.xml speaks of."""
    text = FASTDDS.read_text()
    (reader,) = re.findall(r'<data_reader.*</data_reader>', text, re.DOTALL)
    (settings,) = re.findall(r'<library_settings>.*</library_settings>', text, re.DOTALL)
    bounded = text.replace('</profiles>', f'{reader}</profiles>')
    if with_library_settings:
        bounded = bounded.replace('<profiles>', f'{settings}<profiles>')
    profiles = tmp_path / 'fastdds.xml'
    profiles.write_text(bounded)
    return os.environ | {'FASTDDS_DEFAULT_PROFILES_FILE': str(profiles)}


def test_a_publisher_waits_where_the_middleware_is_bounded(tmp_path: Path) -> None:
    """The profile in config/fastdds.xml: the node's process holds 32 images more, and gets all."""
    command = [sys.executable, str(NODE), '0.002', '--ros-args', '-p', 'replay:=every_frame']
    peer, heard = Peer(), []
    process = subprocess.Popen(command, env=bounded_profiles(tmp_path), stderr=subprocess.DEVNULL)
    try:
        peer.create_subscription(Status, '/status', heard.append, KEEP_ALL)
        publisher = peer.create_publisher(Image, '/image', KEEP_ALL)
        wait_for(publisher.get_subscription_count, 'the node to listen')
        for index in range(COUNT):
            publisher.publish(image(index * MILLISECOND_NS))
        wait_for(lambda: heard and heard[-1].frames_processed == COUNT, 'all images')
        assert heard[-1].frames_received == COUNT and heard[-1].frames_dropped == 0
    finally:
        end(process)
        peer.destroy_node()


def test_a_publisher_in_the_process_of_the_node_loses_nothing_either(tmp_path: Path) -> None:
    """With the settings of the same file, for more images than the middleware holds."""
    command = [sys.executable, str(ONE_PROCESS), str(COUNT)]
    environment = bounded_profiles(tmp_path, with_library_settings=True)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
