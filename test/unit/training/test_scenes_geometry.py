"""Depth, normals and rows of scenes whose answer is known, and of random ones by property."""

import math

from da3_ros.training.scenes.builder import Frame, Material, turn
from da3_ros.training.scenes.casting import cast_rays, cast_shadows
from da3_ros.training.scenes.clearance import clearance_m
from da3_ros.training.scenes.culling import Visits, visits_for
from da3_ros.training.scenes.make import atlas_for, make_scenes, SceneConfig
from da3_ros.training.scenes.paths import camera_path, look_poses, PathConfig
from da3_ros.training.scenes.primitives import cross_box, cross_cylinder, cross_ellipsoid
from da3_ros.training.scenes.rays import camera_rays, intrinsics_from_fov
from da3_ros.training.scenes.render import render, RenderConfig
from da3_ros.training.scenes.scene import SHELL_FACES
import pytest
import torch

GREY = Material(0)


def looking(at, forward):
    """One camera (1, 1, 4, 4)."""
    return look_poses(torch.tensor([at]), torch.tensor([forward]), torch.zeros(1))[None]


def cast(scene, pose, intrinsics, height, width):
    rays = camera_rays(pose, intrinsics, height, width)
    return cast_rays(scene, rays, Visits.all_of(scene.slots).camera)


def test_a_wall_ahead_has_one_depth_and_the_floor_its_own(known_scene):
    intrinsics = intrinsics_from_fov(90.0, 64, 64)[None, None]
    depth, row = cast(
        known_scene(), looking((-1.0, 0.0, 1.0), (1.0, 0.0, 0.0)), intrinsics, 64, 64
    )
    wall = row == 1  # the +x face
    assert wall.any()
    torch.testing.assert_close(depth[wall], torch.full_like(depth[wall], 4.0))
    # A floor 1 m below meets the ray of row v where y z = 1.
    v = torch.arange(64) + 0.5
    floor = row[0, 0, :, 32] == 4
    torch.testing.assert_close(depth[0, 0, floor, 32], 1 / ((v[floor] - 32) / 32))


def test_a_ball_is_where_it_was_put(known_scene):
    def ball(b):
        b.ellipsoid(Frame(), (2.0, 0.0, 1.0), (0.5, 0.5, 0.5), GREY)

    scene = known_scene(ball)
    intrinsics = intrinsics_from_fov(60.0, 257, 257)[None, None]
    depth, row = cast(scene, looking((-1.0, 0.0, 1.0), (1.0, 0.0, 0.0)), intrinsics, 257, 257)
    assert depth[0, 0, 128, 128].item() == pytest.approx(2.5, abs=1e-6)
    on_ball = row[0, 0] == SHELL_FACES + 4
    # The silhouette of a ball at distance 3 is a circle of tan(asin(r / d)) on the image plane.
    radius_px = math.tan(math.asin(0.5 / 3)) * intrinsics[0, 0, 0, 0].item()
    assert on_ball.sum().item() == pytest.approx(math.pi * radius_px**2, rel=0.01)


def test_a_thin_leaf_is_near_only_where_it_is(known_scene):
    def leaf(b):
        b.ellipsoid(Frame(), (0.0, 0.0, 1.0), (0.3, 0.08, 0.015), GREY)

    points = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.5, 1.0], [0.0, 0.0, 1.3], [0.0, 0.0, 1.0]])
    along, across, above, inside = clearance_m(known_scene(leaf), points).tolist()
    assert (along, across, above) == pytest.approx((0.7, 0.42, 0.285), abs=1e-5)
    assert inside < 0


def test_an_off_centre_principal_point_moves_the_picture(known_scene):
    def ball(b):
        b.ellipsoid(Frame(), (2.0, 0.0, 1.0), (0.3, 0.3, 0.3), GREY)

    scene, pose = known_scene(ball), looking((-1.0, 0.0, 1.0), (1.0, 0.0, 0.0))
    centred = intrinsics_from_fov(60.0, 64, 48)[None, None]
    moved = centred.clone()
    moved[..., 0, 2] += 7
    moved[..., 1, 2] -= 5
    depth, _ = cast(scene, pose, centred, 48, 64)
    shifted, _ = cast(scene, pose, moved, 48, 64)
    torch.testing.assert_close(shifted[..., :43, 7:], depth[..., 5:, :57])


@pytest.mark.parametrize('component', [0.0, -0.0, 1e-12, -1e-12, 1e-30, -1e-30])
def test_walls_stay_in_front_when_a_ray_runs_along_them(known_scene, component):
    """A reciprocal that loses the sign of a tiny component would put a wall behind the camera."""
    scene = known_scene()
    pose = looking((-1.0, 0.5, 1.2), (1.0, 0.0, 0.0))
    pose[..., :3, :3] = torch.tensor([[component, 0, 1.0], [-1, component, 0], [0, -1, component]])
    centred = torch.tensor([[[[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]]]])
    depth, row = cast(scene, pose, centred, 1, 1)
    assert row.item() == 1 and depth.item() == pytest.approx(4.0)


@pytest.mark.parametrize('cross', [cross_box, cross_cylinder, cross_ellipsoid])
@pytest.mark.parametrize('tiny', [0.0, -0.0, 1e-20, -1e-20])
def test_rays_along_an_axis_hit_or_miss_by_their_origin(cross, tiny):
    def meets(origin, direction):
        o = [torch.tensor([x]) for x in origin]
        d = [torch.tensor([x]) for x in direction]
        enter, leave = cross(o, d)
        assert not enter.isnan().any() and not leave.isnan().any()
        return enter.item() if (enter <= leave).item() else None

    for axis in range(3):
        direction = [tiny, tiny, tiny]
        direction[axis] = 1.0
        through, beside = [0.0, 0.0, 0.0], [1.5, 1.5, 1.5]
        through[axis] = beside[axis] = -3.0
        assert meets(through, direction) == pytest.approx(2.0)
        assert meets(beside, direction) is None


@pytest.mark.parametrize('cross', [cross_box, cross_cylinder, cross_ellipsoid])
def test_entry_and_exit_lie_on_the_surface(cross):
    generator = torch.Generator().manual_seed(1)
    origin = torch.randn(3, 4000, generator=generator, dtype=torch.float64) * 3
    towards = torch.rand(3, 4000, generator=generator, dtype=torch.float64) * 1.6 - 0.8
    direction = towards - origin
    enter, leave = cross(tuple(origin), tuple(direction))
    hit = enter <= leave
    assert hit.double().mean() > 0.5
    for t in (enter, leave):
        x, y, z = (origin + direction * t)[:, hit].abs()
        level = {
            cross_box: torch.maximum(torch.maximum(x, y), z),
            cross_cylinder: torch.maximum((x * x + y * y).sqrt(), z),
            cross_ellipsoid: (x * x + y * y + z * z).sqrt(),
        }[cross]
        torch.testing.assert_close(level, torch.ones_like(level), rtol=0, atol=1e-6)


def test_a_turned_box_shows_the_face_that_faces_the_camera(known_scene):
    def box(b):
        b.box(Frame((1.0, 0.0, 1.0), turn(math.pi / 4)), (0, 0, 0), (1.0, 1.0, 1.0), GREY)

    intrinsics = intrinsics_from_fov(60.0, 33, 33)[None, None]
    depth, row = cast(
        known_scene(box), looking((-2.0, 0.0, 1.0), (1.0, 0.0, 0.0)), intrinsics, 33, 33
    )
    assert row[0, 0, 16, 16].item() == SHELL_FACES
    assert depth[0, 0, 16, 16].item() == pytest.approx(3 - math.sqrt(0.5), abs=1e-5)


def test_shadow_falls_behind_the_ball_and_nowhere_else(known_scene):
    def ball(b):
        b.ellipsoid(Frame(), (0.0, 0.0, 1.0), (0.5, 0.5, 0.5), GREY)

    scene = known_scene(ball, light_position=[(0.0, 0.0, 2.0), (0.0, 0.0, 2.0)])
    x = torch.linspace(-1.9, 1.9, 39)
    points = torch.stack([x, torch.zeros(39), torch.zeros(39)])[:, None, None, None]
    normals = torch.tensor([0.0, 0.0, 1.0])[:, None, None, None, None].expand_as(points)
    shadow = cast_shadows(scene, points, normals, Visits.all_of(scene.slots).shadow)
    edge = 2 * math.tan(math.asin(0.5))  # tangents from a light 1 m above the centre
    assert torch.equal(shadow.flatten(), x.abs() < edge)
    # What lies behind a point, seen from the light, does not shade it.
    above = points + torch.tensor([0.0, 0.0, 1.8])[:, None, None, None, None]
    assert not cast_shadows(scene, above, normals, Visits.all_of(scene.slots).shadow).any()


def random_views(seed, frames=3, width=80, height=60):
    scene = make_scenes([seed])
    generator = torch.Generator().manual_seed(seed)
    poses = camera_path(scene, frames, generator, PathConfig(speed_m=0.12, rest_share=0))[None]
    intrinsics = intrinsics_from_fov(75.0, width, height)
    intrinsics[:2, 2] += torch.tensor([3.0, -2.0])
    return scene, poses, intrinsics.expand(1, frames, 3, 3)


@pytest.mark.parametrize('seed', range(12))
def test_lifted_points_have_the_other_views_depth(seed):
    """Points of one view, seen from another, lie on its surface or behind it: never before it."""
    scene, poses, intrinsics = random_views(seed)
    scene, poses, intrinsics = (
        scene.to(dtype=torch.float64),
        poses.double(),
        intrinsics.double(),
    )
    rays = camera_rays(poses, intrinsics, 60, 80)
    depth, row = cast_rays(scene, rays, Visits.all_of(scene.slots).camera)
    far = depth[0, 0] > 100
    directions = torch.stack(rays.directions(rays.world_from_camera))[:, 0, 0]
    points = rays.origin[0, 0, :, None, None] + directions * depth[0, 0]  # (3, H, W)
    rotation, origin = poses[0, 2, :3, :3], poses[0, 2, :3, 3]
    seen = torch.einsum('ji,jhw->ihw', rotation, points - origin[:, None, None])
    x, y, z = seen
    u = intrinsics[0, 2, 0, 0] * x / z + intrinsics[0, 2, 0, 2]
    v = intrinsics[0, 2, 1, 1] * y / z + intrinsics[0, 2, 1, 2]
    inside = (z > 0.1) & (u > 0) & (u < 80) & (v > 0) & (v < 60) & ~far
    assert inside.double().mean() > 0.1
    # Cast the exact sub-pixel ray at each of those points: a 1 x 1 picture with its own centre.
    count = int(inside.sum())
    single = intrinsics[0, 2].repeat(count, 1, 1)
    single[:, 0, 2] += 0.5 - u[inside]
    single[:, 1, 2] += 0.5 - v[inside]
    again = camera_rays(poses[:, 2:].expand(1, count, 4, 4), single[None], 1, 1)
    found, found_row = cast_rays(scene, again, Visits.all_of(scene.slots).camera)
    found, found_row = found[0, :, 0, 0], found_row[0, :, 0, 0]
    # Rims and limbs, which a ray only touches, may be missed from the other side.
    assert (found <= z[inside] * 1.001).double().mean() > 0.998
    covisible = found_row == row[0, 0][inside]
    agree = (found - z[inside]).abs() < 1e-3 * z[inside]
    # A concave pair of rows aside (a box seen from two sides hides itself), the same row agrees.
    assert agree[covisible].double().mean() > 0.97
    assert agree.double().mean() > 0.6


@pytest.mark.parametrize('seed', range(8))
def test_normals_are_unit_and_face_the_camera(seed):
    scene, poses, intrinsics = random_views(seed)
    config = RenderConfig(80, 60, samples_per_side=1)
    scene, atlas = atlas_for(scene, SceneConfig().textures, 8)
    seen = render(scene, atlas, poses, intrinsics, config)
    normal = seen.normal.movedim(2, 0)
    torch.testing.assert_close(normal.norm(dim=0), torch.ones_like(seen.depth_m))
    rays = camera_rays(poses, intrinsics, 60, 80)
    directions = torch.stack(rays.directions(rays.world_from_camera))
    facing = (normal * directions).sum(0) / directions.norm(dim=0)
    assert (facing < 1e-3).all()


@pytest.mark.parametrize('seed', range(6))
def test_single_precision_is_exact_enough(seed):
    scene, poses, intrinsics = random_views(seed)
    single, row = cast(scene, poses, intrinsics, 60, 80)
    double, row64 = cast(
        scene.to(dtype=torch.float64), poses.double(), intrinsics.double(), 60, 80
    )
    same = (row == row64) & (double < 200)
    assert (row == row64).double().mean() > 0.999
    error = (single - double).abs() / double
    assert error[same].max() < 1e-3
    assert error[same].quantile(0.99) < 2e-6


@pytest.mark.parametrize('seed', range(6))
def test_culling_changes_nothing(seed):
    scene, poses, intrinsics = random_views(seed)
    rays = camera_rays(poses, intrinsics, 60, 80)
    every, row = cast_rays(scene, rays, Visits.all_of(scene.slots).camera)
    visits = visits_for(scene, poses, intrinsics, 80, 60)
    some, some_row = cast_rays(scene, rays, visits.camera)
    assert len(visits.camera) < scene.slots.total
    assert torch.equal(every, some) and torch.equal(row, some_row)


@pytest.mark.parametrize('seed', range(6))
def test_clearance_is_never_more_than_the_way_a_ray_can_go(seed):
    scene, poses, intrinsics = random_views(seed, width=40, height=40)
    rays = camera_rays(poses, intrinsics, 40, 40)
    depth, row = cast_rays(scene, rays, Visits.all_of(scene.slots).camera)
    distance = depth * torch.stack(rays.directions(rays.world_from_camera)).norm(dim=0)
    clear = clearance_m(scene, poses[0, :, :3, 3])
    assert (clear > 0).all()
    assert (distance.flatten(2).amin(-1)[0] >= clear - 1e-4).all()
