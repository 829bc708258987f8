"""The configuration tree refuses what it may not hold and says so in a sentence."""

import dataclasses

from da3_ros.config import EngineConfig, NodeConfig
from da3_ros.errors import ConfigError
from da3_ros.parameter_tree import leaves, replaced
import pytest


def test_every_leaf_is_described_and_its_default_is_allowed() -> None:
    names = [name for name, _, _ in leaves(NodeConfig())]
    assert len(names) == len(set(names)) > 20
    for name, field, value in leaves(NodeConfig()):
        assert field.metadata['description'].endswith('.'), name
        assert replaced(NodeConfig(), {name: value}) == NodeConfig()


def test_engine_parameters_are_node_parameters() -> None:
    node = {name for name, _, _ in leaves(NodeConfig())}
    assert {name for name, _, _ in leaves(EngineConfig())} < node


def test_values_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        NodeConfig().model = 'other'


def test_replaced_changes_only_what_is_named() -> None:
    before = NodeConfig()
    after = replaced(before, {'window.size': 4, 'tf': 'none', 'keyframe.max_overlap': 0.5})
    assert (after.window.size, after.tf, after.keyframe.max_overlap) == (4, 'none', 0.5)
    changed = [
        name
        for (name, _, old), (_, _, new) in zip(leaves(before), leaves(after), strict=True)
        if old != new
    ]
    assert sorted(changed) == ['keyframe.max_overlap', 'tf', 'window.size']


def test_values_take_the_type_of_the_default() -> None:
    assert replaced(NodeConfig(), {'depth.max_range': 5}).depth.max_range == 5.0
    assert replaced(NodeConfig(), {'cameras': ['a', 'b']}).cameras == ('a', 'b')


@pytest.mark.parametrize(
    ('name', 'value', 'words'),
    [
        ('window.size', 1, 'at least 2'),
        ('window.size', 2.5, 'expected int'),
        ('window.size', True, 'expected int'),
        ('keyframe.max_overlap', 1.5, 'at most 1'),
        ('keyframe.max_overlap', float('nan'), 'at least'),
        ('depth.encoding', 'rgb8', "'16UC1'"),
        ('tf', 'off', "'camera'"),
        ('model', '  ', 'Hugging Face'),
        ('device', 'gpu', "'cuda:N'"),
        ('cameras', ['a', 'a'], 'once'),
        ('cameras', [], 'list of names'),
        ('cameras', ['', 'left'], 'single camera'),
        ('cameras', ['1st'], 'topic prefix'),
        ('cameras', ['front\n'], 'topic prefix'),
        ('device', 'cpu\n', "'cuda:N'"),
        ('save_directory', ' ', 'directory'),
        ('save_directory', 'a\0b', 'directory'),
        ('frames.map', '', 'frame id'),
        ('frames.map', 'map\n', 'frame id'),
        ('frames.cameras', ('a b',), 'frame id'),
        ('frames.cameras', (1,), 'frame id'),
        ('tf_tolerance_s', -0.1, 'at least 0'),
        ('no.such', 1, "no parameter 'no.such'"),
        ('window', 3, "no parameter 'window'"),
        ('model.size', 3, "no parameter 'model.size'"),
    ],
)
def test_refusals_are_sentences(name: str, value: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refusal:
        replaced(NodeConfig(), {name: value})
    assert str(refusal.value).endswith('.')


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        ({'frames.cameras': ('a', 'b')}, "has 2 names and 'cameras' 1"),
        ({'cameras': ('l', 'r'), 'frames.cameras': ('a',)}, "has 1 names and 'cameras' 2"),
        ({'cameras': ('l', 'r'), 'frames.cameras': ('a', 'a')}, 'one name for different frames'),
        ({'frames.cameras': ('map',)}, 'one name for different frames'),
        ({'tf': 'odom', 'frames.odom': 'map'}, 'one name for different frames'),
    ],
)
def test_parameters_must_go_together(values: dict, words: str) -> None:
    """Each alone could be right."""
    with pytest.raises(ConfigError, match=words):
        replaced(NodeConfig(), values).check()


@pytest.mark.parametrize(
    'values',
    [
        {},
        {'cameras': ('l', 'r')},
        {'cameras': ('l', 'r'), 'frames.cameras': ('a', '')},
        {'frames.map': 'odom'},
    ],
)
def test_parameters_that_go_together(values: dict) -> None:
    """A camera without a name has that of its images; odom is free where it is not sent."""
    replaced(NodeConfig(), values).check()
