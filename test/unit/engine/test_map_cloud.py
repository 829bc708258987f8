"""The cloud of the map: where keyframes are believed to be now, of bounded size, made in time."""

from da3_ros.cloud_config import PointsConfig
from da3_ros.config import EngineConfig
from da3_ros.engine import Frame, map_cloud, StreamingEngine
from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.map_cloud import MapCloud, Surface, surface
from da3_ros.engine.runner import WindowView
from da3_ros.evaluation.simulator import NetworkSimulator, Noise
from da3_ros.evaluation.truth import BoxRoom, RoomTruth
from da3_ros.geometry.transforms import BODY_FROM_OPTICAL, rigid, Sim3
from da3_ros.parameter_tree import replaced
import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
import torch

HEIGHT, WIDTH = 60, 80
K = np.array([[60.0, 0.0, 40.0], [0.0, 60.0, 30.0], [0.0, 0.0, 1.0]])
ROOM = BoxRoom([-3.0, -4.0, -1.0], [5.0, 4.0, 2.0])
EVERYTHING = PointsConfig(max_edge=0.0)


def pose(turn_deg: float) -> np.ndarray:
    """Return map_from_camera of a level camera in the room."""
    yaw = Rotation.from_euler('z', turn_deg, degrees=True).as_matrix()
    return rigid(yaw @ BODY_FROM_OPTICAL[:3, :3], np.array([0.1, 0.2, 0.3]))


def in_room(count: int, scaled_from_map: Sim3 = Sim3.identity()) -> list[Surface]:
    """Return what keyframes of a turn in the room see."""
    surfaces = []
    for key in range(count):
        map_from_camera = pose(10.0 * key)
        depth = torch.from_numpy(ROOM.depth_m(map_from_camera, K, HEIGHT, WIDTH)).float()
        keyframe = Keyframe(
            view=WindowView(key, '', key, torch.empty(0)),
            rgb=np.full((HEIGHT, WIDTH, 3), 10 * key, np.uint8),
            intrinsics=K,
            depth=depth,
            weight=torch.linspace(2.0, 6.0, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH),
            map_from_camera=map_from_camera,
            observations=2,
        )
        surfaces.append(surface(keyframe, scaled_from_map))
    return surfaces


def off_the_walls(points: np.ndarray) -> np.ndarray:
    """Return how far points (N, 3) are from the room's walls."""
    return np.abs(np.stack([points - ROOM.low, points - ROOM.high])).min(axis=(0, 2))


def test_points_lie_on_the_walls_one_a_cube() -> None:
    points, colours = MapCloud().fuse(in_room(9), PointsConfig(), 0.1)
    assert len(points) == len(colours) > 1000
    assert np.quantile(off_the_walls(points), 0.95) < 1e-3
    assert off_the_walls(points).max() < 0.1  # where a cube holds a corner
    cells = np.floor(points / 0.1).astype(int)
    assert len(np.unique(cells, axis=0)) > 0.99 * len(cells)
    assert colours.max() == 80


def test_cubes_are_a_hundredth_of_the_median_depth() -> None:
    surfaces = in_room(3)
    median = float(torch.stack([s.depth for s in surfaces]).median())
    by_default, _ = MapCloud().fuse(surfaces, EVERYTHING, 0.0)
    by_size, _ = MapCloud().fuse(surfaces, EVERYTHING, median / 100)
    assert abs(len(by_default) - len(by_size)) <= 0.01 * len(by_size)


def test_points_follow_keyframes_that_are_moved_and_resized() -> None:
    """As when a loop is closed; nothing is made anew for it but where they are."""
    cloud, surfaces = MapCloud(), in_room(4)
    before, _ = cloud.fuse(surfaces, EVERYTHING, 1e-6)
    patches = dict(cloud._patches)
    correction = Sim3(1.5, Rotation.from_euler('z', 0.3).as_matrix(), np.array([1.0, -2.0, 0.5]))
    corrected = [s._replace(scaled_from_map=correction) for s in surfaces]
    after, _ = cloud.fuse(corrected, EVERYTHING, 1e-6)
    assert all(cloud._patches[key] is patch for key, patch in patches.items())
    expected = correction.apply(before)
    assert len(after) == len(expected)
    assert cKDTree(after).query(expected)[0].max() < 1e-4
    assert cKDTree(expected).query(after)[0].max() < 1e-4


def test_a_keyframe_that_was_refined_is_looked_at_again() -> None:
    cloud, surfaces = MapCloud(), in_room(2)
    cloud.fuse(surfaces, EVERYTHING, 0.1)
    refined = [surfaces[0], surfaces[1]._replace(depth=0.5 * surfaces[1].depth)]
    points, _ = cloud.fuse(refined, EVERYTHING, 0.1)
    expected, _ = MapCloud().fuse(refined, EVERYTHING, 0.1)
    np.testing.assert_array_equal(points, expected)


def test_keyframes_that_are_forgotten_go() -> None:
    cloud, surfaces = MapCloud(), in_room(5)
    cloud.fuse(surfaces, EVERYTHING, 0.1)
    points, _ = cloud.fuse(surfaces[3:], EVERYTHING, 0.1)
    np.testing.assert_array_equal(points, MapCloud().fuse(surfaces[3:], EVERYTHING, 0.1)[0])
    points, colours = cloud.fuse([], EVERYTHING, 0.1)
    assert points.shape == colours.shape == (0, 3)
    assert cloud._patches == {}


@pytest.mark.parametrize(('count', 'stride'), [(1, 1), (2, 2), (12, 4)])
def test_the_size_is_bounded(count: int, stride: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The more keyframes, the fewer pixels of each."""
    monkeypatch.setattr(map_cloud, 'MAX_POINTS', HEIGHT * WIDTH)
    points, _ = MapCloud().fuse(in_room(count), EVERYTHING, 1e-6)
    assert len(points) <= HEIGHT * WIDTH
    assert len(points) == pytest.approx(count * (HEIGHT // stride) * (WIDTH // stride), rel=0.05)


def test_what_is_left_out_of_the_points_is_left_out_of_the_map() -> None:
    """Ranges are in published units, confidence is that of one look."""
    scaled = in_room(3, Sim3(2.0, np.eye(3), -pose(0)[:3, 3]))
    origin = pose(0)[:3, 3]
    wanted = PointsConfig(min_range=6.5, max_range=9.0, max_edge=0.0)
    points, _ = MapCloud().fuse(scaled, wanted, 1e-6)
    ranges = np.linalg.norm(points - origin, axis=1)
    assert 6.5 <= ranges.min() < 6.6 and 8.9 < ranges.max() <= 9.0
    everything, _ = MapCloud().fuse(scaled, EVERYTHING, 1e-6)
    confident, _ = MapCloud().fuse(scaled, PointsConfig(min_confidence=2.0, max_edge=0.0), 1e-6)
    assert len(confident) == pytest.approx(0.5 * len(everything), rel=0.05)


def test_invalid_depth_and_points_in_the_air_are_left_out() -> None:
    (only,) = in_room(1)
    depth = torch.full((HEIGHT, WIDTH), 2.0)
    depth[:, 40:] = 4.0
    depth[:, 40] = 3.0
    depth[:5] = torch.nan
    cloud = MapCloud()
    only = only._replace(depth=depth, map_from_camera=np.eye(4))
    points, _ = cloud.fuse([only], PointsConfig(), 1e-6)
    assert set(np.unique(points[:, 2])) == {2.0, 4.0}
    assert len(points) == (HEIGHT - 5) * (WIDTH - 1)
    points, _ = cloud.fuse([only], EVERYTHING, 1e-6)
    assert len(points) == (HEIGHT - 5) * WIDTH


def test_the_engine_says_what_its_map_is_made_of() -> None:
    """In published units, and not what it will be later."""
    poses = {i + 1: pose(15.0 * i) for i in range(6)}
    truth = RoomTruth(ROOM, {'': poses}, K, (WIDTH, HEIGHT))
    config = {'device': 'cpu', 'resolution': WIDTH, 'window.size': 3, 'scale.fixed': 3.0}
    engine = StreamingEngine(
        replaced(EngineConfig(), config), NetworkSimulator(truth, Noise(depth_bias=0.01))
    )
    assert engine.surfaces() == ()
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    kept = []
    for stamp in poses:
        (seen,) = engine.push([Frame('', stamp, rgb, intrinsics=K)]).views
        kept.append((engine.surfaces(), MapCloud().fuse(engine.surfaces(), EVERYTHING, 0.1)[0]))
    assert len(kept[-1][0]) == len(engine.keyframes) > 3
    assert len({s.key for s in kept[-1][0]}) == len(engine.keyframes)
    newest = kept[-1][0][-1]
    points, _ = MapCloud().fuse([newest], EVERYTHING, 1e-6)
    depths = (points - seen.map_from_camera[:3, 3]) @ seen.map_from_camera[:3, 2]
    np.testing.assert_allclose(np.median(depths), np.median(seen.depth_m), rtol=1e-2)
    for surfaces, cloud in kept:
        np.testing.assert_array_equal(MapCloud().fuse(surfaces, EVERYTHING, 0.1)[0], cloud)
    engine.reset()
    assert engine.surfaces() == ()
