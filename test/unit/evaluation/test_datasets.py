"""Readers of benchmarks on made-up trees: what the official readers read, and what it means."""

from pathlib import Path
import shutil

from da3_ros.errors import InputError
from da3_ros.evaluation.datasets.catalogue import DATASETS
from da3_ros.evaluation.datasets.dataset import Scene
from da3_ros.evaluation.surface_rules import SampledSurface
from da3_ros.geometry.transforms import invert, rigid
from doubles.benchmark_trees import (
    FRAMES,
    HEIGHT,
    make_scannetpp,
    picture,
    poses,
    put_text,
    TREES,
    WALL_M,
    WIDTH,
)
from doubles.official_benchmark import official
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

# The official reader of each: its module, its class, and where it looks below the root.
OFFICIAL = {
    'eth3d': ('eth3d', 'ETH3D', ''),
    '7scenes': ('sevenscenes', 'SevenScenes', ''),
    'scannetpp': ('scannetpp', 'ScanNetPP', ''),
    'hiroom': ('hiroom', 'HiRoomDataset', 'data'),
    'dtu': ('dtu', 'DTU', ''),
    'dtu64': ('dtu64', 'DTU64', ''),
}


def opened(name: str, root: Path) -> Scene:
    scene = TREES[name](root)
    assert DATASETS[name].names(root) == [scene]
    return DATASETS[name].read(root, scene)


@pytest.mark.parametrize('name', OFFICIAL)
def test_the_official_reader_reads_the_same(name: str, tmp_path: Path) -> None:
    scene = opened(name, tmp_path)
    module, reader, below = OFFICIAL[name]
    with official(f'bench.datasets.{module}') as found:
        theirs = getattr(found, reader)()
        theirs.data_root = str(tmp_path / below)
        theirs.camera_root = str(tmp_path / 'Cameras')
        data = theirs.get_data(scene.name)
        np.testing.assert_allclose(invert(scene.world_from_camera), data.extrinsics, atol=1e-3)
        k = data.intrinsics
        if name == 'scannetpp':  # as it stands at the size of fusion, half pixel undone
            scale = np.array([1024 / WIDTH, 768 / HEIGHT, 1])
            k = (k + [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]) * scale[:, None]
        np.testing.assert_allclose(scene.intrinsics, k, rtol=1e-6)
        masks = _official_masks(name, theirs, data)
    assert len(scene) == len(data.image_files)
    for frame, mask in enumerate(masks):
        np.testing.assert_array_equal(scene.is_valid(frame), mask)
        assert 0.3 < mask.mean() < 1


def _official_masks(name: str, reader: object, data: object) -> list[np.ndarray]:
    """Return the masks that the official fusion applies, where it can be asked for them."""
    if name == 'eth3d':
        names = [Path(file).name for file in data.image_files]
        return [reader._load_gt_mask('relief', n, (HEIGHT, WIDTH)) for n in names]
    if name == '7scenes':
        return [reader._load_gt_mask(file) for file in data.aux.gt_depth_files]
    if name == 'hiroom':
        files = zip(data.aux.gt_depth_files, data.aux.aliasing_mask_files, strict=True)
        return [reader._load_gt_mask(*pair) for pair in files]
    return []


@pytest.mark.parametrize('name', ['eth3d', '7scenes', 'hiroom'])
def test_what_a_frame_is(name: str, tmp_path: Path) -> None:
    scene = opened(name, tmp_path)
    assert scene.rgb(1).shape == (HEIGHT, WIDTH, 3)
    assert np.abs(scene.rgb(1).astype(int) - picture(1)).mean() < 12
    depth = scene.depth_m(1)
    assert depth.shape == (HEIGHT, WIDTH)
    expected = 2.5 if name == 'eth3d' else WALL_M - 0.05
    assert np.nanmedian(depth) == pytest.approx(expected, abs=0.001)
    assert np.isnan(depth[:6, :7]).all() and np.isfinite(depth[7:]).all()
    surface = scene.surface([0, 1])
    assert isinstance(surface, SampledSurface)
    np.testing.assert_allclose(surface.points[:, 2], WALL_M, atol=1e-6)
    assert len(surface.points) == (3600 if name == 'hiroom' else 1_000_000)


def test_eth3d_leaves_out_what_the_benchmark_does(tmp_path: Path) -> None:
    """Of five pictures one is on its list, and one has no file."""
    assert len(opened('eth3d', tmp_path)) == 3


def test_scannetpp_takes_the_phone_s_pictures_at_the_size_of_fusion(tmp_path: Path) -> None:
    scene = opened('scannetpp', tmp_path)
    assert len(scene) == 3
    assert scene.rgb(0).shape == (768, 1024, 3)
    assert scene.is_valid(0).shape == (768, 1024) and 0.9 < scene.is_valid(0).mean() < 1
    # Sorted by name: the second is the fourth of the file.
    np.testing.assert_allclose(scene.world_from_camera[1], poses()[3], atol=1e-9)
    assert np.nanmedian(scene.depth_m(1)) == pytest.approx(WALL_M - 0.15)
    assert scene.surface([0]).rule.max_depth_m == 5.0


def test_scannetpp_undistorts(tmp_path: Path) -> None:
    make_scannetpp(tmp_path / 'straight')
    make_scannetpp(tmp_path / 'bent', 'OPENCV', '-0.2 0.05 0 0')
    straight, bent = (
        DATASETS['scannetpp'].read(tmp_path / name, '09c1414f1b') for name in ('straight', 'bent')
    )
    # What is cut off shows less of the scene on as many pixels.
    assert bent.intrinsics[0, 0, 0] > 0.8 * straight.intrinsics[0, 0, 0]
    assert np.abs(bent.rgb(0).astype(int) - straight.rgb(0)).mean() > 3


def test_dtu_is_in_millimetres_and_its_34th_picture_comes_first(tmp_path: Path) -> None:
    scene = opened('dtu', tmp_path)
    assert len(scene) == 36
    np.testing.assert_array_equal(scene.rgb(0), picture(33))
    np.testing.assert_array_equal(scene.rgb(1), picture(0))
    np.testing.assert_allclose(scene.world_from_camera[2, :3, 3], 1000 * poses(2)[1, :3, 3])
    valid = scene.is_valid(2)
    assert not valid[0, 0] and valid[4:, 5:].all() and valid.sum() == (HEIGHT - 4) * (WIDTH - 5)
    surface = scene.surface([0])
    assert surface.points.shape == (2500, 3) and surface.resolution_mm == 100
    assert DATASETS['dtu'].unit == 'mm' and scene.depth_m is None
    assert opened('dtu64', tmp_path / '64').surface is None


def test_tum_goes_by_stamps_and_undistorts(tmp_path: Path) -> None:
    scene = opened('tum', tmp_path)
    assert len(scene) == 31
    np.testing.assert_allclose(scene.world_from_camera[5], poses(6)[5], atol=1e-8)
    assert scene.intrinsics[0, 0, 0] == 517.3
    assert scene.rgb(0).shape == (HEIGHT, WIDTH, 3)
    depth = scene.depth_m(2)
    assert np.nanmedian(depth) == pytest.approx(WALL_M - 0.1, abs=0.001)
    assert len(scene.surface([0, 10]).points) > 10
    assert DATASETS['tum'].frames.windows(31, 4) == [[0, 10, 20, 30]]


def test_kitti_s_colour_camera_is_beside_the_first_one(tmp_path: Path) -> None:
    scene = opened('kitti', tmp_path)
    expected = poses(10) @ rigid(np.eye(3), [-0.06, 0, 0])
    np.testing.assert_allclose(scene.world_from_camera, expected, atol=1e-9)
    assert scene.intrinsics[3].tolist() == [[50, 0, 28], [0, 50, 21], [0, 0, 1]]
    assert scene.surface is None and scene.depth_m is None
    np.testing.assert_array_equal(scene.rgb(4), picture(4))


def test_euroc_s_camera_sits_on_the_body(tmp_path: Path) -> None:
    scene = opened('euroc', tmp_path)
    assert len(scene) == 20
    camera = rigid(Rotation.from_euler('z', 90, degrees=True).as_matrix(), [0.1, -0.2, 0.3])
    np.testing.assert_allclose(scene.world_from_camera, poses(21)[1:] @ camera, atol=1e-9)
    picture_there = scene.rgb(0)
    assert picture_there.shape == (HEIGHT, WIDTH, 3)
    assert (picture_there[..., 0] == picture_there[..., 1]).all()
    assert np.abs(picture_there[..., 0].astype(int) - picture(1)[..., 0]).max() > 5


# What is taken away of each tree, and what the sentence says then.
MISSING = {
    'eth3d': ('relief/dslr_calibration_jpg/images.txt', 'neither cameras.bin and images.bin'),
    '7scenes': ('7Scenes/stairs/seq-02', 'seq-02 is missing'),
    'scannetpp': ('09c1414f1b/merge_dslr_iphone/images', 'no frame with a picture'),
    'hiroom': ('data/20241230/000001/room_0/cam_K.npy', 'cam_K.npy is missing'),
    'dtu': ('Cameras/00000003_cam.txt', '00000003_cam.txt is missing'),
    'dtu64': ('Cameras/00000003_cam.txt', '00000003_cam.txt is missing'),
    'tum': ('rgbd_dataset_freiburg1_desk/depth.txt', 'depth.txt is missing'),
    'kitti': ('dataset/sequences/04/calib.txt', 'calib.txt is missing'),
    'euroc': ('V1_01_easy/mav0/cam0/data.csv', 'data.csv is missing'),
}


@pytest.mark.parametrize('name', TREES)
def test_errors_name_what_a_tree_lacks(name: str, tmp_path: Path) -> None:
    scene = TREES[name](tmp_path)
    path, sentence = MISSING[name]
    target = tmp_path / path
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    with pytest.raises(InputError, match=sentence):
        DATASETS[name].read(tmp_path, scene)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(InputError, match=f'holds no scene of {name}; expected '):
        DATASETS[name].names(tmp_path / 'empty')
    with pytest.raises(InputError, match='is not a folder'):
        DATASETS[name].names(tmp_path / 'nowhere')
    with pytest.raises(InputError, match=f'has no scene chess2; there are {scene}'):
        DATASETS[name].names(tmp_path, ['chess2'])


# A file of each tree that is spoiled, with what, and what the sentence says then.
SPOILED = {
    'eth3d': ('relief/dslr_calibration_jpg/cameras.txt', '0 PINHOLE', 'no COLMAP reconstruction'),
    '7scenes': ('7Scenes/stairs/seq-02/frame-000001.pose.txt', '1 2 3', 'of 4 x 4 numbers'),
    'hiroom': ('data/20241230/000001/room_0/cam_K.npy', 'x', 'not an array'),
    'dtu': ('Cameras/00000003_cam.txt', 'extrinsic', 'is no camera'),
    'tum': ('rgbd_dataset_freiburg1_desk/depth.txt', 'x y', "lines of 'stamp file'"),
    'kitti': ('dataset/sequences/04/calib.txt', 'P2: 1 2', "no line 'P2:'"),
    'euroc': ('V1_01_easy/mav0/cam0/sensor.yaml', 'T_BS: 3', "no 'T_BS: data'"),
}


@pytest.mark.parametrize('name', SPOILED)
def test_errors_name_what_is_spoiled(name: str, tmp_path: Path) -> None:
    scene = TREES[name](tmp_path)
    path, text, sentence = SPOILED[name]
    put_text(tmp_path / path, text)
    with pytest.raises(InputError, match=sentence):
        DATASETS[name].read(tmp_path, scene)


def test_lines_of_a_camera_that_are_none_are_named(tmp_path: Path) -> None:
    scene = TREES['euroc'](tmp_path)
    put_text(tmp_path / scene / 'mav0/cam0/data.csv', '1403715273262142976')
    with pytest.raises(InputError, match="lines of 'stamp,file'"):
        DATASETS['euroc'].read(tmp_path, scene)


@pytest.mark.parametrize(
    ('name', 'masks'),
    [('eth3d', '*/masks_for_images/*/*.png'), ('hiroom', '**/aliasing_mask/*.png')]
    + [('dtu', '**/depth_visual_*.png')],
)
def test_a_mask_that_cannot_be_decoded_masks_nothing_in_silence(
    name: str, masks: str, tmp_path: Path
) -> None:
    scene = opened(name, tmp_path)
    found = sorted(tmp_path.glob(masks))
    assert found
    for path in found:
        put_text(path, 'no image')
    with pytest.raises(InputError, match='is not an image that OpenCV can read'):
        for frame in range(len(scene)):
            scene.is_valid(frame)


def test_frames_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    scene = opened('7scenes', tmp_path)
    assert len(scene) == FRAMES
    (tmp_path / '7Scenes/stairs/seq-02/frame-000002.color.png').unlink()
    scene.rgb(1)
    with pytest.raises(InputError, match='frame-000002.color.png is not an image'):
        scene.rgb(2)
