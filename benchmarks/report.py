"""
Put the newest results of `da3 bench` into benchmarks/README.md and docs/speed.png.

    python benchmarks/report.py

Of each device, type, case and runner the last row of benchmarks/results/speed.jsonl counts. The
table says which commit a row was measured at, and how often the code that was measured has changed
since.
"""

from dataclasses import fields
import json
from pathlib import Path
import subprocess

from da3_ros.tools.bench_measure import stage_flops
from da3_ros.tools.bench_subjects import Case
import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402

HERE = Path(__file__).parent
RESULTS = HERE / 'results' / 'speed.jsonl'
PLOT = HERE.parent / 'docs' / 'speed.png'
README = HERE / 'README.md'
BEGIN, END = '<!-- table: benchmarks/report.py -->\n', '<!-- end of table -->\n'
STAGES = {
    'prefix': 'prefix',
    'enter': 'role',
    'mix': 'cross-view',
    'heads': 'heads',
    # Two stages, one after the other, in older rows.
    'decode': 'cameras',
    'dense': 'depth head',
}
MEASURED = ('da3_ros/engine', 'da3_ros/model')  # the code whose time it is
COLOURS = ('#4477aa', '#66ccee', '#228833', '#aa3377', '#ccbb44', '#ee6677')


def newest(rows: list[dict]) -> list[dict]:
    """Return the last row of each measurement, in the order of the device, case and runner."""
    keys = ('device', 'dtype', 'model', 'width', 'height', 'views', 'new', 'dense', 'runner')
    last = {tuple(row[key] for key in keys): row for row in rows}
    return [last[key] for key in sorted(last, key=str)]


def table(rows: list[dict]) -> str:
    """Return the rows in Markdown."""
    lines = [
        '| device | type | case | runner | ms | of the limit | stages ms (of their limits) '
        '| GiB | ratio | commit |',
        '|---|---|---|---|---|---|---|---|---|---|',
    ]
    official = {_where(row): row for row in rows if row['runner'] == 'official'}
    for row in rows:
        total = row['total_ms']
        of_limits = shares(row)
        stages = ', '.join(
            f'{name} {row["stages_ms"][key]:.3g}{of_limits.get(key, "")}'
            for key, name in STAGES.items()
            if key in row['stages_ms']
        )
        memory = f'{row["memory_gib"]:.2f}' if row['memory_gib'] else ''
        baseline, ratio = row['baseline'], row['ratio']
        if _where(row) in official:  # perhaps of another run
            baseline, ratio = 'official', official[_where(row)]['total_ms'] / total
        lines.append(
            f'| {row["device"]} | {row["dtype"]} | {case(row)} | {row["runner"]} | {total:.3g} '
            f'| {100 * row["limit_ms"] / total:.0f} % | {stages} | {memory} '
            f'| {ratio:.2f} to {baseline} | {age(row["commit"])} |'
        )
    return '\n'.join(lines) + '\n'


def shares(row: dict) -> dict[str, str]:
    """Return how near each stage comes to what the hardware allows, as far as that is known."""
    case = Case(*(row[f.name] for f in fields(Case)))
    limits_ms = {key: 1e3 * tflop / row['tflop_per_s'] for key, tflop in stage_flops(case).items()}
    return {
        key: f' ({100 * limits_ms[key] / ms:.0f} %)'
        for key, ms in row['stages_ms'].items()
        if key in limits_ms
    }


def _where(row: dict) -> tuple:
    keys = ('device', 'dtype', 'model', 'width', 'height', 'views', 'new')
    return tuple(row[key] for key in keys)


def age(commit: str) -> str:
    """Return a commit and how many later ones changed what was measured at it."""
    since = f'{commit.removesuffix("-dirty")}..HEAD'
    command = ['git', 'rev-list', '--count', since, '--', *MEASURED]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=True)
    changes = int(done.stdout)
    return f'{commit}, {changes} changes ago' if changes else commit


def case(row: dict) -> str:
    """Return what was run, in words."""
    size = f'{row["width"]}x{row["height"]}'
    computes_all = row['runner'] in ('official', 'eager')
    depth = 'all with depth' if computes_all else f'{row["dense"]} with depth'
    return f'{row["model"]}, {row["views"]} views, {row["new"]} new, {depth}, {size}'


def plot(rows: list[dict]) -> None:
    """Draw the measurements of each device under each other, on axes of their own."""
    devices = list(dict.fromkeys(row['device'] for row in rows))
    groups = [[row for row in rows if row['device'] == device] for device in devices]
    figure, all_axes = plt.subplots(
        len(groups),
        squeeze=False,
        figsize=(9, 1 + 0.45 * len(rows)),
        height_ratios=[len(group) for group in groups],
    )
    for axes, device, group in zip(all_axes[:, 0], devices, groups, strict=True):
        _plot_device(axes, group)
        axes.set_title(device, fontsize=9, loc='left')
    axes.set_xlabel('ms for a new frame; black line: what the hardware allows')
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in (*COLOURS, '#dddddd')]
    axes.legend(handles, (*STAGES.values(), 'total'), fontsize=8)
    figure.tight_layout()
    figure.savefig(PLOT, dpi=100)


def _plot_device(axes: plt.Axes, rows: list[dict]) -> None:
    """Draw each measurement as a bar of its stages, with the limit as a line on it."""
    for y, row in enumerate(rows):
        left = 0.0
        axes.barh(y, row['total_ms'], color='#dddddd')
        for key, colour in zip(STAGES, COLOURS, strict=True):
            width = row['stages_ms'].get(key, 0.0)
            axes.barh(y, width, left=left, color=colour)
            left += width
        axes.plot([row['limit_ms']] * 2, [y - 0.4, y + 0.4], color='black')
    labels = [f'{case(row)}, {row["dtype"]}: {row["runner"]}' for row in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=7)
    axes.invert_yaxis()


def main() -> None:
    """Write both."""
    rows = newest([json.loads(line) for line in RESULTS.read_text().splitlines()])
    plot(rows)
    text = README.read_text()
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    README.write_text(head + BEGIN + '\n' + table(rows) + '\n' + END + tail)


if __name__ == '__main__':
    main()
