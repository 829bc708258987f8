"""A node under test and a peer that plays camera and user, in one process over real DDS."""

from collections.abc import Callable, Iterator
import os
from pathlib import Path
import sys

import pytest

# Modules beside the tests, for pytest's importlib mode puts no folder on the path.
sys.path.insert(0, str(Path(__file__).parent))
# This machine's topics only; the session's domain makes them nobody else's.
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ.setdefault(
    'FASTDDS_DEFAULT_PROFILES_FILE', str(Path(__file__).parents[2] / 'config/fastdds.xml')
)

rclpy = pytest.importorskip('rclpy')

from da3_ros.ros.domain import private_domain  # noqa: E402
from rig import Rig  # noqa: E402
from shared_memory import sweep  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here: all of it needs ROS."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.ros)


@pytest.fixture(scope='session', autouse=True)
def ros() -> Iterator[None]:
    """Keep one ROS context for all tests, in a domain of their own; signals stay pytest's."""
    sweep()  # runs that were ended before this one may have left their gigabytes
    with private_domain() as domain_id:
        os.environ['ROS_DOMAIN_ID'] = str(domain_id)  # for processes that tests start, too
        rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
        yield
        rclpy.try_shutdown()
    sweep()


@pytest.fixture
def make_rig() -> Iterator[Callable[..., Rig]]:
    """Return a function that starts a node with parameters; all are ended after the test."""
    rigs: list[Rig] = []

    def make(**kwargs) -> Rig:
        rigs.append(Rig(**kwargs))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """Return an active node with default parameters and a peer that listens to everything."""
    rig = make_rig()
    rig.listen()
    return rig
