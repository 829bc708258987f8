"""
What each choice of the training recipe is worth: short runs that differ in one thing each.

    python -m benchmarks.ablation pilot teacher --minutes 4
        --output benchmarks/results/ablation.jsonl

Every arm is a ``da3 train`` of its own, for the same time on one GPU, with as many at a time as
there are GPUs; all are scored on the same held-out windows. An arm whose row is in the output
already is not run again, and one that was cut goes on from its folder. Run it from the root of the
repository.
"""

import argparse
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
import json
import os
from pathlib import Path
import shlex
import subprocess
import sys
from threading import Event, Lock

from da3_ros.training.checkpoint import saved_progress
import torch

NO_MATCH = ('match_weight=0', 'final_match_weight=0')
# Learning on from the shipped weights, gently: they are good already.
GOES_ON = (
    *('init=embedded', 'curriculum=0', 'lr=3e-4', 'warmup_steps=100'),
    *('match_weight=0.1', 'final_match_weight=0.1'),
)
TEACHER = 'teacher'


@dataclass(frozen=True)
class Arm:
    """One run: what it sets, and whether it learns from the run called 'teacher'."""

    name: str
    assignments: tuple[str, ...] = ()
    is_taught: bool = False


LISTS = {
    # Each choice of the pilot switched off alone, and Muon, then all of them, from scratch; what
    # two runs of the same choices differ by is the measure of all other differences.
    'pilot': (
        Arm('all'),
        Arm('all, other seed', ('seed=1',)),
        Arm('no-match', NO_MATCH),
        Arm('plain-start', ('prepared_start=false',)),
        Arm('loud-cameras', ('camera_gain=1',)),
        Arm('absolute-depth', ('depth_loss=absolute',)),
        Arm('global-clipping', ('clipping=global',)),
        Arm('no-curriculum', ('curriculum=0',)),
        Arm('adamw', ('matrices=adamw',)),
        Arm(
            'none',
            (
                *(*NO_MATCH, 'prepared_start=false', 'camera_gain=1'),
                *('depth_loss=absolute', 'clipping=global', 'curriculum=0', 'matrices=adamw'),
            ),
        ),
    ),
    # The same students on exact depth (from scratch: 'all'), on bad depth, and on what a teacher
    # makes of the same bad depth. The teacher learned from exact depth, for as long as the shipped
    # weights and these minutes.
    'teacher': (
        Arm(TEACHER, ('monocular=true', *GOES_ON)),
        Arm('corrupted', ('corrupted_share=1',)),
        Arm('clean, goes on', GOES_ON),
        Arm('corrupted, goes on', ('corrupted_share=1', *GOES_ON)),
        Arm('taught', ('corrupted_share=1',), is_taught=True),
        Arm('taught, goes on', ('corrupted_share=1', *GOES_ON), is_taught=True),
    ),
}
COLUMNS = (  # title, number of views, measure
    ('AbsRel 1', 1, 'abs_rel'),
    ('delta1 1', 1, 'delta1'),
    ('AbsRel 4', 4, 'abs_rel'),
    ('delta1 4', 4, 'delta1'),
    ('rot 4', 4, 'rotation_deg'),
    ('transl 4', 4, 'direction_deg'),
    ('AUC30w 4', 4, 'auc30_wide'),
    ('FOV 4', 4, 'fov_deg'),
)


class Ablation:
    """The chosen arms, run by as many threads as there are devices."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments, self._folder = arguments, arguments.folder
        arms = [arm for name in arguments.lists for arm in LISTS[name]]
        self._arms = [arm for arm in arms if not arguments.only or arm.name in arguments.only]
        self._ended = {arm.name: Event() for arm in self._arms}
        self._lock = Lock()

    def run(self) -> list[dict]:
        """Run what has no row yet; returns the rows of all arms that ended well."""
        gpus = range(torch.cuda.device_count())
        waiting = deque(self._arms)
        with ThreadPoolExecutor(max(1, len(gpus))) as threads:
            for work in [threads.submit(self._work, waiting, gpu) for gpu in gpus or [None]]:
                work.result()
        rows = [self._row_in_output(arm) for arm in self._arms]
        return [row for row in rows if row is not None]

    def command(self, arm: Arm) -> list[str]:
        """Return the arguments of ``da3``."""
        arguments, state = self._arguments, self._state(arm)
        assignments = (*arm.assignments, *arguments.assignments)
        if arm.is_taught:
            assignments += (f'teacher={self._weights(TEACHER)}',)
        return [
            *('train', '--no-compile', '--minutes', f'{arguments.minutes:g}'),
            *('--state-dir', str(state), '--export', str(self._weights(arm.name))),
            *(word for text in assignments for word in ('--set', text)),
        ]

    def _state(self, arm: Arm) -> Path:
        return self._folder / _as_path(arm.name)

    def _weights(self, name: str) -> Path:
        return self._folder / f'{_as_path(name)}.safetensors'

    def _work(self, waiting: deque[Arm], gpu: int | None) -> None:
        """Run arms on one device until none is waiting."""
        while waiting:
            try:
                arm = waiting.popleft()
            except IndexError:  # another thread was faster
                return
            # The teacher is the first of its list, so somebody is at it.
            if arm.is_taught and TEACHER in self._ended:
                self._ended[TEACHER].wait()
            try:
                if self._row_in_output(arm) is None:
                    self._run_one(arm, gpu)
            finally:
                self._ended[arm.name].set()

    def _run_one(self, arm: Arm, gpu: int | None) -> None:
        """Train an arm in a process of its own; what it says goes to a file in the folder."""
        words = self.command(arm)
        self._folder.mkdir(parents=True, exist_ok=True)
        environment = dict(os.environ)
        if gpu is not None:
            environment['CUDA_VISIBLE_DEVICES'] = str(gpu)
        said = self._folder / f'{_as_path(arm.name)}.txt'
        print(f'{arm.name}: da3 {shlex.join(words)}', flush=True)
        with said.open('a') as file:
            code = subprocess.run(
                [sys.executable, '-m', 'da3_ros.tools.main', *words],
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            ).returncode
        if code:
            print(f"{arm.name} ended with {code}; what it said is in '{said}'.", flush=True)
            return
        row = self._row(arm, gpu)
        with self._lock, self._arguments.output.open('a') as file:
            file.write(json.dumps(row) + '\n')

    def _row(self, arm: Arm, gpu: int | None) -> dict:
        progress = saved_progress(self._state(arm))
        device = 'CPU' if gpu is None else f'1 x {torch.cuda.get_device_name(gpu)}'
        return {
            'what': 'ablation',
            'arm': arm.name,
            'device': device,
            'torch': torch.__version__.partition('+')[0],
            'commit': self._arguments.commit,
            'command': shlex.join(('da3', *self.command(arm))),
            'steps': progress.step,
            'views': progress.views,
            'views_per_s': round(progress.views / max(progress.elapsed_s, 1e-9)),
            'held_out': last_scores(self._state(arm) / 'log.jsonl'),
        }

    def _row_in_output(self, arm: Arm) -> dict | None:
        """Return the row of the same command, if the output has it."""
        output = self._arguments.output
        with self._lock:
            lines = output.read_text().splitlines() if output.exists() else []
        command = shlex.join(('da3', *self.command(arm)))
        rows = [row for row in map(json.loads, lines) if row.get('command') == command]
        return rows[-1] if rows else None


def _as_path(name: str) -> str:
    return name.replace(', ', '-').replace(' ', '-')


def last_scores(log: Path) -> dict[str, dict[str, float]]:
    """Return the last held-out numbers that a run wrote, by kind: 'N=4', 'N=4 known'."""
    scores = {}
    for entry in map(json.loads, log.read_text().splitlines()):
        kind = entry.pop('kind')
        if kind.startswith('held-out '):
            entry.pop('progress')
            scores[kind.removeprefix('held-out ')] = entry
    return scores


def table(rows: Sequence[dict]) -> str:
    """Return one line for each row; a dash where nothing was measured."""
    width = max([len(row['arm']) for row in rows], default=0)
    lines = [' '.join((' ' * width, *(f'{t:>8}' for t in ('steps', 'views/s')),
                       *(f'{title:>8}' for title, _, _ in COLUMNS)))]  # fmt: skip
    for row in rows:
        cells = [f'{row["steps"]:8}', f'{row["views_per_s"]:8}']
        for _, views, name in COLUMNS:
            value = row['held_out'].get(f'N={views}', {}).get(name)
            cells.append(f'{value:8.3f}' if value is not None else f'{"-":>8}')
        lines.append(' '.join((f'{row["arm"]:{width}}', *cells)))
    return '\n'.join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a list of arms and print their table; returns 1 if an arm failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('lists', nargs='+', choices=LISTS, metavar='LIST',
                        help=' or '.join(LISTS))  # fmt: skip
    parser.add_argument('--minutes', type=float, required=True, help='of training, for each arm')
    parser.add_argument('--output', type=Path, required=True, help='JSON lines, appended to')
    parser.add_argument('--folder', type=Path, default=Path('ablation_runs'), help='of the runs')
    parser.add_argument('--only', nargs='+', default=[], metavar='ARM', help='these arms only')
    parser.add_argument('--commit', default='', help='what to note as the version of the code')
    parser.add_argument('--set', action='append', default=[], metavar='NAME=VALUE',
                        dest='assignments', help='of the configuration of all arms')  # fmt: skip
    arguments = parser.parse_args(argv)
    known = [arm.name for name in arguments.lists for arm in LISTS[name]]
    unknown = sorted(set(arguments.only) - set(known))
    if unknown:
        parser.error(f'there is no arm {", ".join(unknown)}; expected {", ".join(known)}')
    rows = Ablation(arguments).run()
    print(table(rows))
    return 0 if len(rows) == len(arguments.only or known) else 1


if __name__ == '__main__':
    sys.exit(main())
