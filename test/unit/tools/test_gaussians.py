"""``da3 infer --gaussians`` and with a single-view network, on miniatures with random weights."""

from pathlib import Path

import cv2
from da3_ros.engine import KeyframePose, View
from da3_ros.geometry.transforms import rigid
from da3_ros.model.gaussians import Gaussians
from da3_ros.model.presets import ModelConfig, NestedConfig
from da3_ros.model.weights import build_network, save_model
from da3_ros.tools.gaussian_map import CameraGaussians, GaussianMap, worth_keeping
from da3_ros.tools.gaussian_ply import read_gaussians
from da3_ros.tools.main import main
from doubles.miniatures import TINY, TINY_GIANT, TINY_METRIC, TINY_NESTED
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
import torch

WIDTH, HEIGHT = 84, 56


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of three images."""
    path = tmp_path / 'images'
    path.mkdir()
    rng = np.random.default_rng(0)
    wide = cv2.resize(rng.integers(0, 256, (8, 24, 3), dtype=np.uint8), (3 * WIDTH, HEIGHT))
    for i in range(3):
        cv2.imwrite(str(path / f'{i}.png'), wide[:, 40 * i : 40 * i + WIDTH])
    return path


def weights(config: ModelConfig | NestedConfig, path: Path) -> Path:
    torch.manual_seed(3)
    save_model(build_network(config), path)
    return path


def infer(source: Path, output: Path, model: Path, *more: str) -> int:
    return main(
        ['infer', str(source), '--output', str(output), '--device', 'cpu', '--model', str(model)]
        + ['--resolution', str(WIDTH), '--window', '2', *more]
    )


@pytest.mark.parametrize('config', [TINY_GIANT, TINY_NESTED], ids=lambda config: config.name)
def test_gaussians_of_the_keyframes(
    config: ModelConfig | NestedConfig, folder: Path, tmp_path: Path, capsys
) -> None:
    model = weights(config, tmp_path / 'model.safetensors')
    assert infer(folder, tmp_path / 'out', model, '--gaussians') == 0
    text = capsys.readouterr().out
    assert 'licence' in text
    properties = read_gaussians((tmp_path / 'out' / 'gaussians.ply').read_bytes())
    count = len(properties['x'])
    assert count > 1000 and f'{count} Gaussians of the keyframes are in gaussians.ply' in text
    assert len(properties) == 3 + 3 + 3 + 45 + 1 + 3 + 4
    assert all(np.isfinite(values).all() for values in properties.values())
    quaternions = np.stack([properties[f'rot_{i}'] for i in range(4)])
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=0), 1, atol=1e-3)


def test_gaussians_lie_where_the_depth_does(folder: Path, tmp_path: Path, monkeypatch) -> None:
    """A head that says nothing puts each Gaussian on its pixel's ray, at the depth published."""
    from da3_ros.model.gaussian_head import GaussianHead

    monkeypatch.setattr(
        GaussianHead,
        'forward',
        lambda self, features, images, grid: torch.zeros(len(images), *images.shape[2:], 38),
    )
    model = weights(TINY_GIANT, tmp_path / 'model.safetensors')
    arguments = ('--gaussians', '--every', '3', '--fov', '60')
    assert infer(folder, tmp_path / 'out', model, *arguments) == 0
    frame = np.load(tmp_path / 'out' / 'frames' / '000000.npz')
    properties = read_gaussians((tmp_path / 'out' / 'gaussians.ply').read_bytes())
    points = np.stack([properties[axis] for axis in 'xyz'], axis=1)
    distance = np.linalg.norm(points - frame['map_from_camera'][:3, 3], axis=1)
    inside = frame['depth'][1:-1, 2:-2]
    kept = np.sort(inside[inside <= np.quantile(frame['depth'], 0.9)])
    assert len(kept) == pytest.approx(len(distance), abs=2)
    common = min(len(kept), len(distance))
    np.testing.assert_allclose(np.sort(distance)[:common], kept[:common], rtol=1e-3)


def test_single_view_network(folder: Path, tmp_path: Path, capsys) -> None:
    model = weights(TINY_METRIC, tmp_path / 'model.safetensors')
    assert infer(folder, tmp_path / 'plain', model) == 0
    text = capsys.readouterr().out
    assert 'units of each frame, not metres' in text and 'no poses' in text
    assert infer(folder, tmp_path / 'metric', model, '--fov', '60') == 0
    assert 'Depth is in metres' in capsys.readouterr().out
    plain, metric = (
        np.load(tmp_path / name / 'frames' / '000001.npz') for name in ('plain', 'metric')
    )
    assert 'map_from_camera' not in plain and 'intrinsics' not in plain
    assert metric['is_metric'] and not plain['is_metric']
    focal = metric['intrinsics'][0, 0]
    ratio = metric['depth'] / plain['depth']
    np.testing.assert_allclose(ratio[np.isfinite(ratio)], focal / 300, rtol=1e-5)
    assert not (tmp_path / 'plain' / 'map').exists()


@pytest.mark.parametrize('config', [TINY_METRIC, TINY])
def test_networks_without_gaussians(config: ModelConfig, folder: Path, tmp_path: Path, capsys):
    model = weights(config, tmp_path / 'model.safetensors')
    assert infer(folder, tmp_path / 'out', model, '--gaussians') == 2
    message = capsys.readouterr().err
    assert '--gaussians needs DA3-GIANT' in message and 'Traceback' not in message
    assert not (tmp_path / 'out').exists()


def camera_gaussians(height: int = 40, width: int = 60) -> CameraGaussians:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(height, width, *shape, generator=generator)

    q = normal(4)
    gaussians = Gaussians(
        means=normal(3),
        scales=normal(3).exp(),
        rotations=q / q.norm(dim=-1, keepdim=True),
        harmonics=normal(3, 9),
        opacities=0.1 + 0.8 * normal().sigmoid(),
    )
    return CameraGaussians(gaussians, 1 + torch.rand(height, width, generator=generator))


def test_which_gaussians_are_kept() -> None:
    newest = camera_gaussians()
    kept = worth_keeping(newest)
    assert not kept[0].any() and not kept[:, 0].any() and not kept[-1].any()
    far = newest.depth > newest.depth.flatten().quantile(0.9)
    assert not (kept & far).any()
    inner = kept[1:-1, 1:-1]
    assert inner.sum() == (~far[1:-1, 1:-1]).sum()
    newest.gaussians.scales[20, 30] = -1
    newest.gaussians.opacities[20, 31] = 1e-3
    newest.gaussians.means[20, 32] = torch.nan
    fewer = worth_keeping(newest)
    assert not fewer[20, 30:33].any()
    assert torch.equal(
        fewer | (torch.arange(60) // 3 == 10)[None], kept | (torch.arange(60) // 3 == 10)[None]
    )


def test_small_images_keep_their_gaussians() -> None:
    """The border of less than a pixel is none; the official export then drops everything."""
    assert worth_keeping(camera_gaussians(20, 24)).float().mean() > 0.85


def test_file_follows_the_map(tmp_path: Path) -> None:
    """A keyframe's Gaussians move with its last pose and scale; forgotten ones are left out."""
    newest, pose = (
        camera_gaussians(),
        rigid(Rotation.random(random_state=1).as_matrix(), [1, 2, 3]),
    )

    def view(stamp_ns: int, scale: float) -> View:
        depth = scale * newest.depth.numpy()
        depth[:, :20] = np.nan
        nothing = np.zeros((0,))
        return View('', stamp_ns, depth, nothing, nothing, None, np.eye(4), None, True)

    with GaussianMap() as gaussian_map:
        gaussian_map.make_runner(build_network(TINY_GIANT)).newest = newest
        gaussian_map.keep(view(1, scale=6.0), map_scale=2.0)  # 3 map units a network unit
        gaussian_map.keep(view(2, scale=6.0), map_scale=2.0)
        keyframes = (KeyframePose('', 2, pose, scale=4.0),)
        path = tmp_path / 'g.ply'
        count = gaussian_map.write(path, keyframes)
    has_depth = (torch.arange(60) >= 20)[None]
    kept = newest.gaussians.select(worth_keeping(newest) & has_depth)
    rotation, translation = torch.from_numpy(pose[:3, :3]).float(), torch.from_numpy(pose[:3, 3])
    expected = kept.moved(12.0, rotation, translation.float())
    properties = read_gaussians(path.read_bytes())
    assert count == len(properties['x']) == len(kept.means)

    def columns(*names: str) -> np.ndarray:
        return np.stack([properties[name] for name in names], axis=1)

    for names, values in (
        (('x', 'y', 'z'), expected.means),
        (('scale_0', 'scale_1', 'scale_2'), expected.scales.log()),
        (('f_dc_0', 'f_dc_1', 'f_dc_2'), expected.harmonics[..., 0]),
        # Channel by channel: eight of ours and seven of degree 3 that are zero.
        (('f_rest_0', 'f_rest_7', 'f_rest_15'), expected.harmonics[:, [0, 0, 1], [1, 8, 1]]),
        (('f_rest_8', 'f_rest_14', 'f_rest_44'), torch.zeros(len(kept.means), 3)),
        (('opacity',), expected.opacities.logit()[:, None]),
    ):
        np.testing.assert_allclose(columns(*names), values, rtol=1e-4, atol=1e-4)
    turned = columns('rot_0', 'rot_1', 'rot_2', 'rot_3')
    np.testing.assert_allclose(np.abs((turned * expected.rotations.numpy()).sum(1)), 1, atol=1e-5)
