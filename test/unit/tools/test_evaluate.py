"""``da3 evaluate`` sets a network beside depth without learning, on one footing."""

import dataclasses
import json
from pathlib import Path

from da3_ros.evaluation.baselines import floor_depth
from da3_ros.evaluation.sequences import read_sequence, write_sequence
from da3_ros.evaluation.stream_scores import StreamScores
from da3_ros.geometry.transforms import quaternion_xyzw
from da3_ros.geometry.tum import write_tum
from da3_ros.model.weights import save_model
from da3_ros.tools.evaluate_streams import table
from da3_ros.tools.main import main
from da3_ros.training.config import TrainConfig
from da3_ros.training.loop import build
import numpy as np
import pytest
import torch

FRAMES, HEIGHT, WIDTH = 4, 56, 70
K = np.array([[60.0, 0, 35], [0, 60, 28], [0, 0, 1]])


@pytest.fixture
def hall(tmp_path: Path) -> Path:
    """Make a sequence that is the floor baseline's own, three times as large."""
    depth = np.repeat(3 * floor_depth(K[None], HEIGHT, WIDTH), FRAMES, 0)
    rgb = np.random.default_rng(0).integers(0, 255, (FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    poses = np.tile(np.eye(4), (FRAMES, 1, 1))
    poses[:, 0, 3] = np.arange(FRAMES)
    write_sequence(tmp_path / 'hall', rgb, depth, np.arange(FRAMES) * 10**9, poses, K)
    return tmp_path / 'hall'


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    net, _ = build(TrainConfig(model='tiny'), torch.device('cpu'))
    save_model(net, tmp_path / 'net.safetensors')
    return tmp_path / 'net.safetensors'


def test_baselines_stand_beside_the_network(hall: Path, weights: Path, capsys) -> None:
    output = hall / 'numbers.json'
    words = ['evaluate', '--sequence', str(hall), '--model', str(weights), '--views', '1', '2']
    words += [
        '--resolution',
        str(WIDTH),
        '--known-poses',
        '--device',
        'cpu',
        '--output',
        str(output),
    ]
    assert main(words) == 0
    rows = json.loads(output.read_text())
    methods = ['network', 'network', 'constant', 'floor']
    assert [row['method'] for row in rows] == 2 * methods
    assert [row.get('known') for row in rows[:4]] == [False, True, None, None]
    for row in rows:
        assert row['source'] == 'hall' and 0 <= row['delta1'] <= 1
        if row['method'] == 'floor':
            assert row['abs_rel'] == pytest.approx(0, abs=1e-3) and row['delta1'] == 1
        elif row['method'] == 'constant':
            assert row['abs_rel'] > 0.1 and 'rotation_deg' not in row
        else:
            assert row['abs_rel'] > 0.02
    lines = capsys.readouterr().out.splitlines()
    assert main([*words, '--json']) == 0
    assert json.loads(capsys.readouterr().out) == rows
    assert len(lines) == 9 and 'depth by' in lines[0]
    assert lines[4].split()[:6] == ['hall', 'floor', '1', '-', '0.000', '1.000']


@pytest.mark.parametrize('option', [['--set', 'scale.fixed=2'], ['--window', '4']])
def test_options_that_would_do_nothing_are_refused(option: list[str], capsys) -> None:
    assert main(['evaluate', '--synthetic', *option]) == 2
    assert 'only with --stream' in capsys.readouterr().err


def test_parameters_that_are_set_by_name_count(
    hall: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def sequence_windows(path: Path, views: int, longer: int, device: object) -> None:
        asked.append(longer)
        raise KeyboardInterrupt

    monkeypatch.setattr('da3_ros.training.assessment.sequence_windows', sequence_windows)
    words = ['evaluate', '--sequence', str(hall), '--device', 'cpu', '--views', '1']
    words += ['--set', f'model={weights}', '--set', 'resolution=98']
    assert main(words) == 130 and asked == [98]


def test_chunks_are_looked_at_before_anything_is_loaded(capsys) -> None:
    words = ['evaluate', '--stream', '--synthetic', '--model', 'not/there', '--chunks', '30']
    assert main(words) == 2
    assert "got '30'" in capsys.readouterr().err


def test_ctrl_c_leaves_the_rows_that_were_done(
    hall: Path, weights: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = hall / 'numbers.json'
    words = ['evaluate', '--sequence', str(hall), '--model', str(weights), '--views', '1', '2']
    words += ['--resolution', str(WIDTH), '--device', 'cpu', '--output', str(output), '--json']
    measured = iter(['one', 'two', 'three'])

    def assess_baseline(*_: object) -> dict:
        if next(measured) == 'three':
            raise KeyboardInterrupt
        return {'abs_rel': 0.5}

    monkeypatch.setattr('da3_ros.training.assessment.assess_baseline', assess_baseline)
    assert main(words) == 130
    assert [row['views'] for row in json.loads(output.read_text())] == [1, 1, 1, 2]
    printed = capsys.readouterr()
    assert printed.out == '' and len(printed.err.splitlines()) >= 5


def test_ctrl_c_leaves_the_streams_that_were_done(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws = iter([None, None])

    def draw(*_: object) -> None:
        if next(draws, 'over') == 'over':
            raise KeyboardInterrupt

    monkeypatch.setattr('da3_ros.tools.evaluate_streams._draw', draw)
    output = tmp_path / 'numbers.json'
    words = ['evaluate', '--stream', '--corridor', '--simulate', 'exact', '--streams', '4']
    words += ['--frames', '20', '--laps', '0.5', '--block', '4', '3', '--chunks', '12/6']
    words += ['--device', 'cpu', '--plots', str(tmp_path), '--output', str(output)]
    assert main(words) == 130
    streams = [row['stream'] for row in json.loads(output.read_text())]
    assert streams == [f'corridor-{i}' for i in range(3) for _ in range(3)]
    assert 'corridor-2' in capsys.readouterr().out


def test_streams_are_compared_in_table_json_and_plot(tmp_path: Path, capsys) -> None:
    output, plots = tmp_path / 'numbers.json', tmp_path / 'plots'
    words = ['evaluate', '--stream', '--corridor', '--simulate', 'exact', '--streams', '1']
    words += ['--frames', '30', '--laps', '0.5', '--block', '4', '3', '--seeds', '2']
    words += ['--chunks', '12/6', '2/1', '--device', 'cpu']
    assert main([*words, '--output', str(output), '--plots', str(plots)]) == 0
    rows = json.loads(output.read_text())
    methods = ['engine', 'settled', 'chunks 12/6', 'frame to frame']
    assert [row['method'] for row in rows] == 2 * methods
    assert [row['seed'] for row in rows] == [0] * 4 + [1] * 4
    assert all(row['stream'] == 'corridor-0' and row['ate_sim3_m'] < 0.01 for row in rows)
    lines = capsys.readouterr().out.splitlines()
    assert main([*words, '--seeds', '1', '--json']) == 0
    assert [row['method'] for row in json.loads(capsys.readouterr().out)] == methods
    assert len(lines) == 5 and lines[0].split()[:2] == ['ATE', 'Sim3']
    assert (plots / 'corridor-0.png').read_bytes().startswith(b'\x89PNG')


def test_odometry_makes_a_stream_metric_and_its_poses_better(capsys, tmp_path: Path) -> None:
    words = ['evaluate', '--stream', '--corridor', '--simulate', 'realistic', '--streams', '1']
    words += ['--frames', '60', '--laps', '0.5', '--block', '4', '3', '--device', 'cpu']
    words += ['--chunks', '--odometry', '0.01', '--output', str(tmp_path / 'rows')]
    rows = []
    for prior in ('none', 'odometry'):
        assert main([*words, '--set', f'pose_prior={prior}']) == 0
        rows.append(json.loads((tmp_path / 'rows').read_text())[0])
    free, told = rows
    assert told['rpe_deg'] < 0.7 * free['rpe_deg']
    assert told['rpe_m'] < free['rpe_m']


def test_the_table_has_the_mean_over_seeds_and_a_dash_for_what_is_not_known() -> None:
    row = dict.fromkeys((f.name for f in dataclasses.fields(StreamScores)), 1.0)
    rows = [
        {**row, 'stream': 'a', 'method': 'x', 'ate_sim3_m': 1.0, 'end_m': float('nan')},
        {**row, 'stream': 'a', 'method': 'x', 'ate_sim3_m': 2.0, 'loops_closed': 4},
        {**row, 'stream': 'a', 'method': 'long name'},
    ]
    lines = table(rows).splitlines()
    assert len(lines) == 3 and len({len(line) for line in lines}) == 1
    assert lines[1].split()[:6] == ['a', 'x', '1.500', '1.000', '1.000', '-']
    assert lines[1].split()[-3:] == ['2.5', '1', '1']


def test_a_sequence_and_a_path_are_streams(hall: Path, tmp_path: Path) -> None:
    poses = read_sequence(hall).world_from_camera
    path = tmp_path / 'way.txt'
    sway = np.concatenate([poses + 0.1 * i * np.eye(4)[:, 3:] * [0, 0, 0, 1] for i in range(6)])
    write_tum(path, np.arange(len(sway)) * 10**9, sway)
    states = tmp_path / 'states.csv'
    lines = [
        ','.join(map(str, [i, *p[:3, 3], *np.roll(quaternion_xyzw(p[:3, :3]), 1)]))
        for i, p in enumerate(sway)
    ]
    states.write_text('\n'.join(lines))
    output = tmp_path / 'numbers.json'
    words = ['evaluate', '--stream', '--simulate', 'exact', '--chunks', '6/3', '--device', 'cpu']
    words += ['--path', str(path), '--path', str(states), '--frames', '20']
    assert main([*words, '--output', str(output)]) == 0
    rows = json.loads(output.read_text())
    assert [row['stream'] for row in rows] == ['way'] * 3 + ['states'] * 3
    for way, state in zip(rows[:3], rows[3:], strict=True):
        assert way['ate_percent'] == pytest.approx(state['ate_percent'], rel=1e-3, abs=1e-3)


def test_a_stream_that_cannot_be_scored_says_so_and_leaves_the_others_theirs(
    tmp_path: Path, capsys
) -> None:
    moving = np.tile(np.eye(4), (30, 1, 1))
    moving[:, 0, 3] = np.linspace(0, 1, 30)
    moving[:, 2, 3] = np.linspace(0, 1, 30) ** 2
    words = ['evaluate', '--stream', '--simulate', 'exact', '--chunks', '6/3', '--frames', '15']
    words += ['--device', 'cpu', '--output', str(tmp_path / 'numbers.json')]
    for name, poses in {'still': moving[:1].repeat(30, 0), 'way': moving}.items():
        write_tum(tmp_path / f'{name}.txt', np.arange(30) * 10**9, poses)
        words += ['--path', str(tmp_path / f'{name}.txt')]
    assert main([*words, '--plots', str(tmp_path)]) == 0
    rows = json.loads((tmp_path / 'numbers.json').read_text())
    assert [row['stream'] for row in rows] == ['way'] * 3
    assert 'The camera of still never moves' in capsys.readouterr().err
    assert main(words[:-2]) == 2
    assert 'No method' in capsys.readouterr().err


def test_a_rendered_lap_goes_through_a_real_network(weights: Path, tmp_path: Path) -> None:
    output = tmp_path / 'numbers.json'
    words = ['evaluate', '--stream', '--synthetic', '--streams', '1', '--frames', '12']
    words += ['--model', str(weights), '--resolution', '56', '--chunks', '6/3', '--device', 'cpu']
    assert main([*words, '--output', str(output)]) == 0
    rows = json.loads(output.read_text())
    assert [row['frames'] + row['lost'] for row in rows] == [12, 12, 12]
    assert all(row['ate_sim3_m'] > 0 for row in rows)


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        (['--corridor', '--simulate', 'exact'], 'go with --stream'),
        (['--stream', '--corridor'], 'they go with --simulate'),
        (['--stream', '--corridor', '--simulate', 'exact', '--chunks', '30'], "got '30'"),
        (['--stream', '--synthetic', '--seeds', '2'], '--seeds is 2; expected 1'),
        (['--stream', '--corridor', '--simulate', 'exact', '--laps', '0'], 'numbers above 0'),
        (
            ['--stream', '--corridor', '--simulate', 'exact', '--set', 'pose_prior=odometry'],
            'expected --odometry DRIFT',
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(words, sentence, capsys) -> None:
    assert main(['evaluate', *words]) == 2
    assert sentence in capsys.readouterr().err
