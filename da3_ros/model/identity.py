"""Which network a weights file holds, and whether all of it is there."""

import json
import logging

from da3_ros.errors import ConfigError, WeightsError
from da3_ros.model.layout import official_shapes, PREFIX
from da3_ros.model.network import Network
from da3_ros.model.presets import (
    METRIC,
    ModelConfig,
    MONO,
    NESTED,
    NestedConfig,
    NetworkConfig,
    NETWORKS,
    PRESETS,
)
from da3_ros.model.sources import CONFIG_NAME, Source

CONFIG_METADATA = 'da3_config'

_log = logging.getLogger(__name__)

Shapes = dict[str, tuple[int, ...]]


def identify(found: Source, metadata: dict[str, str] | None, shapes: Shapes) -> NetworkConfig:
    """
    Tell the network: by the file's own constants, by what was said of it, or by its tensors.

    Raises:
        WeightsError: if it is none of ours, or several would do.

    """
    return _config_in(metadata) or found.config or _infer_config(found, shapes)


def _config_in(metadata: dict[str, str] | None) -> NetworkConfig | None:
    """Read the constants that ``save_model`` wrote."""
    text = (metadata or {}).get(CONFIG_METADATA)
    if text is None:
        return None
    try:
        fields = json.loads(text)
        if 'any_view' in fields:
            branches = (_model_config(fields[name]) for name in ('any_view', 'metric'))
            return NestedConfig(fields['name'], *branches)
        return _model_config(fields)
    except (ValueError, TypeError, KeyError, ConfigError) as error:
        raise WeightsError(f'The constants in the file are not understood ({error}).') from error


def _model_config(fields: dict) -> ModelConfig:
    tuples = {name: tuple(fields[name]) for name in ('out_layers', 'head_channels')}
    return ModelConfig(**fields | tuples)


def _infer_config(found: Source, shapes: Shapes) -> NetworkConfig:
    """Tell the network by the width and the number of its blocks."""
    if _trunk_size(shapes, 'da3.') and _trunk_size(shapes, 'da3_metric.'):
        return NESTED
    size = _trunk_size(shapes)
    if f'{PREFIX}backbone.pretrained.camera_token' in shapes:
        for config in PRESETS.values():
            if (config.embed_dim, config.depth) == size:
                return config
    if f'{PREFIX}head.scratch.sky_output_conv2.0.weight' in shapes:
        raise WeightsError(
            f"'{found.weights}' holds {MONO.name} or {METRIC.name}, whose tensors are alike: put "
            f'a {CONFIG_NAME} with their model_name beside it.'
        )
    if size or any(key.startswith(f'{PREFIX}backbone.') for key in shapes):
        kind = 'a network of the family of a size that is not known'
    else:
        kind = f"another model (its first tensor is '{min(shapes, default='none')}')"
    raise WeightsError(
        f"'{found.weights}' holds {kind}: expected one of "
        f'{", ".join(config.name for config in NETWORKS)} in the official layout.'
    )


def _trunk_size(shapes: Shapes, branch: str = '') -> tuple[int, int] | None:
    """Return width and number of blocks of a branch's trunk, if there is one."""
    trunk = f'{PREFIX}{branch}backbone.pretrained.'
    if f'{trunk}cls_token' not in shapes:
        return None
    blocks = (key for key in shapes if key.startswith(f'{trunk}blocks.'))
    return shapes[f'{trunk}cls_token'][-1], sum(key.endswith('.ls1.gamma') for key in blocks)


def check_layout(found: Source, shapes: Shapes, net: Network) -> None:
    """
    Require every tensor of the layout in its shape; report what is there beside them.

    Raises:
        WeightsError: if one is missing or of another shape.

    """
    expected = official_shapes(net, net.config)
    missing = sorted(expected.keys() - shapes.keys())
    if missing:
        raise WeightsError(
            f"'{found.weights}' does not hold {net.config.name}: {len(missing)} of "
            f'{len(expected)} tensors are missing, such as {", ".join(missing[:3])}.'
        )
    wrong = sorted(key for key in expected if expected[key] != shapes[key])
    if wrong:
        raise WeightsError(
            f"'{found.weights}' does not hold {net.config.name}: {len(wrong)} tensors have "
            f'another shape, such as {wrong[0]}: expected {expected[wrong[0]]}, '
            f'got {shapes[wrong[0]]}.'
        )
    unknown = sorted(shapes.keys() - expected.keys())
    if unknown:
        _log.warning(
            "'%s': %d unknown tensors are ignored: %s",
            found.weights,
            len(unknown),
            ', '.join(unknown),
        )
