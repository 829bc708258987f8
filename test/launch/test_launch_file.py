"""The launch file gives the node its parameters, remaps and name; only where launch_ros exists."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip('launch_ros', reason='launch_ros is not installed: it has no wheel')
pytestmark = pytest.mark.launch

LAUNCH_FILE = Path(__file__).parents[2] / 'launch' / 'da3.launch.py'


@pytest.fixture
def launch_file() -> ModuleType:
    """Return the launch file as a module."""
    spec = importlib.util.spec_from_file_location('da3_launch', LAUNCH_FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands(launch_file: ModuleType, **given: str) -> list[list[str]]:
    """Return the command lines of the nodes that the file starts for these arguments."""
    from launch import LaunchContext
    from launch.actions import DeclareLaunchArgument

    context = LaunchContext()
    context.launch_configurations.update({'config': '/config.yaml', **given})
    for entity in launch_file.generate_launch_description().entities:
        if isinstance(entity, DeclareLaunchArgument):
            entity.execute(context)
    lines = []
    for node in launch_file.nodes(context):
        node._perform_substitutions(context)
        words = [[part.perform(context) for part in word] for word in node.cmd]
        lines.append([''.join(word) for word in words])
    return lines


def test_defaults_start_the_node_alone(launch_file: ModuleType) -> None:
    (command,) = commands(launch_file)
    assert command[0].endswith('da3_node')
    assert '__node:=da3' in command
    assert not any(word.startswith(('image:=', 'camera_info:=')) for word in command)


def test_image_and_its_calibration_are_remapped(launch_file: ModuleType) -> None:
    (command,) = commands(launch_file, image='/cam/image_raw', namespace='robot')
    assert '__ns:=/robot' in command
    assert 'image:=/cam/image_raw' in command
    assert 'image/compressed:=/cam/image_raw/compressed' in command
    assert 'camera_info:=/cam/camera_info' in command


def test_a_camera_has_its_prefix(launch_file: ModuleType) -> None:
    remaps = launch_file.remappings('front', '/cam/color', '/info')
    assert dict(remaps) == {
        'front/image': '/cam/color',
        'front/image/compressed': '/cam/color/compressed',
        'front/camera_info': '/info',
    }


def test_every_argument_is_described(launch_file: ModuleType) -> None:
    from launch.actions import DeclareLaunchArgument

    entities = launch_file.generate_launch_description().entities
    arguments = [entity for entity in entities if isinstance(entity, DeclareLaunchArgument)]
    assert len(arguments) == len(launch_file.ARGUMENTS)
    assert all(argument.description for argument in arguments)
