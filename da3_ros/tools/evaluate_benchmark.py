"""
``da3 evaluate --benchmark``: the visual geometry benchmark, on data in its layouts on disk.

Each scene is read, shown to the network and scored for itself. What is done is in the JSON file
and, at the end, in the table, also after Ctrl-C.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from da3_ros.config import EngineConfig
from da3_ros.engine.device import resolve_device, resolve_precision
from da3_ros.errors import InputError
from da3_ros.evaluation.benchmark import window_scores
from da3_ros.evaluation.datasets.catalogue import DATASETS
from da3_ros.evaluation.datasets.dataset import Scene
from da3_ros.evaluation.frame_choice import First, FrameChoice
from da3_ros.evaluation.inference import SceneNetwork
from da3_ros.evaluation.monocular import monocular_scores, MonocularNetwork
from da3_ros.evaluation.novel_views import novel_view_scores
from da3_ros.evaluation.renderers import chosen_renderer, RENDERERS
from da3_ros.model import load_model
from da3_ros.model.nested import NestedNetwork
from da3_ros.model.single_view import SingleViewNetwork
from da3_ros.tools.answer import answer, kept, write_results
from da3_ros.tools.benchmark_options import (
    MODES_OF_MANY,
    MODES_OF_ONE,
    NOVEL_VIEWS,
    SYNTHETIC,
)
from da3_ros.tools.benchmark_table import benchmark_table
from da3_ros.tools.options import configured
from da3_ros.tools.synthetic_scenes import synthetic_scenes
import torch
from tqdm import tqdm

# What the official evaluation shows to the network at most.
VIEWS = [100]


def run_benchmark(arguments: argparse.Namespace) -> int:
    """
    Score each window of each scene, print a table, write JSON and plots; returns the exit code.

    Raises:
        InputError: if options do not go together, or a tree lacks something.
        ConfigError: if the network or the renderer can't do what is asked for.
        WeightsError: if the weights are missing, damaged or of another network.

    """
    name = arguments.benchmark
    if (arguments.data is None) != (name == SYNTHETIC):
        raise InputError(
            '--benchmark synthetic renders its scenes; it goes without --data.'
            if name == SYNTHETIC
            else f'--benchmark {name} needs --data, the folder that it lies in.'
        )
    if min(arguments.views or VIEWS) < 1:
        raise InputError(f'--views got {arguments.views}; expected numbers of 1 and more.')
    config = configured(EngineConfig(), arguments)
    device = resolve_device(config.device)
    measurement = _measurement(arguments, config, device)
    head = {'benchmark': name, 'model': config.model}
    with kept(arguments, lambda found: _show(arguments, found)) as results:
        _score(arguments, measurement, head, results, device)
    if not results:
        raise InputError(
            f'No scene of {name} has the truth and the frames for --mode '
            f'{" ".join(measurement.modes)} with --views '
            f'{" ".join(map(str, arguments.views or VIEWS))}.'
        )
    answer(arguments, results)
    return 0


@dataclass(frozen=True)
class _Measurement:
    """What is measured of which network; ``renderer`` draws novel views."""

    network: SceneNetwork | MonocularNetwork
    modes: Sequence[str]
    renderer: str

    def of_window(self, scene: Scene, window: Sequence[int]) -> dict[str, float]:
        """Return the scores of some frames of a scene."""
        if isinstance(self.network, MonocularNetwork):
            return monocular_scores(scene, window, self.network)
        return window_scores(scene, window, self.modes, self.network)

    def of_novel_views(self, scene: Scene, contexts: int) -> dict[str, object]:
        """Return the scores of new views of a scene, if asked for, and what drew them."""
        if NOVEL_VIEWS not in self.modes:
            return {}
        scores = novel_view_scores(scene, contexts, self.network, RENDERERS[self.renderer])
        return {'renderer': self.renderer, **scores} if scores else {}


def _measurement(
    arguments: argparse.Namespace, config: EngineConfig, device: torch.device
) -> _Measurement:
    """
    Load the network and settle what is measured of it.

    Raises:
        InputError: if modes are asked for by name that a single-view network can't have.
        ConfigError: if gsplat is asked for and can't draw here.
        WeightsError: if the weights are missing, damaged or of another network.

    """
    renderer = chosen_renderer(arguments.renderer, device)
    precision = resolve_precision(config.precision, device, config.model)
    net = load_model(config.model, device, precision)
    resolution = config.resolution or net.config.resolution
    if not isinstance(net, SingleViewNetwork):
        window = net.any_view if isinstance(net, NestedNetwork) else net
        network = SceneNetwork(window, device, resolution, arguments.pose_from)
        return _Measurement(network, arguments.mode or MODES_OF_MANY, renderer)
    impossible = [mode for mode in arguments.mode or () if mode not in MODES_OF_ONE]
    if impossible:
        raise InputError(
            f"--mode got {' '.join(impossible)}, which take cameras, and '{config.model}' sees "
            f'each view alone; expected {" ".join(MODES_OF_ONE)}, or an any-view network.'
        )
    return _Measurement(MonocularNetwork(net, device, resolution), MODES_OF_ONE, renderer)


def _show(arguments: argparse.Namespace, results: list[dict]) -> None:
    """Print the table, and draw the plots."""
    print(benchmark_table(results))
    if arguments.plots is not None:
        _draw(arguments.plots, arguments.benchmark, results)


def _score(
    arguments: argparse.Namespace,
    measurement: _Measurement,
    head: Mapping[str, str],
    results: list[dict],
    device: torch.device,
) -> None:
    """Fill ``results`` scene by scene, and write each at once."""
    views = sorted(set(arguments.views or VIEWS))
    scenes, count = _scenes(arguments, max(views), device)
    choice = _choice(arguments.benchmark)
    for scene in tqdm(scenes, arguments.benchmark, count, unit='scene', disable=None):
        for number in views:
            for window in choice.windows(len(scene), number)[: arguments.windows]:
                scores = measurement.of_window(scene, window)
                if scores:
                    here = {**head, 'scene': scene.name, 'views': number, 'frames': window}
                    results.append({**here, **scores})
            scores = measurement.of_novel_views(scene, number)
            if scores:
                results.append({**head, 'scene': scene.name, 'views': number, **scores})
        write_results(arguments, results)


def _scenes(
    arguments: argparse.Namespace, views: int, device: torch.device
) -> tuple[Iterator[Scene], int]:
    """Return the scenes, each read when its turn comes, and how many there are."""
    if arguments.benchmark == SYNTHETIC:
        return synthetic_scenes(arguments.windows, views, device), arguments.windows
    dataset = DATASETS[arguments.benchmark]
    names = dataset.names(arguments.data, arguments.scenes)
    return (dataset.read(arguments.data, name) for name in names), len(names)


def _choice(name: str) -> FrameChoice:
    """Return how frames are chosen; fewer views of a rendered scene are its first."""
    return First() if name == SYNTHETIC else DATASETS[name].frames


def _draw(folder: Path, name: str, results: list[dict]) -> None:
    """Draw the results; Matplotlib is loaded only here."""
    from da3_ros.tools.benchmark_plot import draw_benchmark

    folder.mkdir(parents=True, exist_ok=True)
    draw_benchmark(folder / f'{name}.png', results)
