"""``da3 bench``: the time of a new frame, stage by stage, beside what the hardware allows."""

import argparse
from collections.abc import Iterator, Sequence
from itertools import product
import json
from pathlib import Path
import subprocess
import time
from typing import TYPE_CHECKING

from da3_ros.errors import ConfigError
from da3_ros.tools.answer import add_json_option, answer
from da3_ros.tools.options import add_options

if TYPE_CHECKING:
    from da3_ros.tools.bench_subjects import Case

RESULTS = Path('benchmarks/results')
MODELS = ('embedded', 'small', 'base', 'large', 'giant')
_RUNNERS = ('eager', 'cached', 'fused', 'compiled')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument(
        '--models',
        nargs='+',
        choices=MODELS,
        default=['embedded'],
        help='networks of these sizes, all with random weights but embedded',
    )
    parser.add_argument('--views', nargs='+', type=int, default=[4], help='views in a window')
    parser.add_argument(
        '--new', nargs='+', type=int, default=[1], help='new frames of each step, one a camera'
    )
    parser.add_argument(
        '--refreshed',
        type=int,
        default=0,
        help='kept views that get depth too; the node does so for window.refreshed of them',
    )
    parser.add_argument(
        '--sizes', nargs='+', default=['224x168'], metavar='WxH', help='multiples of 14'
    )
    parser.add_argument(
        '--runners',
        nargs='+',
        choices=_RUNNERS,
        default=['eager', 'cached'],
        help='how a frame is computed; eager is the whole window anew, cached spares what is '
        'known of old views, and the others fuse or compile kernels too',
    )
    add_options(parser, '--device', '--precision')
    parser.add_argument('--steps', type=int, default=20, help='frames that the median is of')
    parser.add_argument(
        '--official',
        type=Path,
        metavar='DIR',
        help='folder with the unpacked official package and what it imports; without it, the '
        'package is taken from the environment, if it is there',
    )
    parser.add_argument(
        '--results', type=Path, default=RESULTS / 'speed.jsonl', help='file that rows join'
    )
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure every case, print one table, and append the rows to the results."""
    from da3_ros.engine.device import resolve_device, resolve_precision
    from da3_ros.tools.bench_measure import Bench
    from da3_ros.tools.bench_subjects import load_official
    from da3_ros.tools.bench_table import heading, line

    device = resolve_device(arguments.device)
    bench = Bench(
        device,
        resolve_precision(arguments.precision, device),
        load_official(arguments.official),
        arguments.steps,
    )
    print(f'{bench.machine}: a plain matrix product runs at {bench.tflop_per_s:.3g} TFLOP/s\n')
    print(heading())
    about = bench.about | {'commit': commit(), 'date': time.strftime('%Y-%m-%d')}
    found = []
    for case in _cases(arguments):
        rows = bench.measure(case, arguments.runners)
        for row in rows:
            print(line(row), flush=True)
        measured = [about | row.as_json() for row in rows]
        found += measured
        if arguments.results is not None:
            _append(arguments.results, measured)
    answer(arguments, found)
    return 0


def _cases(arguments: argparse.Namespace) -> Iterator['Case']:
    """Yield every combination that is a window."""
    from da3_ros.tools.bench_subjects import Case

    sizes = [_size(text) for text in arguments.sizes]
    for model, size, views, new in product(
        arguments.models, sizes, arguments.views, arguments.new
    ):
        if new < views:
            yield Case(model, views, new, min(new + arguments.refreshed, views), *size)


def _size(text: str) -> tuple[int, int]:
    """Return (width, height) of a text such as 504x280."""
    width, _, height = text.partition('x')
    sides = [int(side) for side in (width, height) if side.isdigit() and int(side) % 14 == 0]
    if len(sides) != 2 or not all(sides):
        raise ConfigError(f"'{text}' is no size in multiples of 14 pixels, such as 504x280.")
    return sides[0], sides[1]


def _append(path: Path, rows: Sequence[dict]) -> None:
    """Let rows join a file of results, if its folder is there: it is in a checkout."""
    if path.parent.is_dir():
        with path.open('a') as file:
            file.writelines(json.dumps(row) + '\n' for row in rows)


def commit() -> str:
    """Return the short name of the commit that is measured, if this is a checkout."""
    command = ['git', 'describe', '--always', '--dirty']
    folder = Path(__file__).parent
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip()
