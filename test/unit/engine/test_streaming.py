"""The engine keeps one gauge and one scale, whatever gauge each window comes in."""

from collections.abc import Callable
import dataclasses
from pathlib import Path

from da3_ros.config import EngineConfig
from da3_ros.engine import Frame, StreamingEngine, TrackingState, Update
from da3_ros.engine.runner import WindowPrediction
from da3_ros.errors import ConfigError, FrameError
from da3_ros.evaluation.simulated_robot import SimulatedMetricNetwork
from da3_ros.evaluation.simulator import Noise
from da3_ros.geometry.cameras import unproject
from da3_ros.parameter_tree import replaced
from doubles.box_room import (
    arc,
    box_depth,
    pose_at,
    RecordingSimulator,
    relative_error,
    room_truth,
)
import numpy as np
import pytest
import torch

WIDTH, HEIGHT = 112, 84
K = np.array([[80.0, 0.0, 56.0], [0.0, 80.0, 42.0], [0.0, 0.0, 1.0]])
CONFIG = replaced(
    EngineConfig(),
    {
        'device': 'cpu',
        'resolution': WIDTH,
        'window.size': 5,
        'keyframe.min_reference_overlap': 0.15,
    },
)
STEP_NS = 100_000_000


def stream(poses: list[np.ndarray], config: EngineConfig = CONFIG, **noise: float):
    """Return an engine on an oracle of these poses, and its frames."""
    stamps = [(i + 1) * STEP_NS for i in range(len(poses))]
    truth = room_truth(dict(zip(stamps, poses, strict=True)), K, (WIDTH, HEIGHT))
    runner = RecordingSimulator(truth, Noise(**noise))
    frames = [frame(stamp) for stamp in stamps]
    return StreamingEngine(config, runner), frames


def frame(stamp_ns: int, camera: str = '', size: tuple[int, int] = (WIDTH, HEIGHT), **kw) -> Frame:
    rgb = np.full((size[1], size[0], 3), stamp_ns % 251, np.uint8)
    return Frame(camera, stamp_ns, rgb, **({'intrinsics': K} | kw))


def run(engine: StreamingEngine, frames: list[Frame]) -> list[Update]:
    return [engine.push([f]) for f in frames]


def test_path_and_depth_are_true_up_to_one_scale() -> None:
    poses = arc(20)
    engine, frames = stream(poses)
    updates = run(engine, frames)
    views = [u.views[0] for u in updates]
    position, angle = relative_error([v.map_from_camera for v in views], poses)
    assert position < 1e-3
    assert angle < 0.02
    ratios = [
        v.depth_m / box_depth(p, K, HEIGHT, WIDTH) for v, p in zip(views, poses, strict=True)
    ]
    np.testing.assert_allclose(np.stack(ratios), np.median(ratios[0]), rtol=1e-3)
    assert updates[0].status.state is TrackingState.INITIALIZING
    assert all(u.status.state is TrackingState.TRACKING for u in updates[1:])


def test_unit_of_an_unscaled_map_is_the_first_median_depth() -> None:
    engine, frames = stream(arc(2))
    update = run(engine, frames)[0]
    assert np.median(update.views[0].depth_m) == pytest.approx(1.0, rel=1e-3)
    assert (update.status.scale_source, update.status.is_metric) == ('none', False)


def test_fixed_scale_is_metric_and_multiplies_the_network() -> None:
    config = replaced(CONFIG, {'scale.fixed': 2.5})
    engine, frames = stream(arc(2), config)
    update = run(engine, frames)[0]
    assert update.status.scale == pytest.approx(2.5, rel=1e-5)
    assert (update.status.scale_source, update.status.is_metric) == ('fixed', True)


def test_map_starts_level_at_the_origin_looking_along_x() -> None:
    engine, frames = stream(arc(1))
    pose = run(engine, frames)[0].views[0].map_from_camera
    np.testing.assert_allclose(pose[:3, 3], 0, atol=1e-6)
    np.testing.assert_allclose(pose[:3, :3] @ [0, 0, 1], [1, 0, 0], atol=1e-6)


def test_map_starts_at_a_known_pose() -> None:
    engine, frames = stream(arc(1))
    known = pose_at([1.0, 2.0, 3.0], 30.0)
    update = engine.push([dataclasses.replace(frames[0], map_from_camera=known)])
    np.testing.assert_allclose(update.views[0].map_from_camera, known, atol=1e-5)


@pytest.mark.parametrize(
    'poses',
    [
        [pose_at([0, 0, 0])] * 12,
        [pose_at([0.1 * i, 0, 0]) for i in range(12)],
        [pose_at([0, 0, 0], 8.0 * i) for i in range(12)],
    ],
    ids=['static', 'straight', 'pure rotation'],
)
def test_degenerate_motion_is_no_problem(poses: list[np.ndarray]) -> None:
    engine, frames = stream(poses, depth_bias=0.02)
    views = [u.views[0] for u in run(engine, frames)]
    travel = np.linalg.norm(poses[-1][:3, 3] - poses[0][:3, 3])
    unit = np.median(box_depth(poses[0], K, HEIGHT, WIDTH))
    estimated = np.stack([v.map_from_camera for v in views])
    steps = np.linalg.norm(estimated[:, :3, 3] - estimated[0, :3, 3], axis=1) * unit
    np.testing.assert_allclose(steps[-1], travel, atol=0.08)
    depths = [np.median(v.depth_m / box_depth(p, K, HEIGHT, WIDTH) * unit)
              for v, p in zip(views, poses, strict=True)]  # fmt: skip
    np.testing.assert_allclose(depths, 1.0, atol=0.06)


def test_noise_and_outliers_are_held() -> None:
    poses = arc(30)
    engine, frames = stream(poses, depth_bias=0.03, outliers=0.2)
    updates = run(engine, frames)
    position, angle = relative_error([u.views[0].map_from_camera for u in updates], poses)
    assert position < 0.25  # metres, 3 % of depths of 2 to 6 m
    assert angle < 1.5
    assert min(u.status.registration_inliers for u in updates) > 0.3


def test_covariance_is_positive_and_grows_with_noise() -> None:
    covariances = []
    for noise in (0.002, 0.02):
        engine, frames = stream(arc(6), translation=noise)
        covariance = run(engine, frames)[-1].views[0].pose_covariance
        np.testing.assert_array_equal(covariance, covariance.T)
        assert np.linalg.eigvalsh(covariance).min() > 0
        covariances.append(covariance)
    assert np.trace(covariances[1]) > 4 * np.trace(covariances[0])


def test_reference_is_pinned_and_no_window_is_larger_than_configured() -> None:
    engine, frames = stream(arc(25, turn_deg=50.0), replaced(CONFIG, {'window.size': 4}))
    run(engine, frames)
    windows = engine._runner.windows
    assert max(map(len, windows)) == 4
    assert {window[0] for window in windows} == {STEP_NS}
    assert all(window[-1] == f.stamp_ns for window, f in zip(windows, frames, strict=True))


def test_reference_moves_on_when_it_is_out_of_sight() -> None:
    engine, frames = stream(arc(25, turn_deg=170.0))
    run(engine, frames)
    references = [window[0] for window in engine._runner.windows]
    assert references[-1] > references[0]
    assert references == sorted(references)


def test_static_camera_makes_one_keyframe_and_a_walk_makes_some() -> None:
    engine, frames = stream([pose_at([0, 0, 0])] * 10)
    assert [u.views[0].is_keyframe for u in run(engine, frames)] == [True] + [False] * 9
    engine, frames = stream(arc(20))
    updates = run(engine, frames)
    assert 3 <= len(engine.keyframes) <= 15
    kept = [u.views[0].stamp_ns for u in updates if u.views[0].is_keyframe]
    assert [k.stamp_ns for k in engine.keyframes] == kept
    assert all(u.keyframes_changed for u in updates if u.views[0].is_keyframe)
    assert updates[-1].status.keyframes == len(kept)


def test_keyframes_average_what_the_windows_say() -> None:
    """The depth of the first keyframe gets better than what its first window gave."""
    engine, frames = stream([pose_at([0, 0, 0])] * 20, depth_bias=0.05)
    truth = box_depth(pose_at([0, 0, 0]), K, HEIGHT, WIDTH)
    run(engine, frames)

    def spread(depth: np.ndarray) -> float:
        return float(np.std(np.log(depth / truth)))

    first_look, _ = stream([pose_at([0, 0, 0])], depth_bias=0.05)
    once = first_look.push([frames[0]]).views[0].depth_m
    assert spread(next(iter(engine._mapper.map)).depth.numpy()) < 0.6 * spread(once)


def test_map_is_bounded() -> None:
    config = replaced(CONFIG, {'keyframe.max_count': 6, 'keyframe.max_overlap': 1.0})
    engine, frames = stream(arc(20, turn_deg=170.0), config)
    run(engine, frames)
    assert len(engine.keyframes) == 6


def test_depth_unprojects_in_the_map_onto_the_walls() -> None:
    poses = arc(8)
    engine, frames = stream(poses)
    view = run(engine, frames)[-1].views[0]
    points = unproject(view.depth_m, view.intrinsics).reshape(-1, 3)
    in_map = points @ view.map_from_camera[:3, :3].T + view.map_from_camera[:3, 3]
    unit = np.median(box_depth(poses[0], K, HEIGHT, WIDTH))
    in_world = in_map * unit + poses[0][:3, 3]
    to_wall = np.minimum(np.abs(in_world - [-3, -4, -1]), np.abs(in_world - [5, 4, 2])).min(axis=1)
    assert to_wall.max() < 0.01


def test_network_intrinsics_are_used_and_steadied_when_the_camera_has_none() -> None:
    engine, frames = stream(arc(6))
    for i, f in enumerate(frames):
        factor = 1 + 0.1 * (-1) ** i
        poses = engine._runner.truth.poses['']
        engine._runner.truth = room_truth(poses, K * [[factor], [factor], [1]], (WIDTH, HEIGHT))
        view = engine.push([dataclasses.replace(f, intrinsics=None)]).views[0]
    assert view.intrinsics[0, 0] == pytest.approx(80.0, rel=0.02)


def test_stamps_that_go_back_are_dropped_or_start_anew() -> None:
    engine, frames = stream(arc(15))
    run(engine, frames)
    with pytest.raises(FrameError, match='stamps that grow') as drop:
        engine.push([frames[-1]])
    assert drop.value.reason == 'frame_stamp'
    assert len(engine.keyframes) > 1
    update = engine.push([frames[0]])
    assert update.was_reset
    assert 'went back by 1.4 s' in update.reset_reason
    assert len(engine.keyframes) == 1


def test_other_image_size_starts_anew_and_same_network_size_does_not() -> None:
    engine, frames = stream(arc(4))
    run(engine, frames[:2])
    double = frame(frames[2].stamp_ns, size=(2 * WIDTH, 2 * HEIGHT), intrinsics=None)
    assert not engine.push([double]).was_reset
    update = engine.push([frame(frames[3].stamp_ns, size=(WIDTH, 42), intrinsics=None)])
    assert update.was_reset
    assert 'size' in update.reset_reason
    assert update.views[0].depth_m.shape == (42, WIDTH)


def test_one_camera_that_sends_nonsense_does_not_cost_the_others_theirs() -> None:
    """It is refused by name and reason; when it is all there is, by an error."""
    engine, frames = stream(arc(3))
    left = [dataclasses.replace(f, camera='left') for f in frames]
    engine.push([frames[0], left[0]])
    update = engine.push([frames[1], left[0]])
    assert [view.camera for view in update.views] == ['']
    assert {name: error.reason for name, error in update.refused.items()} == {
        'left': 'frame_stamp'
    }
    broken = dataclasses.replace(frames[2], intrinsics=np.full((3, 3), np.nan))
    update = engine.push([broken, left[2]])
    assert [view.camera for view in update.views] == ['left'] and list(update.refused) == ['']
    with pytest.raises(FrameError, match='stamps that grow'):
        engine.push([left[1]])


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        ({'rgb': np.zeros((0, 5, 3), np.uint8)}, 'frame_image'),
        ({'rgb': np.zeros((5, 5), np.uint8)}, 'frame_image'),
        ({'rgb': np.zeros((5, 5, 3), np.float32)}, 'frame_image'),
        ({'intrinsics': np.full((3, 3), np.nan)}, 'frame_intrinsics'),
        ({'intrinsics': np.diag([0.0, 1.0, 1.0])}, 'frame_intrinsics'),
        ({'map_from_camera': np.eye(3)}, 'frame_map_from_camera'),
    ],
)
def test_bad_frames_are_refused_and_change_nothing(change: dict, reason: str) -> None:
    engine, frames = stream(arc(3))
    run(engine, frames[:1])
    before = engine.status
    with pytest.raises(FrameError) as drop:
        engine.push([dataclasses.replace(frames[1], **change)])
    assert drop.value.reason == reason
    assert engine.status is before
    assert engine.push([frames[1]]).status.state is TrackingState.TRACKING


def test_sets_of_frames_are_checked() -> None:
    engine, frames = stream(arc(2))
    for frames_set in ([], [frames[0], frames[0]]):
        with pytest.raises(FrameError) as drop:
            engine.push(frames_set)
        assert drop.value.reason == 'frame_set'


def test_every_keyframe_of_the_window_is_refined_in_turn() -> None:
    config = replaced(CONFIG, {'window.refreshed': 2, 'keyframe.min_parallax_deg': 1.0})
    engine, frames = stream(arc(12), config)
    run(engine, frames)
    known = list(engine._mapper.window)[1:]
    assert len(known) == 3
    before = [k.weight.clone() for k in known]
    for i in range(len(known)):  # the last view again and again: no new keyframe
        later = dataclasses.replace(frames[-1], stamp_ns=frames[-1].stamp_ns + (i + 1) * STEP_NS)
        engine._runner.truth.poses[''][later.stamp_ns] = arc(12)[-1]
        engine.push([later])
    engine.update_map()
    assert all((k.weight != b).all() for k, b in zip(known, before, strict=True))


class _Broken:
    """A network that says nothing useful."""

    def __init__(self, good: RecordingSimulator, depth: float, focal: float) -> None:
        self._good, self._depth, self._focal = good, depth, focal

    def infer(self, views, depth_views=None) -> WindowPrediction:
        prediction = self._good.infer(views, depth_views)
        return dataclasses.replace(
            prediction,
            depth=prediction.depth * self._depth,
            intrinsics=prediction.intrinsics * self._focal,
        )

    def describe(self, view) -> torch.Tensor:
        return self._good.describe(view)


@pytest.mark.parametrize(('depth', 'focal'), [(float('nan'), 1.0), (0.0, 1.0), (1.0, np.nan)])
def test_network_garbage_is_lost_then_found_then_another_part(depth: float, focal: float) -> None:
    engine, frames = stream(arc(60, turn_deg=150.0))
    run(engine, frames[:30])
    good = engine._runner
    engine._runner = _Broken(good, depth, focal)
    with pytest.raises(FrameError) as drop:
        engine.push([frames[30]])
    assert drop.value.reason == 'frame_registration'
    assert engine.status.state is TrackingState.LOST
    engine._runner = good
    found = engine.push([frames[31]])
    assert found.status.state is TrackingState.TRACKING
    assert 'known again' in found.notice
    engine._runner = _Broken(good, depth, focal)
    for f in frames[32:42]:
        with pytest.raises(FrameError):
            engine.push([f])
    engine._runner = good
    before = engine.keyframes
    update = engine.push([frames[42]])
    assert not update.was_reset and 'another part' in update.notice
    assert update.status.map_parts == 2
    assert [k.stamp_ns for k in engine.keyframes[:-1]] == [k.stamp_ns for k in before]
    assert update.status.state is TrackingState.INITIALIZING


def test_garbage_from_the_start_leaves_an_empty_map() -> None:
    engine, frames = stream(arc(3))
    good, engine._runner = engine._runner, _Broken(engine._runner, np.nan, 1.0)
    with pytest.raises(FrameError):
        engine.push([frames[0]])
    assert engine.keyframes == ()
    engine._runner = good
    assert engine.push([frames[1]]).views[0].is_keyframe


def test_reset_forgets_everything() -> None:
    engine, frames = stream(arc(5))
    run(engine, frames)
    engine.reset()
    assert engine.keyframes == ()
    assert engine.status.state is TrackingState.WAITING
    assert engine.push([frames[0]]).status.state is TrackingState.INITIALIZING


def test_only_dynamic_parameters_change_while_running() -> None:
    engine, frames = stream(arc(3))
    engine.configure(replaced(CONFIG, {'keyframe.max_overlap': 1.0}))
    assert all(u.views[0].is_keyframe for u in run(engine, frames))
    with pytest.raises(ConfigError, match='window.size'):
        engine.configure(replaced(CONFIG, {'window.size': 3}))


def test_warm_up_leaves_no_trace() -> None:
    engine, frames = stream(arc(2))
    engine.warm_up()
    assert engine.keyframes == ()
    assert engine.push([frames[0]]).status.views_in_window == 1


def test_warm_up_runs_the_metric_network_too() -> None:
    engine, frames = stream(arc(2))
    metric = SimulatedMetricNetwork(engine._runner.truth)
    engine = StreamingEngine(CONFIG, engine._runner, metric_runner=metric)
    engine.warm_up()
    assert metric.calls == 1
    assert not engine.status.is_metric
    assert engine.push([frames[0]]).status.is_metric


def test_saved_map_lies_on_the_walls(tmp_path: Path) -> None:
    poses = arc(15)
    engine, frames = stream(poses)
    run(engine, frames)
    folder = engine.save_map(tmp_path / 'maps')
    again = engine.save_map(tmp_path / 'maps')
    assert sorted(p.name for p in (tmp_path / 'maps').iterdir()) == ['map', 'map-1']
    assert again != folder
    lines = (folder / 'poses.txt').read_text().splitlines()[1:]
    assert len(lines) == len(engine.keyframes)
    stamp, *values = lines[-1].split()
    assert stamp == f'{engine.keyframes[-1].stamp_ns / 1e9:.9f}'
    np.testing.assert_allclose(
        [float(v) for v in values[:3]], engine.keyframes[-1].map_from_camera[:3, 3], atol=1e-6
    )
    header, _, body = (folder / 'map.ply').read_bytes().partition(b'end_header\n')
    vertices = np.frombuffer(body, np.dtype([('p', '<f4', 3), ('rgb', 'u1', 3)]))
    assert f'element vertex {len(vertices)}'.encode() in header
    unit = np.median(box_depth(poses[0], K, HEIGHT, WIDTH))
    points = vertices['p'] * unit + poses[0][:3, 3]
    to_wall = np.minimum(np.abs(points - [-3, -4, -1]), np.abs(points - [5, 4, 2])).min(axis=1)
    assert np.quantile(to_wall, 0.99) < 0.05


def test_the_map_learns_once_from_a_push_and_before_anybody_asks_for_it() -> None:
    """By whoever comes first: a caller, one who asks for the map, or the next push."""
    config = replaced(CONFIG, {'window.refreshed': 2, 'keyframe.min_parallax_deg': 1.0})
    engine, frames = stream(arc(12), config)
    run(engine, frames)
    keyframe = list(engine._mapper.window)[-1]
    engine.update_map()

    def learned(ask: Callable[[], object], at: int) -> int:
        later = dataclasses.replace(frames[-1], stamp_ns=frames[-1].stamp_ns + at * STEP_NS)
        engine._runner.truth.poses[''][later.stamp_ns] = arc(12)[-1]
        engine.push([later])
        before = keyframe.observations
        ask()
        return keyframe.observations - before

    assert learned(lambda: None, 1) == 0
    assert learned(engine.update_map, 2) == 1 and learned(lambda: engine.keyframes, 3) == 1
    assert learned(engine.surfaces, 4) == 1 and learned(lambda: engine.shrink(1), 5) == 0
    before = keyframe.observations
    engine.update_map()
    assert keyframe.observations == before  # what a smaller window was to learn is given up
