"""
Which parts of the network and the renderer are compiled, once for all shapes.

Blocks and the convolutional stacks of the dense head are compiled with dynamic sizes: kernels are
made once, not once for each bucket. Hooks on the modules stay outside, and so does the match loss.
"""

from pathlib import Path

from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.dpt_head import Decoder, DepthOutput, RayOutput
from da3_ros.training.scenes.render import render
import torch
import torch.fx.experimental._config

HEAD_PARTS = (Decoder, DepthOutput, RayOutput)


def compile_network(net: AnyViewNetwork, dynamic: bool = True) -> AnyViewNetwork:
    """Compile the forward passes of the network's heavy parts, in place; returns it."""
    # One class shares its code among all its modules: each needs room for its own variants.
    torch._dynamo.config.recompile_limit = 64
    # Sizes that happen to be equal in the first bucket are not in the next.
    torch.fx.experimental._config.use_duck_shape = False
    parts = [module for module in net.head.modules() if isinstance(module, HEAD_PARTS)]
    for module in (*net.backbone.blocks, *parts):
        module.forward = torch.compile(module.forward, dynamic=dynamic)
    return net


def compiled_renderer(dynamic: bool = True) -> object:
    """Return the renderer with its shading compiled."""
    return torch.compile(render, dynamic=dynamic)


def load_cache(path: Path) -> None:
    """Take up kernels that ``save_cache`` wrote on a machine of the same kind; none is fine."""
    if path.exists():
        torch.compiler.load_cache_artifacts(path.read_bytes())


def save_cache(path: Path) -> None:
    """Write all kernels compiled or loaded so far."""
    artifacts = torch.compiler.save_cache_artifacts()
    if artifacts is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(artifacts[0])
