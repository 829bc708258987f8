"""Muon's steps: equal singular values, the shapes of the parameters, only blocks of the trunk."""

from da3_ros.training.config import TrainConfig
from da3_ros.training.optimiser import Optimiser
from da3_ros.training.orthogonal import orthogonal_steps, orthogonalise, STEP_SIZE
import pytest
import torch
from torch import nn, Tensor

RATE, EMA, ON = torch.tensor(1e-2), torch.tensor(0.9), torch.tensor(1.0)


@pytest.mark.parametrize('shape', [(3, 16, 16), (2, 8, 24), (2, 24, 8)])
def test_singular_values_become_alike_and_directions_stay(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    u, s, vh = torch.linalg.svd(matrices, full_matrices=False)
    got = orthogonalise(matrices)
    assert got.shape == shape and s.max() / s.min() > 2
    values = torch.linalg.svdvals(got)
    assert 0.6 < values.min() and values.max() < 1.3
    # In the basis of the input it stays diagonal.
    inside = u.transpose(1, 2) @ got @ vh.transpose(1, 2)
    off = inside - torch.diag_embed(inside.diagonal(dim1=1, dim2=2))
    assert off.abs().max() < 0.05


def test_a_matrix_of_zeros_stays() -> None:
    assert not orthogonalise(torch.zeros(1, 4, 6)).any()


def test_queries_keys_and_values_are_matrices_of_their_own() -> None:
    torch.manual_seed(1)
    joined = torch.randn(24, 8)
    joined[:8] *= 100  # loud queries must not drown the keys
    (step,) = orthogonal_steps(['backbone.blocks.0.attn.qkv.weight'], [joined])
    for part in step.split(8):
        assert part.square().mean().sqrt() == pytest.approx(STEP_SIZE, rel=0.2)


class Trunk(nn.Module):
    """Parameters named as those of a network."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.ModuleDict({'blocks': nn.ModuleList([nn.Linear(6, 4)])})
        self.head = nn.Linear(4, 4)


def step_once(matrices: str, gradients: list[Tensor]) -> tuple[Optimiser, Tensor]:
    torch.manual_seed(2)
    net = Trunk()
    config = TrainConfig(matrices=matrices, max_grad_norm=1e9, weight_decay=0.0)
    optimiser = Optimiser(net, [p.detach().clone() for p in net.parameters()], config)
    before = optimiser.masters.clone()
    optimiser.take(gradients)
    optimiser.step(RATE, EMA, ON)
    return optimiser, optimiser.masters - before


def test_only_matrices_of_the_blocks_step_this_way() -> None:
    torch.manual_seed(3)
    gradients = [torch.randn(4, 6), torch.randn(4, 4), torch.randn(4), torch.randn(4)]
    muon, change = step_once('muon', gradients)
    _, adamw = step_once('adamw', gradients)
    assert muon.names[0] == 'backbone.blocks.0.weight'
    assert change[:24].square().mean().sqrt() == pytest.approx(1e-2 * STEP_SIZE, rel=0.2)
    values = torch.linalg.svdvals(change[:24].view(4, 6))
    assert values.max() / values.min() < 2
    torch.testing.assert_close(change[24:], adamw[24:])
    assert not torch.allclose(change[:24], adamw[:24], rtol=0.1)
