"""How the blocks of a network are run where speed counts."""

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
    Let the blocks of a network on its device run in another way, in place; returns it.

    They are fused on a GPU and in half precision only, and left as they are elsewhere.
    """
    if blocks == 'compiled':
        return compile_network(net)
    is_on_gpu = next(net.parameters()).device.type == 'cuda'
    if blocks == 'plain' or not is_on_gpu or net.dtype == torch.float32:
        return net
    if not _has_triton():
        _log.warning(
            'Triton 3.4 or newer is not installed, so the network runs at half its speed: install '
            'it, or set compile to true.'
        )
        return net
    from da3_ros.model.fused import fuse_network  # imports Triton

    return fuse_network(net)


def _has_triton() -> bool:
    try:
        return find_spec('triton.tools.tensor_descriptor') is not None
    except ModuleNotFoundError:
        return False
