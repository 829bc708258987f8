"""The official network from its wheel, filled with random weights, beside ours with the same."""

from collections.abc import Callable
from dataclasses import dataclass
import importlib.util
import math
import os
from pathlib import Path

from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.gaussians import Gaussians
from da3_ros.model.layout import live_keys, PREFIX
from da3_ros.model.network import Network
from da3_ros.model.prediction import Prediction
from da3_ros.model.presets import ModelConfig, NestedConfig, NetworkConfig, PRESETS
from da3_ros.model.weights import build_network, save_model
from doubles.miniatures import TINY
from doubles.official import official_network, randomise, WHEEL
import pytest
import torch
from torch import nn, Tensor

GIANT_MINIATURE = ModelConfig(
    name='giant-miniature',
    embed_dim=384,
    depth=10,
    heads=6,
    out_layers=(3, 5, 7, 9),
    alt_start=3,
    qk_norm_start=3,
    rope_start=3,
    head_features=64,
    head_channels=(48, 96, 192, 384),
    ffn='swiglu',
    has_gaussians=True,
)
SINGLE_VIEW_MINIATURE = ModelConfig(
    name='single-view-miniature',
    embed_dim=384,
    depth=8,
    heads=6,
    out_layers=(2, 3, 5, 7),
    alt_start=8,
    qk_norm_start=8,
    rope_start=8,
    head_features=64,
    head_channels=(48, 96, 192, 384),
    canonical_focal_px=300.0,
)
NESTED_MINIATURE = NestedConfig('nested-miniature', GIANT_MINIATURE, SINGLE_VIEW_MINIATURE)
MINIATURES = (GIANT_MINIATURE, SINGLE_VIEW_MINIATURE, NESTED_MINIATURE)
CONFIGS = {**PRESETS, **{config.name: config for config in MINIATURES}}
SEEDS = {'single-view-miniature': 23}  # with these weights there is sky and there is none


@dataclass
class Pair:
    """The official network and ours, with the same weights."""

    config: NetworkConfig
    official: nn.Module
    ours: Network

    @torch.inference_mode()
    def run_official(self, images: Tensor, **options: object) -> Prediction:
        """Run the official network; what it deletes is caught on the way."""
        caught: dict[str, Tensor] = {}
        heads = [m for name, m in self.official.named_modules() if name.split('.')[-1] == 'head']
        hooks = [
            head.register_forward_hook(lambda module, args, output: caught.update(output))
            for head in heads
        ]
        try:
            output = self.official(images, **options)
        finally:
            for hook in hooks:
                hook.remove()
        scale = output.get('scale_factor')
        return Prediction(
            depth=output.depth,
            depth_conf=output.get('depth_conf'),
            camera_from_world=output.get('extrinsics'),
            intrinsics=output.get('intrinsics'),
            rays=caught.get('ray'),
            ray_conf=caught.get('ray_conf'),
            sky=caught.get('sky'),
            scale=None if scale is None else torch.tensor([scale]),
            gaussians=_as_image(output.get('gaussians'), output.depth.shape),
        )

    @torch.inference_mode()
    def run_ours(self, images: Tensor, **options: object) -> Prediction:
        """Run our network, rays included."""
        has_rays = isinstance(self.config, NestedConfig) or self.config.is_any_view
        return self.ours(images, **({'rays': True} if has_rays else {}), **options)


def _as_image(gaussians: object | None, shape: tuple[int, ...]) -> Gaussians | None:
    """Arrange the official network's Gaussians (B, V * H * W) as (B, V, H, W)."""
    if gaussians is None:
        return None
    names = Gaussians.__dataclass_fields__
    return Gaussians(*(getattr(gaussians, name).unflatten(1, shape[1:]) for name in names))


def build_pair(config: NetworkConfig, seed: int) -> Pair:
    """Build both networks and copy the official weights over by their official names."""
    official = official_network(config)
    randomise(official, seed)
    ours = build_network(config).eval().requires_grad_(False)
    state = official.state_dict()
    ours.load_state_dict(
        {name: state[key[len(PREFIX) :]] for key, name in live_keys(ours).items()}
    )
    return Pair(config, official, ours)


@pytest.fixture(scope='session', autouse=True)
def official_wheel() -> None:
    """Skip where the official wheel is absent; in CI, fail instead."""
    os.environ.setdefault('DA3_LOG_LEVEL', 'ERROR')
    if importlib.util.find_spec(WHEEL) is None:
        if os.environ.get('CI') == 'true':
            pytest.fail(f'{WHEEL} is not installed: parity cannot be shown')
        pytest.skip(f'{WHEEL} is not installed')


@pytest.fixture(scope='session')
def pair_of(official_wheel: None) -> Callable[[str], Pair]:
    """Return a function: name of a configuration -> pair of networks, built once."""
    pairs: dict[str, Pair] = {}

    def get(name: str) -> Pair:
        if name not in pairs:
            pairs[name] = build_pair(CONFIGS[name], seed=SEEDS.get(name, len(name)))
        return pairs[name]

    return get


@pytest.fixture(scope='session')
def official_network_of(official_wheel: None) -> Callable[[ModelConfig], nn.Module]:
    """Return the function that builds an official network."""
    return official_network


@dataclass
class Scene:
    """Random images with plausible known cameras."""

    images: Tensor
    camera_from_world: Tensor
    intrinsics: Tensor


@pytest.fixture(scope='session')
def scene_of() -> Callable[..., Scene]:
    """Return a function: (views, rows, columns of patches, seed, batch) -> Scene."""

    def make(views: int, rows: int = 5, columns: int = 7, seed: int = 0, batch: int = 1) -> Scene:
        generator = torch.Generator().manual_seed(seed)
        height, width = 14 * rows, 14 * columns

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator)

        # Blobs over noise, each view its own brightness, so that class tokens differ.
        coarse = normal(batch * views, 3, 3, 4)
        images = nn.functional.interpolate(coarse, (height, width), mode='bicubic')
        images = images.unflatten(0, (batch, views)) + 0.3 * normal(batch, views, 3, height, width)
        images = images * (0.5 + torch.arange(views).view(views, 1, 1, 1) / views)

        rotation = torch.linalg.qr(normal(batch, views, 3, 3)).Q
        rotation = rotation * torch.linalg.det(rotation)[..., None, None]
        poses = torch.eye(4).repeat(batch, views, 1, 1)
        poses[..., :3, :3], poses[..., :3, 3] = rotation, normal(batch, views, 3)
        poses = poses @ torch.linalg.inv(poses[:, :1])
        intrinsics = torch.eye(3).repeat(batch, views, 1, 1)
        focal = 0.8 * math.hypot(height, width) * (1 + 0.2 * torch.rand(batch, views, 2))
        intrinsics[..., 0, 0], intrinsics[..., 1, 1] = focal.unbind(-1)
        intrinsics[..., 0, 2], intrinsics[..., 1, 2] = width / 2 + 3, height / 2 - 2
        return Scene(images, poses, intrinsics)

    return make


def _relative(ours: Tensor, official: Tensor) -> float:
    return ((ours - official).abs() / official.abs()).max().item()


def _absolute(ours: Tensor, official: Tensor) -> float:
    return (ours - official).abs().max().item()


def _by_length(ours: Tensor, official: Tensor) -> float:
    """Measure the error of vectors by their length."""
    return ((ours - official).norm(dim=-1) / official.norm(dim=-1)).max().item()


def _by_usual_length(ours: Tensor, official: Tensor) -> float:
    """Measure the error of vectors that may pass through zero by their mean length."""
    return ((ours - official).norm(dim=-1).max() / official.norm(dim=-1).mean()).item()


def _by_angle(ours: Tensor, official: Tensor) -> float:
    """Measure the error of quaternions, whose sign means nothing."""
    sign = (ours * official).sum(dim=-1, keepdim=True).sign()
    return _absolute(ours * sign, official)


def _by_mean(ours: Tensor, official: Tensor) -> float:
    """Measure the error of numbers that may pass through zero by their typical size."""
    return ((ours - official).abs().max() / official.abs().mean()).item()


Gate = tuple[Callable[[Tensor, Tensor], float], float]
GATES: dict[str, Gate] = {
    'depth': (_relative, 1e-4),
    'depth_conf': (_relative, 1e-4),
    'rays': (_absolute, 1e-4),
    'ray_conf': (_relative, 1e-4),
    'camera_from_world': (_absolute, 1e-5),
    'intrinsics': (lambda a, b: _relative(a[b != 0], b[b != 0]), 1e-5),
    'sky': (_absolute, 1e-4),
    'scale': (_relative, 1e-4),
}
GAUSSIAN_GATES: dict[str, Gate] = {
    'means': (_by_length, 1e-4),
    'scales': (_by_mean, 1e-4),
    'rotations': (_by_angle, 1e-4),
    'harmonics': (_by_usual_length, 1e-4),
    'opacities': (_absolute, 1e-4),
}


def _missed(ours: object, official: object, gates: dict[str, Gate]) -> dict[str, float]:
    missed = {}
    for name, (measure, gate) in gates.items():
        a, b = getattr(ours, name), getattr(official, name)
        assert (a is None) == (b is None), name
        if a is None:
            continue
        assert a.shape == b.shape, name
        if not (error := measure(a, b)) <= gate:
            missed[name] = error
    return missed


@pytest.fixture(scope='session')
def violations() -> Callable[[Prediction, Prediction], dict[str, float]]:
    """Return a function: (ours, official) -> each output that misses its gate, and by how much."""

    def compare(ours: Prediction, official: Prediction) -> dict[str, float]:
        missed = _missed(ours, official, GATES)
        assert (ours.gaussians is None) == (official.gaussians is None)
        if official.gaussians is not None:
            missed |= _missed(ours.gaussians, official.gaussians, GAUSSIAN_GATES)
        return missed

    return compare


@pytest.fixture(scope='session')
def tiny_config() -> ModelConfig:
    """Return the constants of a network that takes no time."""
    return TINY


@pytest.fixture
def tiny_file(tmp_path: Path) -> Path:
    """Write the weights of a tiny network; its constants are in the file."""
    torch.manual_seed(0)
    path = tmp_path / 'tiny.safetensors'
    save_model(AnyViewNetwork(TINY), path)
    return path
