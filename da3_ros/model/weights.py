"""Reading and writing weights in the official safetensors layout; never pickle."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
import json
from pathlib import Path
import warnings

from da3_ros.errors import InputError, WeightsError
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.identity import check_layout, CONFIG_METADATA, identify
from da3_ros.model.layout import dead_keys, live_keys, official_key
from da3_ros.model.nested import NestedNetwork
from da3_ros.model.network import Network
from da3_ros.model.presets import NestedConfig, NetworkConfig
from da3_ros.model.releases import LICENCES
from da3_ros.model.single_view import SingleViewNetwork
from da3_ros.model.sources import resolve, Source
from safetensors import safe_open, SafetensorError
from safetensors.torch import save_file
import torch
from torch import Tensor

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class UntrainedModelWarning(UserWarning):
    """The embedded model has no weights yet: what it predicts means nothing."""


def build_network(config: NetworkConfig) -> Network:
    """Make the network that ``config`` describes, with random weights."""
    if isinstance(config, NestedConfig):
        return NestedNetwork(config)
    return AnyViewNetwork(config) if config.is_any_view else SingleViewNetwork(config)


def load_model(
    source: str | Path,
    device: str | torch.device = 'cpu',
    dtype: torch.dtype = torch.float32,
) -> Network:
    """
    Load a network of the family, ready for inference.

    Tensors go one by one from the mapped file to the device in the dtype they stay in. With a
    half-precision ``dtype`` the matrices are cast once (see ``Network.inference_dtypes``); norms,
    tokens, the camera modules and the last layers before the exponentials stay in float32.
    Parameters are frozen: call ``requires_grad_()`` to train them.

    Args:
        source: 'embedded', a Hugging Face id, a directory with config.json and model.safetensors,
            or a .safetensors file.
        device: where the network lives.
        dtype: of the trunk: float32, bfloat16 or float16.

    Returns:
        An ``AnyViewNetwork``, ``SingleViewNetwork`` or ``NestedNetwork``.

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
    return net.store_for_inference(dtype, device).eval().requires_grad_(False)


def load_any_view(
    source: str | Path,
    device: str | torch.device = 'cpu',
    dtype: torch.dtype = torch.float32,
) -> AnyViewNetwork:
    """
    Load a network that sees many views; of a nested one, the branch that does.

    Raises:
        WeightsError: as ``load_model`` does, and if the network sees each view alone.
        InputError: if there is no such dtype or device.

    """
    net = load_model(source, device, dtype)
    if isinstance(net, SingleViewNetwork):
        raise WeightsError(
            f"'{source}' is {net.config.name}, which sees each view alone; expected an any-view "
            'network such as da3-small.'
        )
    if isinstance(net, NestedNetwork):
        branch = net.any_view
        branch.source_name, branch.licence = net.source_name, net.licence
        branch.is_trained = net.is_trained
        return branch
    return net


def network_config(source: str | Path) -> NetworkConfig:
    """
    Tell which network ``source`` means, without reading its weights.

    Raises:
        WeightsError: as ``load_model`` does.

    """
    found = resolve(source)
    if found.weights is None:
        return found.config
    with _opened(found) as file:
        return identify(found, file.metadata(), _shapes(file))


def save_model(net: Network, path: str | Path, dtype: torch.dtype | None = None) -> None:
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


def _untrained(config: NetworkConfig) -> Network:
    warnings.warn(
        'The embedded model is not trained: its weights are random and its depth means nothing.',
        UntrainedModelWarning,
        stacklevel=3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_network(config)


def _read(found: Source, device: torch.device, dtype: torch.dtype) -> Network:
    """Build the network of a file and fill it."""
    with _opened(found) as file:
        shapes = _shapes(file)
        with torch.device('meta'):
            net = build_network(identify(found, file.metadata(), shapes))
        check_layout(found, shapes, net)
        stored = net.inference_dtypes(dtype, device)
        tensors = {
            name: file.get_tensor(key).to(
                device,
                stored.get(name.rpartition('.')[0], torch.float32),
                copy=True,  # a float32 tensor on the CPU would stay a view of the file
            )
            for key, name in live_keys(net).items()
        }
    net.load_state_dict(tensors, assign=True)
    return net


@contextmanager
def _opened(found: Source) -> Iterator[safe_open]:
    """Map a file into memory; whatever is wrong with it becomes a WeightsError."""
    try:
        with safe_open(found.weights, framework='pt', device='cpu') as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"'{found.weights}' is damaged or no safetensors file ({error}): fetch it again."
        ) from error


def _shapes(file: safe_open) -> dict[str, tuple[int, ...]]:
    return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}
