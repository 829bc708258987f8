"""
Which parts of the network and the renderer are compiled, once for all shapes.

Blocks and the convolutional stacks of the dense head are compiled with dynamic sizes: kernels are
made once, not once for each bucket. Hooks on the modules stay outside, and so does the match loss.
"""

from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.dpt_head import Decoder, DepthOutput, RayOutput
from da3_ros.model.layers import Block
from da3_ros.training.scenes.render import render
import torch

COMPILED = (Block, Decoder, DepthOutput, RayOutput)


def compile_network(net: AnyViewNetwork, dynamic: bool = True) -> AnyViewNetwork:
    """Compile the forward passes of the network's heavy parts, in place; returns it."""
    # One class shares its code among all its modules: each needs room for its own variants.
    torch._dynamo.config.recompile_limit = 64
    for module in net.modules():
        if isinstance(module, COMPILED):
            module.forward = torch.compile(module.forward, dynamic=dynamic)
    return net


def compiled_renderer(dynamic: bool = True) -> object:
    """Return the renderer with its shading compiled."""
    return torch.compile(render, dynamic=dynamic)
