"""Windows that training never sees: other seeds, other families of textures, the full range."""

from dataclasses import dataclass

from da3_ros.training.cameras import sample_cameras
from da3_ros.training.data import FAR_M, normalise, single_views, Windows
from da3_ros.training.scenes.catalogue import PaintedTextures
from da3_ros.training.scenes.make import atlas_for, held_out_seed, make_scenes, SceneConfig
from da3_ros.training.scenes.render import render, RenderConfig
from da3_ros.training.scenes.sensor import expose, TRAINING_SENSOR
import torch
from tqdm import tqdm


@dataclass(frozen=True)
class HeldOutConfig:
    """``windows`` windows of ``views`` pictures, each of its own scene; a pure function of it."""

    windows: int = 32
    views: int = 8
    height: int = 168
    width: int = 224
    texture_variants: int = 8
    texture_side: int = 128
    samples_per_side: int = 2
    first: int = 0


def held_out_windows(config: HeldOutConfig, device: torch.device) -> Windows:
    """
    Render held-out windows; the truth is the same on every device, the noise is not.

    Scenes and cameras come from the CPU's generator, whose state is left as it was.
    """
    textures = PaintedTextures(config.texture_variants, held_out=True)
    seeds = [held_out_seed(config.first + i) for i in range(config.windows)]
    scenes = make_scenes(seeds, SceneConfig(textures=textures))
    scenes, atlas = atlas_for(scenes, textures, config.texture_side)
    gpus = [device] if device.type == 'cuda' else []
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(config.first)
        size = config.height, config.width
        cameras = sample_cameras(scenes, config.views, *size, torch.ones(()))
        scenes, atlas = scenes.to(device), atlas.to(device)
        look = RenderConfig(config.width, config.height, config.samples_per_side, FAR_M)
        parts = []
        bar = tqdm(range(config.windows), 'render', unit='window', leave=False, disable=None)
        for i in bar:
            one = [x[i : i + 1].to(device) for x in cameras]
            seen = render(scenes[i : i + 1], atlas, *one, look)
            pictures = normalise(expose(seen.colour, TRAINING_SENSOR))
            known = torch.zeros(1, dtype=torch.bool, device=device)
            parts.append(Windows(pictures, seen.depth_m, *one, known))
    return Windows(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def first_views(windows: Windows, views: int) -> Windows:
    """
    Return windows of fewer views of the same pictures.

    With ``views`` 1 the first four pictures of each window become windows of their own.
    """
    few = Windows(*(x[:, : 4 if views == 1 else views] for x in windows[:4]), windows.known)
    return single_views(few) if views == 1 else few
