"""The ablation runs its arms, in order and once, and writes what they reached."""

import json
from pathlib import Path
import subprocess
import sys

from da3_ros.training.config import TrainConfig
import pytest

from benchmarks.ablation import Arm, LISTS, table

ROOT = Path(__file__).parents[3]
SMALL = (
    *('model=tiny', 'steps=2', 'views_per_step=6', 'scenes=64', 'texture_variants=1'),
    *('texture_side=16', 'samples_per_side=1', 'validation_scenes=1', 'init='),
)


@pytest.mark.parametrize('arm', [a for arms in LISTS.values() for a in arms], ids=lambda a: a.name)
def test_every_arm_is_a_configuration_of_its_own(arm: Arm) -> None:
    config = TrainConfig().with_assignments(list(arm.assignments))
    assert (config == TrainConfig()) == (not arm.assignments)


def test_the_teacher_teaches_and_rows_are_kept(tmp_path: Path) -> None:
    rows = tmp_path / 'rows.jsonl'
    words = [sys.executable, '-m', 'benchmarks.ablation', 'teacher', '--minutes', '1']
    words += ['--only', 'taught', 'teacher', '--commit', 'abc', '--output', str(rows)]
    words += ['--folder', str(tmp_path / 'runs')]
    for assignment in SMALL:
        words += ['--set', assignment]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    found = {row['arm']: row for row in map(json.loads, rows.read_text().splitlines())}
    assert list(found) == ['teacher', 'taught']
    taught = found['taught']
    assert taught['steps'] == 2 and taught['views'] == 12 and taught['commit'] == 'abc'
    assert set(taught['held_out']) == {'N=1', 'N=4', 'N=4 known'}
    assert set(found['teacher']['held_out']) == {'N=1'}
    assert 'corrupted_share=1' in taught['command'] and 'teacher.safetensors' in taught['command']
    assert f'{taught["held_out"]["N=4"]["abs_rel"]:.3f}' in done.stdout
    assert table(list(found.values())).splitlines()[1].count(' -') == 6

    again = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert len(rows.read_text().splitlines()) == 2  # nothing was run again
    assert again.stdout.splitlines()[-1] == done.stdout.splitlines()[-1]
