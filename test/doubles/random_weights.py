"""Random weights, made on a GPU, for networks that are too large to fill on a CPU."""

import torch
from torch import nn

CUDA = torch.device('cuda', 0)


def randomise(net: nn.Module, seed: int) -> nn.Module:
    """
    Fill all parameters, official or ours, so that every part matters and nothing overflows.

    Matrices keep the size of what passes through them, gains and norms lie around one.
    """
    generator = torch.Generator(CUDA).manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(net.named_parameters()):
            parameter.normal_(generator=generator)
            is_free = 'token' in name or 'pos_embed' in name
            if parameter.ndim >= 2 and not is_free:
                parameter.mul_(parameter[0].numel() ** -0.5)
            elif name.endswith('gamma'):
                parameter.mul_(0.09).add_(0.3)
            elif 'norm' in name and name.endswith('weight'):
                parameter.mul_(0.3).add_(1)
            elif name.endswith('bias'):
                parameter.mul_(0.2)
            if 'fov' in name:  # fields of view between some 20 and 100 degrees
                parameter.add_(1) if name.endswith('bias') else parameter.mul_(0.2)
    return net
