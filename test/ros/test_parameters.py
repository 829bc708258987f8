"""Parameters: descriptors, refusals, live changes, files, and what YAML gets wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from da3_ros.config import NodeConfig
from da3_ros.parameter_tree import leaves
import numpy as np
import pytest
from rcl_interfaces.msg import ParameterType, SetParametersResult
from rcl_interfaces.srv import DescribeParameters, SetParametersAtomically
from rclpy.parameter import Parameter
from rig import Rig
import yaml

LEAVES = {name: field for name, field, _ in leaves(NodeConfig())}


def set_one(rig: Rig, name: str, value: Any) -> SetParametersResult:
    """Set one parameter of the node."""
    return rig.node.set_parameters([Parameter(name, value=value)])[0]


def test_every_leaf_of_the_configuration_is_described(rig: Rig) -> None:
    """Over the wire: description, type, range."""
    request = DescribeParameters.Request(names=list(LEAVES))
    found = rig.peer.call(DescribeParameters, '/da3/describe_parameters', request).descriptors
    assert [d.name for d in found] == list(LEAVES)
    for descriptor in found:
        metadata = LEAVES[descriptor.name].metadata
        assert descriptor.description == metadata['description']
        assert ('Read-only' in descriptor.additional_constraints) == metadata['read_only']
        if metadata['minimum'] is not None:
            (bounds,) = [*descriptor.integer_range, *descriptor.floating_point_range]
            assert bounds.from_value == pytest.approx(metadata['minimum'])
            assert bounds.to_value == pytest.approx(metadata['maximum'])
    types = {d.name: d.type for d in found}
    assert types['cameras'] == ParameterType.PARAMETER_STRING_ARRAY
    assert types['depth.max_range'] == ParameterType.PARAMETER_DOUBLE
    assert types['window.size'] == ParameterType.PARAMETER_INTEGER
    assert types['autostart'] == ParameterType.PARAMETER_BOOL


def test_a_dynamic_parameter_takes_effect_on_the_next_image(rig: Rig) -> None:
    """In the outputs and in the engine."""
    rig.send()
    assert set_one(rig, 'depth.encoding', '16UC1').successful
    assert set_one(rig, 'points.stride', 2).successful
    assert set_one(rig, 'keyframe.max_overlap', 0.5).successful
    rig.send()
    assert [m.encoding for m in rig.heard('depth/image_rect', 2)] == ['32FC1', '16UC1']
    first, second = rig.heard('points', 2)
    assert (second.width, second.height) == (first.width // 2, first.height // 2)
    assert rig.engine.config.keyframe.max_overlap == 0.5


def test_confidence_and_range_limit_the_depth_at_once(rig: Rig) -> None:
    """Less is published after each."""
    rig.send()
    set_one(rig, 'depth.max_range', 1.5)
    rig.send()
    set_one(rig, 'depth.min_confidence', 1.3)
    rig.send()
    valid = [
        np.isfinite(np.frombuffer(m.data, np.float32)).sum()
        for m in rig.heard('depth/image_rect', 3)
    ]
    assert valid[0] > valid[1] > valid[2] > 0


@pytest.mark.parametrize(
    ('name', 'value', 'words'),
    [
        ('depth.encoding', 'mono8', "is 'mono8'; allowed are '32FC1', '16UC1'"),
        ('points.stride', 0, 'out of range'),
        ('points.stride', 'two', 'of type str; expected int'),
        ('points.stride', 2.0, 'of type float; expected int'),
        ('depth.max_range', float('nan'), ''),
        ('model', 'other', 'deactivate and clean up first'),
        ('window.size', 4, 'deactivate and clean up first'),
        ('cameras', ['a', 'a'], 'expected every name once'),
        ('tf', False, 'of type bool; expected str'),
    ],
)
def test_a_wrong_value_is_refused_with_the_reason(
    rig: Rig, name: str, value: Any, words: str
) -> None:
    """And nothing changes."""
    before = rig.node.get_parameter(name).value
    result = set_one(rig, name, value)
    assert not result.successful
    assert words in result.reason
    assert rig.node.get_parameter(name).value == before
    rig.send()
    assert rig.counts().frames_processed == 1


def test_a_set_of_changes_is_all_or_nothing(rig: Rig) -> None:
    """Over the wire; the good one of two is not applied either."""
    parameters = [Parameter('points.stride', value=3), Parameter('depth.encoding', value='x')]
    request = SetParametersAtomically.Request(
        parameters=[p.to_parameter_msg() for p in parameters]
    )
    result = rig.peer.call(
        SetParametersAtomically, '/da3/set_parameters_atomically', request
    ).result
    assert not result.successful
    assert rig.node.get_parameter('points.stride').value == 1
    request.parameters[1] = Parameter('depth.encoding', value='16UC1').to_parameter_msg()
    result = rig.peer.call(
        SetParametersAtomically, '/da3/set_parameters_atomically', request
    ).result
    assert result.successful
    rig.send()
    assert rig.heard('depth/image_rect')[0].encoding == '16UC1'
    assert rig.heard('points')[0].width == 11  # every third of 32 columns


BAD = {
    'a choice': ('depth.encoding', 'x'),
    'a range': ('points.stride', 0),
    'a type': ('depth.max_range', 'far'),
    'read-only': ('window.size', 4),
}


@pytest.mark.parametrize('over_dds', [False, True], ids=['in_process', 'over_dds'])
@pytest.mark.parametrize('is_last', [False, True])
@pytest.mark.parametrize(('name', 'value'), BAD.values(), ids=BAD)
def test_one_bad_value_among_good_ones_changes_nothing(
    rig: Rig, name: str, value: Any, is_last: bool, over_dds: bool
) -> None:
    """Neither what ROS says the parameters are, nor the configuration, nor the engine's."""
    names = ('keyframe.max_overlap', name, 'use_sim_time')
    before, config = rig.node.get_parameters(names), rig.node.parameters.config
    good = [Parameter('keyframe.max_overlap', value=0.5), Parameter('use_sim_time', value=True)]
    bad = [Parameter(name, value=value)]
    parameters = good + bad if is_last else bad + good
    if over_dds:
        request = SetParametersAtomically.Request(
            parameters=[p.to_parameter_msg() for p in parameters]
        )
        service = '/da3/set_parameters_atomically'
        result = rig.peer.call(SetParametersAtomically, service, request).result
    else:
        result = rig.node.set_parameters_atomically(parameters)
    assert not result.successful and result.reason
    after = rig.node.get_parameters(names)
    assert [p.value for p in after] == [p.value for p in before]
    assert rig.node.parameters.config is config
    rig.send()
    assert rig.engine.config is config


def test_values_that_are_set_one_by_one_are_refused_one_by_one(rig: Rig) -> None:
    """That is what set_parameters does, unlike set_parameters_atomically."""
    parameters = [Parameter('points.stride', value=3), Parameter('depth.encoding', value='x')]
    results = rig.node.set_parameters(parameters)
    assert [result.successful for result in results] == [True, False]
    config = rig.node.parameters.config
    assert (config.points.stride, config.depth.encoding) == (3, '32FC1')


def test_an_integer_is_good_enough_for_a_number(make_rig: Callable[..., Rig]) -> None:
    """As YAML writes 2.0 when a person writes 2; at the start and later."""
    rig = make_rig(parameters={'depth.max_range': 2})
    assert set_one(rig, 'depth.max_range', 3).successful
    assert rig.node.parameters.config.depth.max_range == 3.0
    assert isinstance(rig.node.parameters.config.depth.max_range, float)


def test_setting_a_read_only_parameter_to_what_it_is_changes_nothing(rig: Rig) -> None:
    """Tools write all parameters back."""
    assert set_one(rig, 'model', 'embedded').successful
    assert set_one(rig, 'cameras', ['']).successful


def test_read_only_parameters_change_while_unconfigured(make_rig: Callable[..., Rig]) -> None:
    """And the next configure uses them."""
    rig = make_rig()
    rig.node.trigger_deactivate()
    assert not set_one(rig, 'model', 'b').successful
    rig.node.trigger_cleanup()
    assert set_one(rig, 'model', 'b').successful
    rig.node.trigger_configure()
    assert rig.engine.model_name == 'b'


@pytest.mark.parametrize(
    ('name', 'value', 'good'),
    [
        ('points.stride', -1, 2),
        ('tf', False, 'none'),
        ('depth.max_range', 'far', 4.0),
        ('window.size', 3.5, 3),
        ('model', '', 'embedded'),
    ],
)
def test_a_wrong_value_at_the_start_waits_to_be_put_right(
    make_rig: Callable[..., Rig],
    capfd: pytest.CaptureFixture,
    name: str,
    value: Any,
    good: Any,
) -> None:
    """The process stays, configure fails with a sentence that names the parameter."""
    rig = make_rig(parameters={name: value}, is_active=False)
    assert rig.node.trigger_configure().name == 'FAILURE'
    assert f"Parameter '{name}'" in capfd.readouterr().err
    assert rig.state() == 'unconfigured' and not rig.engines
    assert set_one(rig, name, good).successful
    assert rig.node.trigger_configure().name == 'SUCCESS'


def test_no_camera_names_are_one_camera_without_a_name(make_rig: Callable[..., Rig]) -> None:
    """An empty array has no type in ROS."""
    rig = make_rig(parameters={'cameras': []})
    assert rig.node.parameters.config.cameras == ('',)
    rig.send()


CONFIG = Path(__file__).parents[2] / 'config'


@pytest.mark.parametrize('name', ['da3.yaml', 'rig.yaml'])
def test_the_shipped_file_is_valid(make_rig: Callable[..., Rig], name: str) -> None:
    """Every name in it is a parameter with a value that it may have."""
    path = CONFIG / name
    rig = make_rig(cli_args=['--ros-args', '--params-file', str(path)])
    assert rig.state() == 'active'
    assert set(rig.node._parameter_overrides) <= {*LEAVES, 'use_sim_time', 'autostart'}


@pytest.mark.parametrize(
    ('view', 'parameters'), [('da3.rviz', 'da3.yaml'), ('rig.rviz', 'rig.yaml')]
)
def test_rviz_shows_what_the_node_publishes(
    make_rig: Callable[..., Rig], view: str, parameters: str
) -> None:
    """Every topic in the shipped view is one of the node with the file of the same name."""
    rig = make_rig(cli_args=['--ros-args', '--params-file', str(CONFIG / parameters)])
    displays = yaml.safe_load((CONFIG / view).read_text())['Visualization Manager']['Displays']
    shown = {f'/{d["Topic"]["Value"]}' for d in displays if 'Topic' in d}
    assert len(shown) >= 2 + 4 * len(rig.node.cameras)
    assert shown <= {p.topic_name for p in rig.node.publishers}


def test_a_parameter_file_is_read(make_rig: Callable[..., Rig], tmp_path: Path) -> None:
    """Nested groups by their dotted paths, as launch files give them."""
    path = tmp_path / 'da3.yaml'
    path.write_text(
        "da3:\n  ros__parameters:\n    cameras: ['']\n    tf: none\n"
        '    points: {stride: 4}\n    depth: {max_range: 3}\n'
    )
    config = make_rig(cli_args=['--ros-args', '--params-file', str(path)]).node.parameters.config
    assert (config.tf, config.points.stride, config.depth.max_range) == ('none', 4, 3.0)
