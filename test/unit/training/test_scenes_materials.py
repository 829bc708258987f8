"""Rooms look like rooms: plain surfaces, likely colours, parts alike, cameras held by hand."""

from collections import Counter
import random

from da3_ros.training.cameras import MOTIONS, sample_cameras
from da3_ros.training.data import repaint
from da3_ros.training.scenes.builder import SceneBuilder
from da3_ros.training.scenes.catalogue import PaintedTextures
from da3_ros.training.scenes.make import make_scenes
from da3_ros.training.scenes.materials import draw_material, PLAIN
from da3_ros.training.scenes.noise import Canvas
from da3_ros.training.scenes.palettes import CEILINGS, draw_colour, FABRICS, WALLS, WOODS
from da3_ros.training.scenes.patterns import FAMILIES
from da3_ros.training.scenes.scene import SHELL_FACES, Slots
from da3_ros.training.scenes.sensor import expose, SensorConfig
import pytest
import torch

PLAIN_ROLES = {finish.structure for plain in PLAIN.values() for finish in plain.finishes}
PLAIN_FAMILIES = [n for n, family in FAMILIES.items() if family.roles <= PLAIN_ROLES]


@pytest.mark.parametrize('name', PLAIN_FAMILIES)
def test_plain_structures_are_weak_light_and_grey(name: str) -> None:
    for seed in range(4):
        picture = FAMILIES[name].paint(Canvas.seeded(64, seed))
        assert picture.shape == (3, 64, 64)
        assert picture.std() < 0.2 and 0.6 < picture.mean() < 0.95
        assert torch.equal(picture[0], picture[2])


@pytest.mark.parametrize('held_out', [False, True])
def test_most_walls_and_ceilings_are_plain(held_out: bool) -> None:
    textures, rng = PaintedTextures(2, held_out), random.Random(0)
    plain = {number for role in PLAIN_ROLES for number in textures.with_role(role)}
    counts = Counter()
    for role in ('wall', 'ceiling', 'object', 'cloth', 'door', 'floor'):
        drawn = [draw_material(rng, textures, role) for _ in range(300)]
        counts[role] = sum(material.texture in plain for material in drawn) / 300
        assert abs(counts[role] - PLAIN[role].share) < 0.1
    assert min(counts.values()) > 0.5 and counts['ceiling'] > 0.8


def test_most_walls_are_pale_and_ceilings_white() -> None:
    rng = random.Random(0)
    for palette, least in ((WALLS, 0.75), (CEILINGS, 0.85)):
        colours = torch.tensor([draw_colour(palette, rng) for _ in range(400)])
        pale = (colours.amin(1) > 0.25) & (colours.amax(1) - colours.amin(1) < 0.35)
        assert pale.float().mean() > least
    for palette in (WOODS, FABRICS):
        colours = torch.tensor([draw_colour(palette, rng) for _ in range(100)])
        assert (colours >= 0).all() and (colours <= 1).all()


def test_things_repeat_looks_that_the_scene_has() -> None:
    builder = SceneBuilder(Slots(), random.Random(1), PaintedTextures(20))
    drawn = [builder.material('object').texture for _ in range(60)]
    assert 15 < len(set(drawn)) < 50


def test_repainting_keeps_parts_of_one_material_alike() -> None:
    scenes = make_scenes(range(6))
    torch.manual_seed(0)
    painted = repaint(scenes)
    change = painted.tint / scenes.tint
    for b in range(6):
        for texture in scenes.texture[b].unique():
            own = change[b][scenes.texture[b] == texture]
            torch.testing.assert_close(own, own[:1].expand_as(own))
    assert change.std() > 0.1


def test_hands_tilt_the_camera_and_robots_keep_it_level(monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = make_scenes([seed % 16 for seed in range(192)])
    spread = {}
    for kind in ('hand', 'robot'):
        monkeypatch.setattr('da3_ros.training.cameras.MOTIONS', {kind: MOTIONS[kind]})
        monkeypatch.setattr(
            'da3_ros.training.cameras._amplitudes',
            lambda device, kind=kind: torch.tensor([tuple(MOTIONS[kind])]),
        )
        torch.manual_seed(0)
        poses = sample_cameras(scenes, 2, 42, 56, torch.ones(())).world_from_camera
        pitch = torch.rad2deg(torch.asin(poses[..., 2, 2]))
        roll = torch.rad2deg(torch.asin(poses[..., 2, 0].abs().clamp_max(1)))
        spread[kind] = pitch.quantile(0.05), pitch.quantile(0.95), roll.quantile(0.9)
    down, up, roll = spread['hand']
    assert down < -25 and up > 12 and 10 < roll < 30
    down, up, roll = spread['robot']
    assert down > -20 and up < 10 and roll < 0.1


def test_some_windows_are_close_to_things(monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = make_scenes([seed % 24 for seed in range(240)])
    close = []
    for share in (0.0, 1.0):
        monkeypatch.setattr('da3_ros.training.cameras.CLOSE_SHARE', share)
        torch.manual_seed(0)
        poses = sample_cameras(scenes, 1, 42, 56, torch.ones(())).world_from_camera
        place, forward = poses[:, 0, :3, 3], poses[:, 0, :3, 2]
        offset = scenes.centre[:, SHELL_FACES:] - place[:, None]
        distance = offset.norm(dim=-1)
        ahead = (offset * forward[:, None]).sum(-1) / distance > 0.97
        nearest_m = distance.masked_fill(~ahead, torch.inf).amin(1)
        close.append((nearest_m < 1.8).float().mean())
    assert close[1] > 0.4 and close[1] > 2 * close[0]


def test_metering_evens_out_bright_and_dark_scenes() -> None:
    base = torch.rand(1, 1, 3, 20, 30, generator=torch.Generator().manual_seed(0)) + 0.1
    colour = torch.cat([0.2 * base, 2 * base])
    means = {
        share: expose(colour, SensorConfig(metering=share)).mean((1, 2, 3, 4))
        for share in (0.0, 1.0)
    }
    assert means[0.0][1] > 1.8 * means[0.0][0]
    torch.testing.assert_close(means[1.0][0], means[1.0][1], rtol=0.02, atol=0)


def test_clipping_and_contrast_push_light_to_the_ends() -> None:
    colour = torch.linspace(0, 1.5, 3000).view(1, 1, 3, 20, 50)
    soft = expose(colour, SensorConfig(exposure=1.0))
    hard = expose(colour, SensorConfig(exposure=1.0, clipping=1.0, contrast=0.8))
    assert (hard > 0.999).sum() > (soft > 0.999).sum() + 100
    assert (hard < 0.2).sum() > (soft < 0.2).sum()
