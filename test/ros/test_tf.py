"""Transforms: none, map above the camera, map above the odometry frame."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from da3_ros.engine import Frame, Update
from da3_ros.geometry.transforms import rigid
from da3_ros.ros.convert import stamp_ns as stamp_of
from da3_ros.ros.poses import matrix_of, transform_message
import fake_engine
from geometry_msgs.msg import TransformStamped
import numpy as np
import pytest
from rig import FRAME_ID, image, Rig, wait_for
from scipy.spatial.transform import Rotation
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster

# Where the camera is on the robot, and the mount on its base.
MOUNT_FROM_CAMERA = rigid(Rotation.from_euler('xyz', [-1.5, 0.1, -1.6]).as_matrix(), np.ones(3))
BASE_FROM_MOUNT = rigid(Rotation.from_euler('z', 0.3).as_matrix(), np.array([0.1, 0.2, 0.3]))
STATIC = {('mount', FRAME_ID): MOUNT_FROM_CAMERA, ('base', 'mount'): BASE_FROM_MOUNT}


def send_odometry(
    rig: Rig, odom_from_camera: np.ndarray, stamp: int, parent: str = 'odom', child: str = FRAME_ID
) -> None:
    """Publish odom → camera as the robot would, once the node listens, and wait for it to know."""
    if not hasattr(rig, 'broadcaster'):
        rig.broadcaster = TransformBroadcaster(rig.peer)
        publisher = rig.broadcaster.pub_tf
        wait_for(lambda: publisher.get_subscription_count() > 1, 'the node to listen to /tf')
    rig.broadcaster.sendTransform(transform_message(odom_from_camera, parent, child, stamp))
    wait_for_parent(rig, child, parent)
    if parent != 'map':  # what is below the map is no measurement
        tf = rig.node._robot_tf
        wait_for(lambda: tf.find(parent, child, stamp) is not None, f'{parent} → {child} in TF')


def send_static(rig: Rig, transforms: dict[tuple[str, str], np.ndarray]) -> None:
    """Publish what is mounted where, and wait for the node to know."""
    rig.static_broadcaster = StaticTransformBroadcaster(rig.peer)
    rig.static_broadcaster.sendTransform(
        [transform_message(pose, *frames, 0) for frames, pose in transforms.items()]
    )
    for parent, child in transforms:
        wait_for_parent(rig, child, parent)
        wait_for(lambda p=parent, c=child: rig.node._robot_tf.find(p, c, 0) is not None, child)


def wait_for_parent(rig: Rig, child: str, parent: str) -> None:
    """Wait for the node to know that a frame has a parent."""
    family = rig.node._robot_tf.family
    wait_for(
        lambda: (above := family.above(child)) and above[0].frame == parent,
        f'{parent} above {child}',
    )


def from_map(rig: Rig) -> list[TransformStamped]:
    """Return the transforms that the node sent."""
    transforms = [t for m in rig.messages['/tf'] for t in m.transforms]
    return [t for t in transforms if t.header.frame_id == 'map']


def test_none_sends_nothing(make_rig: Callable[..., Rig]) -> None:
    """Not even a publisher."""
    rig = make_rig(parameters={'tf': 'none'})
    rig.send()
    assert all(p.topic_name != '/tf' for p in rig.node.publishers)


def test_odom_corrects_the_odometry(make_rig: Callable[..., Rig]) -> None:
    """Map → odom → camera is the engine's pose, with odom → camera interpolated at the stamp."""
    rig = make_rig(parameters={'tf': 'odom'})
    rig.listen('/tf')
    stamp = rig.next_stamp_ns()
    before, after = np.eye(4), np.eye(4)
    before[0, 3], after[0, 3] = 1.0, 3.0
    send_odometry(rig, before, stamp - 10**8)
    send_odometry(rig, after, stamp + 10**8)
    rig.send(image(stamp))
    (transform,) = wait_for(lambda: from_map(rig), 'map → odom')
    assert transform.child_frame_id == 'odom'
    odom_from_camera = np.eye(4)
    odom_from_camera[0, 3] = 2.0
    np.testing.assert_allclose(
        matrix_of(transform.transform) @ odom_from_camera, fake_engine.pose(0), atol=1e-6
    )


class ClosesALoop(fake_engine.FakeEngine):
    """Moves the camera by metres and a turn at the third frame, and all that come later."""

    jump = rigid(Rotation.from_euler('z', 20, degrees=True).as_matrix(), np.array([2.0, -1.0, 0]))

    def push(self, frames: Sequence[Frame]) -> Update:
        """Return a view for each frame, where the corrected map has it."""
        update = super().push(frames)
        if len(self.frames) < 3:
            return update
        views = (replace(v, map_from_camera=self.jump @ v.map_from_camera) for v in update.views)
        return replace(update, views=tuple(views), keyframes_changed=True)


def test_a_closed_loop_moves_the_odometry_and_not_the_robot_in_it(
    make_rig: Callable[..., Rig],
) -> None:
    """Map → odom takes the whole jump at once (REP 105), and the robot's odom → camera none."""
    rig = make_rig(parameters={'tf': 'odom'}, engine=ClosesALoop)
    rig.listen('/tf')
    stamps = [rig.next_stamp_ns() for _ in range(5)]
    for i, stamp in enumerate(stamps):
        send_odometry(rig, fake_engine.pose(i), stamp)  # without drift
        rig.send(image(stamp))
    found = wait_for(lambda: t if len(t := from_map(rig)) == 5 else None, 'map → odom')
    for i, transform in enumerate(found):
        assert transform.child_frame_id == 'odom'
        expected = np.eye(4) if i < 2 else ClosesALoop.jump
        np.testing.assert_allclose(matrix_of(transform.transform), expected, atol=1e-6)


def test_odom_without_odometry_is_counted_and_sends_nothing(make_rig: Callable[..., Rig]) -> None:
    """The rest is published all the same."""
    rig = make_rig(parameters={'tf': 'odom'})
    rig.listen()
    rig.send()
    rig.send()
    assert rig.heard('odometry', 2)
    wait_for(lambda: rig.counts().frames_published == 2, 'the outputs')
    assert rig.counts().drops == {'tf_odom': 1}  # the second one's has time until the third comes
    assert rig.counts().frames_dropped == 0
    assert from_map(rig) == []


def test_odometry_that_comes_after_the_image_is_used_with_the_next(
    make_rig: Callable[..., Rig],
) -> None:
    """It is as good as before, for the correction hardly changes; nothing is counted."""
    rig = make_rig(parameters={'tf': 'odom'})
    rig.listen('/tf')
    stamps = [rig.next_stamp_ns() for _ in range(3)]
    for i, stamp in enumerate(stamps):
        rig.send(image(stamp))
        wait_for(lambda i=i: rig.counts().frames_published == i + 1, 'the outputs')
        send_odometry(rig, fake_engine.pose(i), stamp)
    found = wait_for(lambda: t if len(t := from_map(rig)) == 2 else None, 'map → odom')
    assert [stamp_of(t.header) for t in found] == stamps[:2]
    for transform in found:
        np.testing.assert_allclose(matrix_of(transform.transform), np.eye(4), atol=1e-6)
    assert rig.counts().drops == {}


def test_images_without_a_frame_get_no_transform(make_rig: Callable[..., Rig]) -> None:
    """A transform to a frame without a name would break every listener."""
    rig = make_rig()
    rig.listen()
    message = image(rig.next_stamp_ns())
    message.header.frame_id = ''
    rig.send(message)
    assert rig.heard('odometry')
    wait_for(lambda: rig.counts().frames_published == 1, 'the outputs')
    assert rig.counts().drops == {'tf_frame': 1}
    assert from_map(rig) == []


@pytest.mark.parametrize('tf', ['camera', 'odom'])
def test_transforms_are_dated_into_the_future(make_rig: Callable[..., Rig], tf: str) -> None:
    """By tf_tolerance_s; what they say is of the image's stamp, and so are all other stamps."""
    rig = make_rig(parameters={'tf': tf, 'tf_tolerance_s': 0.25})
    rig.listen()
    stamp = rig.next_stamp_ns()
    if tf == 'odom':
        send_odometry(rig, fake_engine.pose(0), stamp)
    rig.send(image(stamp))
    (transform,) = wait_for(lambda: from_map(rig), 'a transform')
    assert stamp_of(transform.header) == stamp + 250_000_000
    expected = np.eye(4) if tf == 'odom' else fake_engine.pose(0)
    np.testing.assert_allclose(matrix_of(transform.transform), expected, atol=1e-6)
    assert stamp_of(rig.heard('odometry')[0].header) == stamp


def test_a_mounted_camera_moves_what_it_is_mounted_on(
    make_rig: Callable[..., Rig], capfd: pytest.CaptureFixture
) -> None:
    """Map → base, so that map → base → mount → camera is the pose; the camera keeps its parent."""
    rig = make_rig()
    rig.listen('/tf')
    send_static(rig, STATIC)
    rig.send()
    rig.send()
    found = wait_for(lambda: t if len(t := from_map(rig)) == 2 else None, 'map → base')
    for i, transform in enumerate(found):
        assert transform.child_frame_id == 'base'
        map_from_camera = matrix_of(transform.transform) @ BASE_FROM_MOUNT @ MOUNT_FROM_CAMERA
        np.testing.assert_allclose(map_from_camera, fake_engine.pose(i), atol=1e-6)
    assert rig.counts().drops == {}
    assert capfd.readouterr().err.count("is mounted below 'base'") == 1


def test_cameras_on_one_mount_place_it_once(make_rig: Callable[..., Rig]) -> None:
    """By the first of them; a camera that is mounted nowhere is placed by itself."""
    names = {'left': FRAME_ID, 'right': 'right_optical', 'hand': 'hand_optical'}
    rig = make_rig(
        parameters={'cameras': list(names), 'frames.cameras': ['', *list(names.values())[1:]]}
    )
    rig.listen('/tf')
    send_static(rig, STATIC | {('mount', 'right_optical'): np.eye(4)})
    rig.engine.gate.clear()
    for name in names:  # the first one is in the network when the others come
        rig.publish(image(rig.next_stamp_ns()), f'{name}/image')
    wait_for(lambda: rig.counts().frames_received == 3, 'a set to wait')
    for name in names:
        rig.publish(image(rig.next_stamp_ns()), f'{name}/image')
    wait_for(lambda: rig.counts().frames_received == 6, 'a set to wait')
    rig.engine.gate.set()
    wait_for(lambda: rig.counts().frames_published >= 4, 'the outputs')
    children = [t.child_frame_id for t in wait_for(lambda: from_map(rig)[-2:], 'transforms')]
    assert sorted(children) == ['base', 'hand_optical']
    for message in rig.messages['/tf']:
        frames = [t.child_frame_id for t in message.transforms]
        assert len(set(frames)) == len(frames)
    stamps = [stamp_of(t.header) for t in from_map(rig) if t.child_frame_id == 'base']
    assert len(set(stamps)) == len(stamps)


PARENTS = {
    'odometry above the base': ('odom', 'base', "set tf: odom with frames.odom: 'odom'"),
    'another map above the base': ('map', 'base', 'set tf: none'),
    'another parent of the camera': ('gimbal', FRAME_ID, "tf: odom with frames.odom: 'gimbal'"),
}


@pytest.mark.parametrize(('parent', 'child', 'advice'), PARENTS.values(), ids=PARENTS)
def test_no_frame_gets_a_second_parent(
    make_rig: Callable[..., Rig],
    capfd: pytest.CaptureFixture,
    parent: str,
    child: str,
    advice: str,
) -> None:
    """Counted, with what to do; the odometry message has the pose all the same."""
    rig = make_rig()
    rig.listen()
    if child == 'base':
        send_static(rig, STATIC)
    stamp = rig.next_stamp_ns()
    send_odometry(rig, np.eye(4), stamp, parent, child)
    rig.send(image(stamp))
    assert rig.heard('odometry')
    wait_for(lambda: rig.counts().frames_published == 1, 'the outputs')
    assert rig.counts().drops == {'tf_parent': 1}
    assert all(t.child_frame_id == child for t in from_map(rig))  # the other's
    assert advice in capfd.readouterr().err


@pytest.mark.parametrize('parent', ['world', 'map'])
def test_odom_with_a_parent_gets_no_other(make_rig: Callable[..., Rig], parent: str) -> None:
    """Somebody else says where the odometry began."""
    rig = make_rig(parameters={'tf': 'odom'})
    rig.listen()
    stamp = rig.next_stamp_ns()
    send_odometry(rig, np.eye(4), stamp)
    send_odometry(rig, np.eye(4), stamp, parent, 'odom')
    rig.send(image(stamp))
    assert rig.heard('odometry')
    wait_for(lambda: rig.counts().frames_published == 1, 'the outputs')
    assert rig.counts().drops == {'tf_parent': 1}
    assert len(from_map(rig)) == (parent == 'map')


def test_a_map_below_the_camera_makes_no_loop(make_rig: Callable[..., Rig]) -> None:
    """Some robots send their transforms from the base up."""
    rig = make_rig()
    rig.listen()
    send_static(rig, STATIC | {('base', 'odom'): np.eye(4), ('odom', 'map'): np.eye(4)})
    rig.send()
    assert rig.heard('odometry')
    wait_for(lambda: rig.counts().frames_published == 1, 'the outputs')
    assert rig.counts().drops == {'tf_parent': 1} and from_map(rig) == []


def test_a_parent_that_comes_later_ends_our_transform(make_rig: Callable[..., Rig]) -> None:
    """A robot whose odometry starts after the camera."""
    rig = make_rig()
    rig.listen('/tf')
    rig.send()
    rig.send()  # what was heard back of the first is not taken for another's
    wait_for(lambda: len(from_map(rig)) == 2, 'map → camera')
    send_odometry(rig, np.eye(4), rig.next_stamp_ns())
    rig.send()
    wait_for(lambda: rig.counts().frames_published == 3, 'the outputs')
    assert rig.counts().drops == {'tf_parent': 1} and len(from_map(rig)) == 2
