"""``da3 evaluate`` sets a network beside depth without learning, on one footing."""

import json
from pathlib import Path

from da3_ros.evaluation.baselines import floor_depth
from da3_ros.evaluation.sequences import write_sequence
from da3_ros.model.weights import save_model
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
    words += ['--width', str(WIDTH), '--known-poses', '--device', 'cpu', '--output', str(output)]
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
    assert len(lines) == 9 and 'depth by' in lines[0]
    assert lines[4].split()[:6] == ['hall', 'floor', '1', '-', '0.000', '1.000']
