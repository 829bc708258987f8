"""``da3 evaluate --benchmark``: from a tree on disk to table, JSON and plot, or cut short."""

import json
from pathlib import Path
import subprocess
import sys

from da3_ros.evaluation.benchmark import MODES as SCORED
from da3_ros.evaluation.datasets.catalogue import DATASETS
from da3_ros.evaluation.renderers import AUTO
from da3_ros.evaluation.renderers import RENDERERS as DRAWING
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.weights import build_network, save_model
from da3_ros.tools import benchmark_table, evaluate_benchmark
from da3_ros.tools.benchmark_options import BENCHMARKS, MODES, NOVEL_VIEWS, RENDERERS, SYNTHETIC
from da3_ros.tools.main import main
from doubles.benchmark_trees import make_7scenes, make_eth3d, make_kitti, make_tum, TREES
from doubles.miniatures import TINY, TINY_GIANT, TINY_METRIC, TINY_MONO
import numpy as np
import pytest
import torch


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_model(AnyViewNetwork(TINY_GIANT), tmp_path / 'giant.safetensors')
    save_model(AnyViewNetwork(TINY), tmp_path / 'tiny.safetensors')
    return tmp_path / 'tiny.safetensors'


def words(name: str, root: Path, weights: Path, *more: str) -> list[str]:
    words = ['evaluate', '--benchmark', name, '--model', str(weights), '--device', 'cpu']
    return [*words, '--resolution', '56', *(['--data', str(root)] if root else []), *more]


def test_names_are_those_that_there_are() -> None:
    assert (*DATASETS, SYNTHETIC) == BENCHMARKS
    assert (*SCORED, NOVEL_VIEWS) == MODES
    assert (AUTO, *DRAWING) == RENDERERS


def test_help_needs_no_network() -> None:
    code = 'import sys, da3_ros.tools.evaluate; sys.exit("torch" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0


def test_from_a_tree_to_table_json_and_plot(tmp_path: Path, weights: Path, capsys) -> None:
    make_eth3d(tmp_path / 'data')
    output, plots = tmp_path / 'scores.json', tmp_path / 'plots'
    more = ['--views', '3', '1', '--output', str(output), '--plots', str(plots)]
    assert main(words('eth3d', tmp_path / 'data', weights, *more)) == 0
    rows = json.loads(output.read_text())
    assert [(row['scene'], row['views'], len(row['frames'])) for row in rows] == [
        ('relief', 1, 1),
        ('relief', 3, 3),
    ]
    assert set(rows[0]) == {'benchmark', 'model', 'scene', 'views', 'frames', 'abs_rel', 'delta1'}
    assert {'auc3', 'auc30', 'recon_unposed_f1', 'recon_posed_chamfer'} < set(rows[1])
    table = capsys.readouterr().out.splitlines()
    assert len({len(line) for line in table}) == 1
    assert table[0].split()[:5] == ['benchmark', 'model', 'scene', 'N', 'AUC3']
    paper = [line.split() for line in table if line.split()[2] == 'paper']
    # Theirs are labelled, with what they report and no more: AUC3, AUC30, F1 of both kinds.
    assert paper[2] == [
        *('eth3d', 'DA3-Giant', 'paper', '-', '0.484', '-', '-', '0.912', '-', '-'),
        *('0.790', '-', '0.871', '-'),
    ]
    assert (plots / 'eth3d.png').read_bytes().startswith(b'\x89PNG')


@pytest.mark.parametrize('name', sorted(set(TREES) - {'7scenes', 'dtu'}))
def test_every_layout_is_scored(name: str, tmp_path: Path, weights: Path, capsys) -> None:
    TREES[name](tmp_path / 'data')
    output = tmp_path / 'scores.json'
    more = ['--views', '2', '--output', str(output), '--windows', '1', '--mode', 'pose', 'depth']
    assert main(words(name, tmp_path / 'data', weights, *more)) == 0
    rows = json.loads(output.read_text())
    assert len(rows) == 1 and 0 <= rows[0]['auc30'] <= 1
    assert ('abs_rel' in rows[0]) == (name not in ('kitti', 'euroc', 'dtu64'))


def test_novel_views_of_a_recording(tmp_path: Path, weights: Path) -> None:
    make_tum(tmp_path / 'data')
    output = tmp_path / 'scores.json'
    giant = weights.with_name('giant.safetensors')
    more = ['--views', '3', '--mode', 'novel_views', '--output', str(output)]
    assert main(words('tum', tmp_path / 'data', giant, *more)) == 0
    (row,) = json.loads(output.read_text())
    assert np.isfinite(row['psnr']) and row['ssim'] < 1
    assert row['renderer'] == 'torch'


def test_gsplat_needs_cuda(tmp_path: Path, weights: Path, capsys) -> None:
    more = ['--mode', 'novel_views', '--renderer', 'gsplat']
    assert main(words('tum', tmp_path, weights, *more)) == 2
    assert 'The renderer is gsplat, but the device is cpu' in capsys.readouterr().err


@pytest.mark.parametrize('mode', [[], ['--mode', 'depth']])
def test_networks_of_single_views_have_depth(
    mode: list[str], tmp_path: Path, weights: Path, capsys
) -> None:
    make_eth3d(tmp_path / 'data')
    output, plots = tmp_path / 'scores.json', tmp_path / 'plots'
    more = ['--views', '3', *mode, '--output', str(output), '--plots', str(plots)]
    found = {}
    for config in (TINY_MONO, TINY_METRIC):
        torch.manual_seed(0)
        source = weights.with_name(f'{config.name}.safetensors')
        save_model(build_network(config), source)
        assert main(words('eth3d', tmp_path / 'data', source, *more)) == 0
        (found[config.name],) = json.loads(output.read_text())
    head = {'benchmark', 'model', 'scene', 'views', 'frames'}
    assert set(found['tiny-mono']) == head | {'abs_rel', 'delta1'}
    assert set(found['tiny-metric']) - set(found['tiny-mono']) == {
        *('metric_abs_rel', 'metric_delta1'),
    }
    assert len(found['tiny-mono']['frames']) == 3
    # The same weights, and a picture's own scale takes the metres out again.
    for name in ('abs_rel', 'delta1'):
        assert found['tiny-mono'][name] == pytest.approx(found['tiny-metric'][name], rel=1e-4)
    table = capsys.readouterr().out
    assert 'AbsRel  delta1  AbsRel m  delta1 m' in table
    assert (plots / 'eth3d.png').exists()


def test_a_network_of_single_views_has_no_cameras(tmp_path: Path, weights: Path, capsys) -> None:
    make_eth3d(tmp_path / 'data')
    source = weights.with_name('mono.safetensors')
    save_model(build_network(TINY_MONO), source)
    more = ['--mode', 'depth', 'pose', 'novel_views']
    assert main(words('eth3d', tmp_path / 'data', source, *more)) == 2
    problem = capsys.readouterr().err
    assert '--mode got pose novel_views, which take cameras' in problem
    assert 'sees each view alone; expected depth, or an any-view network.' in problem


def test_rendered_scenes_need_no_data(tmp_path: Path, weights: Path) -> None:
    output = tmp_path / 'scores.json'
    more = ['--views', '1', '2', '--windows', '2', '--mode', 'pose', 'depth']
    assert main(words(SYNTHETIC, None, weights, *more, '--output', str(output))) == 0
    rows = json.loads(output.read_text())
    assert [(row['scene'], row['views']) for row in rows] == [
        *(('scene-000', 1), ('scene-000', 2), ('scene-001', 1), ('scene-001', 2)),
    ]


def test_what_was_done_before_ctrl_c_is_kept(
    tmp_path: Path, weights: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_7scenes(tmp_path / 'data')
    inner = tmp_path / 'data' / '7Scenes'
    (inner / 'chess').mkdir()
    (inner / 'stairs' / 'seq-02').rename(inner / 'chess' / 'seq-01')
    make_7scenes(tmp_path / 'data')
    score = evaluate_benchmark.window_scores

    def interrupted(scene: object, *arguments: object) -> dict:
        if scene.name == 'stairs':
            raise KeyboardInterrupt
        return score(scene, *arguments)

    monkeypatch.setattr(evaluate_benchmark, 'window_scores', interrupted)
    output = tmp_path / 'scores.json'
    more = ['--views', '2', '--mode', 'pose', '--output', str(output)]
    assert main(words('7scenes', tmp_path / 'data', weights, *more)) == 130
    printed = capsys.readouterr()
    assert 'interrupted' in printed.err
    assert ' chess ' in printed.out and ' stairs ' not in printed.out
    assert [row['scene'] for row in json.loads(output.read_text())] == ['chess']


def test_ctrl_c_in_a_scene_leaves_table_and_file_alike(
    tmp_path: Path, weights: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the file names the network that was measured, however that was said."""
    make_7scenes(tmp_path / 'data')
    scores = iter([{'auc3': 0.5}])

    def interrupted(*_: object) -> dict:
        try:
            return next(scores)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(evaluate_benchmark, 'window_scores', interrupted)
    output = tmp_path / 'scores.json'
    more = ['--views', '2', '3', '--mode', 'pose', '--output', str(output)]
    more += ['--model', 'embedded', '--set', f'model={weights}']
    assert main([*words('7scenes', tmp_path / 'data', weights), *more]) == 130
    assert ' stairs ' in capsys.readouterr().out
    assert [row['model'] for row in json.loads(output.read_text())] == [str(weights)]


def test_the_table_has_the_mean_of_the_scenes_means() -> None:
    head = {'benchmark': 'tum', 'model': 'm', 'views': 2}
    rows = [
        {**head, 'scene': 'a', 'auc3': 0.0, 'abs_rel': 0.5},
        {**head, 'scene': 'a', 'auc3': 0.5},
        {**head, 'scene': 'b', 'auc3': 0.75},
    ]
    found = benchmark_table.means(rows)
    assert [(row['scene'], row['auc3']) for row in found] == [
        *(('a', 0.25), ('b', 0.75), ('mean', 0.5)),
    ]
    assert [row.get('abs_rel') for row in found] == [0.5, None, 0.5]
    lines = benchmark_table.benchmark_table(rows).splitlines()
    assert lines[2].split() == ['tum', 'm', 'b', '2', '0.750', '-']


@pytest.mark.parametrize(
    ('more', 'sentence'),
    [
        (['--benchmark', 'eth3d'], 'needs --data'),
        (['--benchmark', 'synthetic', '--data', '.'], 'goes without --data'),
        (['--benchmark', 'eth3d', '--data', 'nowhere'], 'nowhere is not a folder'),
        (
            ['--benchmark', 'eth3d', '--data', '.'],
            'holds no scene of eth3d; expected SCENE/images',
        ),
        (['--benchmark', 'synthetic', '--views', '0'], '--views got [0]'),
        (
            ['--benchmark', 'synthetic', '--windows', '1', '--views', '1', '--mode', 'pose'],
            'No scene',
        ),
    ],
)
def test_errors_are_sentences(more, sentence, weights, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(['evaluate', *more, '--model', str(weights), '--device', 'cpu']) == 2
    assert sentence in capsys.readouterr().err


def test_no_truth_for_what_is_asked_for(tmp_path: Path, weights: Path, capsys) -> None:
    make_kitti(tmp_path / 'data')
    assert main(words('kitti', tmp_path / 'data', weights, '--mode', 'depth')) == 2
    expected = 'No scene of kitti has the truth and the frames for --mode depth with --views 100.'
    assert expected in capsys.readouterr().err


def test_a_scene_that_lacks_something_is_named(tmp_path: Path, weights: Path, capsys) -> None:
    make_7scenes(tmp_path / 'data')
    (tmp_path / 'data' / '7Scenes' / 'meshes' / 'stairs.ply').unlink()
    assert main(words('7scenes', tmp_path / 'data', weights, '--views', '2')) == 2
    assert 'stairs.ply is missing' in capsys.readouterr().err
