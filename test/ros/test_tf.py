"""Transforms: none, map above the camera, map above the odometry frame."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from da3_ros.engine import Frame, Update
from da3_ros.geometry.transforms import rigid
from da3_ros.ros.poses import matrix_of, transform_message
import fake_engine
from geometry_msgs.msg import TransformStamped
import numpy as np
from rig import FRAME_ID, image, Rig, wait_for
from scipy.spatial.transform import Rotation
from tf2_ros import TransformBroadcaster


def send_odometry(rig: Rig, odom_from_camera: np.ndarray, stamp: int) -> None:
    """Publish odom → camera as the robot would, once the node listens, and wait for it to know."""
    if not hasattr(rig, 'broadcaster'):
        rig.broadcaster = TransformBroadcaster(rig.peer)
        publisher = rig.broadcaster.pub_tf
        wait_for(lambda: publisher.get_subscription_count() > 1, 'the node to listen to /tf')
    rig.broadcaster.sendTransform(transform_message(odom_from_camera, 'odom', FRAME_ID, stamp))
    tf = rig.node._robot_tf
    wait_for(lambda: tf.find('odom', FRAME_ID, stamp) is not None, 'odom → camera in TF')


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
    assert rig.heard('odometry')
    wait_for(lambda: rig.counts().frames_published == 1, 'the outputs')
    assert rig.counts().drops == {'tf_odom': 1}
    assert rig.counts().frames_dropped == 0
    assert from_map(rig) == []


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
