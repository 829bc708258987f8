"""``map_points``: latched, in time, only for who listens, and never behind the map for long."""

from collections.abc import Callable
import threading
import time

from da3_ros.engine import MapCloud
from da3_ros.geometry.transforms import Sim3
from da3_ros.ros.convert import stamp_ns
import numpy as np
import pytest
from rig import Rig, wait_for
from sensor_msgs.msg import PointCloud2

SOON = {'map_points.period_s': 0.1}
# So small that no two points share one, and nothing in the air.
ALL = SOON | {'map_points.voxel_m': 1e-6, 'points.max_edge': 0.0}
SIZE = 24 * 32 - 6  # points of one keyframe of the fake engine


def points_of(cloud: PointCloud2) -> np.ndarray:
    """Return the points (N, 3) of a compact cloud."""
    assert cloud.height == 1 and cloud.is_dense
    assert (cloud.header.frame_id, cloud.point_step) == ('map', 16)
    return np.frombuffer(cloud.data, np.float32).reshape(-1, 4)[:, :3]


def newest(rig: Rig, count: int) -> np.ndarray:
    """Wait for a cloud of so many points and return them."""

    def found() -> bool:
        clouds = rig.messages['map_points']
        return bool(clouds) and clouds[-1].width == count

    wait_for(found, f'a cloud of {count} points')
    return points_of(rig.messages['map_points'][-1])


def test_a_late_joiner_gets_the_map(make_rig: Callable[..., Rig]) -> None:
    """Though nothing was made of it while nobody listened, and no image comes any more."""
    rig = make_rig(parameters=ALL)
    stamps = [rig.send() for _ in range(5)]
    rig.listen('map_points')
    newest(rig, 2 * SIZE)
    # The fourth image was the last that changed the map.
    assert stamp_ns(rig.messages['map_points'][-1].header) == stamps[3]


def test_the_cloud_follows_new_and_moved_keyframes_and_a_reset(
    make_rig: Callable[..., Rig],
) -> None:
    rig = make_rig(parameters=ALL)
    rig.listen('map_points')
    rig.send_info()
    rig.send()
    first = newest(rig, SIZE)
    rig.engine.correction = Sim3(2.0, np.eye(3), np.array([1.0, 0.0, -3.0]))
    for _ in range(3):
        rig.send()
    both = newest(rig, 2 * SIZE)
    moved = rig.engine.correction.apply(first)
    away = np.linalg.norm(both[None, ::50] - moved[:, None], axis=2).min(axis=0)
    assert (away < 1e-4).sum() == pytest.approx(len(both[::50]) / 2, abs=2)
    assert rig.trigger('reset').success
    newest(rig, 0)


def test_a_cube_holds_one_point(make_rig: Callable[..., Rig]) -> None:
    """Also when its size is changed while running."""
    rig = make_rig(parameters=ALL)
    rig.listen('map_points')
    rig.send()
    every = newest(rig, SIZE)
    cells = len(np.unique(np.floor(every / 0.2), axis=0))
    rig.node.set_parameters([Rig.parameter('map_points.voxel_m', 0.2)])
    rig.trigger('reset')
    rig.send()
    wait_for(lambda: 0 < rig.messages['map_points'][-1].width < SIZE, 'a thinner cloud')
    assert rig.messages['map_points'][-1].width == pytest.approx(cells, rel=0.05)


def test_the_period_is_kept_and_the_last_change_is_told(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(parameters=ALL | {'map_points.period_s': 0.6})
    rig.listen('map_points')
    start = time.monotonic()
    for _ in range(10):
        rig.send()
    newest(rig, 4 * SIZE)
    assert len(rig.messages['map_points']) <= 1 + (time.monotonic() - start) / 0.6


def test_the_engine_does_not_wait_for_the_cloud(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made in a thread of its own, and only while somebody listens."""
    gate, threads = threading.Event(), []
    original = MapCloud.fuse

    def fuse(*args: object) -> tuple:
        threads.append(threading.current_thread().name)
        assert gate.wait(10)
        return original(*args)

    monkeypatch.setattr(MapCloud, 'fuse', fuse)
    rig = make_rig(parameters=ALL)
    rig.send()
    time.sleep(0.5)
    assert threads == []
    rig.listen('map_points', 'points')
    wait_for(lambda: threads, 'the cloud to be begun')
    for _ in range(6):
        rig.send()
    assert len(rig.heard('points', 6)) == 6
    assert threads == ['da3_map_points'] and rig.messages['map_points'] == []
    gate.set()
    newest(rig, 3 * SIZE)


def test_a_deactivated_node_is_silent(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was being made is published when it is active again."""
    gate, begun = threading.Event(), threading.Event()
    original = MapCloud.fuse

    def fuse(*args: object) -> tuple:
        begun.set()
        assert gate.wait(10)
        return original(*args)

    monkeypatch.setattr(MapCloud, 'fuse', fuse)
    rig = make_rig(parameters=ALL)
    rig.listen('map_points')
    rig.send()
    assert begun.wait(10)
    assert rig.node.trigger_deactivate().name == 'SUCCESS'
    gate.set()
    time.sleep(0.5)
    assert rig.messages['map_points'] == []
    assert rig.node.trigger_activate().name == 'SUCCESS'
    newest(rig, SIZE)
    assert rig.node.trigger_deactivate().name == 'SUCCESS'
    assert rig.node.trigger_cleanup().name == 'SUCCESS'
    assert not any(t.name == 'da3_map_points' for t in threading.enumerate())


def test_an_error_is_counted_and_survived(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    original, errors = MapCloud.fuse, [ValueError('no such cloud')]

    def fuse(*args: object) -> tuple:
        if errors:
            raise errors.pop()
        return original(*args)

    monkeypatch.setattr(MapCloud, 'fuse', fuse)
    rig = make_rig(parameters=ALL)
    rig.listen('map_points')
    rig.send()
    wait_for(lambda: rig.counts().drops.get('map_points_error') == 1, 'the drop')
    for _ in range(3):
        rig.send()
    newest(rig, 2 * SIZE)
