"""
``da3 evaluate --benchmark``: the visual geometry benchmark, on data in its layouts on disk.

Each scene is read, shown to the network and scored for itself. What is done is in the JSON file
and, at the end, in the table, also after Ctrl-C.
"""

import argparse
from collections.abc import Iterator
import json
from pathlib import Path

from da3_ros.config import EngineConfig
from da3_ros.engine.device import resolve_device
from da3_ros.engine.networks import load_networks
from da3_ros.errors import InputError
from da3_ros.evaluation.benchmark import window_scores
from da3_ros.evaluation.datasets.catalogue import DATASETS
from da3_ros.evaluation.datasets.dataset import Scene
from da3_ros.evaluation.frame_choice import First, FrameChoice
from da3_ros.evaluation.inference import SceneNetwork
from da3_ros.evaluation.novel_views import novel_view_scores
from da3_ros.tools.answer import answer
from da3_ros.tools.benchmark_options import NOVEL_VIEWS, SYNTHETIC
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
    networks = load_networks(config, device)
    resolution = config.resolution or networks.named.config.resolution
    network = SceneNetwork(networks.window, device, resolution, arguments.pose_from)
    results: list[dict] = []
    try:
        _score(arguments, network, results, device)
    finally:
        if results:
            print(benchmark_table(results))
            if arguments.plots is not None:
                _draw(arguments.plots, name, results)
    if not results:
        raise InputError(
            f'No scene of {name} has the truth and the frames for --mode '
            f'{" ".join(arguments.mode)} with --views '
            f'{" ".join(map(str, arguments.views or VIEWS))}.'
        )
    answer(arguments, results)
    return 0


def _score(
    arguments: argparse.Namespace,
    network: SceneNetwork,
    results: list[dict],
    device: torch.device,
) -> None:
    """Fill ``results`` scene by scene, and write each at once."""
    views = sorted(set(arguments.views or VIEWS))
    scenes, count = _scenes(arguments, max(views), device)
    choice = _choice(arguments.benchmark)
    head = {'benchmark': arguments.benchmark, 'model': str(arguments.model)}
    for scene in tqdm(scenes, arguments.benchmark, count, unit='scene', disable=None):
        for number in views:
            for window in choice.windows(len(scene), number)[: arguments.windows]:
                scores = window_scores(scene, window, arguments.mode, network)
                if scores:
                    here = {**head, 'scene': scene.name, 'views': number, 'frames': window}
                    results.append({**here, **scores})
            if NOVEL_VIEWS in arguments.mode:
                scores = novel_view_scores(scene, number, network)
                if scores:
                    results.append({**head, 'scene': scene.name, 'views': number, **scores})
        if arguments.output is not None:
            arguments.output.write_text(json.dumps(results, indent=1) + '\n')


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
