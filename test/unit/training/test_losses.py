"""The losses vanish on the truth, know scale from shape, and bear pixels without depth."""

from da3_ros.training.config import TrainConfig
from da3_ros.training.data import Windows
from da3_ros.training.heldout import held_out_windows, HeldOutConfig
from da3_ros.training.losses import (
    camera_errors,
    depth_residual,
    gradient_loss,
    losses,
    Outputs,
    point_errors,
    ray_errors,
)
from da3_ros.training.targets import make_targets, Targets
import pytest
import torch


@pytest.fixture(scope='module')
def windows() -> Windows:
    found = held_out_windows(HeldOutConfig(2, 3, 56, 70, 1, 32, 1), torch.device('cpu'))
    depth = found.depth_m.clone()
    depth[:, :, :9] = torch.nan  # a strip of sky
    return found._replace(depth_m=depth)


@pytest.fixture
def targets(windows: Windows) -> Targets:
    return make_targets(windows, 14)


def exact(targets: Targets) -> Outputs:
    """Say what a network without errors would."""
    return Outputs(
        targets.depth.clone(),
        torch.ones_like(targets.depth),
        targets.rays.clone(),
        torch.ones(targets.rays.shape[:-1]),
        targets.cameras.clone(),
    )


def test_the_truth_has_no_loss(targets: Targets) -> None:
    terms = losses(exact(targets), targets, TrainConfig())
    assert set(terms) == {'depth', 'gradient', 'ray', 'point', 'camera'}
    # Points combine depth along rays of finite precision.
    assert all(abs(float(term)) < 1e-5 for term in terms.values()), terms


@pytest.mark.parametrize('field', Outputs._fields)
def test_each_output_matters(targets: Targets, field: str) -> None:
    if field.endswith('conf'):
        pytest.skip('confidence only weighs')
    outputs = exact(targets)._replace(**{field: getattr(exact(targets), field) * 1.3 + 0.1})
    assert float(sum(losses(outputs, targets, TrainConfig()).values())) > 0.05


def test_points_have_unit_mean_distance(targets: Targets) -> None:
    distance = targets.points.norm(dim=-1)
    mean = torch.where(targets.point_valid, distance, torch.nan).flatten(1).nanmean(1)
    torch.testing.assert_close(mean, torch.ones(2), rtol=1e-4, atol=0)


def test_targets_ignore_where_the_world_is_and_how_long_a_metre_is(windows: Windows) -> None:
    turned = torch.eye(4)
    turned[:3, :3] = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    turned[:3, 3] = torch.tensor([3.0, -2, 5])
    moved = turned @ windows.world_from_camera
    moved[..., :3, 3] *= 2.5
    other = windows._replace(depth_m=windows.depth_m * 2.5, world_from_camera=moved)
    one, two = make_targets(windows, 14), make_targets(other, 14)
    one, two = (t._replace(points=t.points * t.point_valid[..., None]) for t in (one, two))
    for name in ('depth', 'rays', 'points', 'cameras'):
        torch.testing.assert_close(getattr(one, name), getattr(two, name), rtol=1e-4, atol=1e-4)


def test_the_gradient_loss_ignores_scale(targets: Targets) -> None:
    outputs = exact(targets)._replace(depth=targets.depth * 3)
    residual = depth_residual(outputs, targets)
    assert float(gradient_loss(residual, targets.valid)) < 1e-6


def test_quaternions_are_compared_up_to_sign(targets: Targets) -> None:
    cameras = targets.cameras.clone()
    cameras[..., 3:7] *= -1
    errors = camera_errors(exact(targets)._replace(cameras=cameras), targets)
    assert float(errors.rotation.max()) == 0


def test_points_follow_depth_and_rays(targets: Targets) -> None:
    outputs = exact(targets)
    longer = outputs._replace(depth=outputs.depth * 1.1)
    assert float(point_errors(longer, targets)[targets.point_valid].mean()) > 0.03
    assert float(ray_errors(longer, targets).max()) == 0


def test_a_window_without_any_depth_gives_a_finite_loss(windows: Windows) -> None:
    blind = windows._replace(depth_m=torch.full_like(windows.depth_m, torch.nan))
    targets = make_targets(blind, 14)
    outputs = Outputs(*(x.clone().requires_grad_() for x in exact(targets)))
    total = sum(losses(outputs, targets, TrainConfig()).values())
    gradients = torch.autograd.grad(total, outputs, allow_unused=True)
    assert total.isfinite()
    assert all(g is None or bool(g.isfinite().all()) for g in gradients)


def test_a_teacher_learns_depth_and_nothing_else(targets: Targets) -> None:
    config = TrainConfig(monocular=True)
    outputs = exact(targets)._replace(rays=targets.rays + 1, cameras=targets.cameras + 1)
    assert all(abs(float(term)) < 1e-5 for term in losses(outputs, targets, config).values())
    wrong = outputs._replace(depth=outputs.depth.square())
    assert float(losses(wrong, targets, config)['depth']) > 0.05


def test_absolute_depth_counts_far_errors_more(targets: Targets) -> None:
    far = targets.valid & (targets.depth > targets.depth[targets.valid].median())

    def loss(kind: str, mask: torch.Tensor) -> float:
        outputs = exact(targets)
        outputs = outputs._replace(depth=outputs.depth * torch.where(mask, 1.1, 1.0))
        return float(losses(outputs, targets, TrainConfig(depth_loss=kind))['depth'])

    near = targets.valid & ~far
    balance = far.sum() / near.sum()
    assert loss('log', far) == pytest.approx(loss('log', near) * float(balance), rel=1e-3)
    assert loss('absolute', far) > 1.5 * loss('absolute', near) * float(balance)
    assert loss('absolute', torch.zeros_like(far)) == pytest.approx(0, abs=1e-6)
