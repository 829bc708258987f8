"""What the other members of the family promise beside parity."""

from collections.abc import Callable

from da3_ros.errors import InputError
from da3_ros.model import ModelConfig
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.metric_scale import metres_per_unit
import pytest
import torch

SINGLE, NESTED, GIANT = 'single-view-miniature', 'nested-miniature', 'giant-miniature'


def test_intrinsics_turn_canonical_depth_into_metres(
    pair_of: Callable, scene_of: Callable
) -> None:
    net, scene = pair_of(SINGLE).ours, scene_of(2)
    canonical = net(scene.images)
    metric = net(scene.images, scene.intrinsics)
    assert canonical.scale is None and canonical.camera_from_world is None
    assert torch.equal(metric.scale, metres_per_unit(scene.intrinsics))
    expected = canonical.depth * metric.scale[..., None, None]
    assert torch.equal(metric.depth, expected) and torch.equal(metric.sky, canonical.sky)


def test_views_and_windows_do_not_touch_each_other(pair_of: Callable, scene_of: Callable) -> None:
    net, images = pair_of(SINGLE).ours, scene_of(3, rows=3, batch=2).images
    together = net(images).depth
    torch.testing.assert_close(together[1:, 2:], net(images[1:, 2:]).depth, rtol=1e-5, atol=0)


def test_nested_takes_intrinsics_without_poses(pair_of: Callable, scene_of: Callable) -> None:
    net, scene = pair_of(NESTED).ours, scene_of(1)
    predicted = net(scene.images)
    doubled = net(scene.images, intrinsics=_doubled(predicted.intrinsics))
    torch.testing.assert_close(doubled.scale, 2 * predicted.scale)
    torch.testing.assert_close(doubled.depth, 2 * predicted.depth)
    with pytest.raises(InputError, match='without intrinsics'):
        net(scene.images, scene.camera_from_world)


def _doubled(intrinsics: torch.Tensor) -> torch.Tensor:
    return intrinsics * torch.tensor((2.0, 2.0, 1.0))[:, None]


def test_nested_scales_everything_that_has_a_length(pair_of: Callable, scene_of: Callable) -> None:
    net, images = pair_of(NESTED).ours, scene_of(3, rows=3).images
    options = {'rays': True, 'gaussian_views': [2], 'depth_views': [1, 2]}
    metric, plain = net(images, **options), net.any_view(images, **options)
    scale = metric.scale.item()
    assert metric.depth.shape == metric.sky.shape == (1, 2, 42, 98)
    torch.testing.assert_close(metric.depth, scale * plain.depth)
    translation = plain.camera_from_world[..., 3]
    torch.testing.assert_close(metric.camera_from_world[..., 3], scale * translation)
    assert torch.equal(metric.camera_from_world[..., :3], plain.camera_from_world[..., :3])
    torch.testing.assert_close(metric.rays[..., 3:], scale * plain.rays[..., 3:])
    torch.testing.assert_close(metric.gaussians.means, scale * plain.gaussians.means)


def test_nested_without_anything_but_sky_has_no_scale(
    pair_of: Callable, scene_of: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, images = pair_of(NESTED).ours, scene_of(2, rows=3).images
    head = net.metric.head.forward

    def clouds(*args: object) -> tuple[torch.Tensor, torch.Tensor]:
        depth, sky = head(*args)
        return depth, torch.ones_like(sky)

    monkeypatch.setattr(net.metric.head, 'forward', clouds)
    prediction = net(images)
    assert prediction.scale.isnan().all()
    assert torch.equal(prediction.depth, net.any_view(images).depth)


def test_gaussians_of_some_views(pair_of: Callable, scene_of: Callable) -> None:
    net, images = pair_of(GIANT).ours, scene_of(3, rows=3, columns=4).images
    whole = net(images, gaussian_views=range(3)).gaussians
    some = net(images, gaussian_views=[-1, 0], depth_views=[1, 0, 2])
    assert some.depth.shape == (1, 3, 42, 56)
    assert some.gaussians.means.shape == (1, 2, 42, 56, 3)
    torch.testing.assert_close(some.gaussians.means, whole.means[:, [2, 0]], rtol=1e-4, atol=1e-4)
    assert net(images).gaussians is None


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'gaussian_views': [2], 'depth_views': [0, 1]}, r'views with depth, \[0, 1\], got \[2\]'),
        ({'gaussian_views': [0, 0]}, r'got \[0, 0\]'),
        ({'gaussian_views': [3]}, r'got \[3\]'),
    ],
)
def test_gaussians_of_views_that_are_not_there(
    pair_of: Callable, options: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        pair_of(GIANT).ours(torch.zeros(1, 3, 3, 28, 28), **options)


def test_gaussians_need_a_head(tiny_config: ModelConfig) -> None:
    net = AnyViewNetwork(tiny_config)
    with pytest.raises(InputError, match='no Gaussian head; use DA3-GIANT'):
        net(torch.zeros(1, 1, 3, 28, 28), gaussian_views=[0])


@pytest.mark.parametrize('network', [SINGLE, NESTED])
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_stays_close(
    network: str, dtype: torch.dtype, pair_of: Callable, scene_of: Callable
) -> None:
    import copy

    net, scene = pair_of(network).ours, scene_of(2)
    exact = net(scene.images, intrinsics=scene.intrinsics)
    half = copy.deepcopy(net).store_in(dtype)
    assert half.dtype == dtype
    rough = half(scene.images.to(dtype), intrinsics=scene.intrinsics)
    assert {rough.depth.dtype, rough.sky.dtype, rough.scale.dtype} == {torch.float32}
    error = ((rough.depth - exact.depth).abs() / exact.depth).median()
    assert 0 < error < 0.05
