"""Corrupted depth is what it says, and the alignment of a teacher sees through it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from da3_ros.errors import ConfigError
from da3_ros.model import load_model
from da3_ros.training.config import TINY, TrainConfig
from da3_ros.training.corruption import (
    corrupt,
    DEFECTS,
    EDGE_LOG_STEP,
    holes,
    misaligned,
    noise,
    sparse,
)
from da3_ros.training.data import Windows
from da3_ros.training.heldout import held_out_windows, HeldOutConfig
from da3_ros.training.labels import aligned, Labels, read_teacher
from da3_ros.training.loop import build, Leg, train
from da3_ros.training.ransac import draw_pixels, fit_scale_shift, HYPOTHESES
from da3_ros.training.step import Captured
import numpy as np
import pytest
import torch
from torch import Tensor

CPU = torch.device('cpu')


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope='module')
def windows() -> Windows:
    return held_out_windows(HeldOutConfig(6, 2, 56, 70, 1, 32, 1), CPU)


def smooth(count: int = 40, height: int = 84, width: int = 112) -> Tensor:
    """Depth (count, 2, H, W) without edges: a slanted plane in each window."""
    column, row = torch.linspace(0, 1, width), torch.linspace(0, 1, height)[:, None]
    return (2 + column + row).expand(count, 2, -1, -1).clone()


@pytest.mark.parametrize('defect', [*DEFECTS, corrupt])
def test_a_defect_keeps_what_is_missing_missing(defect: Callable[[Tensor], Tensor]) -> None:
    depth = smooth(4)
    depth[1] = torch.nan  # a window without any depth
    depth[0, :, :20] = torch.nan
    found = defect(depth.clone())
    assert found.shape == depth.shape
    assert found[1].isnan().all()
    assert not found.isinf().any() and bool((found[found.isfinite()] > 0).all())
    assert not torch.equal(found.nan_to_num(), depth.nan_to_num())
    if defect is not misaligned:
        assert found[0, :, :20].isnan().all()


def test_holes_are_patches_of_the_stated_share() -> None:
    depth = smooth()
    found = holes(depth)
    assert torch.equal(found[found.isfinite()], depth[found.isfinite()])
    lost = found.isnan().float()
    share = lost.mean((1, 2, 3))
    assert 0.1 < float(share.min()) < 0.35 < 0.65 < float(share.max()) < 0.95
    # Neighbours share their fate, as they would not if pixels were lost one by one.
    same = (lost[..., 1:] == lost[..., :-1]).float().mean()
    assert same > 0.9


def test_holes_lie_along_edges() -> None:
    depth = smooth(8)
    depth[..., 56:] *= 1 + 2 * EDGE_LOG_STEP
    lost = holes(depth).isnan().float()
    assert lost[..., 55:57].mean() == 1
    assert lost[..., 58:].mean() < 0.8


def test_noise_grows_with_depth_and_has_outliers() -> None:
    depth = smooth()
    error = (noise(depth) / depth).log().abs()
    by_window = error.flatten(1).median(1).values
    assert 0.01 < float(by_window.min()) < float(by_window.max()) < 0.15
    assert float(by_window.max()) > 2 * float(by_window.min())
    assert error[depth > 3.5].median() > 1.2 * error[depth < 2.5].median()
    assert 0.05 < float((error > 0.5).float().mean()) < 0.08  # half of a tenth, and few more


def test_sparse_keeps_points_or_rows() -> None:
    depth = smooth(200)
    found = sparse(depth)
    kept = found.isfinite()
    assert torch.equal(found[kept], depth[kept])
    share = kept.float().mean((1, 2, 3))
    low, high = share.quantile(torch.tensor([0.1, 0.9]))
    assert 0.001 < float(low) < 0.004 and 0.01 < float(high) < 0.025
    empty_rows = (~kept.any(-1)).float().mean((1, 2))
    with_rows = empty_rows[share > 0.012] > 0.6  # scattered, they leave a quarter empty
    assert 0.2 < float(with_rows.float().mean()) < 0.8


def test_misalignment_moves_all_views_of_a_window_alike() -> None:
    depth = smooth(20)
    depth += torch.arange(112) * 10  # the whole part tells the column
    found = misaligned(depth)
    assert torch.equal(found[:, 0].nan_to_num(), found[:, 1].nan_to_num())
    column = ((found - 2) / 10).floor()
    shift = (column - torch.arange(112)).nanmean((1, 2, 3))
    assert float(shift.abs().max()) < 112 * 0.07
    assert float(shift.std()) > 1
    assert found[..., 0].isnan().any() and found[..., -1].isnan().any()  # nothing to take there
    assert found[..., 12:-12, 12:-12].isfinite().all()
    assert set(found[found.isfinite()].tolist()) <= set(depth.flatten().tolist())


def test_each_window_has_a_defect_of_its_own() -> None:
    depth = smooth(300, 28, 42)
    found = corrupt(depth)
    changed = (found != depth).flatten(1)
    assert changed.any(1).all()
    is_sparse = found.isfinite().float().mean((1, 2, 3)) < 0.1
    # One in four first, a quarter of the others beside it.
    assert 0.3 < float(is_sparse.float().mean()) < 0.6


def test_pixels_are_drawn_evenly_from_the_valid_ones() -> None:
    valid = torch.zeros(2, 50, dtype=torch.bool)
    valid[0, [3, 17, 49]] = True
    drawn = draw_pixels(valid, 3000)
    assert drawn.min() >= 0 and drawn.max() < 50
    places, counts = drawn[0].unique(return_counts=True)
    assert places.tolist() == [3, 17, 49]
    assert bool(((counts - 1000).abs() < 150).all())


def ransac_of_one(predicted: np.ndarray, measured: np.ndarray, drawn: np.ndarray) -> tuple:
    """Fit one picture the plain way, one hypothesis after the other."""

    def line(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.linalg.lstsq(np.stack([x, np.ones_like(x)], 1), y, rcond=None)[0]

    x, y = predicted[drawn], measured[drawn]
    scale, shift = line(x, y)
    residual = scale * x + shift - y
    threshold = np.abs(residual - np.sort(residual)[(len(residual) - 1) // 2]).mean()
    threshold = max(threshold, 1e-3 * y.mean())
    best, most = None, -1
    for one, other in zip(range(HYPOTHESES), range(HYPOTHESES, 2 * HYPOTHESES)):
        if abs(x[other] - x[one]) <= 1e-2 * max(x[other], x[one]):
            continue
        scale = (y[other] - y[one]) / (x[other] - x[one])
        shift = y[one] - scale * x[one]
        inliers = np.sum(np.abs(scale * x + shift - y) <= threshold)
        if scale > 0 and inliers > most:
            best, most = (scale, shift), inliers
    valid = np.isfinite(measured)
    error = np.abs(best[0] * predicted + best[1] - np.where(valid, measured, 0))
    inlier = valid & (error <= threshold)
    return line(predicted[inlier], measured[inlier])


def test_ransac_agrees_with_its_plain_twin() -> None:
    predicted = 0.5 + 4 * torch.rand(5, 700, dtype=torch.float64)
    measured = 1.7 * predicted + 0.3 + 0.02 * torch.randn_like(predicted)
    measured[:, ::9] *= 1 + torch.rand(5, 78, dtype=torch.float64)
    measured[torch.rand(5, 700) < 0.5] = torch.nan
    drawn = draw_pixels(measured.isfinite(), 300)
    fit = fit_scale_shift(predicted, measured, drawn)
    assert fit.found.all()
    for i in range(5):
        expected = ransac_of_one(predicted[i].numpy(), measured[i].numpy(), drawn[i].numpy())
        assert (float(fit.scale[i]), float(fit.shift[i])) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize('defect', [holes, sparse, noise])
def test_ransac_sees_through_a_defect(defect: Callable[[Tensor], Tensor]) -> None:
    predicted = smooth(20, 168, 224) - 1
    truth = 2.5 * predicted - 0.7
    found = aligned(predicted, defect(truth))
    assert float((found / truth - 1).abs().mean()) < 0.03
    assert found.isfinite().all()  # dense again


def test_a_third_of_gross_outliers_does_no_harm() -> None:
    predicted = 1 + 3 * torch.rand(8, 1, 40, 50)
    truth = 0.8 * predicted + 0.5
    measured = torch.where(
        torch.rand_like(truth) < 0.33, truth + 1 + torch.rand_like(truth), truth
    )
    assert float((aligned(predicted, measured) / truth - 1).abs().max()) < 0.05


def test_a_falling_line_is_no_hypothesis() -> None:
    predicted = 1 + torch.rand(6, 2000)
    falls = torch.rand(6, 2000) < 0.6
    measured = torch.where(falls, 7 - 3 * predicted, 3 * predicted - 2)
    fit = fit_scale_shift(predicted, measured, draw_pixels(measured.isfinite(), 500))
    assert fit.found.all()


def test_what_fits_nothing_has_no_label() -> None:
    predicted = 1 + torch.rand(4, 1, 28, 42)
    measured = 2 * predicted
    measured[0] = torch.nan  # nothing measured
    measured[1].view(-1)[5:] = torch.nan  # next to nothing
    measured[2] = 4 - predicted[2]  # near where the other says far
    found = aligned(predicted, measured)
    assert found[:3].isnan().all()
    torch.testing.assert_close(found[3], measured[3], rtol=1e-4, atol=0)


def test_labels_replace_a_share_of_the_depth_and_nothing_else(windows: Windows) -> None:
    depth = windows.depth_m.clone()
    depth[:, :, :5] = torch.nan  # sky
    windows = windows._replace(depth_m=depth)
    found = Labels(0.5)(windows)
    assert torch.equal(found.depth_m[3:].nan_to_num(), depth[3:].nan_to_num())
    for one, other in zip(found.depth_m[:3], depth[:3]):
        assert not torch.equal(one.nan_to_num(), other.nan_to_num())
    for name in ('images', 'world_from_camera', 'intrinsics', 'known'):
        assert getattr(found, name) is getattr(windows, name)
    assert Labels(0.0)(windows) is windows

    net = build(TrainConfig(model='tiny'), CPU)[0].eval()
    taught = Labels(1.0, net)(windows).depth_m
    assert taught[:, :, :5].isnan().all()
    assert taught.isfinite().float().mean() > found.depth_m[:3].isfinite().float().mean()
    assert not taught.requires_grad


def test_a_teacher_is_trained_and_teaches(tmp_path: Path) -> None:
    config = TrainConfig(
        model='tiny',
        monocular=True,
        steps=2,
        views_per_step=6,
        scenes=64,
        texture_variants=1,
        texture_side=16,
        samples_per_side=1,
        validation_scenes=1,
    )
    assert {bucket.views for bucket in config.buckets} == {1}
    assert sum(bucket.share for bucket in config.buckets) == pytest.approx(1)
    teacher, state = tmp_path / 'teacher.safetensors', tmp_path / 'state'
    train(config, Leg(CPU, state, teacher))
    log = (state / 'log.jsonl').read_text()
    assert 'held-out N=1' in log and 'held-out N=4' not in log
    student = replace(config, monocular=False, corrupted_share=0.5, teacher=str(teacher))
    train(replace(student, validation_scenes=0), Leg(CPU))
    assert load_model(teacher).config == TINY
    assert read_teacher('', CPU) is None
    with pytest.raises(ConfigError, match='corrupted_share'):
        replace(student, corrupted_share=0.0)


@pytest.mark.gpu
def test_labels_can_be_captured(windows: Windows) -> None:
    cuda = torch.device('cuda')
    here = Windows(*(x.to(cuda) for x in windows))
    net = read_teacher('embedded', cuda)
    labels = Labels(1.0, net)
    captured = Captured(lambda: labels(here), cuda)
    captured()
    first = captured.result.depth_m.clone()
    captured()
    again = captured.result.depth_m
    # How much of it is left depends on the defects drawn.
    assert first.isfinite().any() and bool((first[first.isfinite()] > 0).all())
    assert not torch.equal(first.nan_to_num(), again.nan_to_num())  # other defects each time
