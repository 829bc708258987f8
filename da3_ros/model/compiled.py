"""
Which parts of a network are compiled: its blocks and the convolutional stacks of the dense head.

Hooks on the modules stay outside of what is compiled.
"""

from typing import TypeVar

from da3_ros.model.dpt_head import Decoder, DepthOutput, RayOutput
from da3_ros.model.layers import Block
import torch
from torch import nn

PARTS = (Block, Decoder, DepthOutput, RayOutput)
# One class shares its code among all its modules: it needs room for each variant of its sizes.
MAX_VARIANTS = 64

SomeNetwork = TypeVar('SomeNetwork', bound=nn.Module)


def compile_network(net: SomeNetwork, dynamic: bool | None = None) -> SomeNetwork:
    """
    Let the heavy parts of a network be compiled when they first run, in place; returns it.

    With ``dynamic`` sizes are variables from the start; with None, once a second size comes.
    """
    limits = torch._dynamo.config
    name = 'recompile_limit' if hasattr(limits, 'recompile_limit') else 'cache_size_limit'
    setattr(limits, name, MAX_VARIANTS)
    for module in net.modules():
        if isinstance(module, PARTS):
            module.forward = torch.compile(module.forward, dynamic=dynamic)
    return net
