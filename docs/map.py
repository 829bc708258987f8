"""
Measure the map on simulated networks: the tables and the picture of docs/map.md.

    python docs/map.py                     all of it: some 15 minutes of one core
    python docs/map.py --only loops        one table: loops, darkness or sensitivity
    python docs/map.py --seeds 5 --jobs 4  over more networks, as many runs at a time

Each run is a walk along a made-up corridor on a network that knows the truth and errs like a large
one does indoors: depth off by 3 %, cameras by 0.5 % of the depth and 0.2 degrees, a gauge of its
own for every window.
"""

import argparse
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
import multiprocessing
from pathlib import Path
from typing import Any

from da3_ros.config import EngineConfig
from da3_ros.evaluation.courses import BLOCK_M, corridor, SIZE
from da3_ros.evaluation.estimate import engine_estimates, Estimate
from da3_ros.evaluation.footage import Footage
from da3_ros.evaluation.simulator import NetworkSimulator, Noise, REALISTIC
from da3_ros.evaluation.stream_scores import score, StreamScores
from da3_ros.evaluation.trajectory import align
from da3_ros.geometry.transforms import rotation_angle_deg
from da3_ros.parameter_tree import leaves, replaced
import matplotlib
import numpy as np
import torch
from tqdm import tqdm

matplotlib.use('Agg')

PAGE, PICTURE = Path(__file__).with_name('map.md'), Path(__file__).with_name('map.png')
TABLES = ('loops', 'darkness', 'sensitivity')
DEFAULTS = {name: value for name, _, value in leaves(EngineConfig())}
# What is varied, one at a time; a number of the noise multiplies all errors.
VARIED: dict[str, Sequence[Any]] = {
    'window.size': (3, 4, 6, 8, 12, 16),
    'window.refreshed': (1, 2, 4),
    'keyframe.max_overlap': (0.6, 0.75, 0.9),
    'keyframe.min_parallax_deg': (4.0, 8.0, 16.0),
    'keyframe.min_reference_overlap': (0.6, 0.8, 0.9),
    'noise': (0.5, 1.0, 2.0, 3.0),
}
SCALED = ('depth_bias', 'view_scale', 'outliers', 'translation', 'rotation_deg', 'focal')
# Darkness of three seconds begins at these frames of a walk at walking pace. A pose is right again
# when it is so near to where the map of before has it, and stays so.
DARK_FROM, DARK_FRAMES = (60, 90, 120), 30
RIGHT_M, RIGHT_DEG, JUDGED_FRAMES = 0.15, 3.0, 40
ALIGNED_BY = 60


@dataclass(frozen=True)
class Course:
    """A corridor: its frames, laps, and what it leads around [m]."""

    frames: int
    laps: float
    block_m: tuple[float, float] = BLOCK_M

    def footage(self) -> Footage:
        """Return the walk."""
        return corridor(self.frames, self.laps, block_m=self.block_m)


LAP = Course(300, 1.15)
STRETCH = Course(210, 0.35)
LOOPS = {
    '70 m, 700 frames': Course(700, 1.15, (18.0, 12.0)),
    '130 m, 1300 frames': Course(1300, 1.15, (36.0, 24.0)),
}


@dataclass(frozen=True)
class Case:
    """One run; ``parameters`` are those that differ from the defaults."""

    course: Course
    seed: int
    parameters: tuple[tuple[str, Any], ...] = ()
    noise: float = 1.0
    dark_from: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a run, without the depth."""

    live: StreamScores
    settled: StreamScores
    live_poses: Estimate
    settled_poses: Estimate

    @property
    def own_ms(self) -> float:
        """The median over frames, which a busy machine disturbs least."""
        return float(np.median(self.live_poses.own_ms))


def outcome(case: Case) -> Outcome:
    """Play one case."""
    torch.set_num_threads(1)
    footage = case.course.footage()
    blackouts = []
    if case.dark_from is not None:
        dark = footage.stamps_ns[case.dark_from : case.dark_from + DARK_FRAMES]
        blackouts.append((int(dark[0]), int(dark[-1])))
    config = replaced(
        EngineConfig(), {'device': 'cpu', 'resolution': SIZE[0], **dict(case.parameters)}
    )
    network = NetworkSimulator(footage.truth, noise(case.noise), case.seed, blackouts)
    live, settled = engine_estimates(footage, network, config)
    bare = partial(replace, depth=np.empty(0))
    return Outcome(score(live, footage), score(settled, footage), bare(live), bare(settled))


def noise(factor: float) -> Noise:
    """Return realistic noise with all errors multiplied."""
    return replace(REALISTIC, **{name: factor * getattr(REALISTIC, name) for name in SCALED})


def aligned_errors(estimate: Estimate, footage: Footage, by: int) -> tuple[np.ndarray, ...]:
    """Return positions (N, 3), errors (N,) [m] and (N,) [deg] after alignment by the first."""
    true = footage.world_from_camera()[estimate.indices]
    first = estimate.indices < by
    # The first stretch is nearly straight: the orientations say how it is turned.
    true_from_map = align(estimate.map_from_camera[first], true[first], with_rotations=True)
    placed = true_from_map.apply_to_pose(estimate.map_from_camera)
    off = np.linalg.norm(placed[:, :3, 3] - true[:, :3, 3], axis=1)
    turned = rotation_angle_deg(np.swapaxes(true[:, :3, :3], 1, 2) @ placed[:, :3, :3])
    return placed[:, :3, 3], off, turned


def frames_to_recover(case: Case, played: Outcome) -> float:
    """Return after how many frames a pose is published that is right, as all later are, or inf."""
    footage, dark = case.course.footage(), case.dark_from
    _, off, turned = aligned_errors(played.live_poses, footage, dark)
    at = played.live_poses.indices - float(dark + DARK_FRAMES)
    judged = (at >= 0) & (at < JUDGED_FRAMES)
    at, is_right = at[judged], ((off < RIGHT_M) & (turned < RIGHT_DEG))[judged]
    last_wrong = at[~is_right].max(initial=-1)
    return float(at[is_right & (at > last_wrong)].min(initial=np.inf))


def loops_table(played: dict[Case, Outcome], cases: Iterable[Case]) -> list[str]:
    """Return rows on courses with loops left open and closed."""
    rows = [
        '| corridor | loops | end of the lap, live [m] | settled | ATE live [m] | settled '
        '| scale drift [%] | loops closed |',
        '|---|---|---|---|---|---|---|---|',
    ]
    for title, course in LOOPS.items():
        for is_closed in (False, True):
            runs = [
                played[c]
                for c in cases
                if c.course == course and (c.parameters == ()) == is_closed
            ]
            ends = [means(runs, which, 'end_m') for which in ('live', 'settled')]
            ates = [means(runs, which, 'ate_sim3_m') for which in ('live', 'settled')]
            drift = means(runs, 'live', 'scale_drift_percent')
            count = means(runs, 'live', 'loops_closed')
            cells = [*(f'{x:.3f}' for x in (*ends, *ates)), f'{drift:.1f}', f'{count:.1f}']
            rows.append(f'| {title} | {"closed" if is_closed else "open"} | {" | ".join(cells)} |')
    return rows


def darkness_table(played: dict[Case, Outcome], cases: Iterable[Case]) -> list[str]:
    """Return rows on how soon the pose is right again after darkness."""
    rows = [
        '| dark from frame | frames until the pose is right, by seed | most |',
        '|---|---|---|',
    ]
    for first in DARK_FROM:
        counts = [frames_to_recover(c, played[c]) for c in cases if c.dark_from == first]
        listed = ', '.join(f'{n:g}' for n in counts)
        rows.append(f'| {first} | {listed} | {max(counts):g} |')
    return rows


def sensitivity_table(played: dict[Case, Outcome], cases: Iterable[Case]) -> list[str]:
    """Return a row for each value of each parameter, with the mean over seeds."""
    rows = [
        '| varied | value | ATE live [m] | settled | keyframes | scale drift [%] '
        '| end of the lap [m] | loops closed | lost | own ms |',
        '|---|---|---|---|---|---|---|---|---|---|',
    ]
    for name, values in VARIED.items():
        for value in values:
            wanted = [varied(name, value, c.seed) for c in cases]
            runs = [played[c] for c in dict.fromkeys(wanted)]
            cells = [
                f'{means(runs, "live", "ate_sim3_m"):.3f}',
                f'{means(runs, "settled", "ate_sim3_m"):.3f}',
                f'{means(runs, "settled", "ate_keyframes_m"):.3f}',
                f'{means(runs, "live", "scale_drift_percent"):.1f}',
                f'{means(runs, "live", "end_m"):.3f}',
                f'{means(runs, "live", "loops_closed"):.1f}',
                f'{means(runs, "live", "lost"):.1f}',
                f'{min(run.own_ms for run in runs):.0f}',
            ]
            is_default = DEFAULTS.get(name, 1.0) == value
            shown = f'**{value:g}**' if is_default else f'{value:g}'
            title = 'all errors, times' if name == 'noise' else f'`{name}`'
            rows.append(f'| {title} | {shown} | {" | ".join(cells)} |')
    return rows


def means(runs: Sequence[Outcome], which: str, name: str) -> float:
    """Return the mean of a score over runs."""
    return float(np.mean([getattr(getattr(run, which), name) for run in runs]))


def varied(name: str, value: Any, seed: int) -> Case:
    """Return the case with one thing changed; with a default it is the same for all."""
    if name == 'noise':
        return Case(LAP, seed, noise=value)
    return Case(LAP, seed, () if DEFAULTS[name] == value else ((name, value),))


def cases_of(table: str, seeds: int) -> list[Case]:
    """Return what has to be played for a table."""
    if table == 'loops':
        choices = ((), (('keyframe.revisits', False),))
        return [
            Case(course, seed, choice)
            for course in LOOPS.values()
            for choice in choices
            for seed in range(seeds)
        ]
    if table == 'darkness':
        return [
            Case(STRETCH, seed, dark_from=first) for first in DARK_FROM for seed in range(seeds)
        ]
    return [
        varied(name, value, seed)
        for seed in range(seeds)
        for name, values in VARIED.items()
        for value in values
    ]


def draw(played: dict[Case, Outcome]) -> None:
    """Draw the longest course from above, and the error against time, aligned by its start."""
    from matplotlib import pyplot

    course = list(LOOPS.values())[-1]
    footage, closed = course.footage(), played[Case(course, 0)]
    lines = {
        'loops open': played[Case(course, 0, (('keyframe.revisits', False),))].live_poses,
        'loops closed, live': closed.live_poses,
        'loops closed, settled': closed.settled_poses,
    }
    figure, (above, error) = pyplot.subplots(1, 2, figsize=(9.0, 3.4), layout='constrained')
    true = footage.world_from_camera()[:, :3, 3]
    above.plot(true[:, 0], true[:, 1], color='0.75', linewidth=4.0, label='truth')
    for i, (label, estimate) in enumerate(lines.items()):
        centres, off, _ = aligned_errors(estimate, footage, ALIGNED_BY)
        above.plot(centres[:, 0], centres[:, 1], color=f'C{i}', linewidth=1.0, label=label)
        error.plot(estimate.indices, off, color=f'C{i}', linewidth=1.0, label=label)
    above.set(aspect='equal', xlabel='m', ylabel='m')
    above.legend(fontsize=8, loc='center')
    error.axvline(course.frames / course.laps, color='0.6', linestyle=':', linewidth=1.0)
    error.set(xlabel='frame (dotted: the lap is done)', ylabel='position error [m]')
    figure.savefig(PICTURE, dpi=100, metadata={'Software': None})


def with_table(page: str, name: str, rows: Sequence[str]) -> str:
    """Return the page with what is between the markers of a table replaced."""
    begin, end = f'<!-- {name}: python docs/map.py -->\n', f'<!-- end of {name} -->\n'
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return before + begin + '\n' + '\n'.join(rows) + '\n\n' + end + after


def main() -> None:
    """Play, write the tables into the page, and draw."""
    parser = argparse.ArgumentParser(description='Measure the map on simulated networks.')
    parser.add_argument('--seeds', type=int, default=3, help='networks a case')
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time')
    parser.add_argument('--only', nargs='+', choices=TABLES, default=TABLES, help='these tables')
    arguments = parser.parse_args()
    cases = {table: cases_of(table, arguments.seeds) for table in arguments.only}
    todo = list(dict.fromkeys(case for listed in cases.values() for case in listed))
    with ProcessPoolExecutor(arguments.jobs, multiprocessing.get_context('spawn')) as pool:
        outcomes = tqdm(pool.map(outcome, todo), 'runs', len(todo), disable=None)
        played = dict(zip(todo, outcomes, strict=True))
    writers = {
        'loops': loops_table,
        'darkness': darkness_table,
        'sensitivity': sensitivity_table,
    }
    page = PAGE.read_text()
    for table, listed in cases.items():
        rows = writers[table](played, listed)
        print('\n'.join(rows), '\n')
        page = with_table(page, table, rows)
    PAGE.write_text(page)
    if 'loops' in cases:
        draw(played)


if __name__ == '__main__':
    main()
