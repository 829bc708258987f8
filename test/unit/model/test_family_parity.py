"""
The other members of the family against the official ones: single view, nested, Gaussians.

As in test_parity.py: same weights, same images, float32, CPU, same gates; miniatures of every code
path, because the originals are too large for a test.
"""

from collections.abc import Callable
from dataclasses import fields, replace

from da3_ros.model.prediction import Prediction
from da3_ros.model.sky import fill_sky, is_sky
import pytest
import torch
from torch import Tensor

SINGLE, NESTED, GIANT = 'single-view-miniature', 'nested-miniature', 'giant-miniature'


def of_views(official: Callable[[Tensor], Prediction], images: Tensor) -> Prediction:
    """Run the official single-view network view by view: in a batch its sky couples them."""
    parts = [official(view) for view in images.flatten(0, 1)[:, None, None]]
    depth, sky = (
        torch.cat([getattr(part, name) for part in parts]).view(*images.shape[:2], *size)
        for name, size in (('depth', images.shape[-2:]), ('sky', images.shape[-2:]))
    )
    return Prediction(depth=depth, sky=sky)


@pytest.mark.parametrize(
    'shape',
    [
        {'views': 1},
        {'views': 2, 'rows': 9, 'columns': 4},
        {'views': 9, 'rows': 3, 'columns': 5, 'batch': 2},
    ],
    ids=str,
)
def test_single_view(
    shape: dict, pair_of: Callable, scene_of: Callable, violations: Callable
) -> None:
    pair, images = pair_of(SINGLE), scene_of(**shape).images
    official = of_views(pair.run_official, images)
    assert official.depth.std() > 0.1, 'the weights make the depth degenerate'
    share = is_sky(official.sky).float().mean()
    assert 0.1 < share < 0.9, 'the weights make the sky degenerate'
    assert violations(fill_sky(pair.run_ours(images)), official) == {}


def test_single_view_before_the_sky_is_filled(
    pair_of: Callable, scene_of: Callable, violations: Callable
) -> None:
    pair, images = pair_of(SINGLE), scene_of(1).images
    official, ours = pair.run_official(images), pair.run_ours(images)
    ground = ~is_sky(official.sky)
    assert violations(ours, official).keys() == {'depth'}
    assert torch.allclose(ours.depth[ground], official.depth[ground], rtol=1e-4)


@pytest.mark.parametrize('views', [1, 2, 4])
def test_nested(views: int, pair_of: Callable, scene_of: Callable, violations: Callable) -> None:
    pair, images = pair_of(NESTED), scene_of(views).images
    official = pair.run_official(images)
    assert 0.1 < is_sky(official.sky).float().mean() < 0.9, 'the weights make the sky degenerate'
    assert violations(fill_sky(unscaled_rays(pair.run_ours(images))), official) == {}


def unscaled_rays(prediction: Prediction) -> Prediction:
    """Undo the scale of the rays' origins: the official code deletes the rays before it scales."""
    rays = prediction.rays.clone()
    rays[..., 3:] /= prediction.scale.view(-1, 1, 1, 1, 1)
    return replace(prediction, rays=rays)


def test_nested_with_known_cameras(
    pair_of: Callable, scene_of: Callable, violations: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The official code would take the predicted focal lengths; here it is given the known."""
    from depth_anything_3.model import da3 as official_da3

    pair, scene = pair_of(NESTED), scene_of(2)
    known = scene.intrinsics
    ours = pair.run_ours(scene.images, camera_from_world=scene.camera_from_world, intrinsics=known)
    options = {'extrinsics': scene.camera_from_world, 'intrinsics': known}
    of_predicted = pair.run_official(scene.images, **options)
    scaling = official_da3.apply_metric_scaling
    monkeypatch.setattr(
        official_da3, 'apply_metric_scaling', lambda depth, predicted: scaling(depth, known)
    )
    of_known = pair.run_official(scene.images, **options)
    assert violations(fill_sky(unscaled_rays(ours)), of_known) == {}
    assert 'scale' in violations(fill_sky(unscaled_rays(ours)), of_predicted)


@pytest.mark.parametrize('views', [1, 3, 9])
def test_gaussians(
    views: int, pair_of: Callable, scene_of: Callable, violations: Callable
) -> None:
    pair, images = pair_of(GIANT), scene_of(views, rows=3, columns=4).images
    official = pair.run_official(images, infer_gs=True)
    for field in fields(official.gaussians):
        assert getattr(official.gaussians, field.name).std() > 1e-3, f'{field.name} is degenerate'
    assert violations(pair.run_ours(images, gaussian_views=range(views)), official) == {}
