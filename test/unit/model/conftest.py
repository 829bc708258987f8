"""The official network from its wheel, filled with random weights, beside ours with the same."""

from collections.abc import Callable
from dataclasses import dataclass
import importlib.util
import math
import os
from pathlib import Path

from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.layout import live_keys, PREFIX
from da3_ros.model.prediction import Prediction
from da3_ros.model.presets import ModelConfig, PRESETS
from da3_ros.model.weights import save_model
import pytest
import torch
from torch import nn, Tensor

WHEEL = 'depth_anything_3'

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
)
TINY = ModelConfig(
    name='tiny',
    embed_dim=64,
    depth=10,
    heads=1,
    out_layers=(3, 5, 7, 9),
    alt_start=2,
    qk_norm_start=2,
    rope_start=2,
    head_features=16,
    head_channels=(8, 16, 16, 16),
    camera_encoder_depth=1,
)
CONFIGS = {**PRESETS, 'giant-miniature': GIANT_MINIATURE}


def randomise(net: nn.Module, seed: int) -> None:
    """
    Fill all parameters so that every part of the network matters to its output.

    Matrices keep the size of what passes through them, gains and norms lie around one, and tokens
    and the position table are as large as the patches. The last layers are scaled so that depth,
    confidence and cameras vary without overflowing.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(net.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim >= 2 and 'token' not in name and 'pos_embed' not in name:
            noise = noise * (parameter[0].numel() ** -0.5)
        elif 'norm' in name and name.endswith('weight') or name.endswith('gamma'):
            noise = 1 + 0.3 * noise
            if name.endswith('gamma'):
                noise = 0.3 * noise
        elif name.endswith('bias'):
            noise = 0.2 * noise
        if name.endswith('output_conv2_aux.0.2.weight'):
            noise = 1 + 0.5 * torch.randn(noise.shape, generator=generator)
        if 'fc_fov' in name:  # keep the fields of view between some 20 and 100 degrees
            noise = 1 + noise if name.endswith('bias') else 0.2 * noise
        with torch.no_grad():
            parameter.copy_(noise)


def official_network(config: ModelConfig) -> nn.Module:
    """Build the official network for any of our configurations, presets or not."""
    from depth_anything_3.model.cam_dec import CameraDec
    from depth_anything_3.model.cam_enc import CameraEnc
    from depth_anything_3.model.da3 import DepthAnything3Net
    from depth_anything_3.model.dinov2.dinov2 import DinoV2
    from depth_anything_3.model.dinov2.vision_transformer import DinoVisionTransformer
    from depth_anything_3.model.dualdpt import DualDPT

    starts = {
        'alt_start': config.alt_start,
        'qknorm_start': config.qk_norm_start,
        'rope_start': config.rope_start,
    }
    backbone = DinoV2('vits', list(config.out_layers), cat_token=True, **starts)
    backbone.pretrained = DinoVisionTransformer(
        img_size=518,
        patch_size=14,
        embed_dim=config.embed_dim,
        depth=config.depth,
        num_heads=config.heads,
        ffn_layer='swiglufused' if config.ffn == 'swiglu' else 'mlp',
        cat_token=True,
        **starts,
    )
    return DepthAnything3Net(
        net=backbone,
        head=DualDPT(
            config.tap_dim,
            output_dim=2,
            features=config.head_features,
            out_channels=config.head_channels,
        ),
        cam_enc=CameraEnc(dim_out=config.embed_dim, trunk_depth=config.camera_encoder_depth),
        cam_dec=CameraDec(dim_in=config.tap_dim),
    ).eval()


@dataclass
class Pair:
    """The official network and ours, with the same weights."""

    config: ModelConfig
    official: nn.Module
    ours: AnyViewNetwork

    @torch.inference_mode()
    def run_official(self, images: Tensor, **options: object) -> Prediction:
        """Run the official network; its rays, which it deletes, are caught on the way."""
        caught = {}
        hook = self.official.head.register_forward_hook(
            lambda module, args, output: caught.update(rays=output.ray, conf=output.ray_conf)
        )
        try:
            output = self.official(images, **options)
        finally:
            hook.remove()
        return Prediction(
            depth=output.depth,
            depth_conf=output.depth_conf,
            camera_from_world=output.extrinsics,
            intrinsics=output.intrinsics,
            rays=caught['rays'],
            ray_conf=caught['conf'],
        )

    @torch.inference_mode()
    def run_ours(self, images: Tensor, **options: object) -> Prediction:
        """Run our network, rays included."""
        return self.ours(images, rays=True, **options)


def build_pair(config: ModelConfig, seed: int) -> Pair:
    """Build both networks and copy the official weights over by their official names."""
    official = official_network(config)
    randomise(official, seed)
    ours = AnyViewNetwork(config).eval().requires_grad_(False)
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
            pairs[name] = build_pair(CONFIGS[name], seed=len(name))
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


GATES: dict[str, tuple[Callable[[Tensor, Tensor], float], float]] = {
    'depth': (_relative, 1e-4),
    'depth_conf': (_relative, 1e-4),
    'rays': (_absolute, 1e-4),
    'ray_conf': (_relative, 1e-4),
    'camera_from_world': (_absolute, 1e-5),
    'intrinsics': (lambda a, b: _relative(a[b != 0], b[b != 0]), 1e-5),
}


@pytest.fixture(scope='session')
def violations() -> Callable[[Prediction, Prediction], dict[str, float]]:
    """Return a function: (ours, official) -> each output that misses its gate, and by how much."""

    def compare(ours: Prediction, official: Prediction) -> dict[str, float]:
        missed = {}
        for name, (measure, gate) in GATES.items():
            a, b = getattr(ours, name), getattr(official, name)
            assert a.shape == b.shape, name
            if not (error := measure(a, b)) <= gate:
                missed[name] = error
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
