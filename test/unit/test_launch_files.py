"""What the launch files start, read from them with stand-ins for launch itself."""

from pathlib import Path
from types import SimpleNamespace

from doubles.launching import Entity, IncludeLaunchDescription, launched, Node, text
import pytest
import yaml

FILES = ('da3.launch.py', 'rig.launch.py', 'replay.launch.py')
READY = b"[INFO] [da3]: 'embedded' is ready on cpu."


def started(name: str, **arguments: str) -> list[Entity]:
    """Return the entities of a launch file."""
    return launched(name, **arguments)[1]


def says(entities: list[Entity], process: str, line: bytes) -> list[Entity] | None:
    """Return what a launch file starts when a process prints a line."""
    (handler,) = (e.args[0] for e in entities if type(e).__name__ == 'RegisterEventHandler')
    return handler.kwargs['on_stderr'](SimpleNamespace(process_name=process, text=line))


@pytest.mark.parametrize('name', FILES)
def test_every_argument_is_described(name: str) -> None:
    declared, _ = launched(name, **({'bag': 'my_bag'} if name == 'replay.launch.py' else {}))
    assert all(argument.kwargs['description'].endswith('.') for argument in declared.values())


def test_the_node_is_started_and_started_again_if_wanted() -> None:
    (node,) = started('da3.launch.py')
    assert isinstance(node, Node) and node.kwargs['executable'] == 'da3_node'
    assert node.kwargs['respawn'] is False
    (node,) = started('da3.launch.py', respawn='true')
    assert node.kwargs['respawn'] is True and node.kwargs['respawn_delay'] > 0


def test_inputs_are_remapped() -> None:
    (node,) = started('da3.launch.py', image='/cam/image_raw', camera='front')
    assert node.kwargs['remappings'] == [
        ('front/image', '/cam/image_raw'),
        ('front/image/compressed', '/cam/image_raw/compressed'),
        ('front/camera_info', '/cam/camera_info'),
    ]
    parameters = node.kwargs['parameters'][1]
    assert parameters == {'use_sim_time': False, 'cameras': ['front']}


def test_the_cameras_of_a_rig_are_remapped_each() -> None:
    (node,) = started('da3.launch.py', camera='a, b', image='/{camera}/color/raw')
    assert node.kwargs['remappings'] == [
        ('a/image', '/a/color/raw'),
        ('a/image/compressed', '/a/color/raw/compressed'),
        ('a/camera_info', '/a/color/camera_info'),
        ('b/image', '/b/color/raw'),
        ('b/image/compressed', '/b/color/raw/compressed'),
        ('b/camera_info', '/b/color/camera_info'),
    ]
    assert node.kwargs['parameters'][1] == {'use_sim_time': False, 'cameras': ['a', 'b']}


def test_a_rig_is_the_same_node_with_its_own_parameters_and_view() -> None:
    (node,) = started('rig.launch.py', cameras='a,b', image='/{camera}/raw', respawn='true')
    assert text(node.args[0], node.context) == 'da3_ros/launch/da3.launch.py'
    given = {name: text(v, node.context) for name, v in node.kwargs['launch_arguments']}
    assert set(given) <= set(launched('da3.launch.py')[0])
    assert given['config'] == 'da3_ros/config/rig.yaml'
    assert given['rviz_config'] == 'da3_ros/config/rig.rviz'
    assert (given['camera'], given['image'], given['respawn']) == ('a,b', '/{camera}/raw', 'true')


@pytest.mark.parametrize('topic', ['image', 'camera_info'])
def test_topics_of_a_rig_want_names(topic: str) -> None:
    with pytest.raises(ValueError, match="without 'cameras'"):
        started('rig.launch.py', **{topic: '/{camera}/raw', 'cameras': ' ,'})


def test_a_bag_is_played_in_its_own_time() -> None:
    """The node is that of the other launch file, with its arguments and the bag's clock."""
    entities = started('replay.launch.py', bag='my_bag', image='/cam/image_raw', model='small')
    (node,) = (e for e in entities if isinstance(e, IncludeLaunchDescription))
    assert text(node.args[0], node.context) == 'da3_ros/launch/da3.launch.py'
    given = {name: text(v, node.context) for name, v in node.kwargs['launch_arguments']}
    assert given['use_sim_time'] == given['rviz'] == 'true'
    assert (given['image'], given['model']) == ('/cam/image_raw', 'small')
    assert set(given) <= set(launched('da3.launch.py')[0])


def test_the_bag_starts_once_when_the_node_is_ready() -> None:
    entities = started('replay.launch.py', bag='my_bag', rate='0.5', loop='true')
    assert says(entities, 'da3_node-1', b"[da3]: Loading 'embedded' ...") is None
    assert says(entities, 'rviz2-2', READY) is None
    (player,) = says(entities, 'da3_node-1', READY)
    command = player.kwargs['cmd']
    assert command[:4] == ['ros2', 'bag', 'play', 'my_bag'] and '--clock' in command
    assert command[command.index('--rate') + 1] == '0.5' and '--loop' in command
    assert '--qos-profile-overrides-path' not in command
    assert says(entities, 'da3_node-1', READY) is None


def test_images_wait_where_every_frame_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bag publishes them reliably and forgets none; node and bag speak of the same topic."""
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
    entities = started('replay.launch.py', bag='b', image='/cam/image', replay='every_frame')
    (player,) = says(entities, 'da3_node-1', READY)
    command = player.kwargs['cmd']
    path = Path(command[command.index('--qos-profile-overrides-path') + 1])
    qos = yaml.safe_load(path.read_text())
    assert set(qos) == {'/cam/image', '/cam/image/compressed'}
    assert qos['/cam/image'] == {
        'reliability': 'reliable',
        'history': 'keep_all',
        'durability': 'volatile',
    }
    assert 'loop' not in ' '.join(command)


def test_a_replay_wants_a_bag() -> None:
    with pytest.raises(AssertionError, match='bag'):
        launched('replay.launch.py')
