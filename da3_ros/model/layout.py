"""
How the official checkpoints name their tensors, and which of them a network needs.

A checkpoint is one safetensors file whose keys start with ``model.``; in one of a nested network
``model.da3.`` and ``model.da3_metric.`` follow. The ray branch of an any-view network has four
levels of which only the finest is ever read: the tensors of the other three are part of the
layout (``dead_keys``), but not of our network. The four levels share one LayerNorm, stored under
level 0 alone.
"""

import re

from da3_ros.model.presets import ModelConfig, NestedConfig, NetworkConfig
from torch import nn

RAY_LEVELS = 4
LIVE_RAY_LEVEL = 3

# Our name -> official name, first match wins; {k} stands for a level counted from 0 here.
_RENAMES: tuple[tuple[str, str], ...] = (
    (r'^backbone\.patch_embed\.', 'backbone.pretrained.patch_embed.proj.'),
    (r'^backbone\.', 'backbone.pretrained.'),
    (r'^camera_encoder\.', 'cam_enc.'),
    (r'^camera_decoder\.hidden\.0\.', 'cam_dec.backbone.0.'),
    (r'^camera_decoder\.hidden\.1\.', 'cam_dec.backbone.2.'),
    (r'^camera_decoder\.centre\.', 'cam_dec.fc_t.'),
    (r'^camera_decoder\.quaternion\.', 'cam_dec.fc_qvec.'),
    (r'^camera_decoder\.fov\.', 'cam_dec.fc_fov.0.'),
    (r'^head\.resizers\.', 'head.resize_layers.'),
    (r'^head\.(?:depth_)?decoder\.neck\.', 'head.scratch.output_conv1.'),
    (r'^head\.(?:depth|raw)_output\.conv\.', 'head.scratch.output_conv2.0.'),
    (r'^head\.(?:depth|raw)_output\.last\.', 'head.scratch.output_conv2.2.'),
    (r'^head\.sky_output\.conv\.', 'head.scratch.sky_output_conv2.0.'),
    (r'^head\.sky_output\.last\.', 'head.scratch.sky_output_conv2.2.'),
    (r'^head\.picture\.', 'head.images_merger.'),
    (r'^head\.ray_decoder\.neck\.', f'head.scratch.output_conv1_aux.{LIVE_RAY_LEVEL}.'),
    (r'^head\.ray_output\.conv\.', f'head.scratch.output_conv2_aux.{LIVE_RAY_LEVEL}.0.'),
    (r'^head\.ray_output\.norm\.', 'head.scratch.output_conv2_aux.0.2.'),
    (r'^head\.ray_output\.last\.', f'head.scratch.output_conv2_aux.{LIVE_RAY_LEVEL}.5.'),
)
_LATERAL = re.compile(r'^head\.laterals\.(\d)\.')
_FUSION = re.compile(r'^head\.(depth_|ray_|)decoder\.fusions\.(\d)\.(\w+)\.')
_FUSION_PARTS = {
    'lateral_unit': 'resConfUnit1',
    'output_unit': 'resConfUnit2',
    'out_conv': 'out_conv',
}

PREFIX = 'model.'
# Our name of a part -> the official one; what lies below is named alike in all of them.
_BRANCHES = {'any_view.': 'da3.', 'metric.': 'da3_metric.'}
_GAUSSIAN_HEAD = ('gaussian_head.', 'gs_head.')


def official_key(name: str) -> str:
    """Return the official key of one of our parameters."""
    for ours, official in _BRANCHES.items():
        if name.startswith(ours):
            return PREFIX + official + _key_in_branch(name.removeprefix(ours))
    return PREFIX + _key_in_branch(name)


def _key_in_branch(name: str) -> str:
    ours, official = _GAUSSIAN_HEAD
    if name.startswith(ours):
        return official + _key_in_branch(f'head.{name.removeprefix(ours)}').removeprefix('head.')
    if match := _LATERAL.match(name):
        return f'head.scratch.layer{int(match[1]) + 1}_rn.{name[match.end() :]}'
    if match := _FUSION.match(name):
        suffix = '_aux' if match[1] == 'ray_' else ''
        level, part = int(match[2]) + 1, _FUSION_PARTS[match[3]]
        return f'head.scratch.refinenet{level}{suffix}.{part}.{name[match.end() :]}'
    for pattern, replacement in _RENAMES:
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    return name


def live_keys(net: nn.Module) -> dict[str, str]:
    """Map the official key of each parameter of a network to our name."""
    return {official_key(name): name for name, _ in net.named_parameters()}


def dead_keys(config: NetworkConfig) -> dict[str, tuple[int, ...]]:
    """Return the keys and shapes of an official file that no output depends on."""
    if isinstance(config, NestedConfig):
        branch = PREFIX + _BRANCHES['any_view.']
        return _dead_keys(config.any_view, branch)
    return _dead_keys(config, PREFIX) if config.is_any_view else {}


def _dead_keys(config: ModelConfig, prefix: str) -> dict[str, tuple[int, ...]]:
    features, half = config.head_features, config.head_features // 2
    shapes: dict[str, tuple[int, ...]] = {}
    for level in set(range(RAY_LEVELS)) - {LIVE_RAY_LEVEL}:
        neck = f'{prefix}head.scratch.output_conv1_aux.{level}'
        output = f'{prefix}head.scratch.output_conv2_aux.{level}'
        for i in range(5):
            inputs, outputs = (features, half) if i % 2 == 0 else (half, features)
            shapes[f'{neck}.{i}.weight'] = (outputs, inputs, 3, 3)
            shapes[f'{neck}.{i}.bias'] = (outputs,)
        shapes[f'{output}.0.weight'], shapes[f'{output}.0.bias'] = (32, half, 3, 3), (32,)
        shapes[f'{output}.5.weight'], shapes[f'{output}.5.bias'] = (7, 32, 1, 1), (7,)
    return shapes


def official_shapes(net: nn.Module, config: NetworkConfig) -> dict[str, tuple[int, ...]]:
    """Return every key of the official file of a network, with its shape."""
    live = {official_key(name): tuple(p.shape) for name, p in net.named_parameters()}
    return live | dead_keys(config)
