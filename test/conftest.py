"""What every test goes by."""

import os
import signal

import pytest
import torch

# A shell has what it runs in the background ignore SIGINT, and so would every process of a test.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same numbers in every order of the tests: how many threads share a sum is in its last digits,
# and a command that a test runs may set it. One is also the fastest on a machine with others.
torch.set_num_threads(1)

# Kernels for GPUs are interpreted where there is none. Triton reads this when it is imported,
# which PyTorch's compiler does too.
if not torch.cuda.is_available():
    os.environ['TRITON_INTERPRET'] = '1'


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none, and say so."""
    if torch.cuda.is_available():
        return
    for item in items:
        if 'gpu' in item.keywords:
            item.add_marker(pytest.mark.skip(reason='there is no CUDA device'))
