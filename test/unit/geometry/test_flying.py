"""Points in the air are found; surfaces, however steep or thin, are not taken for them."""

import cv2
from da3_ros.evaluation.truth import BoxRoom
from da3_ros.geometry.cameras import pixel_rays, unproject
from da3_ros.geometry.flying import is_flying
from da3_ros.geometry.transforms import BODY_FROM_OPTICAL, rigid
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

HEIGHT, WIDTH = 140, 252
K = np.array([[200.0, 0.0, 126.0], [0.0, 200.0, 70.0], [0.0, 0.0, 1.0]])
SHARE = 0.03


def smeared(depth: np.ndarray, radius: int) -> np.ndarray:
    """Return depth that runs across edges over so many pixels, as a network's does."""
    size = (2 * radius + 1, 2 * radius + 1)
    return np.exp(cv2.blur(np.log(depth).astype(np.float32), size))


def plane(normal: np.ndarray, distance: float) -> np.ndarray:
    """Return the depth (H, W) of a plane, NaN where it is not seen or beyond 50."""
    towards = pixel_rays(K, HEIGHT, WIDTH) @ normal
    depth = distance / np.where(towards == 0, np.nan, towards)
    return np.where((depth > 0) & (depth < 50), depth, np.nan).astype(np.float32)


def step(near: float, far: float, radius: int) -> np.ndarray:
    """Return a wall with another one behind it, the edge between them smeared."""
    depth = np.full((HEIGHT, WIDTH), far, np.float32)
    depth[:, : WIDTH // 2] = near
    return smeared(depth, radius)


@pytest.mark.parametrize('transposed', [False, True])
@pytest.mark.parametrize('radius', [1, 2, 3])
@pytest.mark.parametrize(('near', 'far'), [(1.0, 2.0), (1.0, 1.5), (3.0, 20.0)])
def test_no_point_is_left_between_two_walls(
    near: float, far: float, radius: int, transposed: bool
) -> None:
    depth = step(near, far, radius)
    flying = is_flying(depth.T, SHARE).T if transposed else is_flying(depth, SHARE)
    between = (depth > 1.03 * near) & (depth < far / 1.03)
    assert between.any() and flying[between].all()
    assert not flying[(depth == near) | (depth == far)].any()


def test_a_sharp_edge_loses_nothing() -> None:
    assert not is_flying(step(1.0, 5.0, 0), SHARE).any()


@pytest.mark.parametrize('width', [1, 2, 5])
def test_a_thin_pole_stays(width: int) -> None:
    depth = np.full((HEIGHT, WIDTH), 6.0, np.float32)
    depth[:, 100 : 100 + width] = 2.0
    assert not is_flying(depth, SHARE).any()


@pytest.mark.parametrize('height_m', [0.1, 0.3, 1.5])
def test_the_floor_of_a_low_camera_stays(height_m: float) -> None:
    """Even where its depth steps by more than the share from one row to the next."""
    floor = plane(np.array([0.0, 1.0, 0.0]), height_m)
    steps = floor[:-1] / floor[1:] - 1.0
    assert np.nanmax(steps) > SHARE
    assert is_flying(floor, SHARE).sum() <= 0.005 * np.isfinite(floor).sum()


def test_slanted_planes_stay() -> None:
    """Whatever way they face, unless all that is seen of them is a sliver."""
    rng = np.random.default_rng(0)
    planes = [
        plane(Rotation.random(random_state=rng).apply([0.0, 0.0, 1.0]), 1.0) for _ in range(40)
    ]
    large = [depth for depth in planes if np.isfinite(depth).mean() > 0.2]
    assert len(large) > 10
    for depth in large:
        assert is_flying(depth, SHARE).sum() <= 0.005 * np.isfinite(depth).sum()


def test_the_sky_is_infinitely_far() -> None:
    """What fades into it is flying, what ends at it is not."""
    depth = np.full((1, 60), 2.0, np.float32)
    depth[:, 30:] = np.nan
    assert not is_flying(depth, SHARE).any()
    depth[:, 28:30] = 4.0, 12.0
    assert np.flatnonzero(is_flying(depth, SHARE)[0]).tolist() == [28, 29]


@pytest.mark.parametrize('invalid', [np.nan, 0.0, -1.0, np.inf])
def test_invalid_depth_is_not_flying(invalid: float) -> None:
    assert not is_flying(np.full((HEIGHT, WIDTH), invalid, np.float32), SHARE).any()
    assert is_flying(np.ones((1, 1), np.float32), SHARE).tolist() == [[False]]


@pytest.mark.parametrize('depth', [step(1.0, 2.0, 2), plane(np.array([0.0, 1.0, 0.0]), 1.5)])
def test_without_a_share_nothing_is_flying(depth: np.ndarray) -> None:
    assert not is_flying(depth, 0.0).any()


def test_size_does_not_matter() -> None:
    """Shares have no unit."""
    depth = step(1.0, 2.0, 2)
    np.testing.assert_array_equal(is_flying(64.0 * depth, SHARE), is_flying(depth, SHARE))


@pytest.mark.parametrize(('radius', 'found'), [(1, 0.9), (2, 0.9)])
def test_flying_points_go_and_good_ones_stay(radius: int, found: float) -> None:
    """In a furnished room, against the distance from the nearest true surface."""
    boxes = np.array([[[2, -1, 0], [2.5, 0.2, 1.2]], [[3, 0.8, 0], [3.1, 0.9, 2]]])
    room = BoxRoom([-1, -3, 0], [7, 3, 2.6], boxes)
    map_from_camera = rigid(BODY_FROM_OPTICAL[:3, :3], np.array([0.0, 0.1, 0.9]))
    depth = smeared(room.depth_m(map_from_camera, K, HEIGHT, WIDTH), radius)
    points = unproject(depth, K)
    in_map = points @ map_from_camera[:3, :3].T + map_from_camera[:3, 3]
    away = np.abs(np.stack([in_map - room.low, room.high - in_map])).min(axis=(0, -1))
    for low, high in boxes:
        outside = np.linalg.norm(np.maximum(np.maximum(low - in_map, in_map - high), 0), axis=-1)
        away = np.minimum(away, outside)
    share = away / np.linalg.norm(points, axis=-1)
    flying = is_flying(depth, SHARE)
    assert flying[share > 0.05].mean() > found
    assert flying[share < 0.02].mean() < 0.005
