"""Timing on a GPU, to choose among ways that compute the same."""

from collections.abc import Callable

import torch

_RUNS, _WARM_UPS = 10, 3


def milliseconds(function: Callable[[], object]) -> float:
    """Return the time of a call on the current GPU, warm; waits for the device."""
    for _ in range(_WARM_UPS):
        function()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(_RUNS):
        function()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / _RUNS
