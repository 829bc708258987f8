"""
The state a network starts from: weights of before, or what a short run would learn first.

Cross-view heads start as a search for similar patches, patch filters and positions smooth,
residual branches quiet, confidence near 1; cameras near the identity.
"""

from dataclasses import replace
import math

from da3_ros.errors import WeightsError
from da3_ros.model import load_any_view
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.training.config import TrainConfig
import torch
from torch import Tensor

QK_GAIN = 1.4
LAYER_SCALE = 0.3
POSITION_GAIN = 0.4
CONFIDENCE_LOGIT = -2.0  # confidence 1 + exp(-2)
FREQUENCIES = 6  # of a patch filter, each way


def smooth_filters(count: int, side: int, generator: torch.Generator) -> Tensor:
    """Random filters (count, 3, side, side) of low frequencies, about unit gain on white input."""
    at = (torch.arange(side) + 0.5) / side
    waves = torch.cos(math.pi * torch.arange(FREQUENCIES)[:, None] * at)  # (F, side)
    order = torch.arange(FREQUENCIES, dtype=torch.float32)
    fall = 1 / (1 + (order[:, None] ** 2 + order**2).sqrt())
    gains = torch.randn(count, 3, FREQUENCIES, FREQUENCIES, generator=generator) * fall
    filters = torch.einsum('ncij,iy,jx->ncyx', gains, waves, waves)
    return filters / filters.flatten(1).norm(dim=1)[:, None, None, None]


def position_waves(side: int, channels: int) -> Tensor:
    """Sines and cosines of row and column, (1, side * side, channels)."""
    rates = 100.0 ** (-torch.arange(channels // 4) / (channels / 4))
    angles = torch.arange(side)[:, None] * rates  # (side, C / 4)
    one_way = torch.cat((angles.sin(), angles.cos()), 1)  # (side, C / 2)
    rows = one_way[:, None].expand(side, side, -1)
    columns = one_way[None].expand(side, side, -1)
    return torch.cat((rows, columns), -1).flatten(0, 1)[None]


@torch.no_grad()
def initialise(net: AnyViewNetwork, seed: int) -> AnyViewNetwork:
    """Set what does not start at random, in a float32 network on the CPU; returns it."""
    generator = torch.Generator().manual_seed(seed)
    backbone, config = net.backbone, net.config
    weight = backbone.patch_embed.weight
    # White input would give outputs of unit size; pictures are smooth and give about 8 times more.
    weight.copy_(smooth_filters(len(weight), config.patch_size, generator) * 0.15)
    backbone.patch_embed.bias.zero_()
    backbone.pos_embed.zero_()
    waves = position_waves(config.position_grid, config.embed_dim)
    backbone.pos_embed[:, 1:] = POSITION_GAIN * waves
    backbone.camera_token.normal_(generator=generator)
    for index, block in enumerate(backbone.blocks):
        block.ls1.gamma.fill_(LAYER_SCALE)
        block.ls2.gamma.fill_(LAYER_SCALE)
        if backbone.is_global(index):
            dim = config.embed_dim
            for parameter in (block.attn.qkv.weight, block.attn.qkv.bias):
                parameter[dim : 2 * dim] = parameter[:dim]
            block.attn.q_norm.weight.fill_(QK_GAIN)
            block.attn.k_norm.weight.fill_(QK_GAIN)
    for output, channel in ((net.head.depth_output.last, 1), (net.head.ray_output.last, 6)):
        output.bias[channel] = CONFIDENCE_LOGIT
        output.weight[channel] *= 0.1
    ray_bias = net.head.ray_output.last.bias
    ray_bias[:6] = torch.tensor((0.0, 0.0, 1.0, 0.0, 0.0, 0.0))
    return net


@torch.no_grad()
def quiet_cameras(net: AnyViewNetwork, gain: float) -> AnyViewNetwork:
    """Let cameras start near the identity (by a small gain): their gradient would drown others."""
    decoder = net.camera_decoder
    for layer in (decoder.centre, decoder.quaternion, decoder.fov):
        layer.weight.mul_(gain)
    decoder.centre.bias.zero_()
    return net


def initial_network(config: TrainConfig, resumes: bool = False) -> AnyViewNetwork:
    """
    Make a float32 network on the CPU, ready to be trained, that starts from weights or a seed.

    A run that ``resumes`` does not ask for the weights it once started from.

    Raises:
        WeightsError: if the weights are missing, damaged, or of another network.

    """
    network, init = config.network, config.init
    if not init or resumes:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            net = AnyViewNetwork(network)
            if config.prepared_start:
                initialise(net, config.seed)
            return quiet_cameras(net, config.camera_gain)
    net = load_any_view(init)
    # A name and a resolution change no weight.
    if replace(net.config, name=network.name, resolution=network.resolution) != network:
        raise WeightsError(
            f"init: '{init}' holds {net.config.name}, with other constants than the network that "
            f'is trained ({network.name}); give weights of that network, or set model.'
        )
    return net.train().requires_grad_()
