"""From what a user calls a model to a file on disk: embedded, a path, or a Hugging Face id."""

from dataclasses import dataclass
import json
from pathlib import Path
import re

from da3_ros.errors import WeightsError
from da3_ros.model.presets import EMBEDDED as EMBEDDED_NETWORK
from da3_ros.model.presets import NetworkConfig, NETWORKS, preset_named
from da3_ros.model.releases import LICENCES, RELEASES

EMBEDDED = 'embedded'
EMBEDDED_FILE = Path(__file__).parent / 'checkpoints' / 'embedded.safetensors'
WEIGHTS_NAME = 'model.safetensors'
CONFIG_NAME = 'config.json'

# What the hub allows: letters, digits, -, _ and ., none of - and . at an end or twice in a row.
_HUB_ID = re.compile(r'(?!.*(--|\.\.))\w([\w.-]*\w)?/\w([\w.-]*\w)?', re.ASCII)
_PICKLES = ('.bin', '.pt', '.pth', '.ckpt', '.pkl')


@dataclass(frozen=True)
class Source:
    """
    A model that was found.

    Attributes:
        name: what the user called it.
        weights: the safetensors file, or None for an embedded model that is not there yet.
        config: the network, or None if only the file itself can tell.
        licence: SPDX name of the licence, or None if nothing tells.

    """

    name: str
    weights: Path | None
    config: NetworkConfig | None
    licence: str | None


def resolve(source: str | Path) -> Source:
    """
    Find the file that ``source`` means.

    Args:
        source: 'embedded', a Hugging Face id (``depth-anything/DA3-SMALL``), a directory with
            config.json and model.safetensors, or a .safetensors file.

    Raises:
        WeightsError: if there is no such file, or it may not or cannot be used.

    """
    name = str(source)
    if name == EMBEDDED:
        weights = EMBEDDED_FILE if EMBEDDED_FILE.is_file() else None
        return Source(name, weights, EMBEDDED_NETWORK, LICENCES[EMBEDDED_NETWORK.name])
    try:
        path = Path(name).expanduser()
        is_directory = path.is_dir()
    except (OSError, RuntimeError) as error:  # a name that is too long, a home that is nowhere
        why = getattr(error, 'strerror', None) or str(error).rstrip('.')
        raise WeightsError(f'No model {name[:100]!r}: it cannot be a path ({why}).') from error
    if is_directory:
        return _from_directory(name, path)
    if path.suffix in _PICKLES:
        raise WeightsError(
            f"'{name}' is a pickle, which can run code when it is read: "
            'convert it to .safetensors and pass that file.'
        )
    if path.is_file() or path.suffix == '.safetensors':
        return _from_file(name, path)
    if _HUB_ID.fullmatch(name):
        return _from_hub(name)
    raise WeightsError(
        f"No model {name!r}: expected '{EMBEDDED}', a Hugging Face id such as "
        f'{next(iter(RELEASES))}, a directory with {CONFIG_NAME} and {WEIGHTS_NAME}, '
        'or a .safetensors file.'
    )


def _from_directory(name: str, directory: Path) -> Source:
    weights = _weights_in(directory)
    config = read_config(directory / CONFIG_NAME)
    return Source(name, weights, config, _licence(config))


def _weights_in(directory: Path) -> Path:
    for required in (CONFIG_NAME, WEIGHTS_NAME):
        if not (directory / required).is_file():
            raise WeightsError(
                f"The model directory '{directory}' has no {required}: "
                f'expected {CONFIG_NAME} and {WEIGHTS_NAME} in it.'
            )
    return directory / WEIGHTS_NAME


def _from_file(name: str, path: Path) -> Source:
    if not path.is_file():
        raise WeightsError(f"There is no weights file '{path}'.")
    if path.suffix != '.safetensors':
        raise WeightsError(f"'{path}' is no .safetensors file, the only format that is read.")
    beside = path.parent / CONFIG_NAME
    config = read_config(beside) if beside.is_file() else None
    return Source(name, path, config, _licence(config))


def _from_hub(name: str) -> Source:
    release = RELEASES.get(name)
    directory = _download(name)
    if release is None:
        return _from_directory(name, directory)
    # What an official release is does not depend on how its config.json calls it.
    return Source(name, _weights_in(directory), release.config, release.licence)


def _download(name: str) -> Path:
    """Fetch a model from the Hugging Face hub, or find it in the local cache."""
    advice = (
        f'fetch it on a machine with network (hf download {name} {CONFIG_NAME} {WEIGHTS_NAME} '
        '--local-dir FOLDER), copy FOLDER here and pass its path as the model.'
    )
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError as error:
        raise WeightsError(
            f"'{name}' needs huggingface_hub, which is not installed: install it, or {advice}"
        ) from error
    try:
        folder = snapshot_download(name, allow_patterns=[CONFIG_NAME, WEIGHTS_NAME])
    # The hub wraps what its HTTP library raises in subclasses of OSError.
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(
            f"'{name}' is not in the local cache and could not be fetched ({reason}): {advice}"
        ) from error
    return Path(folder)


def read_config(path: Path) -> NetworkConfig | None:
    """
    Read the network that a config.json names; None if it names none.

    The official layout is ``{"model_name": "da3-small", "config": {...}}``.

    Raises:
        WeightsError: if the file is no JSON object, or names a network that is not ours.

    """
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise WeightsError(f"'{path}' could not be read as JSON ({error}).") from error
    if not isinstance(content, dict):
        raise WeightsError(f"'{path}' holds a {type(content).__name__}, expected a JSON object.")
    name = content.get('model_name')
    if name is None:
        return None
    config = preset_named(str(name))
    if config is None:
        known = ', '.join(preset.name for preset in NETWORKS)
        raise WeightsError(f"'{path}': unknown model_name '{name}', expected one of {known}.")
    return config


def _licence(config: NetworkConfig | None) -> str | None:
    return LICENCES.get(config.name) if config else None
