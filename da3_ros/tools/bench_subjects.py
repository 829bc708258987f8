"""What ``da3 bench`` measures: the official network, and ours behind each runner."""

from collections.abc import Callable
from dataclasses import dataclass, field
import gc
from pathlib import Path
import sys
import time
from typing import Protocol

from da3_ros.engine.graph_runner import GraphRunner
from da3_ros.engine.plan import Capacity
from da3_ros.engine.runner import EagerRunner, Runner, WindowView
from da3_ros.engine.stages import Stage, Stages
from da3_ros.errors import ConfigError
from da3_ros.model import load_model
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.presets import PRESETS
import torch
from torch import nn

OFFICIAL = 'official'
_IMAGES = 8  # different ones, used again and again under new keys


@dataclass(frozen=True)
class Case:
    """
    One line of the table.

    Each step, ``new`` frames join ``views - new`` kept ones, and ``dense`` views get depth: the
    new ones and some others. Images are ``width`` x ``height``.
    """

    model: str
    views: int
    new: int
    dense: int
    width: int
    height: int

    @property
    def dense_views(self) -> list[int]:
        """Positions in the window: the newest, then the reference and those behind it."""
        newest = range(self.views - self.new, self.views)
        return [*range(max(self.dense - self.new, 0)), *newest][-max(self.dense, self.new) :]


class Subject(Protocol):
    """Something that takes a step for every new frame."""

    name: str

    def step(self) -> None:
        """Take the next frame and wait for the result."""
        ...


def make_network(model: str, dtype: torch.dtype, device: torch.device) -> AnyViewNetwork:
    """Return the embedded network, or one of the others with random weights of the right size."""
    if model == 'embedded':
        return load_model(model, device, dtype)
    with torch.device(device):
        net = AnyViewNetwork(PRESETS[model])
    return net.store_for_inference(dtype, device).eval().requires_grad_(False)


class Images:
    """Random normalised images on the device."""

    def __init__(self, case: Case, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        shape = _IMAGES, 3, case.height, case.width
        self._images = torch.randn(shape, generator=generator).to(device)

    def view(self, key: int) -> WindowView:
        """Return the view of a key."""
        return WindowView(key, 'camera', key, self._images[key % _IMAGES])


class RunnerSubject:
    """One of our runners on a stream: kept keyframes, and new frames each step."""

    def __init__(self, name: str, case: Case, runner: Runner, device: torch.device) -> None:
        self.name, self._case, self.runner, self._device = name, case, runner, device
        self.prepare_s = 0.0  # what loading, capturing and compiling took
        self._images = Images(case, device)
        self._kept = [self._images.view(key) for key in range(case.views - case.new)]
        self._next = case.views

    def step(self) -> None:
        """Run the window with frames that it has not seen; the plain runner gives all depth."""
        new = [self._images.view(self._next + i) for i in range(self._case.new)]
        self._next += self._case.new
        is_plain = isinstance(self.runner, EagerRunner)
        self.runner.infer([*self._kept, *new], None if is_plain else self._case.dense_views)
        synchronize(self._device)


class OfficialSubject:
    """The official network on whole windows, as its own API calls it."""

    name = OFFICIAL

    def __init__(self, net: nn.Module, case: Case, device: torch.device) -> None:
        self._net, self._device = net, device
        images = Images(case, device)
        self._window = torch.stack([images.view(k).image for k in range(case.views)])[None]

    @torch.inference_mode()
    def step(self) -> None:
        """Run the window."""
        with torch.autocast('cuda', torch.bfloat16, enabled=self._device.type == 'cuda'):
            self._net(self._window)
        synchronize(self._device)


def load_official(path: Path | None) -> Callable[[str, torch.device], nn.Module | None]:
    """
    Return a function: name of a model, device -> the official network, None if it has no such one.

    Args:
        path: folder that holds the unpacked package ``depth_anything_3`` and what it imports.

    Raises:
        ConfigError: if a folder is given and the package cannot be imported from it.

    """
    if path is not None:
        sys.path.insert(0, str(path))
    try:
        from depth_anything_3 import cfg
    except ImportError as error:
        if path is not None:
            raise ConfigError(
                f"The official network cannot be imported from '{path}' ({error}): unpack the "
                'wheels of depth-anything-3, addict, einops, omegaconf and PyYAML there.'
            ) from error
        return lambda model, device: None
    configs = Path(cfg.__file__).parent / 'configs'

    def make(model: str, device: torch.device) -> nn.Module | None:
        file = configs / f'da3-{model}.yaml'
        if not file.exists():
            return None
        constants = cfg.load_config(str(file))
        for name in ('gs_head', 'gs_adapter'):  # unused here, and they import much more
            constants.pop(name, None)
        with torch.device(device):
            net = cfg.create_object(constants)
        return net.to(device).eval().requires_grad_(False)

    return make


@dataclass
class TimedStages:
    """Runs stages and notes what each took, in milliseconds."""

    inner: Stages
    device: torch.device
    times_ms: dict[str, list[float]] = field(default_factory=dict)

    def run(self, stage: Stage, *arguments: object, attends: tuple[int, int] | None) -> None:
        """Run a stage between two looks at the clock."""
        synchronize(self.device)
        start = time.perf_counter()
        self.inner.run(stage, *arguments, attends=attends)
        synchronize(self.device)
        elapsed = (time.perf_counter() - start) * 1e3
        self.times_ms.setdefault(stage.__name__, []).append(elapsed)


def make_runner(name: str, case: Case, net: AnyViewNetwork) -> Runner:
    """Return the runner of a name in the table, prepared for the full window of a case."""
    if name == 'eager':
        return EagerRunner(net)
    runner = GraphRunner(net, case.views, blocks='plain' if name == 'cached' else name)
    runner.prepare((case.height, case.width), [Capacity(case.views, case.dense, case.new)])
    return runner


def synchronize(device: torch.device) -> None:
    """Wait for a GPU."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def forget(device: torch.device) -> None:
    """Free what nobody uses, so that the next subject's memory is its own."""
    gc.collect()
    torch._dynamo.reset()
    reset_peak(device)


def reset_peak(device: torch.device) -> None:
    """Count a GPU's memory from what is in use now."""
    if device.type == 'cuda':
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
