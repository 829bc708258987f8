"""The buffer's answers: chains, interpolation, latest common time, and its exceptions."""

import math
import threading

from geometry_msgs.msg import TransformStamped
import pytest
from rclpy.duration import Duration
from rclpy.time import Time
from tf2_ros import (
    Buffer,
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    TransformException,
)


def link(parent: str, child: str, seconds: float, x: float = 0.0, yaw: float = 0.0):
    """Return parent_from_child: ``x`` metres along x, turned by ``yaw`` about z."""
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.header.stamp = at(seconds).to_msg()
    message.transform.translation.x = x
    message.transform.rotation.z = math.sin(yaw / 2)
    message.transform.rotation.w = math.cos(yaw / 2)
    return message


def at(seconds: float) -> Time:
    """Return a time."""
    return Time(nanoseconds=round(seconds * 1e9))


def yaw_of(message: TransformStamped) -> float:
    """Return the turn about z."""
    rotation = message.transform.rotation
    return 2 * math.atan2(rotation.z, rotation.w)


@pytest.fixture
def buffer() -> Buffer:
    """Return map → odom (static, 10 m ahead, turned left) → base (moving) → camera (static)."""
    buffer = Buffer()
    buffer.set_transform_static(link('map', 'odom', 0, x=10, yaw=math.pi / 2), 'test')
    buffer.set_transform(link('odom', 'base', 5, x=1), 'test')
    buffer.set_transform(link('odom', 'base', 7, x=3, yaw=1.0), 'test')
    buffer.set_transform_static(link('base', 'camera', 0, x=0.5), 'test')
    return buffer


def test_chain_at_a_stamp(buffer: Buffer) -> None:
    """0.5 m and 1 m along odom's x, which is the map's y."""
    found = buffer.lookup_transform('map', 'camera', at(5))
    translation = found.transform.translation
    assert (found.header.frame_id, found.child_frame_id) == ('map', 'camera')
    assert (translation.x, translation.y) == pytest.approx((10, 1.5))
    assert yaw_of(found) == pytest.approx(math.pi / 2)


def test_inverse(buffer: Buffer) -> None:
    translation = buffer.lookup_transform('camera', 'map', at(5)).transform.translation
    assert (translation.x, translation.y) == pytest.approx((-1.5, 10))


def test_interpolation_is_linear_in_place_and_angle(buffer: Buffer) -> None:
    found = buffer.lookup_transform('odom', 'base', at(5.5))
    assert found.transform.translation.x == pytest.approx(1.5)
    assert yaw_of(found) == pytest.approx(0.25)
    assert found.header.stamp == at(5.5).to_msg()


def test_interpolation_takes_the_shorter_arc() -> None:
    buffer = Buffer()
    buffer.set_transform(link('a', 'b', 1, yaw=math.pi - 0.1), 'test')
    flipped = link('a', 'b', 2, yaw=-math.pi + 0.1)
    buffer.set_transform(flipped, 'test')
    assert abs(yaw_of(buffer.lookup_transform('a', 'b', at(1.5)))) == pytest.approx(math.pi)


def test_time_zero_is_the_latest_common_time(buffer: Buffer) -> None:
    buffer.set_transform(link('camera', 'lens', 6, x=1), 'test')
    assert buffer.lookup_transform('odom', 'base', Time()).header.stamp == at(7).to_msg()
    assert buffer.lookup_transform('odom', 'lens', Time()).header.stamp == at(6).to_msg()
    assert buffer.lookup_transform('map', 'odom', Time()).header.stamp == Time().to_msg()


@pytest.mark.parametrize('seconds', [4.99, 7.01])
def test_outside_the_kept_time(buffer: Buffer, seconds: float) -> None:
    with pytest.raises(ExtrapolationException, match='past' if seconds < 5 else 'future'):
        buffer.lookup_transform('map', 'camera', at(seconds))
    can, why = buffer.can_transform('map', 'camera', at(seconds), return_debug_tuple=True)
    assert not can
    assert 'extrapolation' in why


def test_frames_that_cannot_be_found(buffer: Buffer) -> None:
    buffer.set_transform_static(link('moon', 'crater', 0), 'test')
    for frame, error in (
        ('crater', ConnectivityException),
        ('nowhere', LookupException),
        ('/map', InvalidArgumentException),
        ('', InvalidArgumentException),
    ):
        with pytest.raises(error):
            buffer.lookup_transform(frame, 'camera', at(5))
        assert issubclass(error, TransformException)
        assert buffer.can_transform(frame, 'camera', at(5)) is False


def test_old_data_is_forgotten() -> None:
    buffer = Buffer(cache_time=Duration(seconds=2))
    for seconds in (1, 2, 3, 4, 5):
        buffer.set_transform(link('a', 'b', seconds), 'test')
    buffer.lookup_transform('a', 'b', at(3))
    with pytest.raises(ExtrapolationException):
        buffer.lookup_transform('a', 'b', at(2.9))


@pytest.mark.parametrize('fault', ['nan', 'zero quaternion', 'same frame'])
def test_invalid_transforms_are_refused(fault: str) -> None:
    message = link('a', 'a' if fault == 'same frame' else 'b', 1)
    if fault == 'nan':
        message.transform.translation.x = math.nan
    if fault == 'zero quaternion':
        message.transform.rotation.w = 0.0
    buffer = Buffer()
    buffer.set_transform(message, 'test')
    assert not buffer.can_transform('a', 'b', at(1))


def test_lookup_waits_for_what_comes_within_the_timeout() -> None:
    buffer = Buffer()
    timer = threading.Timer(0.1, buffer.set_transform, (link('a', 'b', 1, x=4), 'test'))
    timer.start()
    found = buffer.lookup_transform('a', 'b', at(1), timeout=Duration(seconds=5))
    timer.join()
    assert found.transform.translation.x == 4


def test_between_two_times_through_a_fixed_frame(buffer: Buffer) -> None:
    found = buffer.lookup_transform_full('base', at(5), 'base', at(7), 'odom')
    assert found.transform.translation.x == pytest.approx(2)
    assert yaw_of(found) == pytest.approx(1.0)
