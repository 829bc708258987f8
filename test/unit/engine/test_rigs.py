"""Rigs of four cameras that move through a corridor, on a network that errs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from da3_ros.config import EngineConfig
from da3_ros.engine import EngineStatus, Frame, StreamingEngine, View
from da3_ros.evaluation.courses import corridor
from da3_ros.evaluation.rigs import rig_truth, rigidity_errors, ring
from da3_ros.evaluation.simulated_robot import SimulatedRobot
from da3_ros.evaluation.simulator import NetworkSimulator, REALISTIC
from da3_ros.evaluation.trajectory import trajectory_errors
from da3_ros.evaluation.truth import RoomTruth
from da3_ros.geometry.transforms import rigid, rotation_angle_deg
from da3_ros.parameter_tree import replaced
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

SIZE = (84, 56)
AROUND = {'front': 0.0, 'left': 90.0, 'back': 180.0, 'right': -90.0}
AHEAD = {'front': 0.0, 'left': 20.0, 'far_left': 40.0, 'right': -20.0}
# Around, each sees a tenth of what its neighbour does, or nothing of it.
WIDE_DEG, NARROW_DEG = 110.0, 70.0
STEP_NS, START_NS = 100_000_000, 1_000_000_000

Present = Callable[[str, int], bool]


def intrinsics(fov_deg: float, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return K (3, 3) of a horizontal field of view."""
    focal = 0.5 * size[0] / np.tan(np.radians(fov_deg) / 2)
    return np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1]])


def truth_of(
    yaws: Mapping[str, float], fov_deg: float, frames: int = 40, seed: int = 0
) -> RoomTruth:
    """Return the truth of a rig that walks along a corridor and around a corner of it."""
    course = corridor(frames, laps=0.006 * frames, seed=seed)
    return rig_truth(course.truth, ring(yaws), intrinsics(fov_deg), SIZE)


@dataclass
class Played:
    """What came of a stream, one entry a push; ``lost`` counts those that came to none."""

    truth: RoomTruth
    views: list[tuple[View, ...]] = field(default_factory=list)
    statuses: list[EngineStatus] = field(default_factory=list)
    engine: StreamingEngine | None = None

    def of(self, camera: str, since: int = 0) -> list[View]:
        """Return the views of a camera."""
        return [v for views in self.views[since:] for v in views if v.camera == camera]

    def errors(self, views: Sequence[View]) -> tuple[np.ndarray, np.ndarray]:
        """Return degrees (F,) and metres (F,) by which views are wrong, all views aligned."""
        everything = [v for views in self.views for v in views]
        aligned = trajectory_errors(*self._poses(everything)).true_from_estimated
        found, true = self._poses(views)
        between = np.linalg.inv(true) @ aligned.apply_to_pose(found)
        return rotation_angle_deg(between[:, :3, :3]), np.linalg.norm(between[:, :3, 3], axis=1)

    def rms(self, views: Sequence[View]) -> tuple[float, float]:
        """Return the root mean square of ``errors``."""
        turned, off = self.errors(views)
        return float(np.sqrt(np.mean(turned**2))), float(np.sqrt(np.mean(off**2)))

    def rigidity(self, since: int = 0, without: str = '') -> tuple[float, float]:
        """Return the largest degrees and metres by which sets, as published, are not rigid."""
        found = []
        for views in self.views[since:]:
            kept = [v for v in views if v.camera != without]
            true = [self.truth.world_from_camera(v.camera, v.stamp_ns) for v in kept]
            found.append(rigidity_errors([v.map_from_camera for v in kept], true))
        return tuple(np.max(found, axis=0))

    def _poses(self, views: Sequence[View]) -> tuple[np.ndarray, np.ndarray]:
        true = [self.truth.world_from_camera(v.camera, v.stamp_ns) for v in views]
        return np.stack([v.map_from_camera for v in views]), np.stack(true)


def play(
    truth: RoomTruth,
    robot: SimulatedRobot | None,
    present: Present = lambda camera, index: True,
    before: Callable[[int], None] = lambda index: None,
    blackouts: Mapping[str, Sequence[tuple[int, int]]] | tuple = (),
    seed: int = 0,
    **settings: object,
) -> Played:
    """Play a rig through the engine, without the cameras that are not ``present``."""
    given = {'device': 'cpu', 'resolution': SIZE[0], 'window.size': 10}
    given |= {name.replace('__', '.'): value for name, value in settings.items()}
    network = NetworkSimulator(truth, REALISTIC, seed, blackouts)
    engine = StreamingEngine(replaced(EngineConfig(), given), network, robot=robot)
    played = Played(truth, engine=engine)
    for index, stamp in enumerate(sorted(truth.poses['front'])):
        before(index)
        frames = []
        for camera in truth.poses:
            width, height = truth.size(camera)
            k = truth.intrinsics(camera, stamp, height, width)
            if present(camera, index):
                rgb = np.zeros((height, width, 3), np.uint8)
                frames.append(Frame(camera, stamp, rgb, k))
        update = engine.push(frames)
        played.views.append(update.views)
        played.statuses.append(update.status)
    return played


def knowing(truth: RoomTruth, **has: bool) -> SimulatedRobot:
    """Return a robot that knows its extrinsics."""
    return SimulatedRobot(truth, has_extrinsics=True, **has)


@pytest.mark.parametrize(
    ('yaws', 'fov_deg', 'gain'),
    [(AROUND, WIDE_DEG, 0.85), (AHEAD, 80.0, 1.0)],
    ids=['around', 'ahead'],
)
def test_a_rig_is_better_placed_than_its_cameras_are_one_by_one(
    yaws: Mapping[str, float], fov_deg: float, gain: float
) -> None:
    """
    In both cases the map has no metres, so that scale plays no part in it.

    Cameras that all look ahead are off in place together, which no vote can help.
    """
    errors = {'single': [], 'rig': []}
    for seed in range(2):
        truth = truth_of(yaws, fov_deg, seed=seed)
        for name, robot in (('single', None), ('rig', knowing(truth))):
            played = play(truth, robot, seed=seed, scale__sources=())
            errors[name].append(played.rms([v for views in played.views for v in views]))
    single, rig = (np.mean(errors[name], axis=0) for name in ('single', 'rig'))
    print(f'single {single[0]:.2f} deg {single[1]:.4f} m, rig {rig[0]:.2f} deg {rig[1]:.4f} m')
    assert rig[0] < 0.8 * single[0] and rig[1] < gain * single[1], (single, rig)


def test_a_published_rig_is_that_of_tf() -> None:
    """To the millimetre, in metres, while the scale moves and poses are steadied."""
    truth = truth_of(AROUND, WIDE_DEG)
    played = play(truth, knowing(truth))
    assert played.statuses[-1].scale_source == 'rig'
    assert [len(views) for views in played.views] == [4] * 40
    turned, off = played.rigidity(since=1)
    assert turned < 1e-4 and off < 1e-6
    assert all(s.rig_cameras == 4 for s in played.statuses[1:])
    assert all(0.05 < s.rig_rotation_error_deg < 1.0 for s in played.statuses[1:])
    assert all(0.0 < s.rig_translation_error < 0.1 for s in played.statuses[1:])


def test_a_rig_is_as_sure_as_it_is_right() -> None:
    """Errors in the deviations that are published with them are about 1, not 3."""
    truth = truth_of(AROUND, WIDE_DEG, frames=60)
    played = play(truth, knowing(truth), scale__sources=())
    views = [v for views in played.views[2:] for v in views]
    turned, off = played.errors(views)
    scale = trajectory_errors(*played._poses(views)).true_from_estimated.scale
    variances = np.stack([np.diag(v.pose_covariance) for v in views])
    for error, variance in (
        (np.radians(turned), variances[:, 3:].sum(axis=1)),
        (off / scale, variances[:, :3].sum(axis=1)),
    ):
        assert 0.3 < np.sqrt(np.mean(error**2 / variance)) < 3.0


def test_cameras_that_see_nothing_of_each_other_are_one_map() -> None:
    """Odometry tells metres first; then each is where the others say."""
    truth = truth_of(AROUND, NARROW_DEG, frames=60)
    played = play(truth, knowing(truth, has_odometry=True))
    assert played.statuses[-1].map_parts == 1
    assert played.statuses[-1].is_metric
    late = [v for views in played.views[15:] for v in views]
    assert len(late) >= 0.95 * 45 * 4
    assert sum(s.rig_outvoted for s in played.statuses) > 20
    turned, off = played.rms(late)
    assert turned < 1.0 and off < 0.15
    turned, off = played.rigidity(since=15)
    assert turned < 1e-4 and off < 1e-6


def test_a_camera_that_sees_nothing_is_carried_and_leaves_no_trace() -> None:
    """In the dark for two seconds; it is where the rig is, and no keyframe comes of it."""
    truth = truth_of(AROUND, WIDE_DEG)
    dark = START_NS + 10 * STEP_NS, START_NS + 29 * STEP_NS
    played = play(truth, knowing(truth), blackouts={'left': [dark]})
    in_the_dark = [v for v in played.of('left') if dark[0] <= v.stamp_ns <= dark[1]]
    assert len(in_the_dark) == 20
    turned, off = played.rms(in_the_dark)
    assert turned < 0.6 and off < 0.08
    outvoted = [s.rig_outvoted for s in played.statuses]
    assert outvoted[10:30] == [1] * 20 and sum(outvoted) == 20
    assert not [
        k
        for k in played.engine.keyframes
        if k.camera == 'left' and dark[0] <= k.stamp_ns <= dark[1]
    ]


def test_wrong_extrinsics_are_said_and_not_forced() -> None:
    """And forgiven once TF is put right."""
    truth = truth_of(AROUND, WIDE_DEG, frames=80)
    robot = knowing(truth)
    turn = Rotation.from_euler('y', 8.0, degrees=True).as_matrix()
    robot.misplaced['left'] = rigid(turn, np.array([0.0, 0.0, 0.1]))

    def put_right(index: int) -> None:
        if index == 40:
            robot.misplaced.clear()

    played = play(truth, robot, before=put_right, scale__sources=())
    told = played.statuses[20].rig_problem
    assert "'left' 8" in told or "'left' 7" in told, told
    assert played.statuses[20].rig_cameras == 3
    assert all(view.rig_cameras == 3 for view in played.statuses[8:40])
    turned, off = played.rms(played.of('left', since=8)[:30])
    assert turned < 1.5 and off < 0.15
    turned, _ = played.rigidity(since=1, without='left')
    assert turned < 1e-4
    assert played.statuses[-1].rig_problem == ''
    assert played.statuses[-1].rig_cameras == 4


def true_between(truth: RoomTruth, a: View, b: View) -> np.ndarray:
    """Return the true pose of one view in the frame of another."""
    first, second = (truth.world_from_camera(v.camera, v.stamp_ns) for v in (a, b))
    return np.linalg.inv(first) @ second


def test_of_two_cameras_that_tf_has_wrong_none_is_forced_for_long() -> None:
    """Which of the two is wrong nobody knows; both are placed by themselves after a few sets."""
    truth = truth_of({'front': 0.0, 'left': 30.0}, WIDE_DEG)
    robot = knowing(truth)
    turn = Rotation.from_euler('y', 10.0, degrees=True).as_matrix()
    robot.misplaced['left'] = rigid(turn, np.zeros(3))
    played = play(truth, robot)
    assert 'TF' in played.statuses[-1].rig_problem
    assert {s.rig_cameras for s in played.statuses[10:]} <= {0, 1}
    between = [np.linalg.inv(a.map_from_camera) @ b.map_from_camera for a, b in played.views[-10:]]
    turned = [
        float(rotation_angle_deg((np.linalg.inv(true_between(truth, a, b)) @ pose)[:3, :3]))
        for (a, b), pose in zip(played.views[-10:], between, strict=True)
    ]
    assert np.median(turned) < 4.0  # of 10


def test_extrinsics_may_come_late() -> None:
    truth = truth_of(AROUND, WIDE_DEG)
    robot = SimulatedRobot(truth)

    def tell(index: int) -> None:
        robot.has_extrinsics = index >= 20

    played = play(truth, robot, before=tell)
    assert {s.rig_cameras for s in played.statuses[:20]} == {0}
    assert all(np.isnan(s.rig_rotation_error_deg) for s in played.statuses[:20])
    assert {s.rig_cameras for s in played.statuses[21:]} == {4}
    assert played.rigidity(since=0)[0] > 0.1
    turned, off = played.rigidity(since=21)
    assert turned < 1e-4 and off < 1e-6


@pytest.mark.parametrize('missing', ['front', 'left'])
def test_a_camera_may_be_missing_for_a_while(missing: str) -> None:
    """The others stay a rig, also without the camera whose frame is the rig's."""
    truth = truth_of(AROUND, WIDE_DEG)
    played = play(truth, knowing(truth), present=lambda c, i: c != missing or not 10 <= i < 25)
    assert [s.rig_cameras for s in played.statuses[1:]] == [4] * 9 + [3] * 15 + [4] * 15
    turned, off = played.rigidity(since=1)
    assert turned < 1e-4 and off < 1e-6
    turned, off = played.rms([v for views in played.views for v in views])
    assert turned < 0.6 and off < 0.08


def test_one_camera_alone_goes_on_as_its_rig() -> None:
    """What is left of a rig is placed in the same map, without a rigidity error to report."""
    truth = truth_of(AROUND, WIDE_DEG)
    played = play(truth, knowing(truth), present=lambda c, i: i < 20 or c == 'left')
    assert [s.rig_cameras for s in played.statuses[20:]] == [1] * 20
    assert all(np.isnan(s.rig_rotation_error_deg) for s in played.statuses[20:])
    turned, off = played.rms(played.of('left', since=20))
    assert turned < 1.0 and off < 0.1


def test_keyframes_of_a_set_stay_a_rig() -> None:
    truth = truth_of(AROUND, WIDE_DEG)
    played = play(truth, knowing(truth))
    sets: dict[int, list] = {}
    for keyframe in played.engine.keyframes:
        sets.setdefault(keyframe.stamp_ns, []).append(keyframe)
    found = [
        rigidity_errors(
            [k.map_from_camera for k in members],
            [truth.world_from_camera(k.camera, k.stamp_ns) for k in members],
        )
        for stamp, members in sets.items()
        if len(members) > 1 and stamp > START_NS
    ]
    assert len(found) > 10
    turned, off = np.median(found, axis=0)
    assert turned < 0.05 and off < 0.01
