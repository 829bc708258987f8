"""
Every feature of the other networks matters: break one, and parity is lost.

What test_mutations.py is to the any-view network, for single-view networks, the nested network and
Gaussians. Each mutation runs on a scene where the intact network agrees with the official one.
"""

from collections.abc import Callable
from dataclasses import replace

from da3_ros.model import gaussian_head, gaussians, metric_scale, nested, sky
from da3_ros.model.network import Network
import pytest
import torch
from torch import nn, Tensor

Mutation = Callable[[pytest.MonkeyPatch, Network], None]
MUTATIONS: dict[str, tuple[Mutation, str, tuple[str, ...]]] = {}
SINGLE, NESTED, GIANT = 'single-view-miniature', 'nested-miniature', 'giant-miniature'
GAUSSIANS = ('means', 'scales', 'rotations', 'harmonics', 'opacities')


def mutation(network: str, *outputs: str) -> Callable[[Mutation], Mutation]:
    """Register a mutation, the network it breaks and the outputs that must leave their gates."""

    def register(function: Mutation) -> Mutation:
        MUTATIONS[function.__name__] = (function, network, outputs)
        return function

    return register


# -- single view ------------------------------------------------------------------------------


@mutation(SINGLE, 'depth', 'sky')
def taps_not_normed(patch: pytest.MonkeyPatch, net: Network) -> None:
    patch.setitem(net.backbone._modules, 'norm', nn.Identity())


@mutation(SINGLE, 'depth', 'sky')
def taps_normed_twice(patch: pytest.MonkeyPatch, net: Network) -> None:
    patch.setitem(net.head._modules, 'norm', nn.LayerNorm(net.config.tap_dim))


@mutation(SINGLE, 'depth', 'sky')
def uv_embedding_on(patch: pytest.MonkeyPatch, net: Network) -> None:
    patch.setattr(net.head, 'has_uv', True)


@mutation(SINGLE, 'depth', 'sky')
def rope_on(patch: pytest.MonkeyPatch, net: Network) -> None:
    patch.setattr(net.backbone, 'config', replace(net.config, rope_start=4))


@mutation(SINGLE, 'depth', 'sky')
def one_tap_too_early(patch: pytest.MonkeyPatch, net: Network) -> None:
    patch.setattr(net.backbone, 'config', replace(net.config, out_layers=(1, 3, 5, 7)))


@mutation(SINGLE, 'depth', 'sky')
def outputs_swapped(patch: pytest.MonkeyPatch, net: Network) -> None:
    depth, of_sky = net.head.depth_output, net.head.sky_output
    patch.setitem(net.head._modules, 'depth_output', of_sky)
    patch.setitem(net.head._modules, 'sky_output', depth)


@mutation(SINGLE, 'depth')
def another_threshold_of_the_sky(patch: pytest.MonkeyPatch, net: Network) -> None:
    patch.setattr(sky, 'SKY_SCORE', 0.5)


@mutation(SINGLE, 'depth')
def sky_as_far_as_the_farthest(patch: pytest.MonkeyPatch, net: Network) -> None:
    patch.setattr(sky, '_FILL_QUANTILE', 1.0)


# -- nested -----------------------------------------------------------------------------------


@mutation(NESTED, 'depth', 'camera_from_world', 'scale')
def focal_length_ignored(patch: pytest.MonkeyPatch, net: Network) -> None:
    metric = net.metric.forward
    patch.setattr(net.metric, 'forward', lambda images, intrinsics: metric(images))


@mutation(NESTED, 'depth', 'camera_from_world', 'scale')
def horizontal_focal_length_alone(patch: pytest.MonkeyPatch, net: Network) -> None:
    metric = net.metric.forward

    def square(images: Tensor, intrinsics: Tensor) -> object:
        intrinsics = intrinsics.clone()
        intrinsics[..., 1, 1] = intrinsics[..., 0, 0]
        return metric(images, intrinsics)

    patch.setattr(net.metric, 'forward', square)


@mutation(NESTED, 'depth', 'camera_from_world', 'scale')
def all_confidences_alike(patch: pytest.MonkeyPatch, net: Network) -> None:
    scale = nested.window_scale
    patch.setattr(nested, 'window_scale', lambda d, c, m, s: scale(d, torch.ones_like(c), m, s))


@mutation(NESTED, 'depth', 'camera_from_world', 'scale')
def scale_from_the_sky_too(patch: pytest.MonkeyPatch, net: Network) -> None:
    patch.setattr(metric_scale, 'is_sky', lambda score: torch.zeros_like(score, dtype=torch.bool))


@mutation(NESTED, 'depth', 'camera_from_world', 'scale')
def inverse_scale(patch: pytest.MonkeyPatch, net: Network) -> None:
    scale = nested.window_scale
    patch.setattr(nested, 'window_scale', lambda *args: 1 / scale(*args))


@mutation(NESTED, 'camera_from_world')
def poses_left_unscaled(patch: pytest.MonkeyPatch, net: Network) -> None:
    scaled = nested._scaled
    patch.setattr(
        nested,
        '_scaled',
        lambda p, scale: replace(scaled(p, scale), camera_from_world=p.camera_from_world),
    )


@mutation(NESTED, 'depth')
def sky_capped_nearer(patch: pytest.MonkeyPatch, net: Network) -> None:
    patch.setattr(sky, 'FARTHEST_M', 0.1)


# -- Gaussians --------------------------------------------------------------------------------


@mutation(GIANT, *GAUSSIANS)
def picture_not_seen(patch: pytest.MonkeyPatch, net: Network) -> None:
    picture = net.gaussian_head.picture.forward
    patch.setattr(net.gaussian_head.picture, 'forward', lambda images: 0 * picture(images))


@mutation(GIANT, *GAUSSIANS)
def last_activation_of_the_picture_dropped(patch: pytest.MonkeyPatch, net: Network) -> None:
    patch.setitem(net.gaussian_head.picture._modules, '5', nn.Identity())


@mutation(GIANT, *GAUSSIANS)
def gaussian_uv_embedding_off(patch: pytest.MonkeyPatch, net: Network) -> None:
    patch.setattr(gaussian_head, 'add_uv_embedding', lambda x, aspect: x)


@mutation(GIANT, 'means')
def depth_along_the_axis(patch: pytest.MonkeyPatch, net: Network) -> None:
    rays = gaussians._unit_rays

    def unit_depth(*args: Tensor) -> Tensor:
        unit = rays(*args)
        return unit / unit[..., 2:]

    patch.setattr(gaussians, '_unit_rays', unit_depth)


@mutation(GIANT, 'means')
def offset_in_the_image_ignored(patch: pytest.MonkeyPatch, net: Network) -> None:
    rays = gaussians._unit_rays
    patch.setattr(gaussians, '_unit_rays', lambda offset, k: rays(0 * offset, k))


@mutation(GIANT, 'means', 'scales')
def offset_of_depth_ignored(patch: pytest.MonkeyPatch, net: Network) -> None:
    _raw(
        patch, net, lambda raw: torch.cat((raw[..., :36], 0 * raw[..., 36:37], raw[..., 37:]), -1)
    )


@mutation(GIANT, 'opacities')
def opacity_of_another_channel(patch: pytest.MonkeyPatch, net: Network) -> None:
    _raw(patch, net, lambda raw: torch.cat((raw[..., :37], raw[..., :1]), dim=-1))


@mutation(GIANT, 'rotations')
def quaternion_as_it_is_named(patch: pytest.MonkeyPatch, net: Network) -> None:
    in_world = gaussians._rotations
    patch.setattr(gaussians, '_rotations', lambda q, r: in_world(q, r)[..., [3, 0, 1, 2]])


@mutation(GIANT, 'rotations')
def quaternion_read_in_order(patch: pytest.MonkeyPatch, net: Network) -> None:
    in_world = gaussians._rotations
    patch.setattr(gaussians, '_rotations', lambda q, r: in_world(q.roll(-1, dims=-1), r))


@mutation(GIANT, 'harmonics')
def harmonics_not_turned(patch: pytest.MonkeyPatch, net: Network) -> None:
    patch.setattr(
        gaussians, 'rotation_of_harmonics', lambda r: torch.eye(9).expand(*r.shape[:-2], 9, 9)
    )


@mutation(GIANT, 'harmonics')
def harmonics_turned_back(patch: pytest.MonkeyPatch, net: Network) -> None:
    turn = gaussians.rotation_of_harmonics
    patch.setattr(gaussians, 'rotation_of_harmonics', lambda r: turn(r.mT))


@mutation(GIANT, 'harmonics')
def harmonics_not_damped(patch: pytest.MonkeyPatch, net: Network) -> None:
    patch.setattr(gaussians, '_HARMONIC_GAIN', (1.0,) * 9)


@mutation(GIANT, 'scales')
def scales_by_one_side_of_a_pixel(patch: pytest.MonkeyPatch, net: Network) -> None:
    patch.setattr(gaussians, '_pixel_width', lambda k: 0.1 / k[..., 0, 0])


def _raw(patch: pytest.MonkeyPatch, net: Network, change: Callable[[Tensor], Tensor]) -> None:
    head = net.gaussian_head.forward
    patch.setattr(net.gaussian_head, 'forward', lambda *args: change(head(*args)))


# -- running them -----------------------------------------------------------------------------


@pytest.fixture(scope='module')
def missed_by(pair_of: Callable, scene_of: Callable, violations: Callable) -> Callable:
    """Return a function: name of a network -> what it misses now; the official one runs once."""
    official = {}

    def run(network: str) -> set[str]:
        pair, images = pair_of(network), scene_of(1 if network == SINGLE else 3).images
        options = {'infer_gs': True} if network == GIANT else {}
        if network not in official:
            official[network] = pair.run_official(images, **options)
        ours = pair.run_ours(images, **({'gaussian_views': range(3)} if network == GIANT else {}))
        return violations(sky.fill_sky(ours), official[network]).keys()

    return run


@pytest.mark.parametrize('name', MUTATIONS)
def test_breaks_parity(
    name: str, monkeypatch: pytest.MonkeyPatch, missed_by: Callable, pair_of: Callable
) -> None:
    mutate, network, outputs = MUTATIONS[name]
    before = missed_by(network)
    assert not before & set(outputs), 'not intact to begin with'
    mutate(monkeypatch, pair_of(network).ours)
    missed = missed_by(network)
    assert missed >= set(outputs), f'{name} went unnoticed in {set(outputs) - missed}'
