"""
Every feature of the network matters: break one, and parity with the official network is lost.

This is what makes test_parity.py worth anything. Each mutation runs on a scene where the intact
network agrees with the official one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from da3_ros.model import camera_head, da3, dinov2, dpt_head, layers
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.layers import LayerScale, SwiGlu
from da3_ros.model.prediction import Prediction
import pytest
import torch
from torch import nn
import torch.nn.functional as F

Mutation = Callable[[pytest.MonkeyPatch, AnyViewNetwork], None]
MUTATIONS: dict[str, tuple[Mutation, str, tuple[str, ...]]] = {}

DENSE = ('depth', 'depth_conf', 'rays', 'ray_conf')
ALL = (*DENSE, 'camera_from_world', 'intrinsics')


def mutation(scenario: str, *outputs: str) -> Callable[[Mutation], Mutation]:
    """Register a mutation, the scenario it runs in and the outputs that must leave their gates."""

    def register(function: Mutation) -> Mutation:
        MUTATIONS[function.__name__] = (function, scenario, outputs)
        return function

    return register


def replace_part(patch: pytest.MonkeyPatch, owner: nn.Module, name: str, part: nn.Module) -> None:
    """Put another module in the place of ``owner.name`` until the test ends."""
    patch.setitem(owner._modules, name, part)


# -- the trunk --------------------------------------------------------------------------------


@mutation('small', *ALL)
def rope_off(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    patch.setattr(layers, 'rotate', lambda x, rope: x)


@mutation('small', *ALL)
def rope_off_in_cross_view_blocks(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    rope = dinov2.global_rope
    patch.setattr(dinov2, 'global_rope', lambda *args: layers.Rope(*(0 * x for x in rope(*args))))


@mutation('small', *ALL)
def rope_tells_patches_apart_across_views(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    local = dinov2.local_rope

    def by_position(views: int, patches: int, dim: int, device: torch.device) -> layers.Rope:
        return layers.Rope(*(x.repeat(views, 1) for x in local(5, 7, dim, device)))

    patch.setattr(dinov2, 'global_rope', by_position)


@mutation('small', *ALL)
def rope_swaps_rows_and_columns(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    local = dinov2.local_rope
    patch.setattr(
        dinov2,
        'local_rope',
        lambda *args: layers.Rope(*(x.roll(x.shape[1] // 2, dims=1) for x in local(*args))),
    )


@mutation('small', *ALL)
def q_norm_off(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    replace_part(patch, net.backbone.blocks[7].attn, 'q_norm', nn.Identity())


@mutation('small', *ALL)
def k_norm_off(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    replace_part(patch, net.backbone.blocks[7].attn, 'k_norm', nn.Identity())


@mutation('small', *ALL)
def position_offset_dropped(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    patch.setattr(dinov2, 'POSITION_OFFSET', 1e-3)
    patch.setattr(net.backbone, '_position_tables', {})


@mutation('small', *ALL)
def class_position_dropped(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    table = net.backbone.position_table
    mask = torch.cat((torch.zeros(1, 1, 1), torch.ones(1, 35, 1)), dim=1)
    patch.setattr(net.backbone, 'position_table', lambda *grid: table(*grid) * mask)


@mutation('small', *ALL)
def layer_scale_ignored(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    patch.setattr(LayerScale, 'forward', lambda self, x: x)


@mutation('small', *ALL)
def gelu_by_tanh(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    gelu = F.gelu
    patch.setattr(F, 'gelu', lambda x: gelu(x, approximate='tanh'))


@mutation('small', *ALL)
def reference_role_swapped(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    swapped = nn.Parameter(net.backbone.camera_token.flip(1))
    patch.setitem(net.backbone._parameters, 'camera_token', swapped)


@mutation('small', *ALL)
def other_reference(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    choose = da3.choose_reference
    patch.setattr(da3, 'choose_reference', lambda *args: (choose(*args) + 1) % 4)


@mutation('small', *ALL)
def class_token_kept(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    suffix = net.backbone.suffix
    patch.setattr(
        net.backbone, 'suffix', lambda tokens, camera, grid: suffix(tokens, tokens[:, :, 0], grid)
    )


@mutation('small', *ALL)
def local_and_global_blocks_swapped(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    patch.setattr(net.backbone, 'is_global', lambda i: i >= 4 and i % 2 == 0)


@mutation('small', *DENSE)
def final_norm_skipped(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    replace_part(patch, net.backbone, 'norm', nn.Identity())


@mutation('small', *DENSE)
def local_half_normed_too(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    features = net.backbone.patch_features

    def normed(tap: dinov2.Tap, views: Any) -> torch.Tensor:
        return features(dinov2.Tap(net.backbone.norm(tap.local), tap.mixed), views)

    patch.setattr(net.backbone, 'patch_features', normed)


@mutation('small', *DENSE)
def tap_halves_swapped(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    features = net.backbone.patch_features
    patch.setattr(
        net.backbone, 'patch_features', lambda tap, views: features(dinov2.Tap(*tap[::-1]), views)
    )


@mutation('giant-miniature', *ALL)
def swiglu_gate_and_value_swapped(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    def forward(self: SwiGlu, x: torch.Tensor) -> torch.Tensor:
        value, gate = self.w12(x).chunk(2, dim=-1)
        return self.w3(F.silu(gate) * value)

    patch.setattr(SwiGlu, 'forward', forward)


# -- the dense head ---------------------------------------------------------------------------


@mutation('small', *DENSE)
def uv_embedding_off(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    patch.setattr(dpt_head, 'add_uv_embedding', lambda x, aspect: x)


@mutation('small', *DENSE)
def uv_embedding_of_a_square(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    add = dpt_head.add_uv_embedding
    patch.setattr(dpt_head, 'add_uv_embedding', lambda x, aspect: add(x, 1.0))


@mutation('small', *DENSE)
def corners_not_aligned(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    patch.setattr(
        dpt_head,
        'resize',
        lambda x, size: F.interpolate(x, size, mode='bilinear', align_corners=False),
    )


@mutation('small', *DENSE)
def head_norm_skipped(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    replace_part(patch, net.head, 'norm', nn.Identity())


@mutation('small', 'depth', 'depth_conf')
def lateral_unit_skipped(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    replace_part(patch, net.head.depth_decoder.fusions[1], 'lateral_unit', nn.Identity())


@mutation('small', 'rays', 'ray_conf')
def tied_norm_left_at_identity(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    replace_part(patch, net.head.ray_output, 'norm', layers.LayerNorm(32, eps=1e-5))


@mutation('small', 'rays', 'ray_conf')
def ray_neck_with_activations(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    steps = (step for conv in net.head.ray_decoder.neck for step in (conv, nn.ReLU()))
    replace_part(patch, net.head.ray_decoder, 'neck', nn.Sequential(*steps))


# -- the cameras ------------------------------------------------------------------------------


@mutation('small', 'camera_from_world', 'intrinsics')
def camera_token_normed(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    features = net.backbone.camera_features

    def normed(tap: dinov2.Tap) -> torch.Tensor:
        return features(dinov2.Tap(tap.local, net.backbone.norm(tap.mixed)))

    patch.setattr(net.backbone, 'camera_features', normed)


@mutation('small', 'camera_from_world', 'intrinsics')
def camera_token_halves_swapped(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    features = net.backbone.camera_features
    patch.setattr(net.backbone, 'camera_features', lambda tap: features(dinov2.Tap(*tap[::-1])))


@mutation('small', 'camera_from_world')
def pose_not_inverted(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    patch.setattr(camera_head, 'invert_rigid', lambda pose: pose[..., :3, :])


@mutation('small', 'intrinsics')
def fields_of_view_swapped(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    decoder = net.camera_decoder.forward
    order = [0, 1, 2, 3, 4, 5, 6, 8, 7]
    patch.setattr(net.camera_decoder, 'forward', lambda x: decoder(x)[..., order])


def _encoding(patch: pytest.MonkeyPatch, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    encode = camera_head.encode_cameras
    patch.setattr(camera_head, 'encode_cameras', lambda *args: change(encode(*args)))


@mutation('known poses', *ALL)
def scalar_first_quaternion(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    _encoding(patch, lambda x: x[..., [0, 1, 2, 6, 3, 4, 5, 7, 8]])


@mutation('known poses', *ALL)
def known_fields_of_view_swapped(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    _encoding(patch, lambda x: x[..., [0, 1, 2, 3, 4, 5, 6, 8, 7]])


@mutation('known poses', *ALL)
def quaternion_sign_kept(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    _encoding(patch, lambda x: torch.cat((x[..., :3], -x[..., 3:7], x[..., 7:]), dim=-1))


@mutation('known poses', *ALL)
def camera_tokens_do_not_see_each_other(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    encode = net.camera_encoder.forward

    def one_by_one(poses: torch.Tensor, intrinsics: torch.Tensor, size: Any) -> torch.Tensor:
        views = zip(poses.split(1, dim=1), intrinsics.split(1, dim=1))
        return torch.cat([encode(*view, size) for view in views], dim=1)

    patch.setattr(net.camera_encoder, 'forward', one_by_one)


@mutation('known poses', *ALL)
def known_poses_ignored(patch: pytest.MonkeyPatch, net: AnyViewNetwork) -> None:
    patch.setattr(
        net.camera_encoder,
        'forward',
        lambda poses, intrinsics, size: net.backbone.role_tokens(torch.tensor([0]), 4),
    )


# -- running them -----------------------------------------------------------------------------


@dataclass
class Scenario:
    """One of the networks on one scene, and what the official network says of it."""

    net: AnyViewNetwork
    run: Callable[[], Prediction]
    official: Prediction


@pytest.fixture(scope='module')
def scenario_of(pair_of: Callable, scene_of: Callable) -> Callable[[str], Scenario]:
    """Return a function: name -> Scenario; four views, so that a reference is chosen."""
    made: dict[str, Scenario] = {}

    def get(name: str) -> Scenario:
        if name not in made:
            pair, scene = pair_of('small' if name == 'known poses' else name), scene_of(4)
            known, known_official = {}, {}
            if name == 'known poses':
                poses, intrinsics = scene.camera_from_world, scene.intrinsics
                known = {'camera_from_world': poses, 'intrinsics': intrinsics}
                known_official = {'extrinsics': poses, 'intrinsics': intrinsics}
            made[name] = Scenario(
                pair.ours,
                lambda: pair.run_ours(scene.images, **known),
                pair.run_official(scene.images, **known_official),
            )
        return made[name]

    return get


@pytest.mark.parametrize('name', MUTATIONS)
def test_breaks_parity(
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    scenario_of: Callable,
    violations: Callable,
) -> None:
    mutate, scenario_name, outputs = MUTATIONS[name]
    scenario = scenario_of(scenario_name)
    assert violations(scenario.run(), scenario.official) == {}, 'not intact to begin with'
    mutate(monkeypatch, scenario.net)
    missed = violations(scenario.run(), scenario.official)
    assert missed.keys() >= set(outputs), f'{name} went unnoticed in {set(outputs) - set(missed)}'
