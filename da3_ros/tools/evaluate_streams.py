"""
``da3 evaluate --stream``: trajectory and map of whole streams, beside two simpler ways.

The engine, stitched chunks and frame-to-frame chaining see the same frames through the same
network, or through the same simulated one.
"""

import argparse
from collections.abc import Sequence
import dataclasses
import json

from da3_ros.config import EngineConfig
from da3_ros.engine.device import resolve_device
from da3_ros.engine.networks import load_networks
from da3_ros.engine.runner import EagerRunner, Runner
from da3_ros.errors import InputError
from da3_ros.evaluation.estimate import engine_estimates, Estimate
from da3_ros.evaluation.footage import Footage
from da3_ros.evaluation.simulator import NetworkSimulator, Noise, REALISTIC
from da3_ros.evaluation.stitching import stitched_estimate
from da3_ros.evaluation.stream_scores import score
from da3_ros.parameter_tree import replaced
from da3_ros.tools.options import configured
from da3_ros.tools.stream_sources import streams
import torch

NOISES = {'exact': Noise(), 'realistic': REALISTIC}
_COLUMNS = {
    'ate_sim3_m': ('ATE Sim3', '.3f'),
    'ate_se3_m': ('ATE SE3', '.3f'),
    'ate_percent': ('% path', '.2f'),
    'rpe_m': ('RPE', '.3f'),
    'rpe_deg': ('RPE deg', '.2f'),
    'scale_drift_percent': ('drift %', '.2f'),
    'abs_rel': ('AbsRel', '.3f'),
    'delta1': ('delta1', '.3f'),
    'thickness_m': ('thick', '.3f'),
    'thickness_p90_m': ('thick90', '.3f'),
    'own_ms': ('own ms', '.1f'),
    'own_p95_ms': ('own p95', '.1f'),
    'frames': ('frames', 'd'),
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
    results = []
    for footage in streams(arguments):
        estimates = []
        for size in [None, *sizes]:
            through = runner or NetworkSimulator(
                footage.truth, NOISES[arguments.simulate], arguments.seed
            )
            estimates.extend(_estimates(footage, through, config, size))
        for estimate in estimates:
            scores = dataclasses.asdict(score(estimate, footage))
            results.append({'stream': footage.name, 'method': estimate.method, **scores})
        if arguments.plots is not None:
            from da3_ros.tools.stream_plot import draw_stream

            arguments.plots.mkdir(parents=True, exist_ok=True)
            draw_stream(arguments.plots / f'{footage.name}.png', footage, estimates)
    print(table(results))
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(results, indent=1) + '\n')
    return 0


def table(results: Sequence[dict]) -> str:
    """Return one line for each stream and method; lengths in metres, own ms a frame."""
    names = [max(len(r[key]) for r in results) for key in ('stream', 'method')]
    lines = [' '.join([' ' * sum(names), '', *(f'{t:>8}' for t, _ in _COLUMNS.values())])]
    for result in results:
        cells = [f'{result[key]:{kind}}' for key, (_, kind) in _COLUMNS.items()]
        cells = ['-' if cell == 'nan' else cell for cell in cells]
        head = f'{result["stream"]:{names[0]}} {result["method"]:{names[1]}}'
        lines.append(' '.join([head, *(f'{cell:>8}' for cell in cells)]))
    return '\n'.join(lines)


def _estimates(
    footage: Footage, runner: Runner, config: EngineConfig, size: tuple[int, int] | None
) -> Sequence[Estimate]:
    """Let the engine or, with a chunk and an overlap, stitching have the footage."""
    if size is None:
        return engine_estimates(footage, runner, config)
    return [stitched_estimate(footage, runner, config.resolution, *size)]


def _chunk_size(text: str) -> tuple[int, int]:
    """Return chunk and overlap of a text like 30/15."""
    try:
        chunk, overlap = (int(part) for part in text.split('/'))
    except ValueError as error:
        raise InputError(
            f"--chunks got '{text}'; expected CHUNK/OVERLAP, for instance 30/15."
        ) from error
    return chunk, overlap
