"""Depth of single-view networks: exact numbers, the sky, and metres by the focal length."""

from pathlib import Path

from da3_ros.evaluation.datasets.catalogue import DATASETS
from da3_ros.evaluation.datasets.dataset import Scene
from da3_ros.evaluation.monocular import monocular_scores, MonocularNetwork
from da3_ros.evaluation.sequences import write_sequence
from da3_ros.model.presets import ModelConfig
from da3_ros.model.single_view import SingleViewNetwork
from doubles.benchmark_trees import poses, TREES
from doubles.miniatures import TINY_METRIC, TINY_MONO
import numpy as np
import pytest
import torch

K = np.array([[60.0, 0.0, 42.0], [0.0, 60.0, 28.0], [0.0, 0.0, 1.0]])
HEIGHT, WIDTH = 56, 84
WALL_M = 2.0
CPU = torch.device('cpu')


class Knowing:
    """Knows the true depth of the frames in turn, times a factor each; above is the sky."""

    def __init__(
        self, scene: Scene, factors: dict[int, float], is_metric: bool, sky: int = 0
    ) -> None:
        self.is_metric = is_metric
        self._rest = [(scene.depth_m(frame) * factor) for frame, factor in factors.items()]
        self._sky = sky

    def depth(self, rgb: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
        np.testing.assert_allclose(intrinsics, K)
        depth = self._rest.pop(0)
        depth[: self._sky] = np.nan
        return depth


class Wall(SingleViewNetwork):
    """One canonical depth below; above there is sky, of a depth that is wrong."""

    def __init__(self, config: ModelConfig, canonical: float) -> None:
        super().__init__(config)
        self.head.forward = self._maps
        self._canonical = canonical

    def _maps(self, features: tuple, grid: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        shape = len(features[0]), 14 * grid[0], 14 * grid[1]
        depth, sky = torch.full(shape, self._canonical), torch.zeros(shape)
        depth[:, : shape[1] // 2], sky[:, : shape[1] // 2] = 77.0, 1.0
        return depth, sky


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Return a sequence of a slanted wall, the first picture with a hole in its truth."""
    rows = np.linspace(1.0, 3.0, HEIGHT, dtype=np.float32)
    depth = np.tile(rows[None, :, None], (4, 1, WIDTH))
    depth[0, :, :10] = np.nan
    rgb = np.random.default_rng(0).integers(0, 255, (4, HEIGHT, WIDTH, 3), np.uint8)
    write_sequence(tmp_path / 'wall', rgb, depth, np.arange(4) * 10**9, poses(4), K)
    return DATASETS['sequence'].read(tmp_path, 'wall')


def test_each_picture_has_a_scale_of_its_own_and_metres_have_none(scene: Scene) -> None:
    factors = {0: 1.1, 2: 0.9, 3: 1.5}
    found = monocular_scores(scene, list(factors), Knowing(scene, factors, True))
    assert found['abs_rel'] == pytest.approx(0, abs=1e-6) and found['delta1'] == 1.0
    # Means of the pictures: 0.1, 0.1 and 0.5 too much or too little, the last beyond 1.25.
    assert found['metric_abs_rel'] == pytest.approx(0.7 / 3, rel=1e-5)
    assert found['metric_delta1'] == pytest.approx(2 / 3)


def test_a_network_without_metres_has_no_scores_of_them(scene: Scene) -> None:
    found = monocular_scores(scene, [1], Knowing(scene, {1: 7.0}, False))
    assert set(found) == {'abs_rel', 'delta1'}
    assert found['abs_rel'] == pytest.approx(0, abs=1e-6)


def test_the_sky_is_not_compared(scene: Scene) -> None:
    found = monocular_scores(scene, [0, 1], Knowing(scene, {0: 1.2, 1: 1.2}, True, sky=40))
    assert found['abs_rel'] == pytest.approx(0, abs=1e-6)
    assert found['metric_abs_rel'] == pytest.approx(0.2, rel=1e-5)
    nothing = Knowing(scene, {0: 1.0}, True, sky=HEIGHT)
    assert monocular_scores(scene, [0], nothing) == {}


def test_no_true_depth_no_scores(tmp_path: Path) -> None:
    drive = DATASETS['kitti'].read(tmp_path, TREES['kitti'](tmp_path))
    assert monocular_scores(drive, [0], None) == {}


def wall_scene(sky_truth_m: float) -> Scene:
    """Return one picture of a wall, and of something that has a depth where the sky is seen."""
    truth = np.full((HEIGHT, WIDTH), WALL_M, np.float32)
    truth[: HEIGHT // 2] = sky_truth_m
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    return Scene('wall', np.eye(4)[None], K[None], lambda _: rgb, lambda _: truth)


@pytest.mark.parametrize('resolution', [84, 42])
def test_metres_are_by_the_focal_length_that_the_network_sees(resolution: int) -> None:
    """At half the size a focal of 60 px is one of 30: 2 m are a canonical depth of 20."""
    canonical = WALL_M * 300 / (60 * resolution / WIDTH)
    network = MonocularNetwork(Wall(TINY_METRIC, canonical).eval(), CPU, resolution)
    depth = network.depth(np.zeros((HEIGHT, WIDTH, 3), np.uint8), K)
    height = HEIGHT * resolution // WIDTH
    assert depth.shape == (height, resolution) and depth.dtype == np.float32
    assert np.isnan(depth[: height // 2]).all()
    np.testing.assert_allclose(depth[height // 2 :], WALL_M, rtol=1e-6)
    for scene in (wall_scene(WALL_M), wall_scene(9.0)):
        found = monocular_scores(scene, [0], network)
        assert found['metric_abs_rel'] == pytest.approx(0, abs=1e-6)
        assert found['abs_rel'] == pytest.approx(0, abs=1e-6)
        assert found['metric_delta1'] == found['delta1'] == 1.0


def test_a_monocular_network_s_depth_is_its_own() -> None:
    network = MonocularNetwork(Wall(TINY_MONO, 5.0).eval(), CPU, WIDTH)
    assert not network.is_metric
    assert network.depth(np.zeros((HEIGHT, WIDTH, 3), np.uint8), K)[-1, -1] == 5.0
