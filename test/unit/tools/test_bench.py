"""``da3 bench`` measures every case and keeps what it measured."""

import json
from pathlib import Path
import sys

from da3_ros.tools.bench_measure import Row, stage_flops
from da3_ros.tools.bench_subjects import Case
from da3_ros.tools.bench_table import heading, line
from da3_ros.tools.main import main
import pytest

from benchmarks import report

QUICK = ['bench', '--device', 'cpu', '--precision', 'fp32', '--sizes', '56x42', '--steps', '1']


def test_rows_are_printed_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    results = tmp_path / 'speed.jsonl'
    assert main([*QUICK, '--views', '2', '3', '--results', str(results)]) == 0
    rows = [json.loads(text) for text in results.read_text().splitlines()]
    assert [(row['views'], row['runner']) for row in rows] == [
        *((2, 'eager'), (2, 'cached')),
        *((3, 'eager'), (3, 'cached')),
    ]
    table = [text for text in capsys.readouterr().out.splitlines() if text.startswith('|')]
    assert len(table) == 2 + len(rows)
    assert len({text.count('|') for text in table}) == 1
    for row in rows:
        assert row['total_ms'] > 0
        assert row['limit_ms'] == pytest.approx(row['tflop'] / row['tflop_per_s'] * 1e3)
    stages = rows[1]['stages_ms']
    assert set(stages) == {'prefix', 'enter', 'mix', 'heads'}
    assert rows[1]['ratio'] == pytest.approx(rows[0]['total_ms'] / rows[1]['total_ms'])


def test_results_are_left_out_where_there_is_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ['--views', '2', '--results', str(tmp_path / 'no' / 'r.jsonl'), '--json']
    assert main([*QUICK, *words]) == 0
    assert [row['runner'] for row in json.loads(capsys.readouterr().out)] == ['eager', 'cached']
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('size', ['224', '224x100', '0x14', 'axb'])
def test_a_wrong_size_is_a_sentence(size: str, capsys: pytest.CaptureFixture) -> None:
    assert main(['bench', '--device', 'cpu', '--sizes', size]) == 2
    assert f"'{size}' is no size" in capsys.readouterr().err


def test_a_folder_without_the_official_network_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'depth_anything_3').mkdir()
    (tmp_path / 'depth_anything_3' / '__init__.py').touch()
    monkeypatch.setattr('sys.path', [*sys.path])
    for name in [n for n in sys.modules if n.startswith('depth_anything_3')]:
        monkeypatch.delitem(sys.modules, name)
    assert main([*QUICK, '--official', str(tmp_path)]) == 2
    assert 'cannot be imported from' in capsys.readouterr().err


def test_depth_is_for_the_newest_and_then_the_reference() -> None:
    assert Case('large', 8, 1, 1, 504, 280).dense_views == [7]
    assert Case('large', 8, 1, 3, 504, 280).dense_views == [0, 1, 7]
    assert Case('large', 16, 4, 4, 504, 280).dense_views == [12, 13, 14, 15]


def test_what_a_new_frame_takes_is_less_than_the_whole() -> None:
    """Large, eight views: the published count is 8.2 TFLOP for all, and 3.495 for this."""
    flops = stage_flops(Case('large', 8, 1, 1, 504, 280))
    assert sum(flops.values()) == pytest.approx(3.495, rel=0.003)


def test_columns_line_up() -> None:
    row = Row(Case('embedded', 4, 1, 1, 224, 168), 'cached', 123.4, {'mix': 100.0}, tflop=0.0138)
    assert len(line(row)) == len(heading().splitlines()[0])


def test_rows_with_the_stages_of_before_are_still_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, 'age', lambda commit: commit)
    row = Row(Case('large', 8, 1, 1, 504, 280), 'cached', 12.0, {'mix': 8.0, 'heads': 1.0})
    about = {'device': 'GPU', 'dtype': 'float16', 'commit': 'abc', 'tflop_per_s': 800.0}
    new = about | row.as_json()
    old = new | {'stages_ms': {'mix': 9.0, 'decode': 0.2, 'dense': 1.3}}
    # 3.2 of the 3.5 TFLOP are the blocks that mix views: 4 ms of 8.
    assert '| cross-view 8 (49 %), heads 1 (19 %) |' in report.table([new])
    assert '| cross-view 9 (44 %), cameras 0.2, depth head 1.3 |' in report.table([old])
