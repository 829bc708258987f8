"""Streams that go wrong: too fast, silent, heard by nobody who answers, or by a buggy engine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import errno
from pathlib import Path
import signal
import subprocess
import sys
import threading
import time

from da3_ros.engine import map_file
from da3_ros.ros.drops import DropLog
from fake_engine import FakeEngine, KEYFRAME_EVERY
import numpy as np
import pytest
from rclpy.lifecycle import LifecycleNode
from rig import image, Rig, wait_for

LISTENER = Path(__file__).parent / 'stalled_listener.py'


class SlowEngine(FakeEngine):
    """Takes five times as long as an image at 100 Hz; notes how old images are when it is done."""

    def __init__(self, *args: object, **parts: object) -> None:
        super().__init__(*args, **parts)
        self.delay_s = 0.05
        self.ages_s: list[float] = []

    def push(self, frames: list) -> object:
        update = super().push(frames)
        self.ages_s.append((time.time_ns() - frames[0].stamp_ns) * 1e-9)
        return update


class BrokenEngine(FakeEngine):
    """Has a bug that every frame meets."""

    def push(self, frames: list) -> object:
        raise ZeroDivisionError('a bug')


class CallbackTimer:
    """Measures every callback that a node gives to its executor."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take part in the making of subscriptions and timers from now on."""
        self.wall_ms: list[float] = []
        self.cpu_ms: list[float] = []
        subscribe, tick = LifecycleNode.create_subscription, LifecycleNode.create_timer

        def create_subscription(node, kind, topic, callback, *args, **kwargs):
            return subscribe(node, kind, topic, self._timed(callback), *args, **kwargs)

        def create_timer(node, period_s, callback, *args, **kwargs):
            return tick(node, period_s, self._timed(callback), *args, **kwargs)

        monkeypatch.setattr(LifecycleNode, 'create_subscription', create_subscription)
        monkeypatch.setattr(LifecycleNode, 'create_timer', create_timer)

    def clear(self) -> None:
        """Forget the start, whose callback loads the network."""
        self.wall_ms.clear()
        self.cpu_ms.clear()

    def _timed(self, callback: Callable) -> Callable:
        def timed(*args: object) -> None:
            wall, cpu = time.perf_counter(), time.thread_time()
            callback(*args)
            self.cpu_ms.append((time.thread_time() - cpu) * 1e3)
            self.wall_ms.append((time.perf_counter() - wall) * 1e3)

        return timed


def test_images_at_200_hz_cost_a_slow_engine_nothing_but_drops(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The newest goes first, all are counted, latency is bounded, the executor stays free.

    What is told when views are out, keyframes and status, is told although an image always waits.
    A queue would be ten seconds long at the end. Callbacks are held to 5 ms of computing: how long
    the machine lets them wait for a core is not theirs; half of them may not wait, either.
    """
    timer = CallbackTimer(monkeypatch)
    rig = make_rig(engine=SlowEngine)
    rig.listen('points', 'keyframes', 'status', '/diagnostics')
    rig.send(image(time.time_ns()))
    timer.clear()
    sent = 400
    for _ in range(sent):
        due = time.monotonic() + 0.005
        rig.publish(image(time.time_ns()), 'image')
        time.sleep(max(due - time.monotonic(), 0.0))

    def is_settled() -> bool:
        counts = rig.counts()
        return counts.frames_received == counts.frames_processed + counts.frames_dropped

    wait_for(is_settled, 'all images to be counted')
    counts = rig.counts()
    assert counts.frames_received > sent / 2  # best effort may lose some on the way
    assert set(counts.drops) == {'frame_superseded'}
    assert counts.frames_processed < sent / 4
    stamps = [frame.stamp_ns for frame in rig.engine.frames]
    assert stamps == sorted(stamps)
    assert np.percentile(rig.engine.ages_s, 95) < 0.5
    assert len(rig.messages['status']) > counts.frames_processed / 2
    assert len(rig.messages['keyframes']) > counts.frames_processed / 2 / KEYFRAME_EVERY
    assert len(timer.cpu_ms) > sent / 2
    assert max(timer.cpu_ms) < 5.0
    assert np.median(timer.wall_ms) < 5.0


def test_a_camera_that_stops_is_missed_and_welcome_back(make_rig: Callable[..., Rig]) -> None:
    """Its driver too may be a new one: the map goes on where it was."""
    rig = make_rig()
    rig.listen('points', '/diagnostics')
    for _ in range(4):
        rig.send()
    diagnostics = rig.heard('/diagnostics')
    wait_for(lambda: diagnostics[-1].status[0].message.startswith('No image for'), 'a warning')
    assert rig.state() == 'active'
    rig.peer.destroy_publisher(rig._publishers.pop('image'))
    rig.send()
    rig.heard('points', 5)
    assert len(rig.engines) == 1 and len(rig.engine.keyframes) == 2 and not rig.counts().drops
    wait_for(lambda: diagnostics[-1].status[0].message == 'Tracking.', 'good diagnostics')


@contextmanager
def stalled_listener(rig: Rig) -> Iterator[subprocess.Popen]:
    """Yield a listener in a process that was stopped once the node knew it."""
    process = subprocess.Popen([sys.executable, str(LISTENER)])
    try:
        for name in ('/points', '/status'):
            publisher = next(p for p in rig.node.publishers if p.topic_name == name)
            wait_for(lambda p=publisher: p.get_subscription_count() == 2, f'a match on {name}')
        process.send_signal(signal.SIGSTOP)
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_listener_that_stalls_keeps_nobody_waiting(make_rig: Callable[..., Rig]) -> None:
    """It asked for reliable delivery and takes nothing; others hear everything, in time."""
    rig = make_rig(parameters={'qos.output_reliability': 'reliable'})
    rig.listen('points', 'status')
    with stalled_listener(rig):
        for count in range(1, 61):
            rig.send(image(rig.next_stamp_ns(), width=640, height=480, data=_PICTURE, step=1920))
            rig.heard('points', count)
        # An image is counted as published once all that is said of it has gone out.
        wait_for(lambda: rig.counts().frames_published == 60, 'the last image to be counted')
        counts = rig.counts()
        assert not counts.drops
        assert counts.stage_ms['publish'] < 100.0
        assert rig.trigger('reset').success


def test_a_full_disk_leaves_no_half_of_a_map(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The answer is a sentence; when there is room again the map is still there to be saved."""

    def save_map(engine: FakeEngine, directory: Path) -> Path:
        return map_file.save_map(directory, 'map', [])

    def full(path: Path, data: bytes) -> None:
        with path.open('wb') as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, 'No space left on device', str(path))

    monkeypatch.setattr(FakeEngine, 'save_map', save_map)
    rig = make_rig(parameters={'save_directory': str(tmp_path)})
    rig.send()
    with monkeypatch.context() as patch:
        patch.setattr(Path, 'write_bytes', full)
        response = rig.trigger('save_map')
    assert not response.success
    assert response.message.startswith(f"The map could not be saved in '{tmp_path}': No space")
    assert list(tmp_path.iterdir()) == []
    rig.send()
    assert rig.trigger('save_map').success
    assert [p.name for p in tmp_path.iterdir()] == ['map']


def test_a_bug_that_every_frame_meets_is_told_once(
    make_rig: Callable[..., Rig], capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each frame is counted; the traceback comes once, a line now and then after that."""
    monkeypatch.setattr(DropLog.__init__, '__defaults__', (0.0,))  # every drop is due
    rig = make_rig(engine=BrokenEngine)
    for _ in range(30):
        rig.send()
    assert rig.counts().drops == {'frame_error': 30} and rig.state() == 'active'
    assert 'da3_worker' in {thread.name for thread in threading.enumerate()}
    log = capfd.readouterr().err
    assert log.count('Traceback') == 1 and log.count('ZeroDivisionError: a bug') >= 29


_PICTURE = image(0, width=640, height=480).data
