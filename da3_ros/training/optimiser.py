"""
AdamW and Muon with float32 masters, an average of the weights, clipping, refusal of bad steps.

Everything a step decides it decides on the device, so a step can be captured as a CUDA graph: the
gradient of each top-level module is clipped by its own norm (one loud module would else starve
the others), and a step whose norm is not finite or jumps far above its running average changes
nothing.

Masters, moments and average are flat float32 vectors in which each parameter has its place; the
network's own parameters (bfloat16 matrices, float32 rest) are copies of the masters.
"""

from collections.abc import Sequence
from itertools import accumulate

from da3_ros.training.config import TrainConfig
from da3_ros.training.orthogonal import is_orthogonal_kind, orthogonal_steps
import torch
from torch import nn, Tensor

EPSILON = 1e-8
# Before the running average of the norm means something no step is refused.
TRUST_AFTER_STEPS = 100
NORM_MEMORY = 0.99


class Optimiser:
    """
    The state of training beside the step counter.

    Attributes:
        names: of the parameters, in the order of the flat vectors.
        masters, first, second, average: (n,) float32.
        progress: (4,) float32 on the device: steps taken, steps refused, running mean of the
            gradient norm, last norm.
        gradient: (n,) float32, what the next step takes; it clips it in place.

    """

    def __init__(self, net: nn.Module, masters: Sequence[Tensor], config: TrainConfig) -> None:
        """Take the network in its training precision, and its parameters in float32."""
        self._config = config
        named = list(zip(net.named_parameters(), masters, strict=True))
        # Those of the blocks first, then other matrices: Muon's part and the decayed part of the
        # flat vectors are then one slice each.
        named.sort(key=lambda entry: (not is_orthogonal_kind(*entry[0]), entry[0][1].ndim < 2))
        self.names = [name for (name, _), _ in named]
        self.parameters = [parameter for (_, parameter), _ in named]
        self.masters = torch.zeros(
            sum(p.numel() for p in self.parameters), device=self.parameters[0].device
        )
        for view, (_, master) in zip(self.views(self.masters), named, strict=True):
            view.copy_(master.detach())
        self.first, self.second = torch.zeros_like(self.masters), torch.zeros_like(self.masters)
        self.average = self.masters.clone()
        self.progress = torch.zeros(4, device=self.masters.device)
        modules = [name.split('.')[0] for name in self.names]
        self._groups = {
            m: [i for i, n in enumerate(modules) if n == m] for m in sorted({*modules})
        }
        self._decayed = sum(p.numel() for p in self.parameters if p.ndim >= 2)
        self.gradient = torch.zeros_like(self.masters)
        self._orthogonal = 0
        if config.matrices == 'muon':
            self._orthogonal = sum(is_orthogonal_kind(*entry[0]) for entry in named)
        self._orthogonal_size = sum(p.numel() for p in self.parameters[: self._orthogonal])

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the top-level modules, in the order of the norms that ``step`` returns."""
        return tuple(self._groups)

    def views(self, flat: Tensor) -> list[Tensor]:
        """Return each parameter's place in a flat vector, in its shape and memory layout."""
        sizes = [p.numel() for p in self.parameters]
        return [
            torch.as_strided(flat, p.shape, p.stride(), end - p.numel())
            for p, end in zip(self.parameters, accumulate(sizes), strict=True)
        ]

    @torch.no_grad()
    def take(self, gradients: Sequence[Tensor]) -> None:
        """Copy gradients, one for each of ``parameters``, to where ``step`` reads them."""
        torch._foreach_copy_(self.views(self.gradient), list(gradients))

    @torch.no_grad()
    def step(self, lr: Tensor, ema: Tensor, active: Tensor) -> Tensor:
        """
        Step along ``gradient``; returns the norms of the gradients of ``modules``.

        Args:
            lr: () learning rate.
            ema: () share of the average that stays.
            active: () 1, or 0 to change nothing (while a graph is being warmed up).

        """
        config = self._config
        norms = self._clip(self.views(self.gradient))
        norm = norms.norm()
        taken, refused, mean, _ = self.progress.unbind()
        jumps = (taken > TRUST_AFTER_STEPS) & (norm > config.jump * mean)
        good = (norm.isfinite() & ~jumps).float() * active
        gradient = self.gradient.nan_to_num_(0, 0, 0)
        count = taken + 1
        keep1, keep2 = (1 + good * (beta - 1) for beta in (config.beta1, config.beta2))
        split = self._orthogonal_size
        self.first[:split].lerp_(gradient[:split], good * (1 - config.momentum))
        self.first[split:].lerp_(gradient[split:], 1 - keep1)
        self.second.mul_(keep2).add_(gradient.square() * (1 - keep2))
        correct1, correct2 = (1 - beta**count for beta in (config.beta1, config.beta2))
        change = (self.first / correct1) / ((self.second / correct2).sqrt() + EPSILON)
        self._orthogonalise(change, gradient)
        change[: self._decayed] += config.weight_decay * self.masters[: self._decayed]
        self.masters.sub_(change * (lr * good))
        self.average.lerp_(self.masters, (1 - ema) * active)
        torch._foreach_copy_(self.parameters, self.views(self.masters))
        # A jump is forgotten slowly, so that a lasting change of scale gets through.
        seen = torch.minimum(norm.nan_to_num(0.0), 2 * config.jump * mean + (taken == 0) * norm)
        memory = torch.minimum(taken / (taken + 1), torch.full_like(taken, NORM_MEMORY))
        mean = torch.where(norm.isfinite(), memory * mean + (1 - memory) * seen, mean)
        updated = torch.stack((taken + good, refused + active - good, mean, norm))
        self.progress.copy_(torch.where(active > 0, updated, self.progress))
        return norms

    def _orthogonalise(self, change: Tensor, gradient: Tensor) -> None:
        """Overwrite the part of ``change`` that is Muon's; Nesterov's look ahead included."""
        if not self._orthogonal:
            return
        ahead = torch.lerp(gradient, self.first, self._config.momentum)
        count = self._orthogonal
        steps = orthogonal_steps(self.names[:count], self.views(ahead)[:count])
        torch._foreach_copy_(self.views(change)[:count], steps)

    def _clip(self, gradients: list[Tensor]) -> Tensor:
        """Clip the gradients of each module, or all as one; returns the modules' norms before."""
        norms = torch._foreach_norm(gradients)
        groups = self._groups.values()
        found = torch.stack([torch.stack([norms[i] for i in group]).norm() for group in groups])
        whole = found.norm().expand_as(found) if self._config.clipping == 'global' else found
        shares = (self._config.max_grad_norm / whole.nan_to_num(1.0)).clamp_max(1)
        for group, share in zip(groups, shares.unbind(), strict=True):
            torch._foreach_mul_([gradients[i] for i in group], share)
        return found

    @torch.no_grad()
    def load_average(self, net: nn.Module) -> None:
        """Copy the averaged weights into another network of the same kind."""
        average = dict(zip(self.names, self.views(self.average)))
        for name, parameter in net.named_parameters():
            parameter.copy_(average[name])

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that make up the state."""
        names = ('masters', 'first', 'second', 'average', 'progress')
        return {name: getattr(self, name) for name in names}

    @torch.no_grad()
    def restore(self, state: dict[str, Tensor]) -> None:
        """Take up a state that ``state`` returned."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
        torch._foreach_copy_(self.parameters, self.views(self.masters))
