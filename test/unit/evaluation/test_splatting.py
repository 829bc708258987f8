"""Pictures of 3D Gaussians: computed by hand, properties, and gsplat's own where it runs."""

import math

from da3_ros.evaluation.renderers import render_with_gsplat
from da3_ros.evaluation.splatting import render
from da3_ros.model.gaussians import Gaussians
import pytest
import torch

K = torch.tensor([[50.0, 0, 16], [0, 50.0, 12], [0, 0, 1]])
SIZE = (24, 32)
EYE = torch.eye(4)
C0 = 0.28209479177387814


def gaussians(*rows: tuple) -> Gaussians:
    """Make Gaussians of rows (mean, scale, opacity, colour), alike from all sides."""
    harmonics = torch.zeros(len(rows), 3, 9)
    for i, (_, _, _, colour) in enumerate(rows):
        harmonics[i, :, 0] = (torch.tensor(colour) - 0.5) / C0
    return Gaussians(
        means=torch.tensor([row[0] for row in rows]),
        scales=torch.tensor([row[1] for row in rows])[:, None].expand(-1, 3),
        rotations=torch.tensor([[1.0, 0, 0, 0]]).repeat(len(rows), 1),
        harmonics=harmonics,
        opacities=torch.tensor([row[2] for row in rows]),
    )


def test_one_gaussian_by_hand() -> None:
    """At 2 m a deviation of 0.08 m is 2 px, and its centre (0.02, 0) is at pixel 16.5, 12."""
    picture = render(gaussians(([0.02, 0.0, 2.0], 0.08, 0.8, [0.9, 0.5, 0.1])), EYE, K, SIZE)
    # The slope of the perspective adds (0.02 / 2)^2 of the variance along x.
    across, down = 4.0 * (1 + 0.01**2) + 0.3, 4.0 + 0.3
    for column, row in ((16, 11), (18, 12), (12, 14)):
        x, y = column + 0.5 - 16.5, row + 0.5 - 12
        alpha = 0.8 * math.exp(-0.5 * (x * x / across + y * y / down))
        expected = torch.tensor([0.9, 0.5, 0.1]) * alpha
        torch.testing.assert_close(picture[:, row, column], expected, atol=1e-5, rtol=0)
    assert picture[:, 0, 0].max() == 0


def test_the_nearer_one_hides_the_farther_one() -> None:
    """Both cover the middle; what passes the red one in front, 0.4, lights up the blue one."""
    red, blue = ([0.0, 0.0, 1.0], 0.2, 0.6, [1.0, 0, 0]), ([0.0, 0.0, 3.0], 2.0, 0.9, [0, 0, 1.0])
    for rows in ((red, blue), (blue, red)):
        middle = render(gaussians(*rows), EYE, K, SIZE)[:, 12, 16]
        torch.testing.assert_close(middle, torch.tensor([0.6, 0, 0.36]), atol=2e-3, rtol=0)


def test_what_is_behind_the_camera_or_faint_is_not_seen() -> None:
    behind = ([0.0, 0.0, -1.0], 0.2, 0.9, [1.0, 1, 1])
    faint = ([0.0, 0.0, 1.0], 0.2, 0.003, [1.0, 1, 1])
    assert render(gaussians(behind, faint), EYE, K, SIZE).max() == 0


def test_opaque_ones_end_what_is_seen() -> None:
    """Three of 0.95 let 1/8000 pass, and what would leave less than 1/10000 is not drawn."""
    colours = [[0.5, 0.0, 0.0]] * 3 + [[0.0, 1.0, 0.0]]
    rows = [([0.0, 0.0, 1 + 0.1 * i], 0.5, 0.95, colour) for i, colour in enumerate(colours)]
    middle = render(gaussians(*rows), EYE, K, SIZE)[:, 12, 16]
    assert middle[1] == 0 and middle[0] == pytest.approx(0.5 * (1 - 0.05**3), abs=1e-4)


def some(count: int = 300) -> Gaussians:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return Gaussians(
        means=normal(count, 3) * torch.tensor([0.6, 0.4, 0.5]) + torch.tensor([0, 0, 2.0]),
        scales=0.02 + 0.1 * normal(count, 3).abs(),
        rotations=torch.nn.functional.normalize(normal(count, 4), dim=-1),
        harmonics=0.3 * normal(count, 3, 9),
        opacities=normal(count).sigmoid(),
    )


def test_moving_camera_and_gaussians_changes_nothing() -> None:
    """Anisotropic ones of colours that depend on the side: rotation, scale, all of it."""
    angle = torch.tensor(0.7)
    rotation = torch.tensor(
        [[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0], [0, 0, 1.0]]
    )[[2, 0, 1]]
    shift = torch.tensor([0.5, -2.0, 1.0])
    moved = some().moved(3.0, rotation, shift)
    camera_from_world = torch.eye(4)
    camera_from_world[:3, :3] = rotation.T
    camera_from_world[:3, 3] = -rotation.T @ shift
    before, after = render(some(), EYE, K, SIZE), render(moved, camera_from_world, K, SIZE)
    assert before.std() > 0.05
    torch.testing.assert_close(after, before, atol=2e-4, rtol=0)


def test_long_lists_are_blended_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = render(some(), EYE, K, SIZE)
    monkeypatch.setattr('da3_ros.evaluation.splatting._AT_ONCE', 7)
    torch.testing.assert_close(render(some(), EYE, K, SIZE), whole, atol=1e-5, rtol=0)


@pytest.mark.gpu
def test_equals_gsplat() -> None:
    pytest.importorskip('gsplat')
    seen = some().to('cuda'), EYE.cuda(), K.cuda(), SIZE
    torch.testing.assert_close(render(*seen), render_with_gsplat(*seen), atol=2e-3, rtol=0)


def test_equals_gsplat_s_reference_blended_pixel_by_pixel() -> None:
    """Projection and colours are gsplat's own, in PyTorch; each pixel is blended by itself."""
    pytest.importorskip('gsplat')
    from gsplat.cuda import _torch_impl

    ours = some(120)
    spread, _ = _torch_impl._quat_scale_to_covar_preci(ours.rotations, ours.scales)
    radii, centres, depths, conics, _ = (
        x if x is None else x[0]
        for x in _torch_impl._fully_fused_projection(
            ours.means, spread, EYE[None], K[None], SIZE[1], SIZE[0]
        )
    )
    directions = torch.nn.functional.normalize(ours.means, dim=-1)
    colours = _torch_impl._spherical_harmonics(2, directions, ours.harmonics.mT) + 0.5
    expected = torch.zeros(3, *SIZE)
    order = [i for i in depths.argsort().tolist() if (radii[i] > 0).all()]
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            passing = 1.0
            for i in order:
                x, y = (torch.tensor([column + 0.5, row + 0.5]) - centres[i]).tolist()
                a, b, c = conics[i].tolist()
                power = -0.5 * (a * x * x + c * y * y) - b * x * y
                alpha = min(0.999, ours.opacities[i].item() * math.exp(power))
                if alpha < 1 / 255:
                    continue
                if passing * (1 - alpha) <= 1e-4:
                    break
                expected[:, row, column] += passing * alpha * colours[i].clamp_min(0)
                passing *= 1 - alpha
    torch.testing.assert_close(render(ours, EYE, K, SIZE), expected, atol=1e-3, rtol=0)
