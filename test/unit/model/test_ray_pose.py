"""
Cameras from rays: exact on exact rays, steady under outliers, official where that is right.

The official fit draws its samples without a seed and splits the homography in a way that holds for
a centred principal point only. Where rays come from one pinhole camera with a centred principal
point, both must find that camera; there is nothing else to compare on rays of random weights.
"""

from collections.abc import Callable
import math

from da3_ros.model.camera_head import Cameras, invert_rigid
from da3_ros.model.dpt_head import DenseOutput
from da3_ros.model.ray_pose import cameras_from_rays, pixel_grid
import pytest
import torch
from torch import Tensor

SIZE = (280, 504)
RAY_SIZE = (24, 40)


def rotations(vectors: Tensor) -> Tensor:
    """Rotation vectors (V, 3), rad -> matrices (V, 3, 3)."""
    columns = [torch.linalg.cross(vectors, e.expand_as(vectors)) for e in torch.eye(3).double()]
    return torch.linalg.matrix_exp(torch.stack(columns, dim=-1))


def made_cameras(views: int, offset: tuple[float, float], max_angle: float = math.pi) -> Cameras:
    """Return random cameras; ``offset`` moves the principal point from the middle, in pixels."""
    generator = torch.Generator().manual_seed(1)
    axis = torch.randn(views, 3, generator=generator, dtype=torch.float64)
    angle = max_angle * torch.rand(views, generator=generator, dtype=torch.float64)
    rotation = rotations(axis / axis.norm(dim=-1, keepdim=True) * angle[:, None])
    centre = torch.randn(views, 3, 1, generator=generator, dtype=torch.float64)
    world_from_camera = torch.cat((rotation, centre), dim=-1)
    intrinsics = torch.eye(3, dtype=torch.float64).repeat(views, 1, 1)
    focal = 250 + 300 * torch.rand(views, 2, generator=generator, dtype=torch.float64)
    intrinsics[:, 0, 0], intrinsics[:, 1, 1] = focal.unbind(-1)
    intrinsics[:, 0, 2], intrinsics[:, 1, 2] = SIZE[1] / 2 + offset[0], SIZE[0] / 2 + offset[1]
    return Cameras(invert_rigid(world_from_camera)[None], intrinsics[None])


def made_rays(cameras: Cameras) -> Tensor:
    """Return the rays (1, V, h, w, 6) of cameras, each direction of another length."""
    height, width = SIZE
    to_image = torch.tensor([[width / 2, 0, width / 2], [0, height / 2, height / 2], [0, 0, 1]])
    pixels = pixel_grid(*RAY_SIZE, torch.device('cpu')) @ to_image.double().T  # (S, 3)
    in_camera = pixels @ torch.linalg.inv(cameras.intrinsics[0]).transpose(1, 2)  # (V, S, 3)
    world_from_camera = invert_rigid(cameras.camera_from_world[0])
    directions = in_camera @ world_from_camera[:, :, :3].transpose(1, 2)
    lengths = 0.5 + torch.rand(directions.shape[:2], dtype=torch.float64)[..., None]
    origins = world_from_camera[:, None, :, 3].expand_as(directions)
    rays = torch.cat((directions * lengths, origins), dim=-1)
    return rays.unflatten(1, RAY_SIZE)[None]


def angles_deg(ours: Cameras, truth: Cameras) -> Tensor:
    """Return the angle between rotations, (1, V)."""
    product = ours.camera_from_world[..., :3].double().transpose(-1, -2)
    product = product @ truth.camera_from_world[..., :3].double()
    # From the chord, which is exact for small angles.
    chord = (product - torch.eye(3)).flatten(-2).norm(dim=-1)
    return torch.rad2deg(2 * torch.asin((chord / math.sqrt(8)).clamp(max=1)))


def direction_error_deg(ours: Cameras, truth: Cameras) -> Tensor:
    """Return the mean angle between the directions that two sets of cameras give their pixels."""
    rays = [
        made_rays(Cameras(*(x.double() for x in cameras)))[..., :3] for cameras in (ours, truth)
    ]
    a, b = (x / x.norm(dim=-1, keepdim=True) for x in rays)
    return torch.rad2deg(torch.linalg.cross(a, b).norm(dim=-1).asin()).mean(dim=(-1, -2))


def noisy(rays: Tensor, sine: float) -> Tensor:
    """Turn each direction by a random angle, ``sine`` along each axis."""
    directions, origins = rays.split(3, dim=-1)
    noise = sine * directions.norm(dim=-1, keepdim=True) * torch.randn_like(directions)
    return torch.cat((directions + noise, origins), dim=-1)


@pytest.mark.parametrize('offset', [(0.0, 0.0), (15.0, -10.0), (-120.0, 60.0)])
def test_exact_rays_give_the_exact_camera(offset: tuple[float, float]) -> None:
    torch.manual_seed(0)
    truth = made_cameras(8, offset)
    ours = cameras_from_rays(made_rays(truth), torch.ones(1, 8, *RAY_SIZE), SIZE)
    assert (ours.camera_from_world - truth.camera_from_world).abs().max() < 1e-5
    torch.testing.assert_close(ours.intrinsics.double(), truth.intrinsics, rtol=1e-5, atol=1e-4)


def test_float32_rays() -> None:
    torch.manual_seed(0)
    truth = made_cameras(4, (15.0, -10.0))
    ours = cameras_from_rays(made_rays(truth).float(), torch.ones(1, 4, *RAY_SIZE), SIZE)
    assert (ours.camera_from_world - truth.camera_from_world).abs().max() < 1e-4
    torch.testing.assert_close(ours.intrinsics.double(), truth.intrinsics, rtol=1e-4, atol=1e-3)


def test_is_deterministic_and_leaves_its_inputs() -> None:
    torch.manual_seed(0)
    rays, confidence = torch.randn(2, 3, *RAY_SIZE, 6), 1 + torch.rand(2, 3, *RAY_SIZE)
    before = rays.clone(), confidence.clone()
    first = cameras_from_rays(rays, confidence, SIZE)
    torch.manual_seed(1)
    second = cameras_from_rays(rays, confidence, SIZE)
    assert all(torch.equal(a, b) for a, b in zip(first, second))
    assert torch.equal(rays, before[0]) and torch.equal(confidence, before[1])


def test_views_do_not_touch_each_other() -> None:
    torch.manual_seed(0)
    rays, confidence = made_rays(made_cameras(4, (9.0, 4.0))), torch.ones(1, 4, *RAY_SIZE)
    rays = rays + 0.01 * torch.randn_like(rays)
    together = cameras_from_rays(rays, confidence, SIZE)
    alone = cameras_from_rays(rays[:, 2:3], confidence[:, 2:3], SIZE)
    torch.testing.assert_close(together.camera_from_world[:, 2:3], alone.camera_from_world)


@pytest.mark.parametrize('share', [0.1, 0.3, 0.5])
def test_outliers_change_little(share: float) -> None:
    """Some pixels point, and start, anywhere; the rest carries 0.3 degrees of noise."""
    torch.manual_seed(0)
    truth = made_cameras(6, (15.0, -10.0))
    rays = noisy(made_rays(truth), sine=0.005)
    wrong = torch.rand(rays.shape[:-1]) < share
    rays[wrong] = 3 * torch.randn_like(rays[wrong])
    ours = cameras_from_rays(rays, torch.ones(1, 6, *RAY_SIZE), SIZE)
    assert direction_error_deg(ours, truth).max() < 0.06
    assert angles_deg(ours, truth).max() < 0.5
    centres = [invert_rigid(cameras.camera_from_world)[..., 3] for cameras in (ours, truth)]
    assert (centres[0] - centres[1]).abs().max() < 0.05


def test_a_wrong_region_changes_little() -> None:
    """A third of the picture, in one piece, belongs to a camera turned by 20 degrees."""
    torch.manual_seed(0)
    truth = made_cameras(1, (5.0, 8.0))
    rays = noisy(made_rays(truth), sine=0.005)
    turned = rays[..., : RAY_SIZE[1] // 3, :3]
    axis = torch.tensor([0.0, math.radians(20), 0.0]).double()
    rays[..., : RAY_SIZE[1] // 3, :3] = turned @ rotations(axis[None])[0].T
    ours = cameras_from_rays(rays, torch.ones(1, 1, *RAY_SIZE), SIZE)
    assert direction_error_deg(ours, truth).max() < 0.2


def test_confidence_decides() -> None:
    """Between two consistent cameras, the one with the confidence wins."""
    torch.manual_seed(0)
    cameras = made_cameras(2, (0.0, 0.0))
    rays = made_rays(cameras)
    mixed, mask = rays[:, :1].clone(), torch.rand(1, 1, *RAY_SIZE) < 0.5
    mixed[mask] = rays[:, 1:][mask]
    confidence = torch.where(mask, 30.0, 1.0)
    ours = cameras_from_rays(mixed, confidence, SIZE)
    assert (ours.camera_from_world - cameras.camera_from_world[:, 1:]).abs().max() < 0.02


def test_broken_pixels_are_left_out() -> None:
    torch.manual_seed(0)
    truth = made_cameras(2, (15.0, -10.0))
    rays = made_rays(truth)
    rays[0, 0, :3] = float('nan')
    rays[0, 1, :, 5, 3] = float('inf')
    rays[0, 1, 7, :, :3] = 0
    ours = cameras_from_rays(rays, torch.ones(1, 2, *RAY_SIZE), SIZE)
    assert (ours.camera_from_world - truth.camera_from_world).abs().max() < 1e-5


def test_says_so_when_nothing_can_be_found() -> None:
    ours = cameras_from_rays(torch.zeros(1, 1, *RAY_SIZE, 6), torch.ones(1, 1, *RAY_SIZE), SIZE)
    assert not ours.camera_from_world.isfinite().all()


# -- beside the official code -----------------------------------------------------------------


def in_float64(function: Callable, *args: object) -> object:
    """Call official code whose constants are float32; its rounding alone is 0.04 degrees."""
    linspace = torch.linspace
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, 'float', Tensor.double)
        patch.setattr(torch, 'linspace', lambda *a, dtype, **k: linspace(*a, **k).double())
        return function(*args)


def run_official(rays: Tensor, confidence: Tensor) -> Cameras:
    """Fit with the official code."""
    from depth_anything_3.utils.ray_utils import get_extrinsic_from_camray

    pose, focal, principal = in_float64(
        get_extrinsic_from_camray, rays.double(), confidence.double()[..., None], *RAY_SIZE
    )
    intrinsics = torch.eye(3, dtype=torch.float64).repeat(*pose.shape[:2], 1, 1)
    height, width = SIZE
    intrinsics[..., 0, 0], intrinsics[..., 1, 1] = (
        focal[..., 0] * width / 2,
        focal[..., 1] * height / 2,
    )
    intrinsics[..., 0, 2] = principal[..., 0] * width / 2
    intrinsics[..., 1, 2] = principal[..., 1] * height / 2
    return Cameras(invert_rigid(pose), intrinsics)


def test_equals_the_official_fit_on_a_centred_camera() -> None:
    torch.manual_seed(0)
    truth = made_cameras(3, (0.0, 0.0), max_angle=0.6)
    rays, confidence = made_rays(truth), 1 + torch.rand(1, 3, *RAY_SIZE)
    official = run_official(rays, confidence)
    ours = cameras_from_rays(rays, confidence, SIZE)
    assert (ours.camera_from_world - official.camera_from_world).abs().max() < 1e-5
    torch.testing.assert_close(ours.intrinsics.double(), official.intrinsics, rtol=1e-5, atol=1e-5)


def test_is_right_where_the_official_fit_is_not() -> None:
    """An off-centre principal point costs the official split degrees and tens of pixels."""
    torch.manual_seed(0)
    truth = made_cameras(3, (15.0, -10.0), max_angle=0.6)
    rays, confidence = made_rays(truth), torch.ones(1, 3, *RAY_SIZE)
    assert angles_deg(run_official(rays, confidence), truth).min() > 1.0
    assert angles_deg(cameras_from_rays(rays, confidence, SIZE), truth).max() < 1e-3


@pytest.mark.parametrize('outliers', [0.0, 0.2])
def test_fits_noisy_rays_better_than_the_official_code(outliers: float) -> None:
    """
    Compare the directions that the cameras give to their pixels with the true ones.

    Rotation alone would not do: a free principal point trades against it, and the official split
    is held by its error near the middle, where the truth is in this test.
    """
    torch.manual_seed(0)
    truth = made_cameras(8, (0.0, 0.0), max_angle=0.6)
    rays = noisy(made_rays(truth), sine=0.02)
    wrong = torch.rand(rays.shape[:-1]) < outliers
    rays[..., :3][wrong] = torch.randn_like(rays[..., :3][wrong])
    confidence = torch.ones(1, 8, *RAY_SIZE)
    ours = direction_error_deg(cameras_from_rays(rays, confidence, SIZE), truth).mean()
    assert ours < 0.8 * direction_error_deg(run_official(rays, confidence), truth).mean()


def test_through_the_network(
    pair_of: Callable, scene_of: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With rays of cameras in place of the ray branch's, both networks return the same cameras."""
    pair, scene = pair_of('small'), scene_of(3)
    torch.manual_seed(0)
    rays = made_rays(made_cameras(3, (0.0, 0.0), max_angle=0.6))
    confidence = 1 + torch.rand(1, 3, *RAY_SIZE).double()

    monkeypatch.setattr(
        pair.ours.head, 'rays', lambda pyramid, grid: DenseOutput(rays[0], confidence[0])
    )
    with torch.inference_mode():
        ours = pair.ours(scene.images, pose_from='rays')
    assert ours.rays is None

    def replace_rays(module: torch.nn.Module, args: tuple, output: dict) -> dict:
        output.ray, output.ray_conf = rays, confidence
        return output

    from depth_anything_3.model import da3

    fit = da3.get_extrinsic_from_camray
    monkeypatch.setattr(da3, 'get_extrinsic_from_camray', lambda *args: in_float64(fit, *args))
    hook = pair.official.head.register_forward_hook(replace_rays)
    try:
        with torch.inference_mode():
            official = pair.official(scene.images, use_ray_pose=True)
    finally:
        hook.remove()
    assert (ours.camera_from_world - official.extrinsics).abs().max() < 1e-5
    torch.testing.assert_close(ours.intrinsics, official.intrinsics, rtol=1e-5, atol=1e-5)
