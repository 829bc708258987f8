"""The scale of whole streams, from each source, on a network with noise and random gauges."""

from collections.abc import Sequence
import dataclasses
import itertools

from da3_ros.config import EngineConfig
from da3_ros.engine import TrackingState
from da3_ros.engine.scale.fixed import FixedSource
from da3_ros.engine.scale.map_scale import MapScale
from da3_ros.evaluation.simulated_robot import (
    RobotNoise,
    SimulatedMetricNetwork,
    SimulatedRobot,
)
from da3_ros.evaluation.simulated_stream import (
    camera_at,
    FURNISHED_ROOM,
    Moment,
    play,
    winding_walk,
)
from da3_ros.evaluation.simulator import NetworkSimulator, Noise
from da3_ros.evaluation.truth import RoomTruth
from da3_ros.geometry.transforms import rigid
from da3_ros.parameter_tree import replaced
import numpy as np
import pytest
import torch

SIZE = (84, 56)
K = np.array([[60.0, 0.0, 42.0], [0.0, 60.0, 28.0], [0.0, 0.0, 1.0]])
STEP_NS = 100_000_000
SEEDS = (0, 1, 2)
NOISE = Noise(depth_bias=0.03, outliers=0.05)
CONFIG = replaced(
    EngineConfig(),
    {
        'device': 'cpu',
        'resolution': SIZE[0],
        'keyframe.max_overlap': 0.92,
        'keyframe.min_parallax_deg': 3.0,
    },
)
WALK = winding_walk(36)  # nearly every frame becomes a keyframe


def truth_of(poses: Sequence[np.ndarray], offsets: dict[str, np.ndarray]) -> RoomTruth:
    stamps = [(i + 1) * STEP_NS for i in range(len(poses))]
    by_camera = {
        camera: {s: pose @ offset for s, pose in zip(stamps, poses, strict=True)}
        for camera, offset in offsets.items()
    }
    return RoomTruth(FURNISHED_ROOM, by_camera, K, SIZE)


ONE = {'': np.eye(4)}
RIG = {'left': np.eye(4), 'right': rigid(np.eye(3), np.array([0.4, 0.0, 0.0]))}


def moments(
    truth: RoomTruth,
    robot: SimulatedRobot | None = None,
    metric: SimulatedMetricNetwork | None = None,
    noise: Noise = NOISE,
    config: EngineConfig = CONFIG,
    seed: int = 0,
    keyframes: int = 20,
) -> list[Moment]:
    """Play until there are so many keyframes, or the stream ends."""
    stamps = sorted(next(iter(truth.poses.values())))
    network = NetworkSimulator(truth, noise, seed)
    played = play(network, config, stamps, SIZE, tuple(truth.poses), robot, metric)
    found = []
    for moment in played:
        found.append(moment)
        if moment.status.keyframes >= keyframes:
            break
    return found


def odometry(truth: RoomTruth, **noise) -> SimulatedRobot:
    return SimulatedRobot(truth, RobotNoise(**noise), has_odometry=True)


def check(streams: list[list[Moment]], source: str, percent: float) -> None:
    errors = []
    for played in streams:
        last = played[-1]
        assert last.status.keyframes >= 20
        assert (last.status.scale_source, last.status.is_metric) == (source, True)
        assert abs(last.log_error) <= 3 * last.status.scale_spread
        errors.append(last.log_error)
    assert np.sqrt(np.mean(np.square(errors))) <= 0.01 * percent, errors


def test_rig_is_within_one_percent_after_twenty_keyframes() -> None:
    truth = truth_of(WALK, RIG)
    streams = [
        moments(truth, SimulatedRobot(truth, has_extrinsics=True), seed=seed) for seed in SEEDS
    ]
    check(streams, 'rig', 1.0)
    assert streams[0][0].status.is_metric


def test_odometry_is_within_one_percent_although_it_drifts_and_lags() -> None:
    truth = truth_of(WALK, ONE)
    streams = [
        moments(truth, odometry(truth, odometry_drift=0.02, lag_ns=150_000_000), seed=seed)
        for seed in SEEDS
    ]
    check(streams, 'odometry', 1.0)
    for played in streams:
        assert not played[0].status.is_metric
        assert 1 < next(m.status.keyframes for m in played if m.status.is_metric) <= 8


def test_odometry_may_drop_out() -> None:
    """For a while in the middle, and for every fourth image."""
    truth = truth_of(WALK, ONE)
    robot = odometry(truth, odometry_drift=0.02)
    robot.is_there = lambda _, stamp: not 9e8 < stamp < 15e8 and stamp // STEP_NS % 4 > 0
    check([moments(truth, robot)], 'odometry', 2.0)


def test_odometry_that_jumps_spoils_little() -> None:
    truth = truth_of(WALK, ONE)

    class Jumping(SimulatedRobot):
        def odom_from_camera(self, camera: str, stamp_ns: int) -> np.ndarray:
            pose = super().odom_from_camera(camera, stamp_ns)
            return pose if stamp_ns < 12e8 else rigid(np.eye(3), np.array([2.0, 1.0, 0.0])) @ pose

    played = moments(truth, Jumping(truth, has_odometry=True))
    check([played], 'odometry', 2.0)


def test_metric_network_with_ten_percent_noise_is_within_two() -> None:
    truth = truth_of(WALK, ONE)
    metrics = [SimulatedMetricNetwork(truth, field=0.1, seed=seed) for seed in SEEDS]
    streams = [
        moments(truth, metric=metric, seed=seed)
        for seed, metric in zip(SEEDS, metrics, strict=True)
    ]
    check(streams, 'metric_model', 2.0)
    assert {metric.calls for metric in metrics} == {20}


def test_metric_network_is_not_run_while_a_better_source_holds() -> None:
    truth = truth_of(WALK, RIG)
    metric = SimulatedMetricNetwork(truth)
    played = moments(truth, SimulatedRobot(truth, has_extrinsics=True), metric, keyframes=10)
    assert played[-1].status.scale_source == 'rig'
    assert metric.calls <= 2  # both views of the first push, when nobody was believed yet


def test_depth_sensor_with_few_noisy_points_is_within_one_percent() -> None:
    truth = truth_of(WALK, ONE)
    robot = SimulatedRobot(truth, RobotNoise(range_noise=0.05, points=100), has_ranges=True)
    config = replaced(CONFIG, {'scale.depth_sensor': 'point_cloud'})
    check([moments(truth, robot, config=config)], 'depth_sensor', 1.0)


def test_everything_that_is_published_has_the_same_scale() -> None:
    """Depth, poses and keyframes, when the unit becomes a metre in mid-stream."""
    truth = truth_of(WALK[:10], ONE)
    network = NetworkSimulator(truth)
    played = list(play(network, CONFIG, sorted(truth.poses['']), SIZE, ('',), odometry(truth)))
    assert [m.status.is_metric for m in (played[0], played[-1])] == [False, True]
    for m in (played[0], played[-1]):
        unit = 1.0 if m.status.is_metric else np.exp(-_log_ratio(truth, m))
        view = m.update.views[0]
        travelled = np.linalg.norm(view.map_from_camera[:3, 3]) * unit
        pose = truth.world_from_camera('', m.stamp_ns)
        start = truth.world_from_camera('', STEP_NS)
        assert travelled == pytest.approx(np.linalg.norm((pose - start)[:3, 3]), abs=0.02)
        assert np.exp(_log_ratio(truth, m)) * unit == pytest.approx(1.0, rel=0.01)
    acquired = next(m for m in played if m.status.is_metric)
    assert acquired.update.notice
    assert acquired.update.keyframes_changed


def _log_ratio(truth: RoomTruth, moment: Moment) -> float:
    """Return the logarithm of published over true depth of a moment's view."""
    depth = moment.update.views[0].depth_m
    return float(np.nanmedian(np.log(depth / truth.depth_m('', moment.stamp_ns, *depth.shape))))


@pytest.mark.parametrize(
    'poses',
    [[camera_at([0, 0, 0])] * 12, [camera_at([0, 0, 0], 6.0 * i) for i in range(12)]],
    ids=['standing', 'turning'],
)
def test_odometry_without_motion_says_nothing(poses: list[np.ndarray]) -> None:
    truth = truth_of(poses, ONE)
    played = moments(truth, odometry(truth))
    assert not any(m.status.is_metric for m in played)
    assert len({m.status.scale for m in played}) == 1
    assert played[-1].status.state is TrackingState.TRACKING


def test_odometry_says_why_nothing_follows() -> None:
    truth = truth_of([camera_at([0, 0, 0], 6.0 * i) for i in range(12)], ONE)
    assert 'too little' in moments(truth, odometry(truth))[-1].status.scale_problems['odometry']
    robot = odometry(truth)
    robot.is_there = lambda *_: False
    assert 'TF has no odometry' in moments(truth, robot)[-1].status.scale_problems['odometry']


def test_a_straight_line_is_enough_for_odometry() -> None:
    truth = truth_of([camera_at([-2.0 + 0.2 * i, 0, 0]) for i in range(22)], ONE)
    last = moments(truth, odometry(truth))[-1]
    assert (last.status.scale_source, last.status.is_metric) == ('odometry', True)
    assert abs(last.log_error) < 0.02


def test_standing_still_is_enough_for_rig_and_sensor_and_moves_nothing() -> None:
    standing = [camera_at([0, 0, 0])] * 8
    truth = truth_of(standing, RIG)
    rig = moments(truth, SimulatedRobot(truth, has_extrinsics=True))
    truth = truth_of(standing, ONE)
    config = replaced(CONFIG, {'scale.depth_sensor': 'laser_scan'})
    sensor = moments(truth, SimulatedRobot(truth, has_ranges=True), config=config)
    for played in (rig, sensor):
        assert all(m.status.is_metric for m in played)
        assert len({m.status.scale for m in played}) == 1
        assert abs(played[-1].log_error) < 0.05


def test_turning_after_driving_keeps_the_scale_and_widens_the_spread() -> None:
    drive = [camera_at([-2.0 + 0.3 * i, 0, 0]) for i in range(12)]
    turn = [camera_at([1.3, 0, 0], 10.0 * i) for i in range(1, 25)]
    truth = truth_of(drive + turn, ONE)
    played = moments(truth, odometry(truth), keyframes=100)
    after_drive, last = played[11].status, played[-1].status
    assert after_drive.is_metric
    assert last.is_metric
    assert last.scale == pytest.approx(after_drive.scale, rel=0.05)
    assert last.scale_spread > 1.5 * min(m.status.scale_spread for m in played[11:])


def test_extrinsics_that_are_wrong_are_refused() -> None:
    truth = truth_of(WALK[:4], RIG)
    crossed = truth_of(WALK[:4], {'left': RIG['right'], 'right': RIG['left']})
    last = moments(truth, SimulatedRobot(crossed, has_extrinsics=True))[-1].status
    assert not last.is_metric
    assert 'disagree' in last.scale_problems['rig']


def test_the_scale_moves_with_keyframes_only() -> None:
    truth = truth_of(winding_walk(60)[:24], ONE)
    played = moments(truth, odometry(truth, odometry_drift=0.05))
    metric = list(itertools.dropwhile(lambda m: not m.status.is_metric, played))
    moved = 0
    for before, after in itertools.pairwise(metric):
        step = abs(np.log(after.status.scale / before.status.scale))
        moved += step > 0
        assert step <= before.status.scale_spread
        assert step == 0 or any(view.is_keyframe for view in after.update.views)
    assert moved > 2


def test_fixed_scale_and_wrong_wheels_are_taken_at_their_word() -> None:
    truth = truth_of(WALK[:12], ONE)
    robot = odometry(truth, odometry_scale=1.1)
    assert moments(truth, robot)[-1].log_error == pytest.approx(np.log(1.1), abs=0.03)
    config = replaced(CONFIG, {'scale.fixed': 2.0, 'scale.sources': ['fixed']})
    last = moments(truth, robot, config=config, keyframes=3)[-1].status
    assert (last.scale, last.scale_source) == (pytest.approx(2.0), 'fixed')


def test_the_covariance_holds_the_scale_too() -> None:
    truth = truth_of(WALK[:8], ONE)
    last = moments(truth, odometry(truth))[-1]
    view = last.update.views[0]
    offset = view.map_from_camera[:3, 3]
    along = offset / np.linalg.norm(offset)
    expected = (last.status.scale_spread * np.linalg.norm(offset)) ** 2
    assert along @ view.pose_covariance[:3, :3] @ along >= expected


def test_map_units_do_not_matter() -> None:
    """The same stream in another gauge of the network has the same metres."""
    truth = truth_of(WALK[:10], ONE)
    found = []
    for seed in (1, 2):
        noise = dataclasses.replace(NOISE, depth_bias=0.0, outliers=0.0)
        played = moments(truth, odometry(truth), noise=noise, seed=seed, keyframes=9)
        found.append(played[-1])
    assert found[0].status.scale != pytest.approx(found[1].status.scale, rel=0.05)
    for m in found:
        assert abs(m.log_error) < 0.005


def test_the_users_word_is_not_resized_by_a_loop() -> None:
    fixed = MapScale([FixedSource(2.0)], max_spread=0.2)
    fixed.set_unit(torch.ones(20, 20))
    fixed.observe([], [object()])
    fixed.resize(np.log(1.1))
    assert fixed.scale == pytest.approx(2.0)
    unknown = MapScale([], max_spread=0.2)
    unknown.set_unit(torch.ones(20, 20))
    unknown.resize(np.log(1.1))
    assert unknown.scale == pytest.approx(1.0)


def test_odometry_learns_nothing_from_the_cameras_of_one_moment() -> None:
    """Between them TF has the extrinsics that the rig was made of: it would measure itself."""
    poses = [WALK[0]] * 12
    truth = truth_of(poses, RIG)
    robot = SimulatedRobot(truth, has_odometry=True, has_extrinsics=True)
    config = replaced(CONFIG, {'scale.sources': ('odometry',)})
    played = moments(truth, robot, config=config)
    assert played[-1].status.keyframes >= 2
    assert not any(m.status.is_metric for m in played)
    assert 'different moments' in played[-1].status.scale_problems['odometry'] or (
        'moved' in played[-1].status.scale_problems['odometry']
    )
