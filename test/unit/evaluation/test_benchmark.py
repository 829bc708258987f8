"""The benchmark's scores of networks that know the truth, or some of it, on the made-up trees."""

from pathlib import Path

from da3_ros.errors import ConfigError
from da3_ros.evaluation.benchmark import MODES, modes_of, window_scores
from da3_ros.evaluation.datasets.catalogue import DATASETS
from da3_ros.evaluation.datasets.dataset import Scene
from da3_ros.evaluation.inference import Inferred, scale_of_known, SceneNetwork
from da3_ros.evaluation.novel_views import novel_view_scores, split_frames
from da3_ros.evaluation.published import published
from da3_ros.evaluation.sequences import write_sequence
from da3_ros.evaluation.simulated_stream import camera_at
from da3_ros.evaluation.splatting import render
from da3_ros.evaluation.truth import BoxRoom
from da3_ros.geometry.cameras import scale_intrinsics
from da3_ros.geometry.transforms import invert, Sim3
from da3_ros.model.gaussians import Gaussians
from da3_ros.model.weights import build_network
from doubles.benchmark_trees import poses, TREES
from doubles.miniatures import TINY, TINY_GIANT
from doubles.official_benchmark import official
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
import torch

ROOM = BoxRoom([-3.0, -4.0, -1.0], [3.0, 4.0, 2.0])
K = np.array([[54.0, 0.0, 41.5], [0.0, 54.0, 27.5], [0.0, 0.0, 1.0]])
SIZE = (84, 56)
POSES = np.stack([camera_at([0.3 * i, 0.1 * i * i, 0.02 * i]) for i in range(5)])
GAUGE = Sim3(0.4, Rotation.from_euler('xyz', [20, -50, 130], degrees=True).as_matrix(), np.ones(3))


class Knowing:
    """A network that knows the truth of a scene, in a gauge of its own; depth times a factor."""

    def __init__(self, scene: Scene, frames: list[int], factor: float = 1.0) -> None:
        self.scene, self.frames, self.factor = scene, frames, factor
        self.told: np.ndarray | None = None

    def infer(self, pictures, world_from_camera=None, intrinsics=None) -> Inferred:
        assert len(list(pictures)) == len(self.frames)
        self.told = world_from_camera
        true = self.scene.world_from_camera[self.frames]
        unit = 1.0 if world_from_camera is not None else GAUGE.scale
        depth = [self.factor * unit * self.scene.depth_m(frame) for frame in self.frames]
        k = self.scene.intrinsics[self.frames]
        is_told = world_from_camera is not None
        return Inferred(tuple(depth), true if is_told else GAUGE.apply_to_pose(true), k)


@pytest.fixture
def room(tmp_path: Path) -> Scene:
    """Return a room on disk in the package's own layout."""
    depth = np.stack([ROOM.depth_m(pose, K, *SIZE[::-1]) for pose in POSES])
    rgb = np.random.default_rng(0).integers(0, 255, (5, *SIZE[::-1], 3), np.uint8)
    write_sequence(tmp_path / 'room', rgb, depth, np.arange(5) * 10**9, POSES, K)
    return DATASETS['sequence'].read(tmp_path, 'room')


def test_a_network_that_knows_everything_has_the_best_scores(room: Scene) -> None:
    frames = [0, 2, 3, 4]
    network = Knowing(room, frames)
    found = window_scores(room, frames, MODES, network)
    np.testing.assert_allclose(network.told, POSES[frames], atol=1e-8)
    assert [found[f'auc{t}'] for t in (3, 5, 15, 30)] == [1.0] * 4
    assert found['abs_rel'] < 1e-3 and found['delta1'] == 1.0
    for mode in ('recon_unposed', 'recon_posed'):
        assert found[f'{mode}_f1'] > 0.99, mode
        assert found[f'{mode}_chamfer'] < 0.02, mode


def test_true_depth_may_be_coarser_than_the_picture(tmp_path: Path) -> None:
    depth = np.stack([ROOM.depth_m(pose, K, *SIZE[::-1]) for pose in POSES])
    rgb = np.zeros((5, *SIZE[::-1], 3), np.uint8)
    write_sequence(tmp_path, rgb, depth[:, ::2, ::2], np.arange(5) * 10**9, POSES, K)
    scene = DATASETS['sequence'].read(tmp_path, '.')
    assert scene.depth_m(0).shape == (28, 42) and scene.is_valid(0).shape == (56, 84)
    found = window_scores(scene, [0, 2, 4], ['recon_posed'], Knowing(scene, [0, 2, 4]))
    # Half a pixel apart: the coarse image takes the first of each two.
    assert found['recon_posed_f1'] > 0.8


def test_wrong_depth_costs_surface_and_not_pose(room: Scene) -> None:
    frames = [0, 2, 4]
    found = window_scores(room, frames, MODES, Knowing(room, frames, 1.1))
    assert found['auc3'] == 1.0 and found['abs_rel'] < 1e-3
    for mode in ('recon_unposed', 'recon_posed'):
        assert found[f'{mode}_f1'] < 0.5, mode
        assert 0.05 < found[f'{mode}_accuracy'] < 0.5, mode


def test_modes_are_those_that_there_is_truth_for(room: Scene, tmp_path: Path) -> None:
    assert modes_of(room, [0, 1]) == MODES
    assert modes_of(room, [0]) == ('depth',)
    drive = DATASETS['kitti'].read(tmp_path / 'kitti', TREES['kitti'](tmp_path / 'kitti'))
    assert modes_of(drive, [0, 1]) == ('pose',)
    still = Scene('still', np.tile(np.eye(4), (2, 1, 1)), room.intrinsics, room.rgb, room.depth_m)
    assert modes_of(still, [0, 1]) == ('pose', 'depth')
    assert window_scores(drive, [0, 1], ['depth'], None) == {}


def test_dtu_is_scored_in_millimetres(tmp_path: Path) -> None:
    scene = DATASETS['dtu'].read(tmp_path, TREES['dtu'](tmp_path))
    frames = [1, 2, 3, 4, 5]

    class Wall:
        def infer(self, pictures, world_from_camera=None, intrinsics=None) -> Inferred:
            """Return the depth of the wall at z = 2 m along each pixel's ray."""
            assert len(list(pictures)) == len(frames)
            true = scene.world_from_camera[frames]
            row, column = np.mgrid[:42, :56]
            depth = []
            for pose, k in zip(true, scene.intrinsics[frames], strict=True):
                rays = np.linalg.inv(k) @ np.stack([column, row, np.ones_like(row)]).reshape(3, -1)
                along = (pose[:3, :3] @ rays)[2]
                depth.append(((2000 - pose[2, 3]) / along).reshape(42, 56).astype(np.float32))
            unit = GAUGE.scale if world_from_camera is None else 1.0
            told = true if world_from_camera is not None else GAUGE.apply_to_pose(true)
            return Inferred(tuple(unit * d for d in depth), told, scene.intrinsics[frames])

    found = window_scores(scene, frames, ['recon_unposed', 'recon_posed'], Wall())
    for mode in ('recon_unposed', 'recon_posed'):
        # The truth is a grid of points 16 mm apart: those between are at most 12 mm away.
        assert found[f'{mode}_accuracy'] < 10, mode
        assert f'{mode}_f1' not in found
    assert found['recon_unposed_completeness'] < 15


@pytest.mark.parametrize('views', [4, 12])
def test_the_scale_of_known_cameras_is_the_official_one(views: int) -> None:
    """As DepthAnything3.inference aligns depth to given cameras, all of them, or by RANSAC."""
    rng = np.random.default_rng(0)
    true, predicted = poses(views), GAUGE.apply_to_pose(poses(views))
    predicted[:, :3, 3] += 0.02 * rng.normal(size=(views, 3))
    with official('utils.pose_align') as module:
        _, _, scale = module.align_poses_umeyama(
            invert(predicted), invert(true), ransac=views >= 10, random_state=42
        )
    assert scale_of_known(predicted, true) == pytest.approx(scale, rel=1e-9)


def test_the_scale_of_known_cameras() -> None:
    true = poses(12)
    predicted = GAUGE.apply_to_pose(true)
    assert scale_of_known(predicted, true) == pytest.approx(GAUGE.scale)
    assert scale_of_known(predicted[:2], true[:2]) == pytest.approx(GAUGE.scale)
    assert np.isnan(scale_of_known(np.tile(np.eye(4), (3, 1, 1)), true[:3]))


def network(config: object) -> SceneNetwork:
    torch.manual_seed(0)
    net = build_network(config).eval().requires_grad_(False)
    return SceneNetwork(net, torch.device('cpu'), 70)


def test_pictures_of_several_sizes_are_cut_to_the_smallest() -> None:
    """As the official code does; what is cut off has no depth, and the rest keeps its place."""
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 255, (42, 70, 3), np.uint8)
    high = rng.integers(0, 255, (70, 42, 3), np.uint8)
    found = network(TINY).infer([wide, high])
    assert [depth.shape for depth in found.depth] == [(42, 70), (70, 42)]
    assert np.isfinite(found.depth[0][:, 14:56]).all() and np.isnan(found.depth[0][:, :14]).all()
    assert np.isfinite(found.depth[1][14:56]).all() and np.isnan(found.depth[1][56:]).all()
    np.testing.assert_allclose(found.intrinsics[0, :2, 2], [35, 21])
    np.testing.assert_allclose(found.intrinsics[1, :2, 2], [21, 35])


def test_known_cameras_are_returned_and_set_the_unit() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (3, 84, 140, 3), np.uint8)
    true = poses(3)
    k = np.tile(np.array([[120.0, 0, 70], [0, 120.0, 42], [0, 0, 1]]), (3, 1, 1))
    far = true.copy()
    far[:, :3, 3] *= 10
    near, wide = (network(TINY).infer(pictures, cameras, k) for cameras in (true, far))
    np.testing.assert_array_equal(near.world_from_camera, true)
    np.testing.assert_allclose(near.intrinsics[0], scale_intrinsics(k[0], (140, 84), (70, 42)))
    # The network sees both alike, with baselines of one: depth grows with the known cameras.
    ratio = [b / a for a, b in zip(near.depth, wide.depth, strict=True)]
    np.testing.assert_allclose(ratio, 10.0, rtol=1e-3)


def test_contexts_are_far_apart_and_every_eighth_frame_is_a_target() -> None:
    line = np.tile(np.eye(4), (17, 1, 1))
    line[:, 0, 3] = np.arange(17)
    contexts, targets = split_frames(line, 3)
    assert targets == [4, 12]
    assert contexts == [0, 8, 16]
    assert len(split_frames(line, 100)[0]) == 15
    assert len(set(split_frames(np.tile(np.eye(4), (17, 1, 1)), 5)[0])) == 5


class Painter:
    """A network whose Gaussians are balls that make the middle of each picture bright."""

    resolution = 84

    def gaussians(self, pictures, world_from_camera, intrinsics) -> tuple[Gaussians, Sim3]:
        harmonics = torch.zeros(1, 3, 9, dtype=torch.float64)
        harmonics[..., 0] = 0.5 / 0.28209479177387814
        ball = GAUGE.apply(np.array([[3.0, 0.0, 0.0]]))
        return (
            Gaussians(
                torch.from_numpy(ball),
                torch.full((1, 3), GAUGE.scale * 0.5, dtype=torch.float64),
                torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64),
                harmonics,
                torch.tensor([0.9], dtype=torch.float64),
            ),
            GAUGE,
        )


def test_a_painter_s_own_pictures_are_alike_and_moved_ones_are_not() -> None:
    """What it paints is taken as the truth: from the right places it is the same again."""
    true = np.stack([camera_at([0.0, 0.1 * i, 0.0]) for i in range(9)])
    painted: list[torch.Tensor] = []

    def keep(*arguments: object) -> torch.Tensor:
        painted.append(render(*arguments))
        return painted[-1]

    black = Scene('', true, np.tile(K, (9, 1, 1)), lambda _: np.zeros((56, 84, 3), np.uint8))
    dark = novel_view_scores(black, 4, Painter(), keep)
    picture = (painted[0] * 255).round().byte().permute(1, 2, 0).numpy()
    # The ball is 3 m before the target, 0.4 m to its side: 7 pixels off the middle.
    column = picture[..., 0].sum(axis=0).argmax()
    assert abs(abs(column - 41.5) - 54 * 0.4 / 3) < 1.5
    bright = Scene('', true, black.intrinsics, lambda _: picture)
    found = novel_view_scores(bright, 4, Painter(), render)
    assert found['psnr'] > 45 and found['ssim'] > 0.98
    assert dark['psnr'] < 25


def test_a_network_with_a_gaussian_head_is_scored_and_one_without_says_so(room: Scene) -> None:
    found = novel_view_scores(room, 3, network(TINY_GIANT), render)
    assert np.isfinite(found['psnr']) and -1 <= found['ssim'] <= 1
    with pytest.raises(ConfigError, match='has no Gaussian head'):
        novel_view_scores(room, 3, network(TINY), render)


def test_published_numbers_are_shares_and_millimetres() -> None:
    assert published('eth3d')['DA3-Giant'] == {
        'auc3': 0.484,
        'auc30': 0.912,
        'recon_unposed_f1': 0.79,
        'recon_posed_f1': 0.871,
    }
    assert published('dtu')['DA3-Small'] == {
        'recon_unposed_chamfer': 5.83,
        'recon_posed_chamfer': 2.49,
    }
    assert list(published('dtu64')['VGGT']) == ['auc3', 'auc30']
    assert published('tum') == {}
