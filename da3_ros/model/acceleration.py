"""How the blocks of a network, and its dense head, are run where speed counts."""

from functools import lru_cache
from importlib.util import find_spec
import logging
from typing import Literal, TypeVar

from da3_ros.model.compiled import compile_network
from da3_ros.model.network import Network
import torch

# As they are written; with the kernels of ``fused``; with what torch.compile makes of them.
Blocks = Literal['plain', 'fused', 'compiled']

_log = logging.getLogger(__name__)

SomeNetwork = TypeVar('SomeNetwork', bound=Network)


def accelerate(net: SomeNetwork, blocks: Blocks) -> SomeNetwork:
    """
    Let a network on its device run in another way, in place; returns it.

    It is fused on a GPU and in half precision only, and left as it is elsewhere.
    """
    if blocks == 'compiled':
        return compile_network(net)
    device = next(net.parameters()).device
    if blocks == 'plain' or device.type != 'cuda' or net.dtype == torch.float32:
        return net
    if not has_triton(device):
        return net
    from da3_ros.model.fused import fuse_blocks  # imports Triton
    from da3_ros.model.fused_head import fuse_dense

    fuse_blocks(net)
    fuse_dense(net)
    return net


@lru_cache
def has_triton(device: torch.device) -> bool:
    """Tell whether Triton's kernels run on a GPU; warns, once, where they do not."""
    problem = _problem(device)
    if problem:
        _log.warning(
            '%s; the network runs at half its speed and clouds are made on the CPU. Install '
            "PyTorch 2.8 or newer, its Triton, gcc and Python's headers, or set "
            'compile to true.',
            problem,
        )
    return not problem


def _problem(device: torch.device) -> str:
    try:
        if find_spec('triton.tools.tensor_descriptor') is None:
            return 'The installed Triton is older than 3.4'
    except ModuleNotFoundError:
        return 'Triton is not installed'
    from da3_ros.model.kernels import add

    try:
        ones = torch.ones(1, 1, 16, device=device)
        with torch.cuda.device_of(ones):
            add(ones, ones, ones[0, 0])
    except Exception as error:  # of a C compiler, a driver, a GPU that it does not know
        return f'Triton cannot compile here ({type(error).__name__}: {error})'.splitlines()[0]
    return ''
