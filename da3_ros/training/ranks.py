"""The processes that share a training run: one for each GPU, started by torchrun."""

from dataclasses import dataclass

import torch
from torch import distributed, Tensor


@dataclass(frozen=True)
class Ranks:
    """
    This process among those of the run; a run of one process is rank 0 of 1.

    All ranks hold the same weights and take the same steps; each draws windows of its own, and
    their gradients are averaged.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, device_type: str) -> 'Ranks':
        """Join the processes that torchrun started; without torchrun there is one."""
        if not distributed.is_torchelastic_launched():
            return cls()
        distributed.init_process_group('cpu:gloo,cuda:nccl' if device_type == 'cuda' else 'gloo')
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that speaks, scores and saves."""
        return self.rank == 0

    def average_(self, flat: Tensor) -> None:
        """Replace a vector by its mean over all ranks."""
        if self.size > 1:
            distributed.all_reduce(flat)
            flat /= self.size

    def agree(self, number: float) -> float:
        """Return what the first rank says; all ranks call this at the same place."""
        if self.size == 1:
            return number
        said = torch.tensor([number], dtype=torch.float64)
        distributed.broadcast(said, 0)
        return said.item()

    def leave(self) -> None:
        """End the group, in good order."""
        if self.size > 1:
            distributed.destroy_process_group()
