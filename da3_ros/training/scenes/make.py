"""Scenes from seeds, and the atlas that they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
import random

from da3_ros.errors import InputError
from da3_ros.training.scenes.atlas import Atlas, build_atlas
from da3_ros.training.scenes.builder import SceneBuilder
from da3_ros.training.scenes.catalogue import PaintedTextures, TextureSource
from da3_ros.training.scenes.outdoor import build_outdoor
from da3_ros.training.scenes.rooms import build_room
from da3_ros.training.scenes.scene import Scenes, Slots, stack_scenes
import torch

# Seeds from here on belong to evaluation; training draws below.
FIRST_HELD_OUT_SEED = 1_000_000_000


@dataclass(frozen=True)
class SceneConfig:
    """What scenes are made of; the content of a scene is a pure function of this and its seed."""

    slots: Slots = field(default_factory=Slots)
    textures: TextureSource = field(default_factory=PaintedTextures)
    outdoor_share: float = 0.15

    def __post_init__(self) -> None:
        if not 0 <= self.outdoor_share <= 1:
            raise InputError(f'outdoor_share must be within [0, 1], got {self.outdoor_share}.')


def held_out_config(slots: Slots | None = None) -> SceneConfig:
    """Scenes with texture families that training never shows; use seeds from held_out_seed()."""
    return SceneConfig(slots=slots or Slots(), textures=PaintedTextures(held_out=True))


def held_out_seed(index: int) -> int:
    """Seed of the index-th evaluation scene, out of training's range."""
    return FIRST_HELD_OUT_SEED + index


def make_scenes(seeds: Sequence[int], config: SceneConfig | None = None) -> Scenes:
    """Make one scene per seed, on the CPU. Textures are numbered as in `config.textures`."""
    config = config or SceneConfig()
    made = []
    for seed in seeds:
        rng = random.Random(seed)
        builder = SceneBuilder(config.slots, rng, config.textures)
        outdoor = rng.random() < config.outdoor_share
        made.append(build_outdoor(builder) if outdoor else build_room(builder))
    return stack_scenes(made)


def atlas_for(scenes: Scenes, textures: TextureSource, side: int = 256) -> tuple[Scenes, Atlas]:
    """
    Paint only the textures that the scenes use, and renumber the scenes to that atlas.

    To share one atlas among all scenes, build it from `textures.images(range(len(textures)))`
    instead and leave the scenes as they are.
    """
    used = torch.cat([t.flatten() for t in (scenes.texture, scenes.detail, scenes.stain)]).unique()
    index_of = torch.zeros(len(textures), dtype=torch.long)
    index_of[used] = torch.arange(len(used))
    return scenes.with_textures(index_of), build_atlas(textures.images(used.tolist(), side))
