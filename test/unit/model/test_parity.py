"""
Our networks against the official ones: same weights, same images, float32, CPU.

The gates are some ten times the official network's own rounding noise (float64 against float32);
test_mutations.py shows that each feature of the network moves its output past them.
"""

from collections.abc import Callable
import copy
import dataclasses

from da3_ros.model.reference import choose_reference
import pytest
import torch

REFERENCE_SEED = 30  # with this scene, each of the four strategies chooses another view

CASES = {
    'one view': ('small', {'views': 1}),
    'two views': ('small', {'views': 2}),
    'four views': ('small', {'views': 4}),
    'nine views, more than one pass of the head': ('small', {'views': 9, 'rows': 3, 'columns': 5}),
    'a batch of two': ('small', {'views': 3, 'batch': 2}),
    'portrait, odd rows': ('small', {'views': 2, 'rows': 9, 'columns': 4}),
    'square, not 518': ('small', {'views': 2, 'rows': 6, 'columns': 6}),
    '518 x 518, the table as it is': ('small', {'views': 1, 'rows': 37, 'columns': 37}),
    'as many patches as 518 x 518, not square': (
        'small',
        {'views': 1, 'rows': 1, 'columns': 1369},
    ),
    'base': ('base', {'views': 3}),
    'giant miniature': ('giant-miniature', {'views': 4}),
    'embedded': ('embedded', {'views': 4}),
}


@pytest.mark.parametrize('case', CASES)
def test_unknown_poses(
    case: str, pair_of: Callable, scene_of: Callable, violations: Callable
) -> None:
    network, shape = CASES[case]
    pair, scene = pair_of(network), scene_of(**shape)
    official = pair.run_official(scene.images)
    assert official.depth.std() > 0.1, 'the weights make the depth degenerate'
    assert official.depth_conf.std() > 0.1, 'the weights make the confidence degenerate'
    assert violations(pair.run_ours(scene.images), official) == {}


@pytest.mark.parametrize('network', ['small', 'giant-miniature', 'embedded'])
@pytest.mark.parametrize('views', [1, 2, 3])
def test_known_poses(
    network: str, views: int, pair_of: Callable, scene_of: Callable, violations: Callable
) -> None:
    pair, scene = pair_of(network), scene_of(views)
    ours = pair.run_ours(
        scene.images, camera_from_world=scene.camera_from_world, intrinsics=scene.intrinsics
    )
    official = pair.run_official(
        scene.images, extrinsics=scene.camera_from_world, intrinsics=scene.intrinsics
    )
    assert violations(ours, official) == {}


def test_known_poses_as_three_rows(
    pair_of: Callable, scene_of: Callable, violations: Callable
) -> None:
    pair, scene = pair_of('small'), scene_of(2)
    poses, intrinsics = scene.camera_from_world, scene.intrinsics
    square = pair.run_ours(scene.images, camera_from_world=poses, intrinsics=intrinsics)
    rows = pair.run_ours(scene.images, camera_from_world=poses[..., :3, :], intrinsics=intrinsics)
    assert violations(rows, square) == {}


@pytest.mark.parametrize('strategy', ['first', 'middle', 'saddle_balanced', 'saddle_sim_range'])
def test_reference_strategies(
    strategy: str, pair_of: Callable, scene_of: Callable, violations: Callable
) -> None:
    pair, scene = pair_of('small'), scene_of(4, seed=REFERENCE_SEED)
    official = pair.run_official(scene.images, ref_view_strategy=strategy)
    assert violations(pair.run_ours(scene.images, reference=strategy), official) == {}


def test_the_strategies_disagree(pair_of: Callable, scene_of: Callable) -> None:
    """Otherwise the test above could not tell one strategy from another."""
    backbone, scene = pair_of('small').ours.backbone, scene_of(4, seed=REFERENCE_SEED)
    class_tokens = backbone.prefix(scene.images).class_tokens
    strategies = ('first', 'middle', 'saddle_balanced', 'saddle_sim_range')
    chosen = {choose_reference(class_tokens, strategy).item() for strategy in strategies}
    assert chosen == {0, 1, 2, 3}


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_stays_close(
    dtype: torch.dtype, pair_of: Callable, scene_of: Callable
) -> None:
    """Random weights amplify rounding; trained ones are held to tighter bounds elsewhere."""
    pair, scene = pair_of('small'), scene_of(3)
    exact = pair.run_ours(scene.images)
    net = copy.deepcopy(pair.ours).store_in(dtype)
    with torch.inference_mode():
        half = net(scene.images.to(dtype), rays=True)
    error = ((half.depth - exact.depth).abs() / exact.depth).median()
    assert 0 < error < 0.03
    outputs = (half.depth, half.depth_conf, half.rays, half.camera_from_world, half.intrinsics)
    assert {output.dtype for output in outputs} == {torch.float32}
    assert (half.camera_from_world - exact.camera_from_world).abs().max() < 0.1


class _Float32Norm(torch.nn.Module):
    """A norm that computes in float32, as autocast makes it do on a GPU but not on a CPU."""

    def __init__(self, norm: torch.nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x.float())


def test_half_precision_is_as_exact_as_the_official_autocast(
    pair_of: Callable, scene_of: Callable
) -> None:
    """Random weights, the same inputs, bfloat16: our error against float32, over theirs."""
    pair, scene = pair_of('small'), scene_of(4, rows=6, columns=8)
    exact = pair.run_official(scene.images, ref_view_strategy='first')
    official = copy.deepcopy(pair.official)
    for block in official.backbone.pretrained.blocks[pair.config.qk_norm_start :]:
        block.attn.q_norm = _Float32Norm(block.attn.q_norm)
        block.attn.k_norm = _Float32Norm(block.attn.k_norm)
    theirs_pair = dataclasses.replace(pair, official=official)
    with torch.autocast('cpu', torch.bfloat16):
        theirs = theirs_pair.run_official(scene.images, ref_view_strategy='first')
    net = copy.deepcopy(pair.ours).store_for_inference(torch.bfloat16, torch.device('cuda'))
    with torch.inference_mode():
        ours = net(scene.images, reference='first')

    def error(depth: torch.Tensor) -> float:
        return ((depth - exact.depth).abs() / exact.depth).quantile(0.99).item()

    assert 0 < error(ours.depth) <= 1.25 * error(theirs.depth)
