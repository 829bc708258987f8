"""The README says what the code says."""

import json
from pathlib import Path
import re
import subprocess
import sys

from da3_ros.config import NodeConfig
from da3_ros.parameter_tree import leaves

ROOT = Path(__file__).parents[2]
README = (ROOT / 'README.md').read_text()


def test_parameter_table_is_the_configuration_tree() -> None:
    command = [sys.executable, str(ROOT / 'docs' / 'parameters.py'), '--check']
    assert subprocess.run(command).returncode == 0, "run 'make docs'"
    assert all(f'| `{name}` |' in README for name, _, _ in leaves(NodeConfig()))


def test_pictures_come_quickly() -> None:
    pictures = re.findall(r'!\[[^]]*\]\(([^)]+)\)', README)
    assert 'docs/demo.gif' in pictures
    assert all((ROOT / picture).stat().st_size < 3_000_000 for picture in pictures)


def test_make_targets_exist() -> None:
    targets = set(re.findall(r'^([a-z]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE))
    assert set(re.findall(r'`make ([a-z]+)`', README)) <= targets


def test_every_fault_names_tests_that_exist() -> None:
    """And every row of the tables of docs/faults.md names one."""
    sources = '\n'.join(path.read_text() for path in (ROOT / 'test').rglob('test_*.py'))
    rows = [row for row in (ROOT / 'docs/faults.md').read_text().splitlines() if row[:2] == '| ']
    rows = [row for row in rows if not row.startswith('| fault |')]
    assert len(rows) > 20
    for row in rows:
        tests = re.findall(r'`(test_\w+)`', row.split(' | ')[-1])
        assert tests, row
        assert all(f'def {name}(' in sources for name in tests), row


def test_speeds_of_models_are_the_newest_measured() -> None:
    """Those of the README's table and of docs/models.md, milliseconds on one H100."""
    lines = (ROOT / 'benchmarks' / 'results' / 'speed.jsonl').read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if 'H100' in row['device']]
    size = {'views': 8, 'new': 1, 'width': 504, 'height': 280}
    here = [row for row in rows if row.items() >= size.items()]
    here = [row for row in here if row['dense'] == 1 or row['runner'] == 'official']
    newest = {(row['model'], row['runner']): f'{row["total_ms"]:.1f}' for row in here}
    models = (ROOT / 'docs' / 'models.md').read_text()
    for name in ('small', 'base', 'large', 'giant'):
        ms, official = (newest[name, runner] for runner in ('fused', 'official'))
        (told,) = re.findall(
            rf'^\| `\S+DA3-{name.upper()}\b.* \| (\d.*) \| [\d,]+ M', README, re.M
        )
        assert told == ms
        assert f'| DA3-{name.upper()} | {ms} | {official} |' in models
