"""Pose priors in the node, over DDS: TF that is late, missing, false, and of a rig."""

from collections.abc import Callable

from da3_ros.engine import PriorStatus
from da3_ros.evaluation.simulated_stream import camera_at, winding_walk
from da3_ros.geometry.transforms import rigid
from da3_ros.ros.poses import transform_message
import numpy as np
from peer import PATIENCE_S
from rig import image, Rig, wait_for
from stage import SIZE, Stage

ODOMETRY = {'pose_prior': 'odometry', 'keyframe.revisits': False}
# A frame whose axes are those of a robot's body, x forward, in place of the optical ones.
BODY_AXES = rigid(np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]), np.zeros(3))


def prior(stage: Stage) -> PriorStatus:
    """Return what became of the windows so far."""
    return stage.rig.engine.status.prior


def be_patient(stage: Stage, timeout_s: float = 10 * PATIENCE_S) -> None:
    """Let images wait longer than any test takes: what ends a wait is an event, not the time."""
    stage.rig.node.worker._pose_wait._timeout_s = timeout_s


def is_waiting(stage: Stage) -> bool:
    """Tell whether the worker waits for TF."""
    return len(stage.rig.node._robot_tf._changed._waiters) == 1


def show(stage: Stage, stamp: int) -> None:
    """Publish an image, and go on while the node has it."""
    message = image(stamp, *SIZE)
    message.header.frame_id = stage.frame('')
    stage.rig.publish(message, 'image')


def turn(stage: Stage, stamp: int, odom_from_optical: np.ndarray) -> None:
    """Send some other odom → camera than the true one."""
    message = transform_message(odom_from_optical, 'odom', stage.frame(''), stamp)
    stage.broadcaster.sendTransform(message)
    stage.wait_for_tf('odom', stage.frame(''), stamp)


def diagnosed(stage: Stage, words: str) -> None:
    """Wait until diagnostics warn in these words."""
    heard = stage.rig.messages['/diagnostics']
    wait_for(lambda: any(words in m.status[0].message for m in heard), f'{words!r}')


def test_odometry_that_is_there_goes_to_the_network(make_rig: Callable[..., Rig]) -> None:
    stage = Stage(make_rig, winding_walk(8), **ODOMETRY)
    stage.rig.listen('/diagnostics')
    for stamp in stage.stamps:
        stage.move(stamp)
        status = stage.look(stamp)
    assert (prior(stage).used, dict(prior(stage).unused)) == (7, {'alone': 1})
    assert 'wait' in status.stages
    values = wait_for(
        lambda: [
            found
            for m in stage.rig.messages['/diagnostics']
            if 'windows with pose prior' in (found := {v.key: v.value for v in m.status[0].values})
        ],
        'diagnostics with a prior',
    )[-1]
    assert values['windows without pose prior: alone'] == '1'
    assert values['pose prior problem'] == ''


def test_images_wait_for_odometry_that_is_late_and_nobody_waits_for_them(
    make_rig: Callable[..., Rig],
) -> None:
    """The executor serves services, and takes the very transforms, in the meantime."""
    stage = Stage(make_rig, winding_walk(6), **ODOMETRY)
    be_patient(stage)
    for count, stamp in enumerate(stage.stamps, 1):
        show(stage, stamp)
        wait_for(lambda: is_waiting(stage), 'the image to wait')
        assert stage.rig.state() == 'active'
        assert stage.rig.counts().frames_processed == count - 1
        stage.move(stamp)
        wait_for(lambda n=count: stage.rig.counts().frames_processed == n, 'the image')
    assert (prior(stage).used, dict(prior(stage).unused)) == (5, {'alone': 1})


def test_a_pause_ends_the_wait(make_rig: Callable[..., Rig]) -> None:
    """And so does a node that is cleaned up: nothing is left behind."""
    stage = Stage(make_rig, winding_walk(2), **ODOMETRY)
    be_patient(stage)
    show(stage, stage.stamps[0])
    wait_for(lambda: is_waiting(stage), 'the image to wait')
    worker = stage.rig.node.worker
    stage.rig.node.trigger_deactivate()
    wait_for(lambda: not is_waiting(stage), 'the wait to end')
    stage.rig.node.trigger_cleanup()
    wait_for(lambda: not worker._thread.is_alive(), 'the worker to end')
    assert not stage.rig.node.is_worker_left_behind


def test_without_odometry_images_go_without_and_diagnostics_say_so(
    make_rig: Callable[..., Rig],
) -> None:
    stage = Stage(make_rig, winding_walk(12), **ODOMETRY)
    stage.rig.listen('/diagnostics')
    for stamp in stage.stamps:
        stage.look(stamp)
    assert dict(prior(stage).unused) == {'alone': 1, 'no_odometry': 11}
    assert stage.rig.counts().frames_dropped == 0
    diagnosed(stage, "No pose prior for 10 windows: TF has no odometry of camera ''")


def test_odometry_of_a_frame_that_is_not_optical_is_dropped_and_said(
    make_rig: Callable[..., Rig],
) -> None:
    """It is what is most often wrong with a robot's transforms."""
    stage = Stage(make_rig, winding_walk(24), **ODOMETRY)
    stage.rig.listen('/diagnostics')
    for stamp in stage.stamps:
        turn(stage, stamp, stage.truth.world_from_camera('', stamp) @ BODY_AXES)
        stage.look(stamp)
    dropped = {reason: prior(stage).unused.get(reason, 0) for reason in ('images', 'pause')}
    assert dropped['images'] >= 1
    assert sum(dropped.values()) > 5
    assert stage.rig.counts().frames_dropped == 0
    diagnosed(stage, 'The pose prior is off: ')


def test_a_rig_is_known_from_static_transforms(make_rig: Callable[..., Rig]) -> None:
    right_in_left = rigid(np.eye(3), np.array([0.4, 0.0, 0.0]))
    offsets = {'left': np.eye(4), 'right': right_in_left}
    stage = Stage(make_rig, [camera_at([0, 0, 0])] * 2, offsets, pose_prior='rig')
    stage.fix('base', 'left_optical', np.eye(4))
    stage.fix('base', 'right_optical', right_in_left)
    for stamp in stage.stamps:
        stage.look(stamp)
    assert (prior(stage).used, dict(prior(stage).unused)) == (1, {'alone': 1, 'apart': 2})
