"""Poses as messages, against tf_transformations."""

from da3_ros.engine import KeyframePose
from da3_ros.geometry.transforms import rigid
from da3_ros.ros.convert import header_at
from da3_ros.ros.poses import (
    matrix_of,
    matrix_of_pose,
    odometry_message,
    PathBuilder,
    pose_message,
    pose_messages,
    transform_message,
    UNKNOWN_VARIANCE,
)
import numpy as np
from scipy.spatial.transform import Rotation
import tf_transformations


def random_pose(seed: int) -> np.ndarray:
    """Return a rigid transform (4, 4)."""
    rng = np.random.default_rng(seed)
    return rigid(Rotation.random(random_state=seed).as_matrix(), rng.normal(size=3))


def test_a_transform_survives_the_message() -> None:
    """Frames and stamp too."""
    for seed in range(20):
        message = transform_message(random_pose(seed), 'map', 'eye', 1_500_000_001)
        np.testing.assert_allclose(matrix_of(message.transform), random_pose(seed), atol=1e-12)
    assert (message.header.frame_id, message.child_frame_id) == ('map', 'eye')
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (1, 500_000_001)


def test_odometry_keeps_the_pose_and_a_covariance_of_its_own() -> None:
    """And says that nothing is known of the speed."""
    covariance = np.arange(36.0).reshape(6, 6)
    messages = [
        odometry_message(random_pose(seed), covariance, header_at(9, 'map'), 'eye')
        for seed in range(2)
    ]
    covariance[:] = 0.0
    for seed, message in enumerate(messages):
        np.testing.assert_allclose(
            matrix_of_pose(message.pose.pose), random_pose(seed), atol=1e-12
        )
        np.testing.assert_array_equal(message.pose.covariance, np.arange(36.0))
        np.testing.assert_array_equal(
            np.reshape(message.twist.covariance, (6, 6)), UNKNOWN_VARIANCE * np.eye(6)
        )
        assert (message.header.frame_id, message.child_frame_id) == ('map', 'eye')


def test_poses_become_one_message_each() -> None:
    """As many as there are."""
    poses = np.stack([random_pose(seed) for seed in range(20)])
    found = [matrix_of_pose(message) for message in pose_messages(poses)]
    np.testing.assert_allclose(found, poses, atol=1e-12)
    assert pose_messages(poses[:0]) == []


def test_quaternions_are_those_of_tf() -> None:
    """X, y, z, w, up to the sign of the whole."""
    for seed in range(20):
        q = pose_message(random_pose(seed)).orientation
        expected = tf_transformations.quaternion_from_matrix(random_pose(seed))
        assert abs(np.dot([q.x, q.y, q.z, q.w], expected)) > 1 - 1e-12


def test_a_path_follows_keyframes_that_move_come_and_go() -> None:
    """As if it were made anew each time, though messages of those at rest are reused."""
    builder, header = PathBuilder(), header_at(9, 'map')

    def path(*poses: tuple[int, int]) -> list[tuple[int, float]]:
        keyframes = tuple(KeyframePose('', stamp, random_pose(seed)) for stamp, seed in poses)
        built = builder.build(keyframes, header)
        return [(p.header.stamp.nanosec, p.pose.position.x) for p in built.poses]

    def expected(*poses: tuple[int, int]) -> list[tuple[int, float]]:
        return [(stamp, random_pose(seed)[0, 3]) for stamp, seed in poses]

    for poses in ([(1, 1)], [(1, 1), (2, 2)], [(1, 3), (2, 2), (3, 3)], [(2, 4), (3, 3)], []):
        assert path(*poses) == expected(*poses)
