"""Known poses for the network: used where they help, left where they are missing or false."""

from collections.abc import Iterator
import dataclasses

from da3_ros.config import EngineConfig
from da3_ros.engine import EngineStatus, Frame, StreamingEngine, Update
from da3_ros.engine.known_poses import OdometryPoses
from da3_ros.engine.runner import WindowPrediction, WindowView
from da3_ros.engine.window import Company
from da3_ros.errors import FrameError, RegistrationError
from da3_ros.evaluation.simulated_robot import RobotNoise, SimulatedRobot
from da3_ros.evaluation.simulated_stream import camera_at, FURNISHED_ROOM, winding_walk
from da3_ros.evaluation.simulator import NetworkSimulator, Noise
from da3_ros.evaluation.truth import RoomTruth
from da3_ros.geometry.transforms import invert, rigid, rotation_angle_deg
from da3_ros.parameter_tree import replaced
from doubles.faulty_odometry import FaultyOdometry, right, turned
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
import torch

SIZE = (84, 56)
K = np.array([[60.0, 0.0, 42.0], [0.0, 60.0, 28.0], [0.0, 0.0, 1.0]])
STEP_NS = 100_000_000
NOISE = Noise(depth_bias=0.02, rotation_deg=0.6, translation=0.02)
CONFIG = replaced(
    EngineConfig(),
    {
        'device': 'cpu',
        'resolution': SIZE[0],
        'keyframe.max_overlap': 0.95,
        'keyframe.min_parallax_deg': 2.0,
        'keyframe.revisits': False,
        'pose_prior': 'odometry',
    },
)
LEFT_RIGHT = {'left': np.eye(4), 'right': rigid(np.eye(3), np.array([0.4, 0.0, 0.0]))}


def truth_of(poses: list[np.ndarray], offsets: dict | None = None) -> RoomTruth:
    stamps = [(i + 1) * STEP_NS for i in range(len(poses))]
    by_camera = {
        camera: {s: pose @ offset for s, pose in zip(stamps, poses, strict=True)}
        for camera, offset in (offsets or {'': np.eye(4)}).items()
    }
    return RoomTruth(FURNISHED_ROOM, by_camera, K, SIZE)


class Recorder(NetworkSimulator):
    """A simulated network that remembers which windows came with poses."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.posed: list[bool] = []
        self.answers: list[tuple[list[WindowView], WindowPrediction]] = []

    def infer(self, views: list[WindowView], depth_views: object = None) -> WindowPrediction:
        self.posed.append(all(view.world_from_camera is not None for view in views))
        prediction = super().infer(views, depth_views)
        self.answers.append((views, prediction))
        return prediction


class Drive:
    """A stream through the engine; ``updates`` has None for frames that were lost."""

    def __init__(
        self,
        truth: RoomTruth,
        robot: object,
        config: EngineConfig = CONFIG,
        noise: Noise = NOISE,
        k: np.ndarray | None = K,
        network: type = Recorder,
    ) -> None:
        self.truth, self.k = truth, k
        self.network = network(truth, noise)
        self.engine = StreamingEngine(config, self.network, robot=robot)
        self.updates: list[Update | None] = []
        self._stamps = iter(sorted(next(iter(truth.poses.values()))))

    def go(self, frames: int | None = None) -> EngineStatus:
        """Push so many frame sets, or all there are; return the last status."""
        rgb = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        for count, stamp in enumerate(self._stamps, 1):
            frames_of_set = [Frame(camera, stamp, rgb, self.k) for camera in self.truth.poses]
            try:
                self.updates.append(self.engine.push(frames_of_set))
            except FrameError:
                self.updates.append(None)
            if count == frames:
                break
        return self.engine.status

    def window_errors(self) -> Iterator[tuple[float, float]]:
        """Yield what each window got wrong of its newest view: degrees, and metres."""
        for views, prediction in self.network.answers:
            if len(views) < 2:
                continue
            true = np.stack([self.truth.world_from_camera(v.camera, v.stamp_ns) for v in views])
            true = invert(true[0]) @ true
            seen = invert(prediction.window_from_camera[0]) @ prediction.window_from_camera
            t, s = true[:, :3, 3], seen[:, :3, 3]
            seen[:, :3, 3] *= np.sum(t * s) / max(np.sum(s * s), 1e-12)
            turn = seen[-1, :3, :3].T @ true[-1, :3, :3]
            way = seen[-1, :3, 3] - true[-1, :3, 3]
            yield np.degrees(Rotation.from_matrix(turn).magnitude()), np.linalg.norm(way)

    def turn_error_deg(self) -> float:
        """Return the median error of the published rotations, seen from the first view."""
        placed = [u.views[0] for u in self.updates if u is not None]
        seen = np.stack([view.map_from_camera for view in placed])
        true = np.stack([self.truth.world_from_camera(v.camera, v.stamp_ns) for v in placed])
        seen, true = invert(seen[0]) @ seen, invert(true[0]) @ true
        return float(
            np.median(rotation_angle_deg(np.swapaxes(seen[:, :3, :3], 1, 2) @ true[:, :3, :3]))
        )

    def path_error_m(self) -> float:
        """Return the RMSE of the published positions, scaled and turned to the truth."""
        placed = [u.views[0] for u in self.updates if u is not None]
        seen = np.stack([view.map_from_camera[:3, 3] for view in placed])
        true = np.stack(
            [self.truth.world_from_camera(v.camera, v.stamp_ns)[:3, 3] for v in placed]
        )
        seen, true = seen - seen.mean(0), true - true.mean(0)
        u, s, vt = np.linalg.svd(true.T @ seen)
        sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
        scale = (s * sign).sum() / (seen**2).sum()
        return float(np.sqrt(((true - scale * seen @ ((u * sign) @ vt).T) ** 2).sum(1).mean()))


def test_odometry_makes_windows_better_and_the_path_too() -> None:
    truth = truth_of(winding_walk(30))
    robot = SimulatedRobot(truth, RobotNoise(odometry_drift=0.01), has_odometry=True)
    told = Drive(truth, robot)
    free = Drive(truth, robot, replaced(CONFIG, {'pose_prior': 'none'}))
    prior, none = told.go().prior, free.go().prior
    assert (prior.used, dict(prior.unused)) == (29, {'alone': 1})
    assert (none.used, dict(none.unused)) == (0, {})
    assert (sum(told.network.posed), sum(free.network.posed)) == (29, 0)
    better, worse = np.array(list(told.window_errors())), np.array(list(free.window_errors()))
    assert (np.median(better, axis=0) < 0.5 * np.median(worse, axis=0)).all()
    assert told.path_error_m() < free.path_error_m()
    assert (prior.problem, prior.warning) == ('', '')


def test_there_is_no_prior_without_a_robot() -> None:
    drive = Drive(truth_of(winding_walk(4)), None)
    prior = drive.go().prior
    assert (prior.used, dict(prior.unused), any(drive.network.posed)) == (0, {}, False)


def test_a_camera_without_intrinsics_has_no_prior_and_it_says_why() -> None:
    truth = truth_of(winding_walk(14))
    drive = Drive(truth, FaultyOdometry(truth), k=None)
    prior = drive.go().prior
    assert (prior.used, any(drive.network.posed)) == (0, False)
    assert prior.unused['no_camera_info'] == 13
    assert "camera '' has no CameraInfo" in prior.problem
    assert 'No pose prior for' in prior.warning


def body_axes(index: int, poses: np.ndarray) -> np.ndarray:
    """Odometry of a frame that is no optical one."""
    axes = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
    return poses[index] @ rigid(axes, np.zeros(3))


def mirrored(index: int, poses: np.ndarray) -> np.ndarray:
    """Odometry that turns the other way round."""
    turn = poses[0] @ turned('y', 4.0 * index)
    return rigid(turn[:3, :3], poses[index, :3, 3])


@pytest.mark.parametrize('fault', [body_axes, mirrored])
def test_poses_that_the_images_contradict_are_dropped_and_cost_little(fault: object) -> None:
    """By what the network makes of them; they are not tried for ever."""
    truth = truth_of(winding_walk(60))
    drive = Drive(truth, FaultyOdometry(truth, fault))
    prior = drive.go().prior
    assert prior.unused['images'] >= 1
    assert sum(prior.unused[reason] for reason in ('images', 'pause')) > 30
    assert 'The pose prior is off: the network sees the new view' in prior.warning
    assert prior.problem in prior.warning and prior.problem
    assert prior.used < 25
    # A push that drops its prior takes two windows.
    assert len(drive.network.posed) == 60 + prior.unused['images']
    free = Drive(truth, None)
    free.go()
    assert drive.path_error_m() < 1.5 * free.path_error_m()


def shaken(index: int, poses: np.ndarray) -> np.ndarray:
    """Odometry that turns anew, by 30 degrees or so, at every stamp."""
    rng = np.random.default_rng(index)
    turn = Rotation.from_rotvec(np.radians(17.0) * rng.normal(size=3)).as_matrix()
    return poses[index] @ rigid(turn, np.zeros(3))


@pytest.fixture
def unjudged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let odometry turn as fast as it likes."""
    monkeypatch.setattr('da3_ros.engine.known_poses._FLOOR', np.full(2, np.inf))


def test_false_poses_do_harm_where_nobody_looks(
    unjudged: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And hardly any where somebody does."""
    truth = truth_of(winding_walk(40))
    looking, blind = (Drive(truth, FaultyOdometry(truth, shaken)) for _ in range(2))
    free = Drive(truth, None)
    looking.go()
    free.go()
    monkeypatch.setattr('da3_ros.engine.pose_prior._MAX_ONCE', np.full(2, np.inf))
    monkeypatch.setattr('da3_ros.engine.pose_prior._MAX_MEAN', np.full(2, np.inf))
    blind.go()
    assert blind.turn_error_deg() > 5.0 * free.turn_error_deg()
    assert looking.turn_error_deg() < 1.5 * free.turn_error_deg()


def test_a_prior_that_is_right_again_is_used_again_and_the_warning_goes() -> None:
    truth = truth_of(winding_walk(90))
    robot = FaultyOdometry(truth, lambda i, p: mirrored(i, p) if i < 16 else right(i, p))
    drive = Drive(truth, robot)
    assert drive.go(16).prior.warning
    during = drive.engine.status.prior.used
    after = drive.go()
    assert after.prior.used > during + 30
    assert (after.prior.warning, after.prior.problem) == ('', '')
    assert all(drive.network.posed[-10:])


def jumped(index: int, poses: np.ndarray) -> np.ndarray:
    """Odometry that is reset at frame 20: elsewhere, and turned."""
    reset = turned('z', 40.0)
    reset[:3, 3] = 3.0, -2.0, 0.0
    return poses[index] if index < 20 else reset @ poses[index]


def test_odometry_that_jumps_is_used_again_when_the_window_is_past_it() -> None:
    truth = truth_of(winding_walk(60))
    drive = Drive(truth, FaultyOdometry(truth, jumped))
    before = drive.go(20).prior
    assert (before.used, dict(before.unused)) == (19, {'alone': 1})
    prior = drive.go().prior
    assert 0 < prior.unused['keyframe'] < 25
    assert 'images' not in prior.unused
    assert prior.used > 35
    assert all(drive.network.posed[-10:])
    free = Drive(truth, None)
    free.go()
    assert drive.path_error_m() < 1.2 * free.path_error_m()


def test_a_fast_start_is_no_jump() -> None:
    """A car that is on its way when the first image comes: 40 m/s."""
    truth = truth_of([camera_at([4.0 * i, 0.0, 0.0]) for i in range(4)])
    poses = OdometryPoses(FaultyOdometry(truth))
    for stamp in sorted(truth.poses['']):
        poses.find(Company(()), [WindowView(stamp, '', stamp, torch.zeros(3, 2, 2), K)])
    assert len(poses._odom_from_camera) == 4


def test_odometry_that_ends_is_said_and_comes_back() -> None:
    truth = truth_of(winding_walk(70))
    robot = FaultyOdometry(truth, lambda i, p: None if 10 <= i < 30 else p[i])
    drive = Drive(truth, robot)
    prior = drive.go(30).prior
    assert (prior.used, dict(prior.unused)) == (9, {'alone': 1, 'no_odometry': 20})
    assert prior.problem == "TF has no odometry of camera '' at its image's stamp"
    assert prior.warning.startswith('No pose prior for 10 windows: TF has no odometry')
    prior = drive.go().prior
    assert prior.unused['keyframe'] > 0
    assert prior.used > 20
    assert (prior.problem, prior.warning) == ('', '')


def test_odometry_that_comes_too_late_is_no_prior() -> None:
    truth = truth_of(winding_walk(8))
    robot = SimulatedRobot(truth, RobotNoise(lag_ns=STEP_NS // 2), has_odometry=True)
    drive = Drive(truth, robot)
    for stamp in sorted(truth.poses['']):
        robot.now_ns = stamp
        drive.go(1)
    assert drive.engine.status.prior.unused == {'alone': 1, 'no_odometry': 7}


def test_wheels_that_slip_do_little_harm() -> None:
    """The network is told ways, but of no size: it is the window with the change that suffers."""
    truth = truth_of(winding_walk(60))

    def slipping(index: int, poses: np.ndarray) -> np.ndarray:
        stretched = poses[index].copy()
        if index >= 20:
            stretched[:3, 3] += 0.5 * (poses[index, :3, 3] - poses[20, :3, 3])
        return stretched

    drive, free = Drive(truth, FaultyOdometry(truth, slipping)), Drive(truth, None)
    assert drive.go().prior.used > 40
    free.go()
    assert drive.path_error_m() < 1.3 * free.path_error_m()


def test_false_poses_are_tried_ever_more_rarely(unjudged: None) -> None:
    """Each try costs a window: 6 of them in the first 64 frames."""
    truth = truth_of(winding_walk(66))
    drive = Drive(truth, FaultyOdometry(truth, shaken))
    prior = drive.go().prior
    assert dict(prior.unused) == {'alone': 1, 'images': 6, 'pause': 59}
    # After each try as many frames go without as two times before: 1, 2, 4 ...; +1 is its rerun.
    assert np.diff(np.flatnonzero(drive.network.posed)).tolist() == [3, 4, 6, 10, 18]


@pytest.mark.parametrize(
    'path',
    [
        [camera_at([0.0, 0.0, 0.0])] * 8,
        [camera_at([0.05 * i, 0.0, 0.0]) for i in range(8)],
        [camera_at([0.0, 0.0, 0.0], 4.0 * i) for i in range(8)],
        [camera_at([1e-7 * i, 0.0, 0.0]) for i in range(8)],
    ],
    ids=['still', 'straight', 'turning', 'nearly still'],
)
def test_windows_without_a_direction_have_priors_all_the_same(path: list[np.ndarray]) -> None:
    """Two views, one place, one line: nothing of it divides by nothing."""
    truth = truth_of(path)
    drive = Drive(truth, FaultyOdometry(truth))
    prior = drive.go().prior
    assert (prior.used, dict(prior.unused)) == (7, {'alone': 1})
    for update in drive.updates:
        assert np.isfinite(update.views[0].map_from_camera).all()
    assert np.isfinite(prior.deviation_deg)


def test_windows_of_lost_frames_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = truth_of(winding_walk(20))
    drive = Drive(truth, FaultyOdometry(truth))
    drive.go(2)

    def refuse(*_: object) -> None:
        raise RegistrationError('It fits nowhere.')

    monkeypatch.setattr('da3_ros.engine.tracking.Tracking.check', refuse)
    assert drive.go(1).prior.used == 2
    assert drive.updates[-1] is None


class Overwhelmed(Recorder):
    """A network that makes nothing of known poses."""

    def infer(self, views: list[WindowView], depth_views: object = None) -> WindowPrediction:
        prediction = super().infer(views, depth_views)
        if self.posed[-1]:
            prediction.window_from_camera[-1] = np.nan
        return prediction


def test_poses_that_the_network_makes_nothing_of_are_dropped() -> None:
    truth = truth_of(winding_walk(20))
    drive = Drive(truth, FaultyOdometry(truth), network=Overwhelmed)
    prior = drive.go(3).prior
    assert dict(prior.unused) == {'alone': 1, 'images': 1, 'pause': 1}
    assert 'no finite poses' in prior.problem
    assert None not in drive.updates


def test_a_lost_view_and_a_guest_are_judged_by_images_alone() -> None:
    truth = truth_of(winding_walk(3))
    poses = OdometryPoses(FaultyOdometry(truth))
    stamps = sorted(truth.poses[''])
    views = [WindowView(i, '', s, torch.zeros(3, 2, 2), K) for i, s in enumerate(stamps)]
    keyframe = dataclasses.make_dataclass('Known', ['view'])(views[0])
    assert poses.find(Company((), (keyframe,)), [views[1]]).reason == 'guest'
    recollected = Company((keyframe,), is_recollected=True)
    assert poses.find(recollected, [views[1]]).reason == 'lost'
    assert poses.find(Company(()), [views[2]]).shape == (1, 4, 4)


def test_a_keyframe_of_long_ago_is_remembered_as_long_as_it_is_needed() -> None:
    truth = truth_of([camera_at([0.0, 0.0, 0.0])] * 400)
    drive = Drive(truth, FaultyOdometry(truth), noise=Noise())
    assert drive.go().prior.used == 399


def test_a_rig_makes_the_first_window_better_and_no_other() -> None:
    truth = truth_of(winding_walk(6), LEFT_RIGHT)
    config = replaced(CONFIG, {'pose_prior': 'rig'})
    drive = Drive(truth, SimulatedRobot(truth, has_extrinsics=True), config)
    prior = drive.go().prior
    assert drive.network.posed == [True, False, False, False, False, False]
    assert (prior.used, dict(prior.unused)) == (1, {'apart': 5})
    free = Drive(truth, None)
    free.go(1)
    told, guessed = next(drive.window_errors()), next(free.window_errors())
    assert told[0] < 0.5 * guessed[0]


def test_a_rig_whose_images_come_one_by_one_is_known_all_the_same() -> None:
    """As over DDS: the second view joins the first, which was taken together with it."""
    truth = truth_of(winding_walk(3), LEFT_RIGHT)
    network = Recorder(truth, NOISE)
    robot = SimulatedRobot(truth, has_extrinsics=True)
    engine = StreamingEngine(replaced(CONFIG, {'pose_prior': 'rig'}), network, robot=robot)
    rgb = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    for stamp in sorted(truth.poses['left']):
        for camera in LEFT_RIGHT:
            engine.push([Frame(camera, stamp, rgb, K)])
    assert network.posed == [False, True, False, False, False, False]


def test_a_rig_without_extrinsics_says_so() -> None:
    truth = truth_of(winding_walk(2), LEFT_RIGHT)
    drive = Drive(truth, SimulatedRobot(truth), replaced(CONFIG, {'pose_prior': 'rig'}))
    prior = drive.go(1).prior
    assert dict(prior.unused) == {'no_extrinsics': 1}
    assert prior.problem == "TF does not know camera 'right' as seen from 'left'"


def test_a_reset_forgets_what_was() -> None:
    truth = truth_of(winding_walk(30))
    drive = Drive(truth, FaultyOdometry(truth))
    drive.go(6)
    drive.engine.reset()
    assert drive.go(2).prior.used == 1
