"""The checkpoint that ships is the one its card describes."""

import json

from da3_ros.model import load_model
from da3_ros.model.sources import EMBEDDED_FILE
from da3_ros.training.assessment import assess, synthetic_windows
import pytest
import torch

CARD = json.loads(EMBEDDED_FILE.with_suffix('.json').read_text())


@pytest.mark.parametrize('known', [False, True])
def test_held_out_numbers_are_those_of_the_card(known: bool) -> None:
    quick = CARD['held_out_quick']
    row = next(r for r in quick['results'] if r.get('known') == known)
    windows = synthetic_windows(quick['windows'], row['views'], torch.device('cpu'))
    scores = assess(load_model('embedded'), windows, row['views'], known, 'camera')
    assert scores['abs_rel'] == pytest.approx(row['abs_rel'], abs=0.02)
    assert scores['delta1'] == pytest.approx(row['delta1'], abs=0.02)
    assert scores['auc30'] == pytest.approx(row['auc30'], abs=0.02)
    assert scores['rotation_deg'] == pytest.approx(row['rotation_deg'], abs=0.2)


def test_file_is_small_and_trained() -> None:
    assert EMBEDDED_FILE.stat().st_size < 30_000_000
    net = load_model('embedded')
    assert net.is_trained
    assert net.licence == 'Apache-2.0'
