"""Readings of a scale add up robustly, and motions and depths become readings."""

import math

from da3_ros.config import ScaleConfig
from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.runner import WindowView
from da3_ros.engine.scale.baselines import motion_ratios
from da3_ros.engine.scale.depth_sensor import points_ratio
from da3_ros.engine.scale.depths import is_smooth
from da3_ros.engine.scale.estimate import combine, Readings
from da3_ros.errors import ConfigError
from da3_ros.geometry.cameras import unproject
from da3_ros.geometry.transforms import rigid
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
import torch

K = np.array([[80.0, 0.0, 56.0], [0.0, 80.0, 42.0], [0.0, 0.0, 1.0]])


def test_readings_average_and_the_spread_is_honest() -> None:
    """Over many draws the error is as large as the spread says, within a quarter."""
    rng = np.random.default_rng(0)
    sigmas = rng.uniform(0.02, 0.2, 20)
    errors, spreads = [], []
    for _ in range(300):
        estimate = combine(0.7 + sigmas * rng.normal(size=20), sigmas)
        errors.append(estimate.log_scale - 0.7)
        spreads.append(estimate.spread)
    assert np.std(errors) == pytest.approx(np.sqrt(np.mean(np.square(spreads))), rel=0.25)
    assert abs(np.mean(errors)) < 0.002


def test_a_third_of_outliers_is_held_off() -> None:
    rng = np.random.default_rng(1)
    values = 0.05 * rng.normal(size=24)
    values[::3] += 1.0
    assert abs(combine(values, np.full(24, 0.05)).log_scale) < 0.03


def test_scatter_beyond_the_sigmas_and_drift_widen_the_spread() -> None:
    rng = np.random.default_rng(2)
    noise = rng.normal(size=24)
    narrow = combine(0.02 * noise, np.full(24, 0.02)).spread
    assert combine(0.1 * noise, np.full(24, 0.02)).spread > 3 * narrow
    drifting = combine(0.02 * noise + np.linspace(0.0, 0.1, 24), np.full(24, 0.02)).spread
    assert drifting > 3 * narrow


def test_only_the_newest_readings_count_and_the_floor_stays() -> None:
    readings = Readings(floor=0.01, capacity=10)
    assert readings.estimate is None
    for value in [5.0] * 10 + [1.0] * 10:
        readings.add(value, 0.001)
    assert readings.estimate.log_scale == pytest.approx(1.0)
    assert readings.estimate.spread == pytest.approx(0.01, rel=0.01)


def motions(count: int, length_m: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(count, 3))
    directions *= length_m / np.linalg.norm(directions, axis=1, keepdims=True)
    rotations = Rotation.from_rotvec(0.3 * rng.normal(size=(count, 3))).as_matrix()
    return np.stack([rigid(r, t) for r, t in zip(rotations, directions, strict=True)])


def in_units(known: np.ndarray, metres_per_unit: float, noise: float, seed: int) -> np.ndarray:
    predicted = known.copy()
    predicted[:, :3, 3] /= metres_per_unit
    predicted[:, :3, 3] += noise * np.random.default_rng(seed).normal(size=(len(known), 3))
    return predicted


def test_noise_of_the_predicted_motion_does_not_bias_the_scale() -> None:
    """A plain ratio of lengths would be 3 % off here: noise makes vectors longer."""
    known = motions(4000, 0.5, seed=3)
    predicted = in_units(known, 2.0, noise=0.25 * 0.175, seed=4)
    ratios = motion_ratios(known, predicted, median_depth=3.0, drift=0.0)
    lengths = np.linalg.norm(predicted[:, :3, 3], axis=1)
    assert abs(np.median(np.log(0.5 / lengths)) - math.log(2.0)) > 0.02
    assert np.median(ratios.log_scale) == pytest.approx(math.log(2.0), abs=0.01)
    assert ratios.is_usable.all()


def test_motion_that_is_too_short_for_the_scene_is_not_usable() -> None:
    known = motions(50, 0.02, seed=5)
    ratios = motion_ratios(known, in_units(known, 2.0, 0.0, 6), median_depth=3.0, drift=0.0)
    assert not ratios.is_usable.any()


def test_motions_that_disagree_are_marked() -> None:
    known = motions(3, 1.0, seed=7)
    predicted = in_units(known, 1.0, 0.0, 8)
    predicted[1, :3, 3] *= -1.0
    predicted[2, :3, :3] = known[2, :3, :3] @ Rotation.from_rotvec([0.0, 0.4, 0.0]).as_matrix()
    assert motion_ratios(known, predicted, 3.0, 0.0).agrees.tolist() == [True, False, False]


def slanted(scale: float) -> Keyframe:
    depth = torch.linspace(2.0, 3.0, 112).repeat(84, 1)
    view = WindowView(0, '', 0, torch.zeros(3, 84, 112))
    rgb = np.zeros((84, 112, 3), np.uint8)
    return Keyframe(view, rgb, K, depth / scale, torch.full_like(depth, 2.0), np.eye(4))


def test_points_of_a_single_row_give_the_scale_in_spite_of_outliers() -> None:
    keyframe = slanted(scale=3.0)
    points = unproject(3.0 * keyframe.depth.numpy(), K)[42].astype(float)
    points[::4] *= 0.5  # what stands between sensor and camera
    ratio = points_ratio(keyframe, points)
    assert ratio.log_scale == pytest.approx(math.log(3.0), abs=0.01)
    assert points_ratio(keyframe, points[:10]) is None
    assert points_ratio(keyframe, -points) is None


def test_points_at_an_edge_are_not_compared() -> None:
    """Seen from elsewhere, they may well be of what lies behind."""
    keyframe = slanted(scale=1.0)
    keyframe.depth[:, 56:] = 6.0
    points = unproject(keyframe.depth.numpy(), K).astype(float)
    assert points_ratio(keyframe, points[:, 40:50].reshape(-1, 3)) is not None
    assert points_ratio(keyframe, points[:, 55:57].reshape(-1, 3)) is None


def test_edges_are_found() -> None:
    depth = torch.ones(20, 20)
    depth[:, 10:] = 2.0
    smooth = is_smooth(depth)
    assert not smooth[:, 9:11].any()
    assert smooth[1:-1, 1:9].all()


def test_sources_have_names_that_exist() -> None:
    assert ScaleConfig(sources=['odometry', 'rig']).sources == ('odometry', 'rig')
    assert ScaleConfig(sources=('',)).sources == ()
    for wrong in (('wheel',), ('rig', 'rig')):
        with pytest.raises(ConfigError, match='each at most once'):
            ScaleConfig(sources=wrong)
