"""Fused surfaces: where walls are, what views average to, what they hide, and Open3D's own."""

from da3_ros.evaluation import tsdf as module
from da3_ros.evaluation.mesh import sampled_points, zero_surface
from da3_ros.evaluation.simulated_stream import camera_at
from da3_ros.evaluation.surface_scores import nearest_distances
from da3_ros.evaluation.truth import BoxRoom
from da3_ros.evaluation.tsdf import DepthView, fused_surface
from da3_ros.geometry.transforms import invert
import numpy as np
import pytest

K = np.array([[54.0, 0.0, 42.0], [0.0, 54.0, 28.0], [0.0, 0.0, 1.0]])
SIZE = (84, 56)


def wall(depth_m: float, **changes: object) -> DepthView:
    """Return a view from the origin of a wall across the z axis."""
    depth = np.full(SIZE[::-1], depth_m, np.float32)
    whole = {'depth': depth, 'size': SIZE, 'intrinsics': K, 'world_from_camera': np.eye(4)}
    return DepthView(**whole | changes)


def test_a_wall_is_where_it_is_seen() -> None:
    triangles = fused_surface([wall(2.0)], 0.05, 0.2)
    assert np.abs(triangles[..., 2] - 2.0).max() < 0.005
    # The wall's part in view, but for a voxel at its border.
    width, height = np.ptp(triangles.reshape(-1, 3), axis=0)[:2]
    assert width == pytest.approx(2 * 84 / 54, abs=0.15)
    assert height == pytest.approx(2 * 56 / 54, abs=0.15)


def test_views_are_averaged_within_the_truncation() -> None:
    # Distances are along the ray, so off the middle of the picture a mean is a little farther.
    triangles = fused_surface([wall(2.0), wall(2.1), wall(2.2)], 0.02, 0.5)
    assert np.abs(triangles[..., 2] - 2.1).max() < 0.01
    apart = fused_surface([wall(2.0), wall(3.0)], 0.02, 0.1)
    near = np.abs(apart[..., 2:] - [2.0, 3.0]).min(axis=-1)
    assert near.max() < 0.01 and np.ptp(apart[..., 2]) > 0.9


def test_a_view_says_nothing_of_what_is_behind_its_surface() -> None:
    """In one block: who sees through the nearer wall clears it, and only that view moves it."""
    seen_through = fused_surface([wall(1.95), wall(2.05)], 0.02, 0.03)
    assert np.abs(seen_through[..., 2] - 2.05).max() < 0.005


def test_nothing_comes_of_depth_that_does_not_count() -> None:
    hidden = np.zeros(SIZE[::-1], bool)
    invalid = np.full(SIZE[::-1], np.nan, np.float32)
    for view in (wall(2.0, is_valid=hidden), wall(2.0, depth=invalid), wall(-1.0)):
        assert len(fused_surface([view], 0.05, 0.2)) == 0
    assert len(fused_surface([wall(2.0)], 0.05, 0.2, max_depth=1.9)) == 0
    assert len(fused_surface([], 0.05, 0.2)) == 0
    half = np.arange(SIZE[0]) < SIZE[0] // 2
    triangles = fused_surface([wall(2.0, is_valid=np.tile(half, (SIZE[1], 1)))], 0.05, 0.2)
    assert -1.7 < triangles[..., 0].min() and triangles[..., 0].max() < 0.02


def test_a_small_depth_image_stands_for_the_whole_picture() -> None:
    small = np.full((14, 21), 2.0, np.float32)
    view = wall(2.0, depth=small)
    np.testing.assert_array_equal(view.at(np.array([0, 83]), np.array([0, 55])), [2.0, 2.0])
    points = view.points()
    assert len(points) == 14 * 21
    assert points[:, 0].min() == pytest.approx(-2 * 42 / 54)
    whole = fused_surface([wall(2.0)], 0.05, 0.2)
    np.testing.assert_allclose(fused_surface([view], 0.05, 0.2), whole, atol=1e-6)


def test_voxels_grow_where_too_much_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    fine = fused_surface([wall(2.0)], 0.02, 0.1)
    monkeypatch.setattr(module, '_MAX_BLOCKS', 200)
    coarse = fused_surface([wall(2.0)], 0.02, 0.1)
    assert 0 < len(coarse) < len(fine) / 3
    assert np.abs(coarse[..., 2] - 2.0).max() < 0.01


def test_triangles_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    every = fused_surface([wall(2.0)], 0.02, 0.1)
    monkeypatch.setattr(module, '_MAX_TRIANGLES', len(every) // 3)
    few = fused_surface([wall(2.0)], 0.02, 0.1)
    assert len(every) / 9 < len(few) <= len(every) // 3
    spread = [triangles.reshape(-1, 3)[:, :2].std(axis=0) for triangles in (every, few)]
    np.testing.assert_allclose(*spread, rtol=0.05)


def test_a_ball_has_its_area_and_points_lie_evenly_on_it() -> None:
    steps = np.arange(-12, 12) * 0.1
    corners = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    bits = np.array([[(corner >> axis) & 1 for axis in range(3)] for corner in range(8)])
    values = np.linalg.norm(corners[:, None] + 0.1 * bits, axis=-1) - 1.0
    triangles = zero_surface(values, corners, 0.1)
    edges = triangles[:, 1:] - triangles[:, :1]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1).sum() / 2
    assert area == pytest.approx(4 * np.pi, rel=0.02)
    points = sampled_points(triangles, 50_000)
    assert np.abs(np.linalg.norm(points, axis=1) - 1).max() < 0.01
    # Of a ball, every slab of the same thickness has the same area.
    share = np.histogram(points[:, 2], bins=np.linspace(-1, 1, 6))[0] / len(points)
    np.testing.assert_allclose(share, 0.2, atol=0.01)
    corners = np.array([[[0, 0, 0], [3, 0, 0], [0, 6, 0.0]]])
    np.testing.assert_allclose(sampled_points(corners, 50_000).mean(axis=0), [1, 2, 0], atol=0.03)


def test_equals_open3d_to_a_fraction_of_a_voxel() -> None:
    o3d = pytest.importorskip('open3d')
    room, voxel, truncation = BoxRoom([-3.0, -4.0, -1.0], [3.0, 4.0, 2.0]), 0.05, 0.15
    integration = o3d.pipelines.integration
    volume = integration.ScalableTSDFVolume(
        voxel, truncation, color_type=integration.TSDFVolumeColorType.NoColor
    )
    views = []
    for i in range(3):
        pose = camera_at([0.3 * i, 0.1 * i, 0.0])
        depth = room.depth_m(pose, K, *SIZE[::-1]).astype(np.float32) + 0.02 * i
        views.append(DepthView(depth, SIZE, K, pose))
        picture = o3d.geometry.RGBDImage.create_from_color_and_depth(
            o3d.geometry.Image(np.zeros((*SIZE[::-1], 3), np.uint8)),
            o3d.geometry.Image(depth),
            depth_scale=1.0,
            depth_trunc=100.0,
            convert_rgb_to_intensity=False,
        )
        camera = o3d.camera.PinholeCameraIntrinsic(*SIZE, K[0, 0], K[1, 1], K[0, 2], K[1, 2])
        volume.integrate(picture, camera, invert(pose))
    mesh = volume.extract_triangle_mesh()
    theirs = np.asarray(mesh.sample_points_uniformly(1_000_000).points)
    ours = sampled_points(fused_surface(views, voxel, truncation), 1_000_000)
    for points, others in ((ours, theirs), (theirs, ours)):
        distances = nearest_distances(points[::10], others, 10.0)
        assert np.quantile(distances, 0.99) < 0.25 * voxel
