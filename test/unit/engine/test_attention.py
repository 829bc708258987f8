"""The fastest way to compute attention is taken, and others where it cannot be."""

from contextlib import nullcontext

from da3_ros.engine import attention
from da3_ros.engine.attention import AttentionChoice
import pytest
import torch
from torch.backends import cuda

CPU = torch.device('cpu')


def enabled() -> dict[str, bool]:
    return {
        'cudnn': cuda.cudnn_sdp_enabled(),
        'flash': cuda.flash_sdp_enabled(),
        'efficient': cuda.mem_efficient_sdp_enabled(),
        'math': cuda.math_sdp_enabled(),
    }


def choice(outcomes: list, monkeypatch: pytest.MonkeyPatch) -> tuple[AttentionChoice, list]:
    """Return a choice among cuDNN's, flash and efficient attention that take these times."""
    left = list(outcomes)

    def measured(function) -> float:
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(attention, 'milliseconds', measured)
    return AttentionChoice(2, 64, torch.float32, CPU), left


def test_the_fastest_is_taken_and_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, left = choice([2.0, 1.0, 3.0], monkeypatch)
    with chosen.fastest((1, 16)):
        assert enabled() == {'cudnn': False, 'flash': True, 'efficient': True, 'math': True}
    with chosen.fastest((1, 16)):
        pass
    assert left == []


def test_what_this_gpu_cannot_do_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, _ = choice([2.0, RuntimeError('no kernel'), RuntimeError('no kernel')], monkeypatch)
    with chosen.fastest((1, 16)):
        assert enabled() == {'cudnn': True, 'flash': False, 'efficient': True, 'math': True}


def test_nothing_is_forced_where_nothing_is_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, _ = choice([RuntimeError('no kernel')] * 3, monkeypatch)
    assert isinstance(chosen.fastest((1, 16)), nullcontext)
    assert isinstance(chosen.fastest(None), nullcontext)
