"""
The whole state of a run on disk, and what is exported from it.

A state is one safetensors file, replaced in one go: a run that is cut at any moment finds the last
whole state. It holds no pickle.
"""

from dataclasses import asdict, dataclass
import json
import os
from pathlib import Path

from da3_ros.errors import WeightsError
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.weights import save_model
from da3_ros.training.config import TrainConfig
from da3_ros.training.optimiser import Optimiser
from safetensors import safe_open, SafetensorError
from safetensors.torch import load_file, save_file
import torch

STATE_FILE = 'state.safetensors'


@dataclass(frozen=True)
class Progress:
    """How far a run is: ``step`` steps taken, ``elapsed_s`` of training, ``views`` seen."""

    step: int = 0
    elapsed_s: float = 0.0
    views: int = 0


def save_state(
    folder: Path, optimiser: Optimiser, progress: Progress, config: TrainConfig
) -> None:
    """Write the state of a run, replacing the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.cpu() for name, tensor in optimiser.state().items()}
    metadata = {
        'progress': json.dumps(asdict(progress)),
        'config': json.dumps(asdict(config)),
        'names': json.dumps(optimiser.names),
    }
    fresh = folder / f'{STATE_FILE}.new'
    save_file(tensors, fresh, metadata)
    with fresh.open('rb') as file:
        os.fsync(file.fileno())
    fresh.replace(folder / STATE_FILE)


def has_state(folder: Path) -> bool:
    """Tell whether a run was saved in a folder."""
    return (folder / STATE_FILE).exists()


def saved_progress(folder: Path) -> Progress:
    """
    Return how far the run in a folder is; a folder without a state is at the start.

    Raises:
        WeightsError: if the state is damaged.

    """
    path = folder / STATE_FILE
    if not has_state(folder):
        return Progress()
    return Progress(**json.loads(_metadata(path)['progress']))


def load_state(folder: Path, optimiser: Optimiser) -> Progress:
    """
    Take up the state in a folder; a folder without one starts a run.

    Raises:
        WeightsError: if the state is damaged or of another network.

    """
    path = folder / STATE_FILE
    if not has_state(folder):
        return Progress()
    if json.loads(_metadata(path)['names']) != optimiser.names:
        raise WeightsError(f"'{path}' is the state of another network; use another --state-dir.")
    optimiser.restore(load_file(path))
    return saved_progress(folder)


def _metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework='pt', device='cpu') as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"'{path}' is damaged ({error}): delete it to start anew.") from error


def export(path: Path, optimiser: Optimiser, net: AnyViewNetwork) -> None:
    """Write the averaged weights as float16 in the official layout; ``net`` gives the shapes."""
    with torch.device('cpu'):
        copy = AnyViewNetwork(net.config)
    optimiser.load_average(copy)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f'{path.name}.new')
    save_model(copy, fresh, torch.float16)
    fresh.replace(path)
