"""How the blocks of a network, and its dense head, are run where speed counts."""

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
    is_on_gpu = next(net.parameters()).device.type == 'cuda'
    if blocks == 'plain' or not is_on_gpu or net.dtype == torch.float32:
        return net
    if not has_triton():
        _log.warning(
            'Triton 3.4 or newer is not installed, so the network runs at half its speed: install '
            'it, or set compile to true.'
        )
        return net
    from da3_ros.model.fused import fuse_blocks  # imports Triton
    from da3_ros.model.fused_head import fuse_dense

    fuse_blocks(net)
    fuse_dense(net)
    return net


def has_triton() -> bool:
    """Tell whether there is a Triton that the kernels can be compiled with."""
    try:
        return find_spec('triton.tools.tensor_descriptor') is not None
    except ModuleNotFoundError:
        return False
