"""
Which parts of the network and the renderer are compiled, once for all shapes.

The blocks of the trunk are compiled with dynamic sizes: kernels are made once, not once for each
bucket, and are as fast as those for fixed sizes. Compiling the dense head, the losses or the match
loss gains 1 to 2 % of a step each and costs 10 to 20 s: they stay as written.
"""

from pathlib import Path

from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.training.scenes.render import render
import torch
import torch.fx.experimental._config


def compile_network(net: AnyViewNetwork, dynamic: bool = True) -> AnyViewNetwork:
    """Compile the trunk's blocks, in place; returns the network."""
    # All blocks share one code: it needs room for every variant.
    torch._dynamo.config.recompile_limit = 64
    # Sizes that happen to be equal in the first bucket are not in the next.
    torch.fx.experimental._config.use_duck_shape = False
    for block in net.backbone.blocks:
        block.forward = torch.compile(block.forward, dynamic=dynamic)
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
