"""What is published, in which order, and who waits, when publishing is slow."""

from collections.abc import Callable, Iterator
import threading
from types import SimpleNamespace
from typing import ClassVar

from da3_ros.config import NodeConfig
from da3_ros.ros.drops import DropLog
from da3_ros.ros.outbox import Outbox, Parcel
from da3_ros.ros.statistics import Statistics
from fake_engine import FakeEngine
import pytest
from rclpy.logging import get_logger
from rig import Rig, wait_for

MOVED = ('a keyframe',)


class SlowOutputs:
    """Notes what is published; ``gate`` holds each update while it is cleared."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.is_busy = False
        self.raises: Exception | None = None
        self.said: list[tuple] = []

    def publish(self, views: tuple, frame_ids: dict, config: NodeConfig) -> None:
        self.is_busy = True
        assert self.gate.wait(10)
        if self.raises is not None:
            error, self.raises = self.raises, None
            raise error
        self.said.append(('views', *views))

    def publish_keyframes(self, keyframes: tuple, stamp: int) -> None:
        self.said.append(('keyframes', keyframes, stamp))

    def publish_status(self, engine: object, stamp: int) -> None:
        self.said.append(('status', stamp))


def parcel(stamp: int, **fields: object) -> Parcel:
    """Return a parcel whose only view is its stamp."""
    return Parcel(NodeConfig(), stamp, **{'views': (stamp,)} | fields)


@pytest.fixture
def parts() -> Iterator[SimpleNamespace]:
    statistics, outputs, outs = Statistics(), SlowOutputs(), []
    outbox = Outbox(
        SimpleNamespace(engine='an engine'),
        outputs,
        statistics,
        DropLog(statistics, get_logger('test')),
        on_out=lambda: outs.append(None),
    )
    outbox.open()
    yield SimpleNamespace(
        outbox=outbox, outputs=outputs, outs=outs, drops=lambda: statistics.snapshot().drops
    )
    outputs.gate.set()
    assert outbox.shut(5.0)


def wait_for_status(outputs: SlowOutputs, stamp: int) -> None:
    wait_for(lambda: ('status', stamp) in outputs.said, f'the status at {stamp}')


def test_everything_is_published_in_order(parts: SimpleNamespace) -> None:
    """One parcel may wait; whoever brings the next one waits, too."""
    outbox, outputs = parts.outbox, parts.outputs
    outbox.put(parcel(1))
    wait_for(lambda: outputs.is_busy, 'the first to be taken')
    outbox.put(parcel(2, keyframes=MOVED))
    third = threading.Thread(target=outbox.put, args=(parcel(3, views=()),))
    third.start()
    third.join(0.1)
    assert third.is_alive()
    outputs.gate.set()
    wait_for_status(outputs, 3)
    assert outputs.said == [
        ('views', 1),
        ('status', 1),
        ('views', 2),
        ('keyframes', MOVED, 2),
        ('status', 2),
        ('status', 3),
    ]
    assert parts.drops() == {}


def test_the_status_follows_the_last_parcel_of_a_turn(parts: SimpleNamespace) -> None:
    parts.outputs.gate.set()
    parts.outbox.put(parcel(1, is_last=False))
    parts.outbox.put(parcel(1, views=(), keyframes=MOVED))
    wait_for_status(parts.outputs, 1)
    assert parts.outputs.said == [('views', 1), ('keyframes', MOVED, 1), ('status', 1)]


def test_it_says_when_views_are_out_and_only_then(parts: SimpleNamespace) -> None:
    parts.outbox.put(parcel(1, is_last=False))
    wait_for(lambda: parts.outputs.is_busy, 'the first to be taken')
    assert parts.outs == []
    parts.outputs.raises = ValueError('no such topic')
    parts.outputs.gate.set()
    wait_for(lambda: len(parts.outs) == 1, 'the word of it, although it failed')
    parts.outbox.put(parcel(2, views=(), keyframes=MOVED))
    wait_for_status(parts.outputs, 2)
    assert len(parts.outs) == 1
    parts.outbox.put(parcel(3, is_last=False))
    wait_for(lambda: len(parts.outs) == 2, 'the word of the next')
    assert parts.outputs.said[-1] == ('views', 3)


def test_nothing_is_published_after_closing(parts: SimpleNamespace) -> None:
    """Closing waits for what is being published and forgets the rest; nobody waits on."""
    outbox, outputs = parts.outbox, parts.outputs
    outbox.put(parcel(1))
    wait_for(lambda: outputs.is_busy, 'the first to be taken')
    outbox.put(parcel(2))
    late = threading.Thread(target=outbox.put, args=(parcel(2),))
    late.start()
    closer = threading.Thread(target=outbox.close)
    closer.start()
    closer.join(0.1)
    assert closer.is_alive()
    late.join(5)
    assert not late.is_alive()
    outputs.gate.set()
    closer.join(5)
    assert outputs.said == [('views', 1), ('status', 1)]
    outbox.put(parcel(3))
    assert parts.drops() == {'publish_deactivated': 1}
    outbox.open()
    outbox.put(parcel(4))
    wait_for_status(outputs, 4)
    assert ('views', 3) not in outputs.said


def test_an_error_is_counted_and_survived(parts: SimpleNamespace) -> None:
    outbox, outputs = parts.outbox, parts.outputs
    outputs.raises = ValueError('no such topic')
    outputs.gate.set()
    outbox.put(parcel(1))
    wait_for(lambda: parts.drops() == {'publish_error': 1}, 'the drop')
    outbox.put(parcel(2))
    wait_for_status(outputs, 2)


class LearnsLate(FakeEngine):
    """Notes how many views were out when the map learned from a push; fails if told to."""

    published: ClassVar[list[int]] = []
    fails = False
    seen: ClassVar[list[int]] = []

    def update_map(self) -> None:
        self.seen.append(len(self.published))
        if self.fails:
            raise ZeroDivisionError('a bug')


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> type[LearnsLate]:
    monkeypatch.setattr(LearnsLate, 'published', [])
    monkeypatch.setattr(LearnsLate, 'seen', [])
    monkeypatch.setattr(
        'da3_ros.ros.publishers.Outputs.publish',
        lambda _, views, *__: LearnsLate.published.extend(views),
    )
    return LearnsLate


def test_the_map_learns_when_the_views_are_out(
    make_rig: Callable[..., Rig], late: type[LearnsLate]
) -> None:
    rig = make_rig(engine=late)
    for count in (1, 2, 3):
        rig.send()
        wait_for(lambda count=count: len(late.seen) == count, 'the map to learn')
    assert late.seen == [1, 2, 3]
    wait_for(lambda: 'map' in rig.counts().stage_ms, 'the time that it took')


def test_a_map_that_cannot_learn_costs_no_frame(
    make_rig: Callable[..., Rig], late: type[LearnsLate], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late, 'fails', True)
    rig = make_rig(engine=late)
    for count in (1, 2):
        rig.send()
        wait_for(lambda count=count: rig.counts().drops == {'map_error': count}, 'the drop')
    counts = rig.counts()
    assert len(late.published) == counts.frames_processed == 2 and counts.frames_dropped == 0


def test_the_engine_does_not_wait_for_subscribers(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next frame is in the network while the one before is still going out."""
    gate, threads = threading.Event(), []

    def publish(*_: object) -> None:
        threads.append(threading.current_thread().name)
        assert gate.wait(10)

    monkeypatch.setattr('da3_ros.ros.publishers.Outputs.publish', publish)
    rig = make_rig()
    for count in (1, 2):
        rig.send()
        wait_for(lambda count=count: rig.counts().frames_processed == count, 'the engine')
    gate.set()
    wait_for(lambda: len(threads) == 2, 'both to be published')
    assert set(threads) == {'da3_publisher'}
