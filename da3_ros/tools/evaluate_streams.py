"""
``da3 evaluate --stream``: trajectory and map of whole streams, beside two simpler ways.

The engine, stitched chunks and frame-to-frame chaining see the same frames through the same
network, or through the same simulated ones. The engine has two rows: what it said at the time, and
what it knows at the end ('settled').
"""

import argparse
from collections.abc import Sequence
import dataclasses
from pathlib import Path
import sys

from da3_ros.config import EngineConfig
from da3_ros.engine.device import resolve_device
from da3_ros.engine.networks import load_networks
from da3_ros.engine.runner import EagerRunner, Runner
from da3_ros.errors import InputError
from da3_ros.evaluation.estimate import engine_estimates, Estimate
from da3_ros.evaluation.footage import Footage
from da3_ros.evaluation.simulated_robot import RobotNoise, SimulatedRobot
from da3_ros.evaluation.simulator import NetworkSimulator, Noise, REALISTIC
from da3_ros.evaluation.stitching import stitched_estimate
from da3_ros.evaluation.stream_scores import score
from da3_ros.parameter_tree import replaced
from da3_ros.tools.answer import answer, kept
from da3_ros.tools.options import configured
from da3_ros.tools.stream_sources import streams
from da3_ros.tools.text_table import text_table
import numpy as np
import torch

NOISES = {'exact': Noise(), 'realistic': REALISTIC}
_COLUMNS = {
    'ate_sim3_m': ('ATE Sim3', '.3f'),
    'ate_se3_m': ('ATE SE3', '.3f'),
    'ate_keyframes_m': ('ATE kf', '.3f'),
    'end_m': ('end', '.3f'),
    'rpe_m': ('RPE', '.3f'),
    'rpe_deg': ('RPE deg', '.2f'),
    'scale_drift_percent': ('drift %', '.2f'),
    'abs_rel': ('AbsRel', '.3f'),
    'delta1': ('delta1', '.3f'),
    'thickness_m': ('thick', '.3f'),
    'own_ms': ('own ms', '.1f'),
    'own_p95_ms': ('p95', '.1f'),
    'loops_closed': ('loops', '.3g'),
    'map_parts': ('parts', '.3g'),
    'lost': ('lost', '.3g'),
}
_SIMULATED_RESOLUTION = 84


def run_streams(arguments: argparse.Namespace) -> int:
    """Play, score, print a table, write JSON and plots; returns the exit code."""
    config = configured(EngineConfig(), arguments)
    sizes = [_chunk_size(text) for text in arguments.chunks]
    runner = None
    if arguments.simulate:
        # One core is enough for small images, and leaves the times alone.
        torch.set_num_threads(1)
        resolution = config.resolution or _SIMULATED_RESOLUTION
    else:
        networks = load_networks(config, resolve_device(config.device))
        runner = EagerRunner(networks.window)
        resolution = config.resolution or networks.named.config.resolution
    config = replaced(config, {'resolution': resolution})
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    if len(seeds) != 1 and not (seeds and arguments.simulate):
        raise InputError(f'--seeds is {len(seeds)}; expected 1, or more with --simulate.')
    if config.pose_prior != 'none' and arguments.odometry is None:
        raise InputError(
            f"pose_prior is '{config.pose_prior}'; expected --odometry DRIFT beside it."
        )
    with kept(arguments, lambda found: print(table(found))) as results:
        _play(arguments, config, runner, sizes, seeds, results)
    if not results:
        raise InputError('No method placed enough frames of any stream to be scored.')
    answer(arguments, results)
    return 0


def _play(
    arguments: argparse.Namespace,
    config: EngineConfig,
    runner: Runner | None,
    sizes: Sequence[tuple[int, int]],
    seeds: Sequence[int],
    results: list[dict],
) -> None:
    """Fill ``results`` stream by stream; without a runner the network is simulated."""
    for footage in streams(arguments):
        for seed in seeds:
            estimates = []
            for size in [None, *sizes]:
                through = runner or NetworkSimulator(
                    footage.truth, NOISES[arguments.simulate], seed
                )
                robot = _robot(footage, arguments.odometry, seed)
                estimates.extend(_estimates(footage, through, config, size, robot))
            scored = [(e, scores) for e in estimates if (scores := _scores(e, footage))]
            for estimate, scores in scored:
                head = {'stream': footage.name, 'method': estimate.method, 'seed': seed}
                results.append({**head, **scores})
            if arguments.plots is not None and seed == arguments.seed and scored:
                _draw(arguments.plots, footage, [estimate for estimate, _ in scored])


def _scores(estimate: Estimate, footage: Footage) -> dict | None:
    """Return the scores by name; a method that fails says so and leaves the others theirs."""
    try:
        return dataclasses.asdict(score(estimate, footage))
    except InputError as error:
        print(error, file=sys.stderr)
        return None


def table(results: Sequence[dict]) -> str:
    """
    Return one line for each stream and method, the mean over seeds; a dash is not known.

    Lengths are in metres, own ms a frame; ``kf`` are keyframes, ``end`` the error of a lap's end.
    """
    groups: dict[tuple[str, str], list[dict]] = {}
    for result in results:
        groups.setdefault((result['stream'], result['method']), []).append(result)
    rows = [['', '', *(title for title, _ in _COLUMNS.values())]]
    for head, seeds in groups.items():
        means = {key: float(np.mean([r[key] for r in seeds])) for key in _COLUMNS}
        cells = [f'{means[key]:{kind}}' for key, (_, kind) in _COLUMNS.items()]
        rows.append([*head, *('-' if cell == 'nan' else cell for cell in cells)])
    return text_table(rows, left=2)


def _draw(folder: Path, footage: Footage, estimates: Sequence[Estimate]) -> None:
    """Draw a stream; Matplotlib is loaded only here."""
    from da3_ros.tools.stream_plot import draw_stream

    folder.mkdir(parents=True, exist_ok=True)
    draw_stream(folder / f'{footage.name}.png', footage, estimates)


def _estimates(
    footage: Footage,
    runner: Runner,
    config: EngineConfig,
    size: tuple[int, int] | None,
    robot: SimulatedRobot | None,
) -> Sequence[Estimate]:
    """Let the engine or, with a chunk and an overlap, stitching have the footage."""
    if size is None:
        return engine_estimates(footage, runner, config, robot)
    return [stitched_estimate(footage, runner, config.resolution, *size)]


def _robot(footage: Footage, drift: float | None, seed: int) -> SimulatedRobot | None:
    """Return a robot whose odometry has such a drift, or None."""
    if drift is None:
        return None
    noise = RobotNoise(odometry_drift=drift)
    return SimulatedRobot(footage.truth, noise, has_odometry=True, seed=seed)


def _chunk_size(text: str) -> tuple[int, int]:
    """Return chunk and overlap of a text like 30/15."""
    try:
        chunk, overlap = (int(part) for part in text.split('/'))
    except ValueError as error:
        raise InputError(
            f"--chunks got '{text}'; expected CHUNK/OVERLAP, for instance 30/15."
        ) from error
    return chunk, overlap
