"""The executable: it stops at a signal within two seconds, from whatever it is doing."""

from collections.abc import Callable, Iterator
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from da3_ros.ros.main import EXIT_DEVICE_LOST, main
from diagnostic_msgs.msg import DiagnosticArray
from fake_node import PUSHING
from lifecycle_msgs.srv import GetState
from nav_msgs.msg import Path as PosePath
from peer import PATIENCE_S, Peer, wait_for
import pytest
import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile
from rig import image
from sensor_msgs.msg import Image, PointCloud2
from shared_memory import segments_of, sweep
from std_srvs.srv import Trigger

SCRIPT = Path(__file__).parent / 'fake_node.py'


class Process:
    """The node in a process of its own; what it says goes into a file."""

    def __init__(self, log_path: Path, *args: str) -> None:
        """Start the executable with arguments."""
        self._log_path = log_path
        with log_path.open('wb') as log:
            self._popen = subprocess.Popen([sys.executable, str(SCRIPT), *args], stderr=log)

    def wait_for_words(self, words: str) -> None:
        """Wait until the process says something."""
        wait_for(lambda: words in self._log_path.read_text(), f'{words!r} in the log')

    def segments(self) -> set[Path]:
        """Return the shared memory that the process holds."""
        return segments_of(self._popen.pid)

    def stop(self, number: signal.Signals) -> None:
        """Send a signal; the process must end cleanly in time."""
        start = time.monotonic()
        self._popen.send_signal(number)
        code = self._popen.wait(PATIENCE_S)
        elapsed_s = time.monotonic() - start
        log = self._log_path.read_text()
        assert code == 0, log
        assert elapsed_s < 2.0
        assert 'Traceback' not in log and 'Error' not in log

    def wait(self) -> int:
        """Wait for the process to end by itself and return its exit code."""
        return self._popen.wait(PATIENCE_S)

    def kill(self) -> None:
        """End the process with SIGKILL if it still runs: it cannot put anything away."""
        self._popen.kill()
        self._popen.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Return a function that starts a process; it is killed afterwards."""
    processes = []

    def start_with(*args: str) -> Process:
        processes.append(Process(tmp_path / 'node.log', *args))
        return processes[-1]

    yield start_with
    for process in processes:
        process.kill()


@pytest.fixture
def peer() -> Iterator[Peer]:
    """Return a node that talks to the process."""
    peer = Peer()
    yield peer
    peer.destroy_node()


def wait_for_state(peer: Peer, state: str) -> None:
    """Wait until the node is in a lifecycle state."""
    wait_for(lambda: peer.call(GetState, '/da3/get_state').current_state.label == state, state)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_node_with_images_coming(
    start: Callable[..., Process], peer: Peer, number: signal.Signals
) -> None:
    """At a push of 50 ms, with somebody listening; it leaves no shared memory behind."""
    process = start('0.05')
    wait_for_state(peer, 'active')
    clouds = []
    peer.create_subscription(PointCloud2, 'points', clouds.append, QoSProfile(depth=10))
    publisher = peer.create_publisher(Image, 'image', QoSProfile(depth=1))
    wait_for(lambda: publisher.publish(image(time.time_ns())) or len(clouds) > 2, 'clouds')
    publisher.publish(image(time.time_ns()))
    segments = process.segments()
    process.stop(number)
    assert segments and not [path for path in segments if path.exists()]


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_node_inside_the_network(
    start: Callable[..., Process], peer: Peer, number: signal.Signals
) -> None:
    """At a push of a minute."""
    process = start('60')
    wait_for_state(peer, 'active')
    publisher = peer.create_publisher(Image, 'image', QoSProfile(depth=1))
    # More than once: an image that comes before the node has discovered the publisher is lost.
    timer = peer.create_timer(0.1, lambda: publisher.publish(image(time.time_ns())))
    process.wait_for_words(PUSHING)
    timer.cancel()
    process.stop(number)


def test_threads_do_not_keep_the_interpreter_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The executable says so before there are any."""
    intervals_s = []
    monkeypatch.setattr(signal, 'signal', lambda *_: None)
    monkeypatch.setattr(sys, 'setswitchinterval', intervals_s.append)
    monkeypatch.setattr(rclpy, 'init', lambda **_: sys.exit('enough'))
    with pytest.raises(SystemExit, match='enough'):
        main([])
    assert len(intervals_s) == 1 and intervals_s[0] <= 1e-3


def test_who_talks_to_a_node_needs_no_restart_when_it_is_killed_and_started_again(
    start: Callable[..., Process], peer: Peer
) -> None:
    """Camera, listeners, of latched topics too, and users of services are all served again."""
    clouds, paths, answers = [], [], []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    peer.create_subscription(PointCloud2, 'points', clouds.append, QoSProfile(depth=10))
    peer.create_subscription(PosePath, 'keyframes', paths.append, latched)
    publisher = peer.create_publisher(Image, 'image', QoSProfile(depth=1))
    client = peer.create_client(Trigger, '/da3/reset')

    def use() -> None:
        publisher.publish(image(time.time_ns()))
        client.call_async(Trigger.Request()).add_done_callback(answers.append)

    peer.create_timer(0.1, use)
    for _ in range(2):
        process = start('0')
        process.wait_for_words('is ready on')
        for received in (clouds, paths, answers):  # nothing is on its way from the one before
            received.clear()
        wait_for(lambda: len(clouds) > 2 and paths and answers, 'clouds, a path and an answer')
        segments = process.segments()
        process.kill()
        assert segments and all(path.exists() for path in segments)
        sweep()
        assert not [path for path in segments if path.exists()]
    assert all(path.exists() for path in segments_of(os.getpid()))


def test_a_process_that_the_gpu_refuses_ends_and_says_so(
    start: Callable[..., Process], peer: Peer
) -> None:
    """With an exit code of its own, after diagnostics and log have told; another one may start."""
    heard = []
    peer.create_subscription(
        DiagnosticArray, '/diagnostics', lambda m: heard.append(m.status[0].message), 10
    )
    publisher = peer.create_publisher(Image, 'image', QoSProfile(depth=1))
    process = start('0', '--ros-args', '-p', 'model:=fragile')
    wait_for(lambda: heard, 'the first diagnostics')
    peer.create_timer(0.1, lambda: publisher.publish(image(time.time_ns())))
    assert process.wait() == EXIT_DEVICE_LOST
    process.wait_for_words('could not be made anew')
    process.wait_for_words('on_deactivate: The device failed with')
    wait_for(lambda: any('could not be made anew' in m for m in heard), 'the diagnostics')


def test_without_ros_there_is_a_sentence() -> None:
    """As after pip install on a machine without ROS."""
    code = (
        "import sys; sys.modules['rclpy'] = None\n"
        'from da3_ros.ros.main import main; raise SystemExit(main())'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 2 and 'Traceback' not in done.stderr
    assert "no Python module 'rclpy" in done.stderr and 'needs ROS 2' in done.stderr


def test_a_signal_ends_the_node_while_it_loads(start: Callable[..., Process]) -> None:
    """A network of gigabytes takes a while."""
    process = start('0', '--ros-args', '-p', 'model:=slow_to_load')
    process.wait_for_words("Loading 'slow_to_load'")
    process.stop(signal.SIGTERM)


def test_the_process_survives_a_model_that_is_missing(
    start: Callable[..., Process], peer: Peer
) -> None:
    """It says so, answers, and still stops cleanly."""
    process = start('0', '--ros-args', '-p', 'model:=missing')
    process.wait_for_words('There are no weights')
    wait_for_state(peer, 'unconfigured')
    assert not peer.call(Trigger, '/da3/reset').success
    process.stop(signal.SIGINT)
