"""Scenes with known contents."""

from collections.abc import Callable
import random

from da3_ros.training.scenes.atlas import Atlas, build_atlas
from da3_ros.training.scenes.builder import Material, SceneBuilder
from da3_ros.training.scenes.scene import Scenes, Slots
import pytest
import torch


class OneTexture:
    """A texture source with a single smooth tileable picture."""

    def __len__(self) -> int:
        return 1

    def with_role(self, role: str) -> list[int]:
        return [0]

    def images(self, numbers: list[int], side: int) -> torch.Tensor:
        at = (torch.arange(side) + 0.5) / side * 2 * torch.pi
        waves = torch.stack([at.sin().expand(side, side), at.cos()[:, None].expand(side, side)])
        picture = torch.cat([waves, waves.prod(0, keepdim=True)]) * 0.3 + 0.5
        return picture.expand(len(numbers), 3, side, side)


LIGHTS = {
    'is_outdoor': 0.0,
    'light_position': [(0.5, 0.2, 2.8), (-1.0, 1.0, 2.5)],
    'light_colour': [(0.8, 0.8, 0.8), (0.3, 0.3, 0.2)],
    'light_reach_m': [2.0, 2.0],
    'ambient_up': (0.4, 0.4, 0.4),
    'ambient_down': (0.3, 0.3, 0.3),
    'sky_zenith': (0.2, 0.4, 0.9),
    'sky_horizon': (0.8, 0.8, 0.8),
}
LOW, HIGH = (-3.0, -2.0, 0.0), (3.0, 2.0, 3.0)


@pytest.fixture
def known_scene() -> Callable[..., Scenes]:
    """Room of 6 x 4 x 3 m around the origin, filled by a function of the builder."""

    def build(fill: Callable[[SceneBuilder], None] = lambda b: None, **changes: object) -> Scenes:
        builder = SceneBuilder(Slots(2, 1, 1, 1), random.Random(0), OneTexture())
        fill(builder)
        scene = {**LIGHTS, 'walk_low': LOW, 'walk_high': HIGH, **changes}
        return builder.finish(LOW, HIGH, [Material(0)] * 6, **scene)

    return build


@pytest.fixture
def smooth_atlas() -> Atlas:
    """Atlas of the one texture that known scenes use."""
    return build_atlas(OneTexture().images([0], 64))
