"""The thread that serves subscriptions beside the executor, which sleeps meanwhile."""

from collections.abc import Callable, Iterator
from pathlib import Path
import signal
import subprocess
import sys
import threading
import time

from da3_ros.ros.streams import Streams
from peer import PATIENCE_S, Peer, wait_for
import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.subscription import Subscription
from rig import camera_info, Rig
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import String

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

BUGGY_NODE = Path(__file__).parent / 'buggy_node.py'
QOS = QoSProfile(depth=100)
# Less than the second after which the thread looks by itself, and long for an executor that spins
# on what it cannot take.
MOMENT_S = 0.8


class Ears:
    """A node that nobody spins, its streams, what they heard and what went wrong."""

    def __init__(self, context: Context | None = None) -> None:
        """Listen to nothing yet."""
        self.node = Node('ears', context=context)
        self.failures: list[Exception] = []
        self.streams = Streams(self.node, self.failures.append)
        self.heard: list[str] = []
        self.threads: set[str] = set()

    def listen(self, topic: str = 'words', **options: object) -> Subscription:
        """Hear what is said on a topic."""
        return self.streams.subscribe(String, topic, self._hear, QOS, **options)

    def close(self) -> None:
        """End the thread and the node."""
        assert self.streams.shut()
        self.node.destroy_node()

    def _hear(self, message: String) -> None:
        self.heard.append(message.data)
        self.threads.add(threading.current_thread().name)


class Mouth:
    """Whoever publishes."""

    def __init__(self, peer: Peer) -> None:
        """Say nothing yet."""
        self._peer = peer
        self._publishers: dict[str, Publisher] = {}

    def say(self, *words: str, topic: str = 'words') -> None:
        """Publish words once somebody listens."""
        if topic not in self._publishers:
            publisher = self._peer.create_publisher(String, topic, QOS)
            self._publishers[topic] = publisher
        wait_for(self._publishers[topic].get_subscription_count, 'a listener')
        for word in words:
            self._publishers[topic].publish(String(data=word))


@pytest.fixture
def ears() -> Iterator[Ears]:
    """Return who listens."""
    ears = Ears()
    yield ears
    ears.close()


@pytest.fixture
def mouth() -> Iterator[Mouth]:
    """Return who speaks."""
    peer = Peer()
    yield Mouth(peer)
    peer.destroy_node()


def threads() -> list[threading.Thread]:
    """Return the threads of streams."""
    return [t for t in threading.enumerate() if t.name == 'da3_streams']


def wait_until_asleep(streams: Streams) -> None:
    """Wait until the thread waits for what it is to wait for now."""
    wait_for(lambda: streams._watch.subscriptions == streams._open(), 'the thread to look again')


def test_messages_are_heard_in_order_while_nobody_spins(ears: Ears, mouth: Mouth) -> None:
    """Those of two topics, in the one thread."""
    ears.listen()
    ears.listen('other')
    words = [str(n) for n in range(20)]
    mouth.say(*words)
    wait_for(lambda: len(ears.heard) == 20, 'all words')
    assert ears.heard == words
    mouth.say('last', topic='other')
    wait_for(lambda: ears.heard[-1] == 'last', 'the other topic')
    assert ears.threads == {'da3_streams'}


class CountingExecutor(SingleThreadedExecutor):
    """Counts how often it looks at what the node has."""

    looks = 0

    def can_execute(self, entity: object) -> bool:
        """Count, for entities that are asked about once at each look."""
        if isinstance(entity, Subscription):
            self.looks += 1
        return super().can_execute(entity)


def test_the_executor_sleeps_while_messages_come_and_while_they_wait(
    ears: Ears, mouth: Mouth
) -> None:
    """Neither do those that wait behind a closed gate keep it busy."""
    is_open = threading.Event()
    ears.listen()
    ears.listen('gated', is_open=is_open.is_set)
    executor = CountingExecutor()
    executor.add_node(ears.node)
    spinner = threading.Thread(target=executor.spin, daemon=True)
    spinner.start()
    mouth.say('first')
    mouth.say('later', topic='gated')
    wait_for(lambda: ears.heard, 'the first word')
    time.sleep(MOMENT_S)
    before = executor.looks
    mouth.say(*'abcdefghij')
    wait_for(lambda: len(ears.heard) == 11, 'all words')
    time.sleep(MOMENT_S)
    assert executor.looks == before > 0
    is_open.set()
    ears.streams.wake()
    wait_for(lambda: ears.heard[-1] == 'later', 'the word behind the gate')
    executor.shutdown()
    spinner.join(PATIENCE_S)


def test_behind_a_closed_gate_messages_wait_in_dds(ears: Ears, mouth: Mouth) -> None:
    """No more are taken than there is room for, others come, and the rest once there is more."""
    room = 2
    subscription = ears.listen(is_open=lambda: len(ears.heard) < room)
    ears.listen('other')
    mouth.say(*'abcdef')
    wait_for(lambda: len(ears.heard) == 2, 'as many as there is room for')
    mouth.say('besides', topic='other')
    wait_for(lambda: ears.heard == ['a', 'b', 'besides'], 'the other topic')
    room = 5
    time.sleep(0.1)
    assert len(ears.heard) == 3  # nobody said that there is room
    ears.streams.wake()
    wait_for(lambda: ears.heard == ['a', 'b', 'besides', 'c', 'd'], 'what waited', MOMENT_S)
    wait_until_asleep(ears.streams)
    left = [subscription.handle.take_message(String, False)[0].data for _ in 'ef']
    assert left == ['e', 'f']


def test_who_makes_room_wakes_nobody_while_all_gates_are_open(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the worker does so with every frame."""
    ears.listen(is_open=lambda: True)
    wait_until_asleep(ears.streams)
    woken = []
    monkeypatch.setattr(ears.streams._watch, 'wake', lambda: woken.append(1))
    ears.streams.wake()
    assert not woken


def test_nothing_is_heard_once_unsubscribed(ears: Ears, mouth: Mouth) -> None:
    """The thread lets go at once, waits for what is left, and the topic has one listener less."""
    first = ears.listen()
    ears.listen('other')
    mouth.say('one')
    wait_for(lambda: ears.heard == ['one'], 'the word')
    start = time.monotonic()
    ears.streams.unsubscribe(first)
    assert time.monotonic() - start < MOMENT_S  # else it was not woken
    with pytest.raises(RuntimeError):
        first.handle.__enter__()  # it is destroyed already
    mouth.say('two', topic='other')
    wait_for(lambda: ears.heard == ['one', 'two'], 'the other topic')
    publisher = mouth._publishers['words']
    wait_for(lambda: publisher.get_subscription_count() == 0, 'the listener to be gone')


def test_unsubscribing_waits_for_a_callback_that_runs(ears: Ears, mouth: Mouth) -> None:
    """And no other follows, though its message is there."""
    is_running, may_end = threading.Event(), threading.Event()

    def hear(message: String) -> None:
        is_running.set()
        may_end.wait(PATIENCE_S)
        ears.heard.append(message.data)

    subscription = ears.streams.subscribe(String, 'words', hear, QOS)
    mouth.say('one', 'two')
    is_running.wait(PATIENCE_S)
    leaver = threading.Thread(target=ears.streams.unsubscribe, args=[subscription], daemon=True)
    leaver.start()
    leaver.join(0.2)
    assert leaver.is_alive() and not ears.heard
    may_end.set()
    leaver.join(PATIENCE_S)
    assert not leaver.is_alive() and ears.heard == ['one']
    time.sleep(0.1)
    assert ears.heard == ['one']


def test_a_callback_may_unsubscribe(ears: Ears, mouth: Mouth) -> None:
    """Itself, for instance; waiting for its own end it would wait for ever."""

    def hear(message: String) -> None:
        ears.streams.unsubscribe(subscription)
        ears.heard.append(message.data)

    subscription = ears.streams.subscribe(String, 'words', hear, QOS)
    ears.listen('other')
    mouth.say('one', 'two')
    mouth.say('last', topic='other')
    wait_for(lambda: len(ears.heard) == 2, 'the words')
    assert ears.heard == ['one', 'last'] and not ears.failures


def test_a_callback_may_unsubscribe_another(ears: Ears, mouth: Mouth) -> None:
    """Whose message came at the same time, and is heard no more."""
    subscriptions = []

    def hear(message: String) -> None:
        ears.heard.append(message.data)
        while subscriptions:
            ears.streams.unsubscribe(subscriptions.pop())

    may_hear = threading.Event()
    for topic in ('words', 'other'):
        subscription = ears.streams.subscribe(String, topic, hear, QOS, may_hear.is_set)
        subscriptions.append(subscription)
    mouth.say('one')
    mouth.say('two', topic='other')
    time.sleep(0.1)
    may_hear.set()
    ears.streams.wake()
    wait_for(lambda: ears.heard, 'a word')
    time.sleep(0.1)
    assert ears.heard == ['one'] and not ears.failures


def test_what_was_destroyed_without_a_word_is_never_ready(ears: Ears, mouth: Mouth) -> None:
    """Nobody falls over it, and others are heard."""
    first = ears.listen()
    mouth.say('one')
    wait_for(lambda: ears.heard, 'the word')
    ears.node.destroy_subscription(first)
    ears.listen('other')
    mouth.say('two', topic='other')
    wait_for(lambda: ears.heard == ['one', 'two'], 'the other topic')
    assert not ears.failures


def test_a_callback_that_raises_is_told_and_the_next_has_its_turn(
    ears: Ears, mouth: Mouth
) -> None:
    """The thread survives it."""

    def hear(message: String) -> None:
        raise ZeroDivisionError(message.data)

    ears.streams.subscribe(String, 'words', hear, QOS)
    ears.listen('other')
    mouth.say('one', 'two')
    wait_for(lambda: len(ears.failures) == 2, 'the failures')
    assert [str(error) for error in ears.failures] == ['one', 'two']
    mouth.say('three', topic='other')
    wait_for(lambda: ears.heard == ['three'], 'the other topic')


def test_a_wait_that_fails_is_told_and_ends_the_thread(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would fail again."""

    def fail() -> None:
        raise RuntimeError('a bug')

    monkeypatch.setattr(ears.streams._watch, 'wait', fail)
    ears.streams._watch.wake()
    wait_for(lambda: not ears.streams._thread.is_alive(), 'the thread to end')
    assert [str(error) for error in ears.failures] == ['a bug']


def test_events_of_qos_come_by_the_same_thread(ears: Ears, mouth: Mouth) -> None:
    """Of a publisher that cannot be heard."""
    events = []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    ears.streams.subscribe(
        String,
        'words',
        ears._hear,
        latched,
        event_callbacks=SubscriptionEventCallbacks(incompatible_qos=events.append),
    )
    mouth._peer.create_publisher(String, 'words', QOS)
    wait_for(lambda: events, 'the event')
    assert events[0].total_count == 1


def test_the_end_of_the_context_ends_the_thread() -> None:
    """Without a failure, though nobody shuts it; shutting it, and waking it, is harmless then."""
    context = Context()
    rclpy.init(context=context)
    ears = Ears(context)
    ears.listen()
    wait_until_asleep(ears.streams)
    rclpy.shutdown(context=context)
    ears.streams._thread.join(MOMENT_S)  # at once, not when it looks the next time
    assert not ears.streams._thread.is_alive()
    ears.streams._is_a_gate_closed = True
    ears.streams.wake()
    assert ears.streams.shut() and not ears.failures


def test_a_wait_that_fails_because_its_context_ended_is_no_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing can be waited for then."""
    context = Context()
    rclpy.init(context=context)
    ears = Ears(context)

    def fail() -> None:
        rclpy.shutdown(context=context)
        raise RuntimeError('the given context is not valid')

    monkeypatch.setattr(ears.streams._watch, 'wait', fail)
    ears.streams._watch.wake()
    wait_for(lambda: not ears.streams._thread.is_alive(), 'the thread to end')
    assert not ears.failures


def test_shutting_does_not_wait_for_ever(ears: Ears, mouth: Mouth) -> None:
    """A callback that hangs is left behind, and holds up nobody who unsubscribes."""
    is_running, may_end = threading.Event(), threading.Event()

    def hang(_: String) -> None:
        is_running.set()
        may_end.wait(PATIENCE_S)

    subscription = ears.streams.subscribe(String, 'words', hang, QOS)
    mouth.say('one')
    is_running.wait(PATIENCE_S)
    assert not ears.streams.shut(0.05)
    start = time.monotonic()
    ears.streams.unsubscribe(subscription)
    assert time.monotonic() - start < MOMENT_S
    may_end.set()
    assert ears.streams.shut()


@pytest.mark.parametrize(
    ('end', 'code'), [('pass', 0), ('rclpy.shutdown()', 0), ('spin()', 0), ('1 / 0', 1)]
)
def test_a_process_may_end_without_a_word(end: str, code: int) -> None:
    """Whether its main thread ends, fails, or is told to by SIGINT, as rclpy hears it."""
    program = f"""
import rclpy, sys
from std_msgs.msg import String
from da3_ros.ros.streams import Streams
rclpy.init()
node = rclpy.create_node('ears')
streams = Streams(node, print)
streams.subscribe(String, 'words', print, 1)
def spin():
    node.create_timer(0.1, lambda: print('spinning', flush=True))
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        pass
{end}
"""
    process = subprocess.Popen(
        [sys.executable, '-c', program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        if end == 'spin()':
            assert process.stdout.readline() == 'spinning\n'
            process.send_signal(signal.SIGINT)
        out, log = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert process.returncode == code, log
    assert set(out.split()) <= {'spinning'}
    assert log.count('Traceback') == code, log


def test_a_bug_in_a_callback_ends_the_node_with_its_traceback() -> None:
    """As one in a callback of the executor's own."""
    process = subprocess.Popen(
        [sys.executable, str(BUGGY_NODE)], stderr=subprocess.PIPE, text=True
    )
    peer = Peer()
    try:
        publisher = peer.create_publisher(CameraInfo, 'camera_info', 1)
        peer.create_timer(0.1, lambda: publisher.publish(camera_info()))
        _, log = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        peer.destroy_node()
    assert process.returncode == 1
    assert 'The executor died:' in log
    assert 'in learn' in log and 'ZeroDivisionError: a bug' in log


def test_images_and_transforms_come_while_the_executor_is_busy(rig: Rig) -> None:
    """They wait for nobody."""
    is_busy, may_go_on = threading.Event(), threading.Event()

    def keep_busy() -> None:
        is_busy.set()
        may_go_on.wait(PATIENCE_S)

    rig.send()
    rig.node.executor.create_task(keep_busy)
    is_busy.wait(PATIENCE_S)
    rig.send_info()
    rig.send()
    rig.heard('points', 2)
    may_go_on.set()
    assert rig.state() == 'active'


def test_a_node_has_the_thread_from_configure_to_cleanup(make_rig: Callable[..., Rig]) -> None:
    """And after destroy_node none is left."""
    rig = make_rig(is_active=False)
    assert not threads()
    assert rig.node.trigger_configure().name == 'SUCCESS'
    assert len(threads()) == 1
    assert rig.node.trigger_cleanup().name == 'SUCCESS'
    assert not threads()
