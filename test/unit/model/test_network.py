"""What the network promises beside parity: laziness, exact caches, symmetry, clear refusals."""

from dataclasses import replace

from da3_ros.errors import ConfigError, InputError
from da3_ros.model import dinov2, ModelConfig, tables
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.dinov2 import Prefix, select_views
import pytest
import torch
from torch import Tensor


@pytest.fixture
def net(tiny_config: ModelConfig) -> AnyViewNetwork:
    torch.manual_seed(0)
    return AnyViewNetwork(tiny_config).eval().requires_grad_(False)


@pytest.fixture
def images() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(1, 4, 3, 42, 56)


def count_calls(patch: pytest.MonkeyPatch, owner: object, name: str) -> list[Tensor]:
    """Record the first argument of each call of ``owner.name``."""
    calls, original = [], getattr(owner, name)

    def counted(first: Tensor, *args: object) -> object:
        calls.append(first)
        return original(first, *args)

    patch.setattr(owner, name, counted)
    return calls


# -- each branch only when asked --------------------------------------------------------------


@pytest.mark.parametrize(
    ('options', 'ray_passes', 'camera_passes'),
    [
        ({}, 0, 1),
        ({'rays': True}, 1, 1),
        ({'pose_from': 'rays'}, 1, 0),
        ({'pose_from': 'rays', 'rays': True}, 1, 0),
    ],
)
def test_branches_run_only_when_asked(
    net: AnyViewNetwork,
    images: Tensor,
    monkeypatch: pytest.MonkeyPatch,
    options: dict,
    ray_passes: int,
    camera_passes: int,
) -> None:
    rays = count_calls(monkeypatch, net.head, 'rays')
    cameras = count_calls(monkeypatch, net.camera_decoder, 'forward')
    prediction = net(images, **options)
    assert (len(rays), len(cameras)) == (ray_passes, camera_passes)
    assert (prediction.rays is not None) == (prediction.ray_conf is not None)
    assert (prediction.rays is not None) == options.get('rays', False)
    assert prediction.sky is None and prediction.scale is None


def test_shapes(net: AnyViewNetwork, images: Tensor) -> None:
    prediction = net(images.repeat(2, 1, 1, 1, 1), rays=True)
    assert prediction.depth.shape == prediction.depth_conf.shape == (2, 4, 42, 56)
    assert prediction.rays.shape == (2, 4, 24, 32, 6)
    assert prediction.ray_conf.shape == (2, 4, 24, 32)
    assert prediction.camera_from_world.shape == (2, 4, 3, 4)
    assert prediction.intrinsics.shape == (2, 4, 3, 3)
    assert prediction.depth.min() > 0
    assert prediction.depth_conf.min() >= 1 and prediction.ray_conf.min() >= 1


@pytest.mark.parametrize('rays', [False, True])
@pytest.mark.parametrize('views', [[3], [2, 0], [-1, 1], [0, 1, 2, 3]])
def test_depth_of_some_views(
    net: AnyViewNetwork, images: Tensor, views: list[int], rays: bool
) -> None:
    whole = net(images, rays=True)
    part = net(images, rays=rays, depth_views=views)
    torch.testing.assert_close(part.depth, whole.depth[:, views])
    torch.testing.assert_close(part.depth_conf, whole.depth_conf[:, views])
    torch.testing.assert_close(part.camera_from_world, whole.camera_from_world)
    if rays:
        torch.testing.assert_close(part.rays, whole.rays)
        torch.testing.assert_close(part.ray_conf, whole.ray_conf)


def test_depth_of_some_views_costs_only_these(
    net: AnyViewNetwork, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_calls(monkeypatch, net.head, 'depth')
    net(images, rays=True, depth_views=[3])
    assert [len(pyramid[0]) for pyramid in calls] == [1]


@pytest.mark.parametrize('depth_views', [None, [10, 0, 9]])
def test_many_views_take_several_passes(
    net: AnyViewNetwork, monkeypatch: pytest.MonkeyPatch, depth_views: list[int] | None
) -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 11, 3, 28, 28)
    calls = count_calls(monkeypatch, net.head, 'pyramid')
    several = net(images, rays=True, depth_views=depth_views)
    assert len(calls) == 2
    monkeypatch.setattr('da3_ros.model.da3.VIEWS_PER_HEAD_PASS', 100)
    one = net(images, rays=True, depth_views=depth_views)
    assert len(calls) == 3
    torch.testing.assert_close(several.depth, one.depth)
    torch.testing.assert_close(several.rays, one.rays)


# -- what may be cached, and what may be reordered --------------------------------------------


def test_prefix_of_a_frame_is_the_same_in_any_window(net: AnyViewNetwork, images: Tensor) -> None:
    """So a stream may compute it once per frame."""
    window = net.backbone.prefix(images)
    frames = [net.backbone.prefix(images[:, i : i + 1]) for i in range(4)]
    kept = Prefix(*(torch.cat(parts, dim=1) for parts in zip(*frames)))
    torch.testing.assert_close(kept.tokens, window.tokens, rtol=0, atol=1e-6)
    torch.testing.assert_close(kept.class_tokens, window.class_tokens, rtol=0, atol=1e-6)

    camera_tokens = net.backbone.role_tokens(torch.tensor([0]), 4)
    taps = net.backbone.suffix(kept.tokens, camera_tokens, (3, 4))
    depth, _ = net.dense(taps, (3, 4), rays=False, depth_views=[3])
    expected = net(images, reference='first')
    torch.testing.assert_close(depth.values, expected.depth[:, 3:])
    cameras = net.cameras(taps, (42, 56))
    torch.testing.assert_close(cameras.camera_from_world, expected.camera_from_world)


def test_source_views_have_no_order(net: AnyViewNetwork, images: Tensor) -> None:
    order = [0, 3, 1, 2]
    straight, shuffled = (net(x, reference='first') for x in (images, images[:, order]))
    torch.testing.assert_close(shuffled.depth, straight.depth[:, order])


def test_batch_elements_do_not_touch_each_other(net: AnyViewNetwork) -> None:
    torch.manual_seed(0)
    images = torch.randn(3, 3, 3, 28, 42)
    together = net(images)
    for i in range(3):
        torch.testing.assert_close(together.depth[i : i + 1], net(images[i : i + 1]).depth)


def test_views_see_each_other(net: AnyViewNetwork, images: Tensor) -> None:
    changed = images.clone()
    changed[:, 1] += 1
    difference = net(changed, reference='first').depth - net(images, reference='first').depth
    assert difference[:, 3].abs().max() > 1e-4


def test_tables_are_made_once(
    net: AnyViewNetwork, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.inference_mode():
        expected = net(images, rays=True).depth
        monkeypatch.setattr(dinov2, 'resize_position_table', None)  # a call would raise
        monkeypatch.setattr(tables, '_rope', None)
        monkeypatch.setattr(torch, 'linspace', None)
        assert torch.equal(net(images, rays=True).depth, expected)


def test_position_table_follows_the_weights(net: AnyViewNetwork, images: Tensor) -> None:
    """A kept table must not outlive the weights that it was made from."""
    before = net(images).depth
    with torch.no_grad():
        net.backbone.pos_embed.add_(torch.randn_like(net.backbone.pos_embed))
    assert (net(images).depth - before).abs().max() > 1e-3
    assert len(net.backbone._position_tables) == 1


def test_trains_after_inference(net: AnyViewNetwork, images: Tensor) -> None:
    """Tables made in inference mode must not end in a graph; every live weight gets a gradient."""
    poses, intrinsics = torch.eye(4).repeat(1, 4, 1, 1), torch.eye(3).repeat(1, 4, 1, 1)
    with torch.inference_mode():
        net(images, rays=True)
    net.requires_grad_()
    for known in ({}, {'camera_from_world': poses, 'intrinsics': 40 * intrinsics}):
        prediction = net(images, rays=True, **known)
        loss = sum(
            x.square().mean()
            for x in (
                prediction.depth,
                prediction.depth_conf,
                prediction.rays,
                prediction.ray_conf,
                prediction.camera_from_world,
                prediction.intrinsics,
            )
        )
        loss.backward()
    without = [name for name, p in net.named_parameters() if p.grad is None]
    assert without == []


# -- refusals ---------------------------------------------------------------------------------

POSES, INTRINSICS = torch.eye(4).repeat(1, 2, 1, 1), torch.eye(3).repeat(1, 2, 1, 1)
PAIR = torch.zeros(1, 2, 3, 28, 28)


@pytest.mark.parametrize(
    ('images', 'options', 'message'),
    [
        (PAIR[0], {}, r'expected \(B, V, 3, H, W\), got \(2, 3, 28, 28\)'),
        (PAIR.transpose(2, 4), {}, r'expected \(B, V, 3, H, W\)'),
        (PAIR[:, :0], {}, 'at least one view'),
        (PAIR[..., :27], {}, 'multiples of 14, got 28 x 27'),
        (PAIR.byte(), {}, 'expected torch.float32, got torch.uint8'),
        (PAIR.double(), {}, 'expected torch.float32, got torch.float64'),
        (PAIR.half(), {}, 'expected torch.float32, got torch.float16'),
        (PAIR, {'reference': 'last'}, "'last': expected one of first, middle"),
        (PAIR, {'pose_from': 'gps'}, "'gps': expected one of camera, rays"),
        (PAIR, {'camera_from_world': POSES}, 'camera_from_world was given without intrinsics'),
        (PAIR, {'intrinsics': INTRINSICS}, 'intrinsics was given without camera_from_world'),
        (
            PAIR,
            {'camera_from_world': POSES[:, :1], 'intrinsics': INTRINSICS},
            r'camera_from_world: expected \(1, 2, 4, 4\) or \(1, 2, 3, 4\).*got \(1, 1, 4, 4\)',
        ),
        (
            PAIR,
            {'camera_from_world': POSES, 'intrinsics': INTRINSICS[0]},
            r'intrinsics: expected \(1, 2, 3, 3\).*got \(2, 3, 3\)',
        ),
        (
            PAIR,
            {'camera_from_world': POSES.long(), 'intrinsics': INTRINSICS},
            'expected floats, got torch.int64',
        ),
        (PAIR, {'depth_views': [2]}, r'indices of the 2 views, got \[2\]'),
        (PAIR, {'depth_views': []}, 'indices of the 2 views'),
        (PAIR, {'depth_views': [1, -1]}, 'different indices'),
    ],
)
def test_says_what_is_wrong(
    net: AnyViewNetwork, images: Tensor, options: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        net(images, **options)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'heads': 2}, 'embed_dim must be 64 x heads'),
        ({'camera_encoder_heads': 7}, 'multiple of camera_encoder_heads'),
        ({'ffn': 'relu'}, "'mlp' or 'swiglu'"),
        ({'alt_start': 11}, 'alt_start must lie in'),
        ({'alt_start': 10, 'out_layers': (3, 5, 7, 10)}, 'out_layers must be blocks'),
        ({'out_layers': (3, 5, 7, 8)}, 'must be cross-view blocks'),
        ({'out_layers': (1, 3, 5, 7)}, 'must be cross-view blocks'),
        ({'out_layers': (5, 3, 7, 9)}, 'four rising blocks'),
    ],
)
def test_constants_that_make_no_network(
    tiny_config: ModelConfig, change: dict, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(tiny_config, **change)


def test_select_views() -> None:
    x = torch.arange(8).view(2, 4)
    assert select_views(x, range(4)) is x
    assert select_views(x, [3, 1]).tolist() == [[3, 1], [7, 5]]
