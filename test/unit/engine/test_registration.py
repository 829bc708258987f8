"""Windows are placed by their keyframes, whatever the motion, and whatever one or two say."""

from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.pose_fit import fit_poses, PoseFit
from da3_ros.engine.registration import refine, register
from da3_ros.engine.runner import WindowPrediction, WindowView
from da3_ros.errors import RegistrationError
from da3_ros.geometry.transforms import rigid, rotation_angle_deg, Sim3
from doubles.box_room import box_depth, pose_at
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
import torch

METRES = 3.0  # to the scene
CENTRE, ANGLE = 0.005 * METRES, np.radians(0.2)
K = np.array([[80.0, 0.0, 56.0], [0.0, 80.0, 42.0], [0.0, 0.0, 1.0]])
MOTIONS = {
    'static': [pose_at([0, 0, 0])] * 7,
    'straight': [pose_at([0.2 * i, 0, 0]) for i in range(7)],
    'turning': [pose_at([0, 0, 0], 10.0 * i) for i in range(7)],
    'walking': [pose_at([0.2 * i, 0.3 * np.sin(i), 0.05 * i], 8.0 * i) for i in range(7)],
}


def gauge(rng: np.random.Generator) -> Sim3:
    rotation = Rotation.random(random_state=rng).as_matrix()
    return Sim3(float(np.exp(rng.normal())), rotation, rng.normal(size=3))


def wrong(rng: np.random.Generator, poses: np.ndarray, size: float = 1.0) -> np.ndarray:
    rotations = Rotation.from_rotvec(size * ANGLE * rng.normal(size=(len(poses), 3))).as_matrix()
    centres = size * CENTRE * rng.normal(size=(len(poses), 3))
    return poses @ np.stack([rigid(r, t) for r, t in zip(rotations, centres, strict=True)])


def anywhere(rng: np.random.Generator, pose: np.ndarray) -> np.ndarray:
    return rigid(Rotation.random(random_state=rng).as_matrix(), pose[:3, 3] + rng.normal(size=3))


def fitted(
    rng: np.random.Generator,
    poses: list[np.ndarray],
    noise: float = 0.0,
    gross: tuple[int, ...] = (),
    confidence: np.ndarray | None = None,
) -> tuple[PoseFit, Sim3]:
    """Return the fit to keyframes that the map has right, and what it should be."""
    in_map = np.stack(poses)
    map_from_window = gauge(rng)
    in_window = wrong(rng, in_map, noise)
    for slot in gross:
        in_window[slot] = anywhere(rng, in_map[slot])
    in_window = map_from_window.inverse().apply_to_pose(in_window)
    trust = np.full(len(in_map), 0.95)
    confidence = np.ones(len(in_map)) if confidence is None else confidence
    log_ratio = np.log(map_from_window.scale) + 0.01 * noise * rng.normal()
    fit = fit_poses(
        in_window, in_map, trust, confidence, METRES, log_ratio, 0.01 * max(noise, 1e-3)
    )
    return fit, map_from_window


def errors_of(fit: PoseFit, true: Sim3, pose: np.ndarray) -> np.ndarray:
    """Return the error (6,) of position and rotation of a camera that is truly at a pose."""
    placed = fit.map_from_window.apply_to_pose(true.inverse().apply_to_pose(pose))
    turned = Rotation.from_matrix(placed[:3, :3] @ pose[:3, :3].T).as_rotvec()
    return np.concatenate([placed[:3, 3] - pose[:3, 3], turned])


@pytest.mark.parametrize('count', [1, 2, 7])
@pytest.mark.parametrize('motion', MOTIONS)
def test_exact_windows_are_placed_exactly(motion: str, count: int) -> None:
    poses = MOTIONS[motion][:count]
    fit, true = fitted(np.random.default_rng(0), poses)
    np.testing.assert_allclose(errors_of(fit, true, pose_at([1, 1, 0], 30.0)), 0.0, atol=1e-7)
    assert fit.map_from_window.scale == pytest.approx(true.scale, rel=1e-7)
    np.testing.assert_allclose(fit.agreement, 1.0)


@pytest.mark.parametrize('motion', MOTIONS)
def test_seven_keyframes_are_better_than_one_in_any_motion(motion: str) -> None:
    def rms(count: int) -> np.ndarray:
        rng = np.random.default_rng(1)
        poses = MOTIONS[motion][:count]
        fits = [fitted(rng, poses, 1.0) for _ in range(100)]
        squares = [errors_of(*f, poses[0]).reshape(2, 3) ** 2 for f in fits]
        return np.sqrt(np.mean(np.sum(squares, axis=2), axis=0))

    position, angle = rms(7)
    one_position, one_angle = rms(1)
    assert angle < 0.5 * one_angle
    # Of a row of cameras the first is at its end, where the scale counts too.
    assert position < 0.8 * one_position


@pytest.mark.parametrize('gross', [(0,), (3,), (0, 6), (2, 5), (1, 2)])
@pytest.mark.parametrize('motion', MOTIONS)
def test_keyframes_that_are_anywhere_move_nothing(motion: str, gross: tuple[int, ...]) -> None:
    poses = MOTIONS[motion]
    for seed in range(20):
        fit, true = fitted(np.random.default_rng(seed), poses, 1.0, gross)
        error = errors_of(fit, true, poses[0])
        assert np.linalg.norm(error[:3]) < 3.5 * CENTRE
        assert np.linalg.norm(error[3:]) < 3 * ANGLE
        assert fit.agreement[list(gross)].max() < 0.01
        assert np.delete(fit.agreement, gross).min() > 0.5


@pytest.mark.parametrize('gross', [0, 1])
def test_of_two_keyframes_the_network_says_which_is_right(gross: int) -> None:
    confidence = np.ones(2)
    confidence[gross] = 0.05
    poses = MOTIONS['walking'][:2]
    for seed in range(20):
        fit, true = fitted(np.random.default_rng(seed), poses, 1.0, (gross,), confidence)
        assert np.linalg.norm(errors_of(fit, true, poses[1 - gross])[:3]) < 5 * CENTRE
        assert fit.agreement[gross] < 0.01 < 0.9 < fit.agreement[1 - gross]


@pytest.mark.parametrize('factor', [0.5, 1.0, 4.0])
@pytest.mark.parametrize('motion', MOTIONS)
def test_covariance_is_that_of_the_errors_of_a_new_view(motion: str, factor: float) -> None:
    rng = np.random.default_rng(2)
    new = pose_at([0.8, 0.4, 0.1], 20.0)
    distances = []
    for _ in range(200):
        fit, true = fitted(rng, MOTIONS[motion], factor)
        seen = wrong(rng, new[None], factor)[0]
        placed = fit.map_from_window.apply_to_pose(true.inverse().apply_to_pose(seen))
        turned = Rotation.from_matrix(placed[:3, :3] @ new[:3, :3].T).as_rotvec()
        error = np.concatenate([placed[:3, 3] - new[:3, 3], turned])
        covariance = fit.pose_covariance(new)
        np.testing.assert_array_equal(covariance, covariance.T)
        assert np.linalg.eigvalsh(covariance).min() > 0
        distances.append(error @ np.linalg.solve(covariance, error) / 6.0)
    assert 0.4 < np.mean(distances) < 2.0


def test_covariance_of_one_keyframe_is_finite_and_larger_than_that_of_seven() -> None:
    rng = np.random.default_rng(3)
    one, seven = (
        np.mean([np.diag(fitted(rng, MOTIONS['walking'][:n], 1.0)[0].pose_covariance(np.eye(4)))
                 for _ in range(30)], axis=0)
        for n in (1, 7)
    )  # fmt: skip
    assert np.isfinite(one).all()
    assert (one > seven).all()


def keyframe(pose: np.ndarray, key: int) -> Keyframe:
    depth = torch.from_numpy(box_depth(pose, K, 84, 112)).float()
    view = WindowView(key, '', key, torch.zeros(3, 84, 112))
    rgb = np.zeros((84, 112, 3), np.uint8)
    return Keyframe(view, rgb, K, depth, torch.full_like(depth, 2.0), pose)


def window(
    keyframes: list[Keyframe], true: Sim3, dense: tuple[int, ...], confident: float = 2.0
) -> WindowPrediction:
    """Return the truth of keyframes in a gauge, with depth for some of them."""
    depth = torch.stack([k.depth / true.scale for k in keyframes])
    depth[[i for i in range(len(keyframes)) if i not in dense]] = torch.nan
    poses = true.inverse().apply_to_pose(np.stack([k.map_from_camera for k in keyframes]))
    confidence = torch.where(depth.isnan(), torch.nan, confident)
    return WindowPrediction(depth, confidence, poses, np.stack([K] * len(keyframes)))


def test_register_finds_gauge_and_scale_from_the_depth_of_some() -> None:
    true = gauge(np.random.default_rng(4))
    keyframes = [keyframe(pose, i) for i, pose in enumerate(MOTIONS['walking'])]
    found = register(window(keyframes, true, (0, 3)), list(enumerate(keyframes)))
    assert found.map_from_window.scale == pytest.approx(true.scale, rel=1e-5)
    assert rotation_angle_deg(found.map_from_window.rotation @ true.rotation.T) < 1e-3
    assert found.inliers == pytest.approx(1.0)
    assert found.has_depth.tolist() == [True, False, False, True, False, False, False]


def test_inliers_are_the_share_that_agrees_with_the_map() -> None:
    keyframes = [keyframe(pose, i) for i, pose in enumerate(MOTIONS['walking'])]
    prediction = window(keyframes, Sim3.identity(), (0, 3))
    prediction.depth[:, :28] *= 1.5  # a third of all pixels
    found = register(prediction, list(enumerate(keyframes)))
    assert found.inliers == pytest.approx(2 / 3, abs=0.03)


def test_a_window_without_depth_in_common_is_refused() -> None:
    keyframes = [keyframe(pose, i) for i, pose in enumerate(MOTIONS['walking'])]
    with pytest.raises(RegistrationError, match='shares 0 pixels'):
        register(window(keyframes, Sim3.identity(), ()), list(enumerate(keyframes)))


def test_a_keyframe_that_was_not_recognised_takes_nothing_from_the_window() -> None:
    keyframes = [keyframe(pose, i) for i, pose in enumerate(MOTIONS['walking'])]
    prediction = window(keyframes, Sim3.identity(), (0, 3))
    prediction.window_from_camera[3] = anywhere(np.random.default_rng(5), np.eye(4))
    prediction.depth[3] *= 1.7
    prediction.confidence[3] = 1.01
    registration = register(prediction, list(enumerate(keyframes)))
    refine(keyframes, prediction, registration)
    assert [k.observations for k in keyframes] == [2, 2, 2, 1, 2, 2, 2]
    expected = torch.from_numpy(box_depth(MOTIONS['walking'][3], K, 84, 112)).float()
    torch.testing.assert_close(keyframes[3].depth, expected)
    np.testing.assert_array_equal(keyframes[3].map_from_camera, MOTIONS['walking'][3])


def test_depth_is_averaged_in_logarithms_and_only_where_the_window_has_it() -> None:
    one = keyframe(pose_at([0, 0, 0]), 0)
    before = one.depth.clone()
    looks = before * 1.21
    looks[0] = torch.nan
    one.refine_depth(looks, torch.full_like(before, 2.0))
    torch.testing.assert_close(one.depth[1:], before[1:] * 1.1)
    torch.testing.assert_close(one.depth[0], before[0])
    assert (one.weight[1:] == 4.0).all() and (one.weight[0] == 2.0).all()
