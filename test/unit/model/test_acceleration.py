"""Which networks run fused, and what is said where they cannot."""

from collections.abc import Iterator
import logging

from da3_ros.model import acceleration, load_model
from da3_ros.model.acceleration import accelerate, has_triton
import pytest
import torch


@pytest.fixture(autouse=True)
def _forgets() -> Iterator[None]:
    has_triton.cache_clear()
    yield
    has_triton.cache_clear()


def test_on_a_cpu_blocks_stay_as_they_are() -> None:
    net = load_model('embedded', dtype=torch.bfloat16)
    before = net.backbone.blocks[0].forward
    assert accelerate(net, 'fused') is net
    assert net.backbone.blocks[0].forward == before


@pytest.mark.parametrize('found', [None, ModuleNotFoundError('triton')])
def test_without_triton_it_is_said_once(
    found: Exception | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def find(_: str) -> None:
        if found is not None:
            raise found

    monkeypatch.setattr(acceleration, 'find_spec', find)
    with caplog.at_level(logging.WARNING):
        assert not has_triton(torch.device('cpu'))
        assert not has_triton(torch.device('cpu'))
    assert len(caplog.records) == 1
    assert 'Triton' in caplog.text and 'compile to true' in caplog.text


def test_a_triton_that_cannot_compile_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip('triton')

    def add(*_: object) -> None:
        raise RuntimeError('Failed to find C compiler\nmore of it')

    monkeypatch.setattr('da3_ros.model.kernels.add', add)
    with caplog.at_level(logging.WARNING):
        assert not has_triton(torch.device('cpu'))
    assert 'Failed to find C compiler' in caplog.text and 'more of it' not in caplog.text


def test_kernels_run_here() -> None:
    """Interpreted, where there is no GPU."""
    pytest.importorskip('triton')
    assert has_triton(torch.device('cuda' if torch.cuda.is_available() else 'cpu'))
