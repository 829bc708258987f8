"""Choosing how attention is computed, by measurement on the device that it will run on."""

from contextlib import AbstractContextManager, nullcontext
from inspect import signature
import logging

from da3_ros.model.device_clock import milliseconds
import torch
from torch.nn.attention import sdpa_kernel, SDPBackend
import torch.nn.functional as F

_CANDIDATES = ('CUDNN_ATTENTION', 'FLASH_ATTENTION', 'EFFICIENT_ATTENTION')
_FALLBACKS = (SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH)
# Older versions of PyTorch have an order of their own.
_IN_ORDER = {'set_priority': True} if 'set_priority' in signature(sdpa_kernel).parameters else {}

_log = logging.getLogger(__name__)


class AttentionChoice:
    """
    Times PyTorch's fused attention backends on sequences of random tokens and keeps the winner.

    They compute the same; which is fastest depends on the GPU, the type and the length.
    """

    def __init__(
        self, heads: int, head_dim: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        """Take what is common to all attention of a network."""
        self._heads, self._head_dim = heads, head_dim
        self._dtype, self._device = dtype, device
        self._winners: dict[tuple[int, int], SDPBackend | None] = {}

    def fastest(self, attends: tuple[int, int] | None) -> AbstractContextManager:
        """Return the context in which ``attends`` = (sequences, tokens of each) is fastest."""
        if attends is None:
            return nullcontext()
        if attends not in self._winners:
            self._winners[attends] = self._measure(*attends)
        winner = self._winners[attends]
        if winner is None:
            return nullcontext()
        # Not all attention is of this kind: that of known cameras is in float32, for instance.
        others = [b for b in _FALLBACKS if b != winner]
        return sdpa_kernel([winner, *others], **_IN_ORDER)

    def _measure(self, sequences: int, tokens: int) -> SDPBackend | None:
        shape = sequences, self._heads, tokens, self._head_dim
        # Laid out as the network's are: (M, T, h, D) in memory.
        q, k, v = (
            torch.randn(shape, device=self._device).transpose(1, 2).contiguous().transpose(1, 2)
            for _ in range(3)
        )
        q, k, v = (x.to(self._dtype) for x in (q, k, v))
        times: dict[SDPBackend, float] = {}
        for name in _CANDIDATES:
            backend = getattr(SDPBackend, name, None)
            if backend is None:
                continue
            try:
                with sdpa_kernel(backend):
                    times[backend] = milliseconds(lambda: F.scaled_dot_product_attention(q, k, v))
            except RuntimeError:  # this GPU or type has no such kernel
                continue
        _log.info(
            'Attention over %d x %d tokens: %s',
            sequences,
            tokens,
            ', '.join(f'{b.name} {ms:.3f} ms' for b, ms in times.items()) or 'no fused kernel',
        )
        return min(times, key=times.__getitem__) if times else None
