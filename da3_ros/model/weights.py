"""Reading and writing weights in the official safetensors layout; never pickle."""

from dataclasses import asdict
import json
import logging
from pathlib import Path
import warnings

from da3_ros.errors import ConfigError, InputError, WeightsError
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.layout import (
    dead_keys,
    IGNORED_PREFIXES,
    live_keys,
    official_key,
    official_shapes,
    PREFIX,
)
from da3_ros.model.presets import LICENCES, ModelConfig, PRESETS
from da3_ros.model.sources import resolve, Source
from safetensors import safe_open, SafetensorError
from safetensors.torch import save_file
import torch
from torch import Tensor

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
CONFIG_METADATA = 'da3_config'

_log = logging.getLogger(__name__)

Shapes = dict[str, tuple[int, ...]]


class UntrainedModelWarning(UserWarning):
    """The embedded model has no weights yet: what it predicts means nothing."""


def load_model(
    source: str | Path,
    device: str | torch.device = 'cpu',
    dtype: torch.dtype = torch.float32,
) -> AnyViewNetwork:
    """
    Load an any-view network, ready for inference.

    Tensors go one by one from the mapped file to the device in the dtype they stay in. With a
    half-precision ``dtype`` the matrices are cast once; norms, tokens, the camera modules and the
    last layers before the exponentials stay in float32. Parameters are frozen: call
    ``requires_grad_()`` to train them.

    Args:
        source: 'embedded', a Hugging Face id, a directory with config.json and model.safetensors,
            or a .safetensors file.
        device: where the network lives.
        dtype: float32, bfloat16 or float16.

    Raises:
        WeightsError: if the weights are missing, damaged, or of another network.
        InputError: if there is no such dtype or device.

    """
    device = _check_target(device, dtype)
    found = resolve(source)
    if found.weights is None:
        net = _untrained(found.config).to(device)
    else:
        net = _read(found, device, dtype)
        net.is_trained = True
    net.source_name = found.name
    net.licence = found.licence or LICENCES.get(net.config.name)
    return net.store_in(dtype).eval().requires_grad_(False)


def save_model(net: AnyViewNetwork, path: str | Path, dtype: torch.dtype | None = None) -> None:
    """
    Write a network in the official layout, so that the official code can read it too.

    The levels of the ray branch that nothing reads are written as zeros. The network's constants
    go into the file's metadata.

    Args:
        net: any network of this package.
        path: the .safetensors file to write.
        dtype: dtype of all tensors in the file; None: each as it is stored in ``net``.

    """
    tensors: dict[str, Tensor] = {
        official_key(name): parameter.detach().to('cpu', dtype or parameter.dtype).contiguous()
        for name, parameter in net.named_parameters()
    }
    for key, shape in dead_keys(net.config).items():
        tensors[key] = torch.zeros(shape, dtype=dtype or net.dtype)
    metadata = {'format': 'pt', CONFIG_METADATA: json.dumps(asdict(net.config))}
    save_file(tensors, path, metadata)


def _check_target(device: str | torch.device, dtype: torch.dtype) -> torch.device:
    if dtype not in DTYPES:
        raise InputError(f'dtype: expected one of {", ".join(map(str, DTYPES))}, got {dtype}.')
    device = torch.device(device)
    if device.type == 'cuda' and not torch.cuda.is_available():
        raise InputError(f"device: '{device}' was asked for, but this machine has no CUDA device.")
    return device


def _untrained(config: ModelConfig) -> AnyViewNetwork:
    warnings.warn(
        'The embedded model is not trained: its weights are random and its depth means nothing.',
        UntrainedModelWarning,
        stacklevel=3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AnyViewNetwork(config)


def _read(found: Source, device: torch.device, dtype: torch.dtype) -> AnyViewNetwork:
    """Build the network of a file and fill it."""
    try:
        with safe_open(found.weights, framework='pt', device='cpu') as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}
            config = _config_in(file.metadata()) or found.config or _infer_config(found, shapes)
            with torch.device('meta'):
                net = AnyViewNetwork(config)
            _check_layout(found, shapes, net)
            halves = {name for name, _ in net.half_precision_modules()}
            tensors = {
                name: file.get_tensor(key).to(
                    device,
                    dtype if name.rpartition('.')[0] in halves else torch.float32,
                    copy=True,  # a float32 tensor on the CPU would stay a view of the file
                )
                for key, name in live_keys(net).items()
            }
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"'{found.weights}' is damaged or no safetensors file ({error}): fetch it again."
        ) from error
    net.load_state_dict(tensors, assign=True)
    return net


def _config_in(metadata: dict[str, str] | None) -> ModelConfig | None:
    """Read the constants that ``save_model`` wrote."""
    text = (metadata or {}).get(CONFIG_METADATA)
    if text is None:
        return None
    try:
        fields = json.loads(text)
        fields |= {name: tuple(fields[name]) for name in ('out_layers', 'head_channels')}
        return ModelConfig(**fields)
    except (ValueError, TypeError, KeyError, ConfigError) as error:
        raise WeightsError(f'The constants in the file are not understood ({error}).') from error


def _infer_config(found: Source, shapes: Shapes) -> ModelConfig:
    """Tell the network by the width and the number of its blocks."""
    trunk = f'{PREFIX}backbone.pretrained.'
    width = shapes.get(f'{trunk}cls_token', (0,))[-1]
    depth = sum(key.startswith(f'{trunk}blocks.') and key.endswith('.ls1.gamma') for key in shapes)
    if width and f'{trunk}camera_token' in shapes:
        for config in PRESETS.values():
            if (config.embed_dim, config.depth) == (width, depth):
                return config
    if any(key.startswith(f'{PREFIX}da3') for key in shapes) or width:
        kind = 'a network of the family that is not supported'
    else:
        kind = f"another model (its first tensor is '{min(shapes, default='none')}')"
    raise WeightsError(
        f"'{found.weights}' holds {kind}: expected one of "
        f'{", ".join(config.name for config in PRESETS.values())} in the official layout.'
    )


def _check_layout(found: Source, shapes: Shapes, net: AnyViewNetwork) -> None:
    """Require every tensor of the layout in its shape; report what is there beside them."""
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
    ignored = IGNORED_PREFIXES.get(net.config.name, ())
    unknown = sorted(key for key in shapes.keys() - expected.keys() if not key.startswith(ignored))
    if unknown:
        _log.warning(
            "'%s': %d unknown tensors are ignored: %s",
            found.weights,
            len(unknown),
            ', '.join(unknown),
        )
