"""The simulated network: true in a gauge of its own, and wrong just as asked for."""

from da3_ros.engine.runner import WindowPrediction, WindowView
from da3_ros.errors import ConfigError
from da3_ros.evaluation.sequences import read_sequence, write_sequence
from da3_ros.evaluation.simulated_robot import (
    RobotNoise,
    SimulatedMetricNetwork,
    SimulatedRobot,
)
from da3_ros.evaluation.simulated_stream import FURNISHED_ROOM, winding_walk
from da3_ros.evaluation.simulator import NetworkSimulator, Noise, REALISTIC
from da3_ros.evaluation.truth import BoxRoom, nearest, RoomTruth, SequenceTruth
from da3_ros.geometry.cameras import unproject
from da3_ros.geometry.transforms import invert
import numpy as np
import pytest
import torch

SIZE = (112, 84)
K = np.array([[80.0, 0.0, 56.0], [0.0, 80.0, 42.0], [0.0, 0.0, 1.0]])
POSES = dict(enumerate(winding_walk(6), start=1))
TRUTH = RoomTruth(FURNISHED_ROOM, {'': POSES}, K, SIZE)


def window(stamps: tuple[int, ...] = (1, 2, 3)) -> list[WindowView]:
    return [WindowView(s, '', s, torch.zeros(3, SIZE[1], SIZE[0])) for s in stamps]


def infer(noise: Noise = Noise(), seed: int = 0, **kwargs) -> WindowPrediction:
    return NetworkSimulator(TRUTH, noise, seed).infer(window(), **kwargs)


def log_errors(prediction: WindowPrediction, stamps: tuple[int, ...] = (1, 2, 3)) -> np.ndarray:
    """Return the logarithm (V, H, W) of predicted over true depth, less the window's scale."""
    truth = np.stack([TRUTH.depth_m('', s, SIZE[1], SIZE[0]) for s in stamps])
    errors = np.log(prediction.depth.numpy() / truth)
    return errors - np.median(errors)


def test_without_noise_depth_and_poses_are_one_scene() -> None:
    """Points of all views lie where they should, in one similarity of the truth."""
    prediction = infer()
    scale = np.exp(np.median(np.log(prediction.depth.numpy()[0] / TRUTH.depth_m('', 1, 84, 112))))
    first_from_world = invert(POSES[1])
    first_from_window = invert(prediction.window_from_camera[0])
    for i, stamp in enumerate((1, 2, 3)):
        relative = first_from_window @ prediction.window_from_camera[i]
        true = first_from_world @ POSES[stamp]
        np.testing.assert_allclose(relative[:3, :3], true[:3, :3], atol=1e-9)
        np.testing.assert_allclose(relative[:3, 3], scale * true[:3, 3], atol=1e-6)
    assert np.abs(log_errors(prediction)).max() < 1e-5
    assert (prediction.confidence == 2.0).all()


def test_every_window_has_a_gauge_of_its_own() -> None:
    network = NetworkSimulator(TRUTH)
    first, second = network.infer(window()), network.infer(window())
    assert abs(np.log(float((first.depth / second.depth).median()))) > 0.05
    assert not np.allclose(first.window_from_camera, second.window_from_camera, atol=0.1)


def test_depth_is_given_for_the_views_that_are_asked_for() -> None:
    depth = infer(depth_views=[0, 2]).depth
    assert torch.isfinite(depth[[0, 2]]).all()
    assert torch.isnan(depth[1]).all()


def test_the_bias_field_is_as_large_as_asked_for_and_smooth() -> None:
    errors = np.stack([log_errors(infer(Noise(depth_bias=0.05), seed)) for seed in range(20)])
    assert errors.std() == pytest.approx(0.05, rel=0.25)
    assert np.abs(np.diff(errors, axis=-1)).max() < 0.02


def test_outliers_are_as_many_as_asked_for_and_have_less_confidence() -> None:
    prediction = infer(Noise(outliers=0.1, confidence=1.0))
    wrong = np.abs(log_errors(prediction)) > 0.1
    assert wrong.mean() == pytest.approx(0.1, abs=0.04)
    confidence = prediction.confidence.numpy()
    assert np.median(confidence[wrong]) < np.median(confidence[~wrong])


@pytest.mark.parametrize(('follows', 'low', 'high'), [(0.0, -0.2, 0.2), (1.0, 0.9, 1.0)])
def test_confidence_follows_the_error_as_far_as_asked_for(
    follows: float, low: float, high: float
) -> None:
    """Rank correlation of confidence and size of the error, without its sign."""
    prediction = infer(Noise(depth_bias=0.05, confidence=follows))
    truth = np.stack([TRUTH.depth_m('', s, SIZE[1], SIZE[0]) for s in (1, 2, 3)])
    scale = np.linalg.norm(prediction.window_from_camera[0, :3, 3]
                           - prediction.window_from_camera[2, :3, 3])  # fmt: skip
    scale /= np.linalg.norm(POSES[1][:3, 3] - POSES[3][:3, 3])
    size = np.abs(np.log(prediction.depth.numpy() / truth / scale)).ravel()
    ranks = [np.argsort(np.argsort(x)) for x in (-size, prediction.confidence.numpy().ravel())]
    assert low <= np.corrcoef(*ranks)[0, 1] <= high


def test_edges_bleed_and_planes_do_not() -> None:
    errors = np.abs(log_errors(infer(Noise(edge_bleeding=2))))
    assert errors.max() > 0.1
    assert np.median(errors) < 0.005


def test_persistent_errors_come_back_and_others_do_not() -> None:
    def correlation(share: float) -> float:
        network = NetworkSimulator(TRUTH, Noise(depth_bias=0.05, persistent=share))
        first, second = (log_errors(network.infer(window())).ravel() for _ in range(2))
        return float(np.corrcoef(first, second)[0, 1])

    assert correlation(1.0) > 0.99
    assert abs(correlation(0.0)) < 0.5


def test_poses_are_as_wrong_as_asked_for() -> None:
    errors = []
    for seed in range(40):
        prediction = infer(Noise(translation=0.02), seed)
        scale = np.median(prediction.depth.numpy()[0] / TRUTH.depth_m('', 1, 84, 112))
        relative = invert(prediction.window_from_camera[0]) @ prediction.window_from_camera[1]
        true = invert(POSES[1]) @ POSES[2]
        errors.append(relative[:3, 3] / scale - true[:3, 3])
    depths = np.stack([TRUTH.depth_m('', s, 84, 112) for s in (1, 2, 3)])
    assert np.std(errors) == pytest.approx(np.sqrt(2) * 0.02 * np.median(depths), rel=0.2)


def test_noise_that_cannot_be_is_refused() -> None:
    assert REALISTIC.depth_bias > 0
    for wrong in ({'outliers': 1.5}, {'depth_bias': -0.1}, {'cells': 1}, {'alias': 1.1}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            Noise(**wrong)


def test_boxes_stand_before_walls() -> None:
    """Against the points that the depth unprojects to: all lie on a wall or on the box."""
    box = np.array([[1.0, -1.0, -1.0], [2.0, 1.0, 0.5]])
    room = BoxRoom([-3.0, -4.0, -1.0], [5.0, 4.0, 2.0], box[None])
    pose = POSES[1]
    points = unproject(room.depth_m(pose, K, SIZE[1], SIZE[0]), K).reshape(-1, 3)
    points = points @ pose[:3, :3].T + pose[:3, 3]
    to_wall = np.abs(np.stack([points - room.low, points - room.high])).min(axis=(0, 2))
    outside = np.maximum(box[0] - points, points - box[1]).max(axis=1)
    assert np.minimum(to_wall, np.abs(outside)).max() < 1e-5
    assert (np.abs(outside) < 1e-5).mean() > 0.1


def test_a_sequence_on_disk_is_a_truth(tmp_path) -> None:
    depth = np.stack([TRUTH.depth_m('', s, SIZE[1], SIZE[0]) for s in (1, 2, 3)])
    rgb = np.zeros((*depth.shape, 3), np.uint8)
    stamps = np.array([10**9, 2 * 10**9, 3 * 10**9])
    poses = np.stack([POSES[s] for s in (1, 2, 3)])
    write_sequence(tmp_path, rgb, depth, stamps, poses, K)
    truth = SequenceTruth({'': read_sequence(tmp_path)})
    np.testing.assert_allclose(truth.world_from_camera('', 2 * 10**9 + 5), poses[1], atol=1e-6)
    half = truth.depth_m('', 2 * 10**9, SIZE[1] // 2, SIZE[0] // 2)
    assert half.shape == (42, 56)
    np.testing.assert_allclose(truth.intrinsics('', 0, 42, 56)[:2], K[:2] / 2)
    view = WindowView(0, '', 10**9, torch.zeros(3, 42, 56))
    assert torch.isfinite(NetworkSimulator(truth, REALISTIC).infer([view]).depth).all()


def test_nearest_stamp() -> None:
    stamps = np.array([10, 20, 40])
    assert [nearest(stamps, s) for s in (0, 10, 16, 30, 31, 99)] == [0, 0, 1, 1, 2, 2]


def test_odometry_drifts_with_the_way_and_comes_late() -> None:
    robot = SimulatedRobot(TRUTH, RobotNoise(odometry_drift=0.1, lag_ns=2), has_odometry=True)
    robot.now_ns = 5
    assert robot.odom_from_camera('', 4) is None
    found = np.stack([robot.odom_from_camera('', s) for s in (1, 2, 3)])
    true = invert(POSES[1]) @ POSES[3]
    motion = invert(found[0]) @ found[2]
    error = np.linalg.norm(motion[:3, 3] - true[:3, 3]) / np.linalg.norm(true[:3, 3])
    assert 0.001 < error < 0.5
    np.testing.assert_allclose(motion[:3, :3], true[:3, :3], atol=1e-9)


def test_metric_network_is_wrong_as_asked_for() -> None:
    truth = TRUTH.depth_m('', 1, SIZE[1], SIZE[0])
    metric = SimulatedMetricNetwork(TRUTH, view_scale=0.1, bias=0.5)
    errors = [
        np.median(np.log(metric.infer(window()[0], K).depth_m.numpy() / truth)) for _ in range(60)
    ]
    assert np.mean(errors) == pytest.approx(0.5, abs=0.05)
    assert np.std(errors) == pytest.approx(0.1, rel=0.3)
