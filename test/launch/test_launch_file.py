"""The launch files start the node with its names, remaps and parameters, and end it cleanly."""

from collections.abc import Callable, Iterator
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from da3_ros.ros.domain import private_domain
import pytest

pytest.importorskip('launch_ros', reason='launch_ros is not installed: it has no wheel')
rclpy = pytest.importorskip('rclpy')
pytestmark = pytest.mark.launch

LAUNCH = Path(__file__).parents[2] / 'launch'
ONE, RIG = 'da3.launch.py', 'rig.launch.py'
# What `ros2 launch` does, without the ros2 command line.
LAUNCHER = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
file, *arguments = sys.argv[1:]
service = LaunchService()
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    file, launch_arguments=[tuple(argument.split(':=')) for argument in arguments])]))
sys.exit(service.run())
"""


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., subprocess.Popen]]:
    """Return a starter of the launch file; what still runs at the end is killed."""
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    processes = []

    def start(name: str, *arguments: str) -> subprocess.Popen:
        command = [sys.executable, '-c', LAUNCHER, str(LAUNCH / name), *arguments]
        processes.append(subprocess.Popen(command, start_new_session=True))
        return processes[-1]

    with private_domain() as domain_id:
        monkeypatch.setenv('ROS_DOMAIN_ID', str(domain_id))
        yield start
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def inputs_of(name: str, namespace: str, count: int, timeout_s: float = 60.0) -> set[str]:
    """Return the image and calibration topics that a node listens to, once it does to so many."""
    context = rclpy.Context()
    rclpy.init(context=context)
    observer = rclpy.create_node('observer', context=context)
    deadline = time.monotonic() + timeout_s
    try:
        while time.monotonic() < deadline:
            time.sleep(0.2)
            try:
                topics = observer.get_subscriber_names_and_types_by_node(name, namespace)
            except rclpy.node.NodeNameNonExistentError:
                continue
            inputs = {topic for topic, types in topics if 'sensor_msgs' in types[0]}
            if len(inputs) >= count:
                return inputs
        raise AssertionError(f'{namespace}/{name} did not listen to anything in {timeout_s:.0f} s')
    finally:
        observer.destroy_node()
        rclpy.shutdown(context=context)


@pytest.mark.parametrize(
    ('name', 'arguments', 'namespace', 'expected'),
    [
        (ONE, [], '/', {'/image', '/camera_info'}),
        (
            ONE,
            ['namespace:=robot', 'image:=/cam/image_raw'],
            '/robot',
            {'/cam/image_raw', '/cam/camera_info'},
        ),
        (
            ONE,
            ['camera:=front', 'image:=/cam/color', 'camera_info:=/info', 'use_sim_time:=true'],
            '/',
            {'/cam/color', '/info'},
        ),
        (
            RIG,
            [],
            '/',
            {
                f'/{camera}/{topic}'
                for camera in ('front', 'left', 'back', 'right')
                for topic in ('image', 'camera_info')
            },
        ),
        (
            RIG,
            ['cameras:=a,b', 'image:=/{camera}/color/raw', 'namespace:=robot'],
            '/robot',
            {'/a/color/raw', '/b/color/raw', '/a/color/camera_info', '/b/color/camera_info'},
        ),
    ],
)
def test_inputs_are_remapped(
    launched: Callable[..., subprocess.Popen],
    name: str,
    arguments: list[str],
    namespace: str,
    expected: set[str],
) -> None:
    process = launched(name, *arguments)
    assert inputs_of('da3', namespace, len(expected)) == expected
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=15) == 0


@pytest.mark.parametrize(
    ('name', 'cameras'), [(ONE, 'camera'), (RIG, 'cameras'), ('replay.launch.py', 'camera')]
)
def test_every_argument_is_described(name: str, cameras: str) -> None:
    from launch.actions import DeclareLaunchArgument
    from launch.launch_description_sources import get_launch_description_from_any_launch_file

    entities = get_launch_description_from_any_launch_file(str(LAUNCH / name)).entities
    arguments = [entity for entity in entities if isinstance(entity, DeclareLaunchArgument)]
    assert {'config', 'model', cameras, 'image', 'rviz'} <= {a.name for a in arguments}
    assert all(argument.description for argument in arguments)
