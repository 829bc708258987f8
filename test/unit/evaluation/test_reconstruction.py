"""Thickness of a map: none where views agree, as large as they are apart along the normal."""

from da3_ros.evaluation.reconstruction import map_thickness, Thickness
from da3_ros.evaluation.simulated_stream import camera_at
from da3_ros.evaluation.truth import BoxRoom
import numpy as np
import pytest

ROOM = BoxRoom([-3.0, -4.0, -1.0], [3.0, 4.0, 2.0])
K = np.array([[54.0, 0.0, 42.0], [0.0, 54.0, 28.0], [0.0, 0.0, 1.0]])
POSES = np.stack([camera_at([0.1 * i, 0.0, 0.0]) for i in range(4)])
DEPTH = np.stack([ROOM.depth_m(pose, K, 56, 84) for pose in POSES]).astype(np.float32)


def thickness(depth: np.ndarray = DEPTH, poses: np.ndarray = POSES) -> Thickness:
    return map_thickness(depth, poses, DEPTH, POSES, [K] * len(POSES))


def test_views_that_agree_make_thin_surfaces() -> None:
    measured = thickness()
    assert measured.p90_m < 1e-6
    assert measured.pieces > 300


def test_an_error_that_all_views_share_is_not_thickness() -> None:
    moved = POSES.copy()
    moved[:, :3, 3] += [0.5, -0.2, 0.1]
    assert thickness(poses=moved).p90_m < 1e-6


def test_surfaces_are_as_thick_as_views_are_apart_along_the_normal() -> None:
    """Two views up, two down: floor and ceiling split, walls slide along themselves."""
    apart = POSES.copy()
    apart[:, 2, 3] += [0.05, -0.05, 0.05, -0.05]
    measured = thickness(poses=apart)
    assert measured.p90_m == pytest.approx(0.1 / np.sqrt(3), rel=0.25)
    sideways = POSES.copy()
    sideways[:, 1, 3] += [0.05, -0.05, 0.05, -0.05]
    # The wall ahead and floor and ceiling are most of what is seen; they do not get thicker.
    assert thickness(poses=sideways).median_m < 0.01


def test_without_common_surface_there_is_no_thickness() -> None:
    measured = thickness(np.full_like(DEPTH, np.nan))
    assert np.isnan(measured.median_m) and measured.pieces == 0
