"""Methods on whole streams, scored against the truth; on a simulated network."""

from dataclasses import replace
import importlib.util
from pathlib import Path
import sys
from types import ModuleType

from da3_ros.config import EngineConfig
from da3_ros.engine import StreamingEngine
from da3_ros.errors import InputError
from da3_ros.evaluation.courses import BLOCK_M, corridor, room_around, SIZE
from da3_ros.evaluation.estimate import engine_estimates, Estimate
from da3_ros.evaluation.euroc import read_euroc
from da3_ros.evaluation.footage import film_footage, FilmTruth, Footage
from da3_ros.evaluation.simulator import NetworkSimulator, Noise, REALISTIC
from da3_ros.evaluation.stitching import chunks, stitched_estimate
from da3_ros.evaluation.stream_scores import scale_drift_percent, score
from da3_ros.evaluation.trajectory import end_error_m, relative_errors, trajectory_errors
from da3_ros.geometry.transforms import quaternion_xyzw, rigid, Sim3
from da3_ros.parameter_tree import replaced
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

FRAMES = 40
CONFIG = replaced(EngineConfig(), {'device': 'cpu', 'resolution': SIZE[0]})
LAP = corridor(FRAMES, laps=0.3)
CLOSED = corridor(120, laps=1.2)


@pytest.fixture(scope='module')
def study() -> ModuleType:
    """Load the script that writes the tables of docs/map.md."""
    path = Path(__file__).parents[3] / 'docs' / 'map.py'
    spec = importlib.util.spec_from_file_location('map_study', path)
    module = importlib.util.module_from_spec(spec)
    sys.modules['map_study'] = module
    spec.loader.exec_module(module)
    return module


def stitched(noise: Noise, chunk: int = 20, overlap: int = 10, footage: Footage = LAP) -> Estimate:
    network = NetworkSimulator(footage.truth, noise)
    return stitched_estimate(footage, network, SIZE[0], chunk, overlap)


def perfect(footage: Footage = LAP) -> Estimate:
    """Return the truth itself, in a map of its own size and place."""
    gauge = Sim3(0.4, Rotation.from_rotvec([0.3, -0.2, 0.9]).as_matrix(), np.array([3.0, 1, 2]))
    depth = np.stack([footage.depth_m(i, *SIZE[::-1]) for i in range(len(footage))])
    poses = gauge.apply_to_pose(footage.world_from_camera())
    nan = np.full(len(footage), np.nan)
    return Estimate('perfect', np.arange(len(footage)), poses, 0.4 * depth, False, nan)


def test_methods_find_the_truth_through_an_exact_network() -> None:
    exact = [
        perfect(),
        stitched(Noise()),
        stitched(Noise(), 2, 1),
        *engine_estimates(LAP, NetworkSimulator(LAP.truth), CONFIG),
    ]
    for estimate in exact:
        scores = score(estimate, LAP)
        assert scores.ate_sim3_m < 1e-3 and scores.ate_se3_m < 1e-3, estimate.method
        assert scores.rpe_m < 1e-3 and scores.rpe_deg < 0.02
        assert scores.scale_drift_percent < 0.05 and scores.abs_rel < 1e-3
        assert scores.thickness_p90_m < 1e-3
        assert scores.frames == FRAMES and scores.lost == 0
        assert scores.map_parts == 1 and scores.loops_closed == 0
        assert np.isnan(scores.end_m)
    assert scores.own_p95_ms > 0 and scores.ate_keyframes_m < 1e-3
    assert 3 < len(exact[-1].keyframes) < FRAMES


def test_chaining_drifts_more_than_chunks_do() -> None:
    noise = Noise(depth_bias=0.03, translation=0.005, rotation_deg=0.2)
    chained, in_chunks = (score(stitched(noise, *size), LAP) for size in ((2, 1), (20, 10)))
    assert chained.ate_sim3_m > 2 * in_chunks.ate_sim3_m
    assert chained.scale_drift_percent > 2 * in_chunks.scale_drift_percent
    assert chained.thickness_m > in_chunks.thickness_m


@pytest.mark.parametrize(('chunk', 'overlap'), [(20, 10), (2, 1), (7, 3), (64, 32)])
def test_chunks_share_their_overlap_and_reach_the_end(chunk: int, overlap: int) -> None:
    ranges = list(chunks(FRAMES, chunk, overlap))
    assert ranges[0].start == 0 and ranges[-1].stop == FRAMES
    assert all(a.stop - b.start == overlap for a, b in zip(ranges, ranges[1:]))
    assert all(len(r) == chunk for r in ranges[:-1])


@pytest.mark.parametrize('size', [(10, 10), (10, 0), (1, 1)])
def test_chunks_without_progress_or_overlap_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match='expected 1 <= overlap < chunk'):
        list(chunks(FRAMES, *size))


def test_outliers_do_not_move_a_chunk() -> None:
    scores = score(stitched(Noise(outliers=0.1)), LAP)
    assert scores.ate_sim3_m < 0.01 and scores.scale_drift_percent < 0.5


def test_drift_is_the_largest_over_the_smallest_scale() -> None:
    assert scale_drift_percent(np.linspace(0.0, np.log(1.1), 11)[:-1]) == pytest.approx(9, abs=0.2)
    there_and_back = np.log(1.0 + 0.1 * np.sin(np.linspace(0.0, np.pi, 200)))
    assert scale_drift_percent(there_and_back) > 7
    flickering = np.where(np.arange(100) % 10 == 0, 1.0, 0.0)
    assert scale_drift_percent(flickering) == pytest.approx(0, abs=1e-9)


def test_drift_of_scale_counts_after_rigid_alignment() -> None:
    true = perfect()
    growing = true.map_from_camera.copy()
    step = np.diff(growing[:, :3, 3], axis=0, prepend=growing[:1, :3, 3])
    factor = np.linspace(1.0, 1.5, FRAMES)
    growing[:, :3, 3] = growing[0, :3, 3] + np.cumsum(step * factor[:, None], axis=0)
    depth = true.depth * factor[:, None, None].astype(np.float32)
    drifted = score(Estimate('x', true.indices, growing, depth, False, true.own_ms), LAP)
    assert drifted.ate_se3_m > 1.5 * drifted.ate_sim3_m > 0.05
    # A metric map's own lengths count as they are: 0.4 of the truth is wrong.
    metric = score(Estimate('x', true.indices, true.map_from_camera, true.depth, True,
                            true.own_ms), LAP)  # fmt: skip
    assert metric.ate_sim3_m < 1e-6 and metric.ate_se3_m > 0.5


def test_frames_that_were_not_placed_are_counted_and_left_out() -> None:
    true = perfect()
    kept = np.flatnonzero(np.arange(FRAMES) % 3)
    some = Estimate('x', kept, true.map_from_camera[kept], true.depth[kept], False, true.own_ms)
    scores = score(some, LAP)
    assert scores.frames == len(kept) and scores.lost == FRAMES - len(kept)
    assert scores.ate_sim3_m < 1e-6
    few = Estimate('x', kept[:5], true.map_from_camera[:5], true.depth[:5], False, true.own_ms)
    with pytest.raises(InputError, match="'x' placed 5 of 40 frames"):
        score(few, LAP)


def test_settled_keyframes_are_where_the_map_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    engines = []

    class Remembered(StreamingEngine):
        def __init__(self, *args, **kwargs) -> None:
            super().__init__(*args, **kwargs)
            engines.append(self)

    monkeypatch.setattr('da3_ros.evaluation.estimate.StreamingEngine', Remembered)
    live, settled = engine_estimates(LAP, NetworkSimulator(LAP.truth, REALISTIC), CONFIG)
    keyframes = engines[0].keyframes
    stamps = LAP.stamps_ns[settled.indices[settled.keyframes]]
    assert stamps.tolist() == [k.stamp_ns for k in keyframes]
    poses = np.stack([k.map_from_camera for k in keyframes])
    np.testing.assert_allclose(settled.map_from_camera[settled.keyframes], poses, atol=1e-12)
    # Frames between them go along; what was published stays as it was.
    assert 1e-5 < np.abs(settled.map_from_camera - live.map_from_camera).max() < 0.1
    assert settled.loops_closed == 0 and settled.map_parts == 1


def test_keyframes_have_an_error_of_their_own() -> None:
    true = perfect()
    poses = true.map_from_camera.copy()
    poses[1::2, :3, 3] += 0.4 * np.random.default_rng(0).normal(size=(FRAMES // 2, 3))
    estimate = replace(true, map_from_camera=poses)
    assert np.isnan(score(estimate, LAP).ate_keyframes_m)
    good = score(replace(estimate, keyframes=np.arange(0, FRAMES, 2)), LAP)
    bad = score(replace(estimate, keyframes=np.arange(1, FRAMES, 2)), LAP)
    assert good.ate_keyframes_m < 1e-6 < 0.1 < good.ate_sim3_m < bad.ate_keyframes_m


def test_the_end_of_a_lap_is_seen_from_its_beginning() -> None:
    true = CLOSED.world_from_camera()
    gauge = Sim3(0.4, Rotation.from_rotvec([0.3, -0.2, 0.9]).as_matrix(), np.array([3.0, 1, 2]))
    assert end_error_m(gauge.apply_to_pose(true), true, 2.5) == pytest.approx(0, abs=1e-9)
    # An error that comes between both visits counts in full, wherever it comes; one that was
    # there at both does not.
    for middle in (40, 90):
        off = true.copy()
        off[middle:, :3, 3] += [0.3, 0.0, 0.4]
        assert end_error_m(gauge.apply_to_pose(off), true, 2.5) == pytest.approx(0.5)
    off = true.copy()
    off[2:, :3, 3] += [0.3, 0.0, 0.4]
    assert end_error_m(off, true) == pytest.approx(0, abs=1e-9)
    # Of a course that has just come back, only the poses that are back count.
    just = np.concatenate([true[:94], true[:1]])
    off = just.copy()
    off[50:94, :3, 3] += [0.3, 0.0, 0.4]
    assert end_error_m(off, just) == pytest.approx(0, abs=1e-9)
    off[94, :3, 3] += [0.3, 0.0, 0.4]
    assert end_error_m(off, just) == pytest.approx(0.5)


def test_a_course_that_does_not_come_back_has_no_end_error() -> None:
    true = CLOSED.world_from_camera()
    assert np.isnan(end_error_m(true[:90], true[:90]))
    # Nor has one that comes back along the same way, looking the other way.
    around = rigid(Rotation.from_euler('y', 180, degrees=True).as_matrix(), np.zeros(3))
    back = np.concatenate([true[:50], true[:50][::-1] @ around])
    assert np.isnan(end_error_m(back, back))


def test_a_camera_that_never_moves_is_refused() -> None:
    still = room_around('still', np.concatenate([LAP.world_from_camera()[:1]] * 20))
    with pytest.raises(InputError, match='never moves'):
        score(perfect(still), still)


def test_film_in_memory_is_footage() -> None:
    depth = np.stack([LAP.depth_m(i, 28, 42) for i in range(FRAMES)]).astype(np.float32)
    k = LAP.intrinsics(0, 28, 42)
    truth = FilmTruth(LAP.stamps_ns, LAP.world_from_camera(), depth, k)
    rgb = np.random.default_rng(0).integers(0, 255, (FRAMES, 28, 42, 3), np.uint8)
    film = film_footage('film', truth, rgb)
    assert film.size == (42, 28) and len(film) == FRAMES
    np.testing.assert_array_equal(film.rgb(7), rgb[7])
    np.testing.assert_array_equal(film.depth_m(7, 28, 42), depth[7])
    np.testing.assert_allclose(film.intrinsics(7, 56, 84), LAP.intrinsics(7, 56, 84))
    np.testing.assert_array_equal(film.world_from_camera(), LAP.world_from_camera())


@pytest.mark.parametrize(
    'course',
    [
        corridor(200),
        corridor(200, 0.6, seed=3, block_m=(18.0, 12.0)),
        room_around('x', LAP.world_from_camera()),
    ],
)
def test_courses_are_walked_clear_of_walls(course: Footage) -> None:
    nearest = min(float(course.depth_m(i, 14, 21).min()) for i in range(0, len(course), 3))
    assert nearest > 0.15
    assert max(float(course.depth_m(i, 14, 21).max()) for i in range(0, len(course), 3)) < 25


def test_the_corridor_closes() -> None:
    poses = corridor(200, laps=1.0).world_from_camera()
    assert np.linalg.norm(poses[0, :3, 3] - poses[-1, :3, 3]) < 0.1
    steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    assert steps.max() < 2.5 * np.median(steps)


@pytest.mark.parametrize(('laps', 'block_m'), [(1.0, BLOCK_M), (2.5, (4.0, 3.0))])
def test_the_corridor_is_as_long_as_asked_for(laps: float, block_m: tuple[float, float]) -> None:
    poses = corridor(600, laps, block_m=block_m).world_from_camera()
    length = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1).sum()
    # In the middle of 2.4 m; rounding corners saves a little, bobbing costs some.
    assert length == pytest.approx(laps * 2 * (sum(block_m) + 2 * 2.4), rel=0.12)


@pytest.mark.parametrize(('laps', 'block_m'), [(0.0, BLOCK_M), (1.0, (0.0, 6.0))])
def test_a_corridor_without_a_way_is_refused(laps: float, block_m: tuple[float, float]) -> None:
    with pytest.raises(InputError, match='laps around a block'):
        corridor(20, laps, block_m=block_m)


def test_states_of_euroc_are_poses_of_the_body(tmp_path: Path) -> None:
    path, poses = tmp_path / 'data.csv', LAP.world_from_camera()
    lines = ['#timestamp, p_RS_R_x [m], ..., b_a_RS_S_z [m s^-2]']
    for stamp, pose in zip(LAP.stamps_ns, poses, strict=True):
        xyzw = quaternion_xyzw(pose[:3, :3])
        numbers = [stamp, *pose[:3, 3], xyzw[3], *xyzw[:3], *range(9)]
        lines.append(','.join(str(n) for n in numbers))
    path.write_text('\n'.join(lines) + '\n')
    stamps_ns, read = read_euroc(path)
    np.testing.assert_array_equal(stamps_ns, LAP.stamps_ns)
    np.testing.assert_allclose(read, poses, atol=1e-12)


@pytest.mark.parametrize(
    'line', ['1,2,3', '1.5,0,0,0,1,0,0,0', '1,0,0,0,1,0,0,x', '1 0 0 0 1 0 0 0']
)
def test_a_line_that_is_no_state_is_refused(line: str, tmp_path: Path) -> None:
    path = tmp_path / 'data.csv'
    path.write_text('#timestamp\n' + line + '\n')
    with pytest.raises(InputError, match='Line 2 of'):
        read_euroc(path)


def test_errors_agree_with_evo() -> None:
    """The reference implementation of the field, on the same trajectories."""
    metrics = pytest.importorskip('evo.core.metrics')
    trajectory = pytest.importorskip('evo.core.trajectory')
    estimate = stitched(Noise(translation=0.01, rotation_deg=0.5, depth_bias=0.05), 4, 2)
    true = LAP.world_from_camera()
    for with_scale in (True, False):
        ours = trajectory_errors(estimate.map_from_camera, true, with_scale)
        theirs = trajectory.PosePath3D(poses_se3=list(estimate.map_from_camera.copy()))
        reference = trajectory.PosePath3D(poses_se3=list(true))
        _, _, scale = theirs.align(reference, correct_scale=with_scale)
        ate = metrics.APE(metrics.PoseRelation.translation_part)
        ate.process_data((reference, theirs))
        assert ours.ate_rmse_m == pytest.approx(
            ate.get_statistic(metrics.StatisticsType.rmse), rel=1e-6
        )
        assert ours.true_from_estimated.scale == pytest.approx(scale)
        relative = relative_errors(
            estimate.map_from_camera, true, 10, ours.true_from_estimated.scale
        )
        relations = {
            'translation_rmse_m': metrics.PoseRelation.translation_part,
            'rotation_rmse_deg': metrics.PoseRelation.rotation_angle_deg,
        }
        for name, relation in relations.items():
            rpe = metrics.RPE(relation, 10, metrics.Unit.frames, all_pairs=True)
            rpe.process_data((reference, theirs))
            rmse = rpe.get_statistic(metrics.StatisticsType.rmse)
            assert getattr(relative, name) == pytest.approx(rmse, rel=1e-6)


def test_the_study_varies_one_thing_at_a_time_and_plays_each_case_once(study: ModuleType) -> None:
    cases = study.cases_of('sensitivity', 2)
    default = study.Case(study.LAP, 0)
    assert cases.count(default) == len(study.VARIED)  # bold in each of its groups
    assert all(len(c.parameters) + (c.noise != 1.0) <= 1 for c in cases)
    assert {c.seed for c in cases} == {0, 1}
    assert study.noise(1.0) == study.REALISTIC and study.noise(2.0).rotation_deg == 0.4


@pytest.mark.parametrize(
    ('wrong', 'frames'), [([], 0), ([0, 1, 2], 3), ([5], 6), (range(90), np.inf)]
)
def test_a_pose_is_right_again_when_it_stays_right(study: ModuleType, wrong, frames) -> None:
    case = study.Case(study.STRETCH, 0, dark_from=60)
    footage = case.course.footage()
    light = case.dark_from + study.DARK_FRAMES
    indices = np.array([i for i in range(len(footage)) if not case.dark_from <= i < light])
    gauge = Sim3(0.4, Rotation.from_rotvec([0.3, -0.2, 0.9]).as_matrix(), np.array([3.0, 1, 2]))
    poses = gauge.apply_to_pose(footage.world_from_camera())[indices]
    # Right but for 0.5 m (0.2 map units) at some frames after the light is back.
    poses[np.isin(indices, light + np.array(wrong, dtype=int)), 2, 3] += 0.2
    estimate = Estimate('x', indices, poses, np.empty(0), False, np.empty(0))
    played = study.Outcome(None, None, estimate, estimate)
    assert study.frames_to_recover(case, played) == frames
    # Frames for which no pose is published are not wrong, but nothing is right before one is.
    some = (indices < light) | (indices >= light + 3)
    fewer = replace(estimate, indices=indices[some], map_from_camera=poses[some])
    assert study.frames_to_recover(case, study.Outcome(None, None, fewer, fewer)) == max(3, frames)


def test_a_table_takes_its_place_in_the_page_and_no_other(study: ModuleType) -> None:
    page = study.PAGE.read_text()
    for name in study.TABLES:
        new = study.with_table(page, name, ['| a |', '|---|'])
        assert f'<!-- {name}: python docs/map.py -->\n\n| a |\n|---|\n\n<!-- end of' in new
        assert study.with_table(new, name, ['b']) == study.with_table(page, name, ['b'])
        others = [study.with_table(text, name, []) for text in (page, new)]
        assert others[0] == others[1]
