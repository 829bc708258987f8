"""The official network from its wheel, of any of our configurations, with random weights."""

import sys
from types import ModuleType

from da3_ros.model.presets import ModelConfig, NestedConfig, NetworkConfig
import torch
from torch import nn

WHEEL = 'depth_anything_3'


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


def official_network(config: NetworkConfig) -> nn.Module:
    """Build the official network for any of our configurations, presets or not."""
    from depth_anything_3.model.da3 import DepthAnything3Net, NestedDepthAnything3Net

    if isinstance(config, NestedConfig):
        nested = NestedDepthAnything3Net.__new__(NestedDepthAnything3Net)
        nn.Module.__init__(nested)
        nested.da3 = official_network(config.any_view)
        nested.da3_metric = official_network(config.metric)
        return nested.eval()
    return DepthAnything3Net(
        net=_backbone(config), **_heads(config), **_cameras(config), **_gaussians(config)
    ).eval()


def _backbone(config: ModelConfig) -> nn.Module:
    from depth_anything_3.model.dinov2.dinov2 import DinoV2
    from depth_anything_3.model.dinov2.vision_transformer import DinoVisionTransformer

    starts = {
        'alt_start': config.alt_start,
        'qknorm_start': config.qk_norm_start,
        'rope_start': config.rope_start,
    }
    if not config.is_any_view:
        starts = dict.fromkeys(starts, -1)
    backbone = DinoV2('vits', list(config.out_layers), cat_token=config.is_any_view, **starts)
    backbone.pretrained = DinoVisionTransformer(
        img_size=518,
        patch_size=14,
        embed_dim=config.embed_dim,
        depth=config.depth,
        num_heads=config.heads,
        ffn_layer='swiglufused' if config.ffn == 'swiglu' else 'mlp',
        cat_token=config.is_any_view,
        **starts,
    )
    return backbone


def _heads(config: ModelConfig) -> dict[str, nn.Module]:
    from depth_anything_3.model.dpt import DPT
    from depth_anything_3.model.dualdpt import DualDPT

    head = DualDPT if config.is_any_view else DPT
    return {
        'head': head(
            config.tap_dim,
            output_dim=2 if config.is_any_view else 1,
            features=config.head_features,
            out_channels=config.head_channels,
        )
    }


def _cameras(config: ModelConfig) -> dict[str, nn.Module]:
    from depth_anything_3.model.cam_dec import CameraDec
    from depth_anything_3.model.cam_enc import CameraEnc

    if not config.is_any_view:
        return {}
    return {
        'cam_enc': CameraEnc(dim_out=config.embed_dim, trunk_depth=config.camera_encoder_depth),
        'cam_dec': CameraDec(dim_in=config.tap_dim),
    }


def _gaussians(config: ModelConfig) -> dict[str, nn.Module]:
    if not config.has_gaussians:
        return {}
    _stand_in_for_evo()
    from depth_anything_3.model.gs_adapter import GaussianAdapter
    from depth_anything_3.model.gsdpt import GSDPT

    head = GSDPT(
        config.tap_dim,
        output_dim=38,
        features=config.head_features,
        out_channels=config.head_channels,
    )
    adapter = GaussianAdapter(
        sh_degree=2,
        pred_color=False,
        pred_offset_depth=True,
        pred_offset_xy=True,
        gaussian_scale_min=1e-5,
        gaussian_scale_max=30.0,
    )
    return {'gs_head': head, 'gs_adapter': adapter}


def _stand_in_for_evo() -> None:
    """Let the Gaussian adapter be imported: it names evo, which it needs for known poses alone."""
    names = ('evo', 'evo.core', 'evo.core.trajectory')
    for name in names:
        sys.modules.setdefault(name, ModuleType(name))
    sys.modules[names[-1]].PosePath3D = None
