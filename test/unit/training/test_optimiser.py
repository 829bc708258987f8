"""The optimiser is AdamW, clips per module, and refuses steps that would do harm."""

from da3_ros.training.config import TrainConfig
from da3_ros.training.optimiser import Optimiser, TRUST_AFTER_STEPS
import pytest
import torch
from torch import nn

LR, EMA, ON = torch.tensor(1e-2), torch.tensor(0.9), torch.tensor(1.0)


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleDict({'one': nn.Linear(3, 4), 'two': nn.Linear(4, 2)})


def optimiser_of(net: nn.Module, **changes: float) -> Optimiser:
    config = TrainConfig(**{'max_grad_norm': 1e9, **changes})
    return Optimiser(net, [p.detach().clone() for p in net.parameters()], config)


def gradients(optimiser: Optimiser, step: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    return [torch.randn(p.shape, generator=generator) for p in optimiser.parameters]


def take_step(optimiser: Optimiser, drawn: list[torch.Tensor], *rates) -> torch.Tensor:
    optimiser.take(drawn)
    return optimiser.step(*rates)


def test_it_is_adamw_with_decay_on_matrices_only(net: nn.Module) -> None:
    ours = optimiser_of(net, weight_decay=0.1)
    theirs = [p.detach().clone().requires_grad_() for p in ours.parameters]
    groups = [
        {'params': [p for p in theirs if p.ndim == 2], 'weight_decay': 0.1},
        {'params': [p for p in theirs if p.ndim == 1], 'weight_decay': 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95))
    for step in range(5):
        drawn = gradients(ours, step)
        for parameter, gradient in zip(theirs, drawn):
            parameter.grad = gradient.clone()
        adamw.step()
        take_step(ours, drawn, LR, EMA, ON)
    for mine, other in zip(ours.parameters, theirs):
        torch.testing.assert_close(mine.detach(), other.detach(), rtol=1e-5, atol=1e-6)


def test_each_module_is_clipped_by_its_own_norm(net: nn.Module) -> None:
    ours = optimiser_of(net, max_grad_norm=1.0)
    loud = [g * 1e3 if n.startswith('one') else g * 1e-2
            for n, g in zip(ours.names, gradients(ours, 0))]  # fmt: skip
    norms = take_step(ours, loud, LR, EMA, ON)
    assert ours.modules == ('one', 'two') and norms[0] > 100 > 1 > norms[1]
    moments = dict(zip(ours.names, ours.views(ours.first)))
    assert 0.04 < float(moments['one.weight'].norm()) <= 0.1 + 1e-6
    index = ours.names.index('two.weight')
    torch.testing.assert_close(moments['two.weight'], 0.1 * loud[index])


def test_all_modules_can_be_clipped_as_one(net: nn.Module) -> None:
    ours = optimiser_of(net, max_grad_norm=1.0, clipping='global')
    loud = [g * 1e3 if n.startswith('one') else g for n, g in zip(ours.names, gradients(ours, 0))]
    norms = take_step(ours, loud, LR, EMA, ON)
    whole = float(norms.norm())
    for moment, gradient in zip(ours.views(ours.first), loud):
        torch.testing.assert_close(moment, 0.1 * gradient / whole)


@pytest.mark.parametrize('harm', [float('nan'), float('inf'), 1e4])
def test_a_harmful_step_changes_nothing(net: nn.Module, harm: float) -> None:
    ours = optimiser_of(net)
    for step in range(TRUST_AFTER_STEPS + 2):
        take_step(ours, gradients(ours, step), LR, EMA, ON)
    before = {name: tensor.clone() for name, tensor in ours.state().items()}
    take_step(ours, [g * harm for g in gradients(ours, 999)], LR, EMA, ON)
    for name in ('masters', 'first', 'second'):
        torch.testing.assert_close(getattr(ours, name), before[name], rtol=0, atol=0)
    assert float(ours.progress[1]) == 1
    take_step(ours, gradients(ours, 1000), LR, EMA, ON)
    assert not torch.equal(ours.masters, before['masters'])


def test_an_inactive_step_changes_nothing_at_all(net: nn.Module) -> None:
    ours = optimiser_of(net)
    take_step(ours, gradients(ours, 0), LR, EMA, ON)
    before = {name: tensor.clone() for name, tensor in ours.state().items()}
    take_step(ours, gradients(ours, 1), LR, EMA, torch.tensor(0.0))
    for name, tensor in ours.state().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_the_average_lags_behind(net: nn.Module) -> None:
    ours = optimiser_of(net)
    start = ours.masters.clone()
    take_step(ours, gradients(ours, 0), LR, EMA, ON)
    torch.testing.assert_close(ours.average, start + 0.1 * (ours.masters - start))
