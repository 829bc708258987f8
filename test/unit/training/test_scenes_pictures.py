"""Colour: consistent between views, finite, without aliasing, the same for the same seed."""

from dataclasses import fields, replace

from da3_ros.training.scenes.atlas import build_atlas
from da3_ros.training.scenes.catalogue import PaintedTextures
from da3_ros.training.scenes.lighting import Effects
from da3_ros.training.scenes.make import (
    atlas_for,
    held_out_config,
    held_out_seed,
    make_scenes,
    SceneConfig,
)
from da3_ros.training.scenes.paths import camera_path, look_poses, PathConfig
from da3_ros.training.scenes.patterns import FAMILIES
from da3_ros.training.scenes.rays import intrinsics_from_fov
from da3_ros.training.scenes.render import render, RenderConfig
from da3_ros.training.scenes.scene import Scenes, stack_scenes
from da3_ros.training.scenes.sensor import encode_srgb, expose, SensorConfig, TRAINING_SENSOR
from da3_ros.training.scenes.sequence import iterate_sequence, render_sequence, SequenceConfig
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import grid_sample

SMALL = RenderConfig(48, 36)


def views_of(scene, seed, frames, width, height, speed_m=0.1):
    generator = torch.Generator().manual_seed(seed)
    poses = camera_path(scene, frames, generator, PathConfig(speed_m=speed_m, rest_share=0))
    intrinsics = intrinsics_from_fov(70.0, width, height)
    return poses[None], intrinsics.expand(1, frames, 3, 3)


def test_matte_surfaces_have_the_same_colour_from_everywhere(known_scene, smooth_atlas):
    scene = known_scene()
    forward, eye = torch.tensor([[1.0, 0.1, -0.1], [1.0, -0.2, 0.0]]), torch.zeros(2, 3)
    eye[:] = torch.tensor([[-1.0, 0.0, 1.5], [-0.6, 0.4, 1.3]])
    poses = look_poses(eye, forward, torch.tensor([0.0, 0.1]))[None]
    intrinsics = intrinsics_from_fov(70.0, 160, 120).expand(1, 2, 3, 3)
    look = RenderConfig(160, 120, effects=Effects(specular=False))
    seen = render(scene, smooth_atlas, poses, intrinsics, look)
    u, v = torch.meshgrid(torch.arange(160) + 0.5, torch.arange(120) + 0.5, indexing='xy')
    k = intrinsics[0, 0]
    rays = torch.stack([(u - k[0, 2]) / k[0, 0], (v - k[1, 2]) / k[1, 1], torch.ones_like(u)])
    lifted = poses[0, 0, :3, :3] @ (rays * seen.depth_m[0, 0]).flatten(1) + poses[0, 0, :3, 3:]
    inside = poses[0, 1, :3, :3].T @ (lifted - poses[0, 1, :3, 3:])
    x = k[0, 0] * inside[0] / inside[2] + k[0, 2]
    y = k[1, 1] * inside[1] / inside[2] + k[1, 2]
    grid = torch.stack([x / 160 * 2 - 1, y / 120 * 2 - 1], -1).view(1, 120, 160, 2)
    other = grid_sample(seen.colour[0, 1:], grid, align_corners=False)[0]
    valid = (grid.abs() < 0.97).all(-1)[0] & (inside[2].view(120, 160) > 0.1)
    assert valid.float().mean() > 0.5
    error = (other - seen.colour[0, 0]).abs().amax(0)[valid]
    assert error.quantile(0.95) < 0.02


def test_batches_equal_single_scenes():
    config = SceneConfig(textures=PaintedTextures(variants=1))
    scenes = make_scenes([3, 4, 5], config)
    scenes, atlas = atlas_for(scenes, config.textures, 16)
    views = [views_of(scenes[i : i + 1], i, 2, 48, 36) for i in range(3)]
    poses, intrinsics = (torch.cat(parts) for parts in zip(*views))
    together = render(scenes, atlas, poses, intrinsics, SMALL)
    for i in range(3):
        alone = render(scenes[i : i + 1], atlas, poses[i : i + 1], intrinsics[i : i + 1], SMALL)
        torch.testing.assert_close(together.depth_m[i], alone.depth_m[0], equal_nan=True)
        assert torch.equal(together.surface[i], alone.surface[0])
        torch.testing.assert_close(together.colour[i], alone.colour[0], rtol=1e-3, atol=1e-4)
    joined = stack_scenes([scenes[0:1], scenes[1:3]])
    assert torch.equal(joined.centre, scenes.centre)


def test_pictures_are_finite_and_sensibly_exposed():
    for seed in range(12):
        config = SequenceConfig(seed=seed, frames=2, width=48, height=36, texture_side=16)
        film = render_sequence(config)
        assert film.rgb.dtype == torch.uint8
        assert 20 < film.rgb.float().mean() < 225
        assert film.rgb.float().std() > 8
        assert not film.depth_m.isinf().any()
        assert (film.depth_m[film.depth_m.isfinite()] > 0).all()


def test_a_seed_gives_the_same_film_and_another_seed_another():
    config = SequenceConfig(seed=7, frames=3, width=48, height=36, texture_side=16)
    one, same = render_sequence(config), render_sequence(config)
    for name in ('rgb', 'world_from_camera', 'stamp_ns'):
        assert torch.equal(getattr(one, name), getattr(same, name))
    torch.testing.assert_close(one.depth_m, same.depth_m, rtol=0, atol=0, equal_nan=True)
    other = render_sequence(replace(config, seed=8))
    assert not torch.equal(one.rgb, other.rgb)
    assert torch.equal(one.stamp_ns.diff(), torch.tensor([100_000_000, 100_000_000]))


def test_iterating_gives_the_same_frames():
    config = SequenceConfig(seed=2, frames=2, width=32, height=24, texture_side=16)
    film = render_sequence(config)
    for number, frame in enumerate(iterate_sequence(config)):
        assert torch.equal(frame.rgb, film.rgb[number])
        assert frame.stamp_ns == film.stamp_ns[number].item()


def test_held_out_textures_are_never_trained_on():
    trained, kept = PaintedTextures(), PaintedTextures(held_out=True)
    roles = frozenset().union(*(family.roles for family in FAMILIES.values()))
    for role in roles:  # both splits can play every role
        assert trained.with_role(role) and kept.with_role(role)
    assert not set(trained._families) & set(kept._families)
    scene = make_scenes([held_out_seed(0)], held_out_config())
    assert scene.texture.max() < len(kept)


def test_far_textures_fade_to_their_mean_instead_of_aliasing():
    checks = torch.zeros(1, 3, 64, 64)
    checks[..., ::2, ::2] = 1
    checks[..., 1::2, 1::2] = 1
    atlas = build_atlas(checks)
    uv = torch.rand(2, 500, generator=torch.Generator().manual_seed(0))
    which = torch.zeros(500, dtype=torch.long)
    near = atlas.albedo(which, uv, torch.full((500,), 1 / 64))
    far = atlas.albedo(which, uv, torch.full((500,), 8 / 64))
    assert near.std() > 0.1
    torch.testing.assert_close(far, torch.full_like(far, 0.5))


def test_atlas_samples_texel_centres_exactly_and_wraps():
    image = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    atlas = build_atlas(image)
    y, x = torch.meshgrid(torch.arange(8), torch.arange(8), indexing='ij')
    uv = torch.stack([(x + 0.5) / 8 - 3, (y + 0.5) / 8 + 2])
    which = torch.ones(8, 8, dtype=torch.long)
    found = atlas.albedo(which, uv, torch.full((8, 8), 1 / 8))
    torch.testing.assert_close(found.permute(2, 0, 1), image[1], rtol=0, atol=1e-5)


def test_the_sensor_is_deterministic_and_its_steps_can_be_switched_off():
    colour = torch.rand(2, 3, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    one = expose(colour, TRAINING_SENSOR, torch.Generator().manual_seed(5))
    same = expose(colour, TRAINING_SENSOR, torch.Generator().manual_seed(5))
    other = expose(colour, TRAINING_SENSOR, torch.Generator().manual_seed(6))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert 0 <= one.min() and one.max() <= 1
    plain = expose(colour, SensorConfig(exposure=1.0))
    torch.testing.assert_close(plain, encode_srgb(colour / (1 + 0.35 * colour)))


def test_blur_keeps_flat_pictures_and_lowers_the_contrast_of_others():
    colour = torch.rand(1, 4, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    settings = SensorConfig(exposure=1.0, blur_px=1.5)
    blurred = expose(colour, settings, torch.Generator().manual_seed(0))
    sharp = expose(colour, SensorConfig(exposure=1.0))
    assert (blurred.std(dim=(-1, -2)) < sharp.std(dim=(-1, -2))).all()
    flat = torch.full_like(colour, 0.3)
    untouched = expose(flat, settings, torch.Generator().manual_seed(0))
    torch.testing.assert_close(untouched, expose(flat, SensorConfig(exposure=1.0)))


def test_nothing_in_a_render_step_depends_on_data():
    """Fake tensors have shapes but no values: reading one on the host raises."""
    config = SceneConfig(textures=PaintedTextures(variants=1))
    scenes, atlas = atlas_for(make_scenes([1, 2], config), config.textures, 16)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = Scenes(
            slots=scenes.slots,
            **{
                f.name: mode.from_tensor(getattr(scenes, f.name))
                for f in fields(Scenes)
                if f.name != 'slots'
            },
        )
        poses = torch.eye(4).expand(2, 3, 4, 4).clone()
        intrinsics = torch.eye(3).expand(2, 3, 3, 3).clone()
        seen = render(fake, atlas, poses, intrinsics, SMALL)
        picture = expose(seen.colour, TRAINING_SENSOR)
    assert picture.shape == (2, 3, 3, 36, 48)
    assert seen.depth_m.shape == (2, 3, 36, 48)


@pytest.mark.gpu
def test_the_gpu_agrees_with_the_cpu():
    config = SceneConfig(textures=PaintedTextures(variants=1))
    scenes = make_scenes(range(8), config)
    scenes, atlas = atlas_for(scenes, config.textures, 32)
    views = [views_of(scenes[i : i + 1], i, 2, 112, 84) for i in range(8)]
    poses, intrinsics = (torch.cat(parts) for parts in zip(*views))
    look = RenderConfig(112, 84)
    cpu = render(scenes, atlas, poses, intrinsics, look)
    gpu = render(scenes.to('cuda'), atlas.to('cuda'), poses.cuda(), intrinsics.cuda(), look)
    same = gpu.surface.cpu() == cpu.surface
    assert same.float().mean() > 0.999
    valid = same & cpu.depth_m.isfinite() & gpu.depth_m.cpu().isfinite()
    error = ((gpu.depth_m.cpu() - cpu.depth_m).abs() / cpu.depth_m)[valid]
    assert error.quantile(0.99) < 1e-5
    difference = (gpu.colour.cpu() - cpu.colour).abs().amax(2)
    assert difference.flatten().kthvalue(int(0.99 * difference.numel())).values < 1e-2


@pytest.mark.gpu
def test_a_render_step_can_be_captured_in_a_graph():
    """Capture fails on any read-back by the host or on shapes that depend on data."""
    config = SceneConfig(textures=PaintedTextures(variants=1))
    scenes, atlas = atlas_for(make_scenes([1, 2], config), config.textures, 16)
    views = [views_of(scenes[i : i + 1], i, 2, 48, 36) for i in range(2)]
    poses, intrinsics = (torch.cat(parts).cuda() for parts in zip(*views))
    scenes, atlas = scenes.to('cuda'), atlas.to('cuda')
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        plain = render(scenes, atlas, poses, intrinsics, SMALL)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = render(scenes, atlas, poses, intrinsics, SMALL)
    graph.replay()
    torch.testing.assert_close(captured.colour, plain.colour)
