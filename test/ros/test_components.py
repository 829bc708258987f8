"""The node beside other nodes of one process, in their executor."""

from collections.abc import Iterator
from contextlib import contextmanager
import threading

from da3_ros.ros.node import Da3Node
from fake_engine import FakeEngine
from peer import PATIENCE_S, wait_for
import pytest
from rclpy.executors import Executor, MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rig import image
from sensor_msgs.msg import Image, PointCloud2


class Driver(Node):
    """A camera, and somebody who wants its points."""

    def __init__(self) -> None:
        super().__init__('driver')
        self.sent, self.clouds = 0, []
        self._images = self.create_publisher(Image, 'image', QoSProfile(depth=1))
        self.create_subscription(PointCloud2, 'points', self.clouds.append, QoSProfile(depth=10))
        self.create_timer(0.02, self._send)

    def _send(self) -> None:
        self.sent += 1
        self._images.publish(image(10**12 + self.sent * 10**8))


class Pool(MultiThreadedExecutor):
    """Callbacks in threads, which can be waited for: the executor itself goes on without them."""

    def settle(self) -> None:
        """Wait for the callbacks that have begun."""
        wait_for(lambda: all(future.done() for future in self._futures), 'callbacks to end')


class Spinning:
    """
    An executor that spins in a thread, and stops for whoever takes something from it.

    rclpy's executors may die where a publisher or a subscription is destroyed while another thread
    puts together what they wait for.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._start()

    @contextmanager
    def paused(self) -> Iterator[Executor]:
        """Give the executor, standing still."""
        self.stop()
        yield self._executor
        self._start()

    def stop(self) -> None:
        """Spin no more."""
        self._is_over.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        if isinstance(self._executor, Pool):
            self._executor.settle()

    def _start(self) -> None:
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_over.is_set():
            self._executor.spin_once(timeout_sec=0.05)


@pytest.fixture(params=[SingleThreadedExecutor, Pool])
def spinning(request: pytest.FixtureRequest) -> Iterator[Spinning]:
    """Return an executor that spins already; nodes that a test leaves in it are destroyed."""
    executor = request.param()
    spinning = Spinning(executor)
    yield spinning
    spinning.stop()
    for node in executor.get_nodes():
        node.destroy_node()
    executor.shutdown()


def make_da3() -> Da3Node:
    """Return the node under test."""
    return Da3Node(FakeEngine)


@pytest.mark.parametrize('goes_first', [Driver, Da3Node])
@pytest.mark.parametrize('makers', [(Driver, make_da3), (make_da3, Driver)])
def test_nodes_come_and_go_in_any_order(
    spinning: Spinning, makers: tuple, goes_first: type
) -> None:
    """They work while both are there, and the one that stays goes on by itself."""
    nodes = [make() for make in makers]
    driver = next(node for node in nodes if isinstance(node, Driver))
    da3 = next(node for node in nodes if isinstance(node, Da3Node))
    with spinning.paused() as executor:
        for node in nodes:
            executor.add_node(node)
    wait_for(lambda: len(driver.clouds) > 2, 'clouds')
    first, last = (driver, da3) if goes_first is Driver else (da3, driver)
    with spinning.paused() as executor:
        executor.remove_node(first)
        first.destroy_node()
    if last is driver:
        sent = driver.sent
        wait_for(lambda: driver.sent > sent + 2, 'the driver to go on')
        assert not [t for t in threading.enumerate() if t.name.startswith('da3_')]
    else:
        with spinning.paused() as executor:
            assert da3.trigger_deactivate().name == 'SUCCESS'
            assert da3.trigger_activate().name == 'SUCCESS'
            driver = Driver()
            executor.add_node(driver)
        wait_for(lambda: len(driver.clouds) > 2, 'clouds for another driver')
    with spinning.paused() as executor:
        for node in {driver, last}:
            executor.remove_node(node)
            node.destroy_node()


def test_two_of_them_share_a_process(spinning: Spinning) -> None:
    """Under two namespaces; one that is cleaned up takes nothing from the other."""
    nodes = [Da3Node(FakeEngine, namespace=name) for name in ('one', 'two')]
    with spinning.paused() as executor:
        for node in nodes:
            executor.add_node(node)
    wait_for(lambda: all(node.worker and node._is_active for node in nodes), 'both to be active')
    with spinning.paused():
        assert nodes[0].trigger_deactivate().name == 'SUCCESS'
        assert nodes[0].trigger_cleanup().name == 'SUCCESS'
    driver = Node('driver')
    publisher = driver.create_publisher(Image, '/two/image', QoSProfile(depth=1))
    wait_for(publisher.get_subscription_count, 'the other one to listen')
    publisher.publish(image(10**12))
    wait_for(lambda: nodes[1].statistics.snapshot().frames_processed == 1, 'an image')
    with spinning.paused() as executor:
        for node in nodes:
            executor.remove_node(node)
            node.destroy_node()
    driver.destroy_node()
