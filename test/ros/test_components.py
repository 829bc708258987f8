"""The node beside other nodes of one process, in their executor."""

from collections.abc import Iterator
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


@pytest.fixture(params=[SingleThreadedExecutor, MultiThreadedExecutor])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    """Return an executor that spins already."""
    executor = request.param()
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    yield executor
    executor.shutdown()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def make_da3() -> Da3Node:
    """Return the node under test."""
    return Da3Node(FakeEngine)


@pytest.mark.parametrize('goes_first', [Driver, Da3Node])
@pytest.mark.parametrize('makers', [(Driver, make_da3), (make_da3, Driver)])
def test_nodes_come_and_go_in_any_order(
    executor: Executor, makers: tuple, goes_first: type
) -> None:
    """They work while both are there, and the one that stays goes on by itself."""
    nodes = [make() for make in makers]
    driver = next(node for node in nodes if isinstance(node, Driver))
    da3 = next(node for node in nodes if isinstance(node, Da3Node))
    for node in nodes:
        executor.add_node(node)
    wait_for(lambda: len(driver.clouds) > 2, 'clouds')
    first, last = (driver, da3) if goes_first is Driver else (da3, driver)
    executor.remove_node(first)
    first.destroy_node()
    if last is driver:
        sent = driver.sent
        wait_for(lambda: driver.sent > sent + 2, 'the driver to go on')
        assert not [t for t in threading.enumerate() if t.name.startswith('da3_')]
    else:
        assert da3.trigger_deactivate().name == 'SUCCESS'
        assert da3.trigger_activate().name == 'SUCCESS'
        driver = Driver()
        executor.add_node(driver)
        wait_for(lambda: len(driver.clouds) > 2, 'clouds for another driver')
        executor.remove_node(driver)
        driver.destroy_node()
    executor.remove_node(last)
    last.destroy_node()


def test_two_of_them_share_a_process(executor: Executor) -> None:
    """Under two namespaces; one that is cleaned up takes nothing from the other."""
    nodes = [Da3Node(FakeEngine, namespace=name) for name in ('one', 'two')]
    for node in nodes:
        executor.add_node(node)
    wait_for(lambda: all(node.worker and node._is_active for node in nodes), 'both to be active')
    assert nodes[0].trigger_deactivate().name == 'SUCCESS'
    assert nodes[0].trigger_cleanup().name == 'SUCCESS'
    driver = Node('driver')
    publisher = driver.create_publisher(Image, '/two/image', QoSProfile(depth=1))
    wait_for(publisher.get_subscription_count, 'the other one to listen')
    publisher.publish(image(10**12))
    wait_for(lambda: nodes[1].statistics.snapshot().frames_processed == 1, 'an image')
    for node in nodes:
        executor.remove_node(node)
        node.destroy_node()
    driver.destroy_node()
