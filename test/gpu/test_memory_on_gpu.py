"""What the status says of a GPU's memory."""

import pytest
import torch

pytestmark = pytest.mark.gpu
pytest.importorskip('diagnostic_msgs')

from da3_ros.ros.diagnostics import gpu_memory_mib  # noqa: E402


def test_memory_in_use_is_pytorchs() -> None:
    device = torch.device('cuda', 0)
    held = torch.zeros(5 * 2**20, dtype=torch.uint8, device=device)
    assert gpu_memory_mib(device) == torch.cuda.memory_allocated(device) / 2**20 >= 5
    del held
