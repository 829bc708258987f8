"""
Check and time the GPU path in one sitting of about five minutes.

    python benchmarks/gpu_session.py [--official DIR] [--minutes M] [--only NAME ...]

Runs the tests of test/gpu and then `da3 bench` on the cases of benchmarks/README.md, each part in
a process of its own that may fail or run out of time without the others, and prints one short
table last. Needs PyTorch with CUDA; nothing is installed. The official network is measured beside
ours if its unpacked wheel, with addict, einops, omegaconf and PyYAML, is in DIR or installed.
"""

import argparse
import json
import os
from pathlib import Path
import subprocess
import sys
import time

ROOT = Path(__file__).parents[1]
BENCH = ('-m', 'da3_ros.tools.main', 'bench', '--device', 'cuda', '--sizes', '504x280')
CACHED, COMPILED = ('--runners', 'cached', 'fused'), ('--runners', 'compiled')
# Name: (most seconds, arguments of Python, whether the official network is measured too).
PARTS: dict[str, tuple[float, tuple[str, ...], bool]] = {
    'tests': (
        120,
        (
            *('-m', 'pytest', '-q', '-s', '-rfE', '--tb=short', '-m', 'gpu'),
            *('test/gpu', 'test/unit/engine/test_device_preprocess.py'),
            *('test/unit/model/test_fused.py', 'test/unit/model/test_fused_head.py'),
        ),
        True,
    ),
    'large': (60, (*BENCH, '--models', 'large', '--views', '8', *CACHED), True),
    'kernels': (40, ('-m', 'benchmarks.kernels', '--model', 'large'), False),
    'large compiled': (90, (*BENCH, '--models', 'large', '--views', '8', *COMPILED), False),
    'mapping': (60, ('-m', 'benchmarks.mapping', '--device', 'cuda'), False),
    'base': (40, (*BENCH, '--models', 'base', 'small', '--views', '8', *CACHED), True),
    'base compiled': (
        90,
        (*BENCH, '--models', 'base', 'small', '--views', '8', *COMPILED),
        False,
    ),
    'giant': (90, (*BENCH, '--models', 'giant', '--views', '8', *CACHED), True),
    'window 16': (
        60,
        (*BENCH, '--models', 'large', '--views', '16', '--new', '1', '4', *CACHED),
        True,
    ),
    'as the node': (
        60,
        (*BENCH, '--models', 'large', '--views', '8', '--refreshed', '2', *CACHED),
        False,
    ),
    'giant compiled': (120, (*BENCH, '--models', 'giant', '--views', '8', *COMPILED), False),
}
# (model, views, new): most milliseconds for a new frame, and least ratio to the official network.
TARGETS = {
    ('large', 8, 1): (8, 7.5),
    ('base', 8, 1): (4, 12),
    ('small', 8, 1): (2.2, 15),
    ('giant', 8, 1): (28, 4.5),
    ('large', 16, 1): (24, None),
    ('large', 16, 4): (28, None),
}


def main() -> int:
    """Run all parts; returns the number of those that did not end well."""
    parser = argparse.ArgumentParser(description='Check and time the GPU path.')
    parser.add_argument('--official', type=Path, metavar='DIR')
    parser.add_argument('--minutes', type=float, default=6.0, help='no part starts later')
    parser.add_argument('--only', nargs='+', choices=PARTS, default=list(PARTS))
    parser.add_argument(
        '--results', type=Path, default=ROOT / 'benchmarks' / 'results' / 'speed.jsonl'
    )
    arguments = parser.parse_args()
    rows_before = len(_rows(arguments.results))
    end = time.monotonic() + 60 * arguments.minutes
    failed = []
    for name in arguments.only:
        if time.monotonic() > end or not _passes(name, arguments, end):
            failed.append(name)
    print(_table(_rows(arguments.results)[rows_before:]))
    print('not done or failed: ' + (', '.join(failed) or 'none'))
    return len(failed)


def _passes(name: str, arguments: argparse.Namespace, end: float) -> bool:
    """Run a part; tell whether it ended well and in time."""
    seconds, command, with_official = PARTS[name]
    path = [str(ROOT), os.environ.get('PYTHONPATH', '')]
    if arguments.official is not None and with_official:
        path.insert(1, str(arguments.official.resolve()))
    if 'bench' in command:
        command = (*command, '--results', str(arguments.results))
    environment = os.environ | {
        'PYTHONPATH': os.pathsep.join(filter(None, path)),
        'DA3_LOG_LEVEL': 'ERROR',
    }
    print(f'== {name}', flush=True)
    start = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env=environment,
            timeout=min(seconds, end + 30 - start),
            check=False,
        )
    except subprocess.TimeoutExpired:
        print(f'== {name}: out of time', flush=True)
        return False
    print(f'== {name}: {time.monotonic() - start:.0f} s', flush=True)
    return done.returncode == 0


def _rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _table(rows: list[dict]) -> str:
    """Return the new rows beside the official network's time and the targets."""
    official = {_case(r): r['total_ms'] for r in rows if r['runner'] == 'official'}
    lines = [
        f'{"case":24}{"runner":>10}{"ms":>8}{"target":>8}{"official":>10}{"ratio":>7}{"target":>8}'
        f'{"share":>7}{"GiB":>6}   prefix/role/mix/heads ms'
    ]
    for row in rows:
        if row['runner'] == 'official':
            continue
        case = _case(row)
        most_ms, least_ratio = TARGETS.get(case, (None, None))
        theirs, ours = official.get(case), row['total_ms']
        ratio = theirs / ours if theirs else None
        stages = '/'.join(f'{ms:.2f}' for ms in row['stages_ms'].values())
        name = f'{case[0]} {case[1]} views {case[2]} new {row["dense"]}d'
        lines.append(
            f'{name:24}{row["runner"]:>10}{ours:8.2f}{_cell(most_ms):>8}{_cell(theirs):>10}'
            f'{_cell(ratio):>7}{_cell(least_ratio):>8}{100 * row["limit_ms"] / ours:6.0f}%'
            f'{row["memory_gib"]:6.2f}   {stages}'
        )
    return '\n'.join(lines)


def _case(row: dict) -> tuple[str, int, int]:
    return row['model'], row['views'], row['new']


def _cell(value: float | None) -> str:
    return '' if value is None else f'{value:.3g}'


if __name__ == '__main__':
    sys.exit(main())
