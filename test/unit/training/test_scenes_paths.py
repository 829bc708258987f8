"""Trajectories: clear of geometry, smooth, closed when asked, alike for alike seeds; rigs."""

from da3_ros.errors import InputError
from da3_ros.training.scenes.clearance import clearance_m
from da3_ros.training.scenes.make import make_scenes
from da3_ros.training.scenes.paths import camera_path, PATH_KINDS, PathConfig
from da3_ros.training.scenes.rig import rig_poses, ring_rig, stereo_rig
import pytest
import torch

FRAMES = 60


def path_of(seed, **changes):
    scene = make_scenes([seed])
    generator = torch.Generator().manual_seed(seed)
    config = PathConfig(**changes)
    return scene, camera_path(scene, FRAMES, generator, config), config


def angles_deg(poses, others):
    relative = poses[:, :3, :3].transpose(1, 2).double() @ others[:, :3, :3].double()
    cosine = (relative.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2
    return torch.rad2deg(torch.acos(cosine.clamp(-1, 1)))


@pytest.mark.parametrize('closed', [False, True])
@pytest.mark.parametrize('kind', PATH_KINDS)
def test_paths_are_clear_smooth_and_rigid(kind, closed):
    for seed in range(5):
        scene, poses, config = path_of(seed, kind=kind, closed=closed)
        position, rotation = poses[:, :3, 3], poses[:, :3, :3]
        assert poses.shape == (FRAMES, 4, 4) and poses.isfinite().all()
        assert clearance_m(scene, position).min() >= config.clearance_m
        eye = torch.eye(3).expand(FRAMES, 3, 3)
        torch.testing.assert_close(rotation @ rotation.mT, eye, rtol=0, atol=1e-5)
        torch.testing.assert_close(torch.det(rotation), torch.ones(FRAMES))
        step = position.diff(dim=0).norm(dim=1)
        assert step.max() < (3 if closed else 1.5) * config.speed_m
        assert angles_deg(poses[:-1], poses[1:]).max() < 20
        if kind == 'static':
            assert step.max() == 0


@pytest.mark.parametrize('kind', ['hand', 'robot', 'orbit'])
def test_a_closed_path_comes_back(kind):
    for seed in range(5):
        _, poses, config = path_of(seed, kind=kind, closed=True)
        position = poses[:, :3, 3]
        usual = position.diff(dim=0).norm(dim=1).max()
        assert (position[0] - position[-1]).norm() < 1.5 * usual + 0.01
        assert angles_deg(poses[-1:], poses[:1]).max() < 20
        assert position.diff(dim=0).norm(dim=1).sum() > 0.5


@pytest.mark.parametrize('kind', ['robot', 'strafe'])
def test_robots_stay_level(kind):
    for seed in range(4):
        _, poses, _ = path_of(seed, kind=kind)
        assert poses[:, 2, 3].std() < 1e-5
        assert poses[:, 2, 0].abs().max() < 1e-5  # the image's x axis is horizontal


def test_a_robot_looks_where_it_goes_and_a_strafing_one_does_not():
    ahead = {}
    for kind in ('robot', 'strafe'):
        cosines = []
        for seed in range(6):
            _, poses, _ = path_of(seed, kind=kind, rest_share=0.0)
            motion = poses[:, :3, 3].diff(dim=0)
            motion = motion / motion.norm(dim=1, keepdim=True)
            cosines.append((motion * poses[:-1, :3, 2]).sum(1))
        ahead[kind] = torch.cat(cosines).median()
    assert ahead['robot'] > 0.8 and ahead['strafe'].abs() < 0.5


def test_resting_frames_do_not_move():
    _, poses, _ = path_of(1, kind='robot', rest_share=0.4)
    assert (poses[:, :3, 3].diff(dim=0).norm(dim=1) < 1e-6).sum() > 12


def test_the_same_generator_gives_the_same_path():
    _, one, _ = path_of(4)
    _, same, _ = path_of(4)
    assert torch.equal(one, same)


def test_a_room_without_space_is_refused():
    with pytest.raises(InputError, match='Use a smaller clearance_m'):
        path_of(0, clearance_m=5.0)


def test_unknown_kinds_are_refused():
    with pytest.raises(InputError, match="got 'fly'"):
        PathConfig(kind='fly')


def test_rig_cameras_keep_their_place_on_the_body():
    _, body, _ = path_of(2)
    mount = ring_rig([0.0, 90.0, 180.0, -90.0], radius_m=0.15)
    cameras = rig_poses(body, mount)
    back = torch.linalg.inv(body.double())[:, None] @ cameras.double()
    expected = mount.double().expand_as(back)
    torch.testing.assert_close(back, expected, rtol=0, atol=1e-5)
    # Yaw 0 looks along the body's optical axis, yaw 90 to its left (minus x).
    torch.testing.assert_close(mount[0, :3, 2], torch.tensor([0.0, 0.0, 1.0]))
    torch.testing.assert_close(mount[1, :3, 2], torch.tensor([-1.0, 0.0, 0.0]), rtol=0, atol=1e-6)
    pair = rig_poses(body, stereo_rig(0.12))
    gap = (pair[:, 1, :3, 3] - pair[:, 0, :3, 3]).norm(dim=1)
    torch.testing.assert_close(gap, torch.full_like(gap, 0.12))
