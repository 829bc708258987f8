"""
``da3 evaluate``: how good a network's depth and cameras are where the truth is known.

Beside the network stand two ways to depth that look at no picture, under the same alignment: one
depth everywhere ('constant'), and a floor 1.5 m below a level camera with a wall at 6 m ('floor').

With ``--benchmark``, the data is a benchmark's in its own layout, and its protocol holds:
``da3_ros.tools.evaluate_benchmark``. With ``--stream``, each source is one stream, and it is the
trajectory and the map that count: ``da3_ros.tools.evaluate_streams``.
"""

import argparse
from pathlib import Path

from da3_ros.config import EngineConfig
from da3_ros.errors import InputError
from da3_ros.tools.answer import add_json_option, answer, kept
from da3_ros.tools.benchmark_options import add_benchmark_options, BENCHMARKS
from da3_ros.tools.options import add_engine_options, changed, configured

VIEWS = [1, 2, 4, 8]
COLUMNS = {
    'method': 'depth by',
    'views': 'N',
    'known': 'poses',
    'abs_rel': 'AbsRel',
    'delta1': 'delta1',
    'rotation_deg': 'rot',
    'direction_deg': 'transl',
    'auc3': 'AUC3',
    'auc5': 'AUC5',
    'auc15': 'AUC15',
    'auc30': 'AUC30',
    'auc30_wide': 'AUC30w',
    'fov_deg': 'FOV',
    'reprojection': 'reproj',
}

# The parameters that count where there is no engine around the network.
_WINDOW_PARAMETERS = {'model', 'device', 'resolution'}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        '--synthetic', action='store_true', help='held-out procedural scenes, rendered here'
    )
    where.add_argument(
        '--sequence',
        type=Path,
        action='append',
        metavar='DIR',
        help='a folder with images/, depth/, poses.txt and intrinsics.json; repeat for more',
    )
    where.add_argument(
        '--corridor', action='store_true', help='walks along a made-up corridor; for --simulate'
    )
    where.add_argument(
        '--path',
        type=Path,
        action='append',
        metavar='FILE',
        help='a trajectory in a made-up room, in TUM format or EuRoC states (.csv: of the body); '
        'for --simulate; repeat for more',
    )
    where.add_argument(
        '--benchmark',
        choices=BENCHMARKS,
        help='the visual geometry benchmark on such data; docs/benchmark.md says what it is',
    )
    add_engine_options(parser)
    _add_stream_options(parser)
    add_benchmark_options(parser)
    parser.add_argument(
        '--views',
        type=int,
        nargs='+',
        help='views in a window: 1 2 4 8, or at most 100 of a scene of a benchmark',
    )
    parser.add_argument(
        '--known-poses', action='store_true', help='also tell the network the true cameras'
    )
    parser.add_argument(
        '--windows', type=int, default=50, help='rendered scenes; windows of one on disk'
    )
    parser.add_argument(
        '--pose-from', choices=('camera', 'rays'), default='camera', help='where poses come from'
    )
    parser.add_argument('--output', type=Path, metavar='FILE', help='write the numbers as JSON')
    add_json_option(parser)


def _add_stream_options(parser: argparse.ArgumentParser) -> None:
    """Add what only streams take."""
    group = parser.add_argument_group('streams')
    group.add_argument(
        '--stream',
        action='store_true',
        help='play each source as one stream, and compare trajectory and map',
    )
    group.add_argument(
        '--simulate',
        choices=('exact', 'realistic'),
        help='in place of the model: a simulated network that knows the truth, with such noise',
    )
    group.add_argument(
        '--chunks',
        nargs='*',
        default=['30/15', '120/60', '2/1'],
        metavar='CHUNK/OVERLAP',
        help='beside the engine: stitched chunks; 2/1 chains frame to frame',
    )
    group.add_argument('--streams', type=int, default=2, help='rendered laps, or corridors')
    group.add_argument('--frames', type=int, default=500, help='frames of what is not on disk')
    group.add_argument('--laps', type=float, default=1.0, help='times around the corridor')
    group.add_argument(
        '--block',
        type=float,
        nargs=2,
        metavar=('X', 'Y'),
        help='what the corridor leads around [m], if not 9 by 6',
    )
    group.add_argument('--seed', type=int, default=0, help='seed of the simulated network')
    group.add_argument(
        '--seeds', type=int, default=1, help='simulated networks; the table has their mean'
    )
    group.add_argument(
        '--odometry',
        type=float,
        metavar='DRIFT',
        help="give the engine odometry, wrong by such a share of each step's length; for "
        '--set pose_prior=odometry and for metres',
    )
    group.add_argument('--plots', type=Path, metavar='DIR', help='draw each stream, as DIR/*.png')


def run(arguments: argparse.Namespace) -> int:
    """
    Measure, print a table, write JSON; returns the exit code.

    Raises:
        InputError: if options do not go together.

    """
    if arguments.benchmark:
        from da3_ros.tools.evaluate_benchmark import run_benchmark

        return run_benchmark(arguments)
    if arguments.stream:
        from da3_ros.tools.evaluate_streams import run_streams

        return run_streams(arguments)
    if arguments.simulate or arguments.corridor or arguments.path:
        raise InputError('--simulate, --corridor and --path go with --stream.')
    config = configured(EngineConfig(), arguments)
    unused = changed(config).keys() - _WINDOW_PARAMETERS
    if unused:
        raise InputError(
            f'{", ".join(sorted(unused))}: only with --stream; else the network is by itself.'
        )
    return _run_windows(arguments, config)


def _run_windows(arguments: argparse.Namespace, config: EngineConfig) -> int:
    """Measure windows, print a table, write JSON; returns the exit code."""
    with kept(arguments, _print_table) as results:
        _measure(arguments, config, results)
    answer(arguments, results)
    return 0


def _measure(arguments: argparse.Namespace, config: EngineConfig, results: list[dict]) -> None:
    """Fill ``results`` row by row."""
    from da3_ros.engine.device import resolve_device
    from da3_ros.evaluation.baselines import BASELINES
    from da3_ros.model import load_any_view
    from da3_ros.training.assessment import (
        assess,
        assess_baseline,
        sequence_windows,
        synthetic_windows,
    )

    device = resolve_device(config.device)
    net = load_any_view(config.model, device)
    longer = config.resolution or net.config.resolution
    numbers = arguments.views or VIEWS
    if arguments.synthetic:
        most = max(numbers)
        sources = {'synthetic': synthetic_windows(arguments.windows, most, device)}
    else:
        sources = {}
    known_too = (False, True) if arguments.known_poses else (False,)
    for views in numbers:
        if arguments.sequence:
            sources = {
                path.name: sequence_windows(path, views, longer, device)
                for path in arguments.sequence
            }
        for source, windows in sources.items():
            here = {'source': source, 'views': views}
            for known in known_too:
                scores = assess(net, windows, views, known, arguments.pose_from)
                results.append({**here, 'method': 'network', 'known': known, **scores})
            for baseline in BASELINES:
                scores = assess_baseline(baseline, windows, views)
                results.append({**here, 'method': baseline, **scores})


def _print_table(results: list[dict]) -> None:
    """Print one row for each source, number of views, choice of poses and way to depth."""
    width = max(len(str(result['source'])) for result in results)
    print(' ' * width, *(f'{title:>8}' for title in COLUMNS.values()))
    for result in results:
        print(f'{result["source"]:{width}}', *(f'{_text(result, c):>8}' for c in COLUMNS))


def _text(result: dict, column: str) -> str:
    """Return a cell; angles with two decimals, shares with three."""
    value = result.get(column)
    if value is None:
        return '-'
    if column == 'known':
        return 'known' if value else 'free'
    if column in ('method', 'views'):
        return str(value)
    return f'{value:.2f}' if column.endswith('_deg') else f'{value:.3f}'
