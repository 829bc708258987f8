"""The benchmark of latency reads stamps out of serialised messages."""

from da3_ros.ros.convert import header_at
from geometry_msgs.msg import TransformStamped
import pytest
from rclpy.serialization import serialize_message
from tf2_msgs.msg import TFMessage

from benchmarks.latency import given, OUTPUTS, stamp_ns

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
