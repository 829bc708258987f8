"""The benchmark of latency reads stamps out of serialised messages."""

from argparse import Namespace

from da3_ros.msg import Status
from da3_ros.ros.convert import header_at
from geometry_msgs.msg import TransformStamped
import pytest
from rclpy.serialization import serialize_message
from tf2_msgs.msg import TFMessage

from benchmarks.latency import given, OUTPUTS, row, stamp_ns

STAMP_NS = 1_234_567_891_000_000_123


@pytest.mark.parametrize('topic', OUTPUTS)
def test_stamps_of_all_outputs(topic: str) -> None:
    kind, header = OUTPUTS[topic], header_at(STAMP_NS, 'camera')
    if kind is TFMessage:
        message = TFMessage(transforms=[TransformStamped(header=header)])
    else:
        message = kind(header=header)
    assert stamp_ns(topic, serialize_message(message)) == STAMP_NS


def test_parameters_from_the_command_line() -> None:
    texts = ['window.size:=4', 'compile:=true', 'model:=da3-small', 'keyframe.max_overlap:=0.5']
    assert given(texts) == {
        'window.size': 4,
        'compile': True,
        'model': 'da3-small',
        'keyframe.max_overlap': 0.5,
    }


def test_a_row_says_what_was_measured_and_how() -> None:
    arguments = Namespace(size=(1280, 720), rate=30.0, parameters=[], seconds=2.0)
    made = row('embedded', arguments, Status(), Status(frames_published=60), {'/tf': [1.0, 3.0]})
    assert made['published_hz'] == 30.0 and made['heard_ms'] == {'/tf': [2.0, 2.9]}
    assert made['torch'] and made['command'].startswith('python benchmarks/latency.py')
    assert 'commit' in made
