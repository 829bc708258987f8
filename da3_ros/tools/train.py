"""
``da3 train``: train a network from scratch on procedural scenes.

On several GPUs of one machine: ``torchrun --nproc-per-node N -m da3_ros.tools.main train ...``.
"""

import argparse
from dataclasses import replace
from pathlib import Path
import signal

from da3_ros.tools.interruption import stop_asked
from da3_ros.tools.options import add_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument(
        '--minutes', type=float, help='the whole plan in minutes of training, over all legs'
    )
    parser.add_argument(
        '--leg-minutes',
        type=float,
        metavar='MINUTES',
        help='stop this sitting after so long, start-up included; call again to go on '
        '(also after Ctrl-C or SIGTERM, which save the state first)',
    )
    parser.add_argument(
        '--state-dir',
        type=Path,
        metavar='DIR',
        help='where the whole state and the log are kept; an earlier run found there goes on',
    )
    parser.add_argument(
        '--export', type=Path, metavar='FILE', help='write the averaged weights there, as float16'
    )
    parser.add_argument(
        '--init',
        metavar='MODEL',
        help="start from these weights: 'embedded' or a .safetensors file; a state that is found "
        'in --state-dir goes first',
    )
    parser.add_argument(
        '--textures',
        metavar='DIR',
        help='mix photographs from this folder with the painted textures; sub-folders name roles',
    )
    add_options(parser, '--device')
    parser.add_argument(
        '--no-compile', action='store_true', help='run the network as it is written'
    )
    parser.add_argument(
        '--compile-cache', type=Path, metavar='FILE', help='keep compiled kernels in this file'
    )
    parser.add_argument('--workers', type=int, default=0, help='processes that make scenes')
    parser.add_argument(
        '--profile', action='store_true', help='measure views/s of every bucket and stop'
    )
    parser.add_argument(
        '--set',
        action='append',
        default=[],
        metavar='NAME=VALUE',
        dest='assignments',
        help='any field of the training configuration: lr=4e-4, model=tiny',
    )


def run(arguments: argparse.Namespace) -> int:
    """Train, or measure how fast that would be; returns the exit code."""
    from da3_ros.engine.device import resolve_device
    from da3_ros.training.config import TrainConfig
    from da3_ros.training.loop import Leg, train
    from da3_ros.training.profile import profile
    from da3_ros.training.ranks import Ranks
    import torch

    assignments = list(arguments.assignments)
    for name in ('minutes', 'init', 'textures'):
        if getattr(arguments, name) is not None:
            assignments.append(f'{name}={getattr(arguments, name)}')
    config = TrainConfig().with_assignments(assignments)
    device = resolve_device(arguments.device)
    ranks = Ranks.join(device.type)
    if ranks.size > 1 and device.type == 'cuda':
        device = torch.device('cuda', ranks.rank % torch.cuda.device_count())
    if device.type == 'cuda':
        torch.cuda.set_device(device)
    leg = Leg(
        device=device,
        state_dir=arguments.state_dir,
        export_to=arguments.export,
        minutes=arguments.leg_minutes,
        compile=not arguments.no_compile,
        workers=arguments.workers,
        compile_cache=arguments.compile_cache,
        ranks=ranks,
    )
    if arguments.profile:
        profile(config, leg)
        return 0
    # Raising in the middle of a step, as other commands do, would leave processes that share a run
    # waiting for each other.
    with stop_asked(signal.SIGINT, signal.SIGTERM) as is_cut:
        progress = train(config, replace(leg, is_cut=is_cut))
    ranks.leave()
    if not ranks.is_first:
        return 0
    print(
        f'{progress.step} steps, {progress.views} views, '
        f'{progress.elapsed_s / 60:.1f} of {config.minutes:g} minutes.'
    )
    return 0
