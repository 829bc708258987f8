"""The executable: it stops at a signal within two seconds, from whatever it is doing."""

from collections.abc import Iterator
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from lifecycle_msgs.srv import GetState
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rig import image, wait_for
from sensor_msgs.msg import Image, PointCloud2
from std_srvs.srv import Trigger

SCRIPT = Path(__file__).parent / 'fake_node.py'


class Client:
    """Starts processes and talks to the node in them."""

    def __init__(self) -> None:
        self.node: Node = rclpy.create_node('client')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.processes: list[subprocess.Popen] = []

    def start(self, *args: str) -> subprocess.Popen:
        """Start the node's executable with arguments."""
        command = [sys.executable, str(SCRIPT), *args]
        self.processes.append(
            subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
        )
        return self.processes[-1]

    def call(self, kind: type, name: str) -> object:
        """Call a service that takes nothing."""
        client = self.node.create_client(kind, name)
        wait_for(lambda: self.spin() or client.service_is_ready(), f'the service {name}', 20.0)
        future = client.call_async(kind.Request())
        wait_for(lambda: self.spin() or future.done(), f'the answer of {name}')
        self.node.destroy_client(client)
        return future.result()

    def wait_for_state(self, state: str) -> None:
        """Wait until the node is in a lifecycle state."""
        wait_for(
            lambda: self.call(GetState, '/da3/get_state').current_state.label == state, state, 20.0
        )

    def spin(self) -> None:
        """Let callbacks run."""
        self._executor.spin_once(timeout_sec=0.01)


@pytest.fixture
def client() -> Iterator[Client]:
    """Return a client; its processes are killed and its node destroyed afterwards."""
    client = Client()
    yield client
    for process in client.processes:
        process.kill()
        process.wait()
    client.node.destroy_node()


def stop(process: subprocess.Popen, number: signal.Signals) -> str:
    """Send a signal; the process must end cleanly in time. Returns its log."""
    start = time.monotonic()
    process.send_signal(number)
    _, log = process.communicate(timeout=10.0)
    assert process.returncode == 0, log
    assert time.monotonic() - start < 2.0
    assert 'Traceback' not in log and 'Error' not in log
    return log


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_node_with_images_coming(client: Client, number: signal.Signals) -> None:
    """At a push of 50 ms, with somebody listening."""
    process = client.start('0.05')
    client.wait_for_state('active')
    clouds = []
    client.node.create_subscription(PointCloud2, 'points', clouds.append, QoSProfile(depth=10))
    publisher = client.node.create_publisher(Image, 'image', QoSProfile(depth=1))

    def publish() -> int:
        publisher.publish(image(time.time_ns()))
        client.spin()
        return len(clouds)

    wait_for(lambda: publish() > 2, 'clouds')
    publisher.publish(image(time.time_ns()))
    stop(process, number)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_node_inside_the_network(client: Client, number: signal.Signals) -> None:
    """At a push of a minute."""
    process = client.start('60')
    client.wait_for_state('active')
    publisher = client.node.create_publisher(Image, 'image', QoSProfile(depth=1))
    wait_for(lambda: client.spin() or publisher.get_subscription_count(), 'a match')
    publisher.publish(image(time.time_ns()))
    time.sleep(0.3)
    stop(process, number)


def test_a_signal_ends_the_node_while_it_loads(client: Client) -> None:
    """A network of gigabytes takes a while."""
    process = client.start('0', '--ros-args', '-p', 'model:=slow_to_load')
    wait_for(lambda: "Loading 'slow_to_load'" in process.stderr.readline(), 'the load', 20.0)
    stop(process, signal.SIGTERM)


def test_the_process_survives_a_model_that_is_missing(client: Client) -> None:
    """It says so, answers, and still stops cleanly."""
    process = client.start('0', '--ros-args', '-p', 'model:=missing')
    wait_for(lambda: 'There are no weights' in process.stderr.readline(), 'the sentence', 20.0)
    client.wait_for_state('unconfigured')
    assert not client.call(Trigger, '/da3/reset').success
    stop(process, signal.SIGINT)
