"""Extrinsics are wrong when images say so again and again, and can tell at all."""

from da3_ros.engine.extrinsics_check import ExtrinsicsCheck, Tolerance
from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.mutual_sight import see_each_other
from da3_ros.engine.runner import WindowView
from da3_ros.evaluation.simulated_stream import camera_at, FURNISHED_ROOM
from da3_ros.geometry.transforms import rigid
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
import torch

TOLERANCE = Tolerance(np.radians(2.0), 0.1)
UNIT = 0.5
K = np.array([[40.0, 0.0, 42.0], [0.0, 40.0, 28.0], [0.0, 0.0, 1.0]])


def off(degrees: float, metres: float = 0.0, axis: int = 1) -> np.ndarray:
    """Return a pose that is turned about an axis and moved along it, in the map."""
    rotvec = np.zeros(3)
    rotvec[axis] = np.radians(degrees)
    return rigid(Rotation.from_rotvec(rotvec).as_matrix(), UNIT * metres * np.eye(3)[axis])


def checked(*measured: np.ndarray) -> ExtrinsicsCheck:
    """Return what has seen where images have a camera that TF has at the origin."""
    check = ExtrinsicsCheck()
    for pose in measured:
        check.update(np.eye(4), pose, UNIT, TOLERANCE)
    return check


@pytest.mark.parametrize('wrong', [off(3.0), off(0.0, 0.15)], ids=['turned', 'moved'])
def test_what_is_off_in_the_same_way_five_times_is_wrong(wrong: np.ndarray) -> None:
    assert not checked(*[wrong] * 4).is_wrong
    assert checked(*[wrong] * 5).is_wrong


def test_what_is_off_by_little_or_each_time_otherwise_is_not() -> None:
    assert not checked(*[off(1.8, 0.09)] * 20).is_wrong
    rng = np.random.default_rng(0)
    anywhere = [off(90.0 * rng.normal(), rng.normal(), rng.integers(3)) for _ in range(20)]
    assert not checked(*anywhere).is_wrong


def test_it_is_forgiven_once_it_is_right_and_not_on_the_edge() -> None:
    """Between half of the tolerance and all of it, what was wrong stays wrong."""
    check = checked(*[off(3.0)] * 5)
    for _ in range(100):
        check.update(np.eye(4), off(1.5), UNIT, TOLERANCE)
    assert check.is_wrong
    for _ in range(100):
        check.update(np.eye(4), off(0.5), UNIT, TOLERANCE)
    assert not check.is_wrong


def test_the_sentence_says_by_how_much() -> None:
    said = checked(*[off(8.0, 0.25)] * 5).sentence('left')
    assert "'left' 8.0 deg and 0.25 m" in said


def test_without_a_unit_directions_alone_count() -> None:
    check = ExtrinsicsCheck()
    tolerance = Tolerance.of(np.array([0.01, 0.005]), 0.0, 2.0)
    for _ in range(5):
        check.update(np.eye(4), off(0.0, 100.0), 0.0, tolerance)
    assert not check.is_wrong
    for _ in range(20):
        check.update(np.eye(4), off(9.0), 0.0, tolerance)
    assert check.is_wrong


def seen_from(yaw_deg: float) -> Keyframe:
    """Return what a camera of 93 degrees in the middle of a room sees."""
    pose = camera_at([0.0, 0.0, 0.0], yaw_deg)
    depth = torch.from_numpy(FURNISHED_ROOM.depth_m(pose, K, 56, 84)).float()
    view = WindowView(0, '', 0, torch.empty(0))
    rgb = np.zeros((56, 84, 3), np.uint8)
    return Keyframe(view, rgb, K, depth, torch.ones_like(depth), pose)


@pytest.mark.parametrize(('yaw_deg', 'told'), [(20.0, True), (60.0, True), (85.0, False)])
def test_cameras_can_tell_as_far_as_they_see_the_same(yaw_deg: float, told: bool) -> None:
    """Where images have them, and where TF has."""
    first, second = seen_from(0.0), seen_from(yaw_deg)
    assert see_each_other(first, second, second.map_from_camera) is told
    assert not see_each_other(first, second, camera_at([0.0, 0.0, 0.0], 120.0))
