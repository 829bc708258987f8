"""Sequences on disk: round trip, the real ones, errors that name what is missing."""

from pathlib import Path

from da3_ros.errors import InputError
from da3_ros.evaluation.sequences import read_sequence, write_sequence
from da3_ros.geometry.tum import read_tum, write_tum
import numpy as np
import pytest

REAL = Path(__file__).parents[4] / 'shared' / 'data'
K = np.array([[50.0, 0.0, 15.5], [0.0, 51.0, 11.5], [0.0, 0.0, 1.0]])


def written(root: Path, random_poses):
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (3, 24, 32, 3), dtype=np.uint8)
    depth_m = rng.uniform(0.5, 9.0, (3, 24, 32)).astype(np.float32)
    depth_m[:, 0, 0] = np.nan
    depth_m[:, 0, 1] = 1e6
    stamps_ns = np.array([0, 1_700_000_000_123_456_789, 1_700_000_000_999_999_999])
    poses = random_poses(rng, 3)
    write_sequence(root, rgb, depth_m, stamps_ns, poses, K)
    return rgb, depth_m, stamps_ns, poses


def test_round_trip(tmp_path, random_poses):
    rgb, depth_m, stamps_ns, poses = written(tmp_path, random_poses)
    sequence = read_sequence(tmp_path)
    assert len(sequence) == 3
    np.testing.assert_array_equal(sequence.stamps_ns, stamps_ns)
    np.testing.assert_allclose(sequence.world_from_camera, poses, atol=1e-8)
    np.testing.assert_array_equal(sequence.intrinsics, np.stack([K] * 3))
    for i in range(3):
        np.testing.assert_array_equal(sequence.rgb(i), rgb[i])
        read = sequence.depth_m(i)
        assert np.isnan(read[0, :2]).all()
        np.testing.assert_allclose(read[1:], depth_m[i, 1:], atol=0.00051)


def test_stamps_that_count_frames(tmp_path):
    (tmp_path / 'poses.txt').write_text('# comment\n\n113.0 0 0 0 0 0 0 1\n116 0 0 0 0 0 0 1\n')
    stamps_ns, _ = read_tum(tmp_path / 'poses.txt', stamps_per_second=30.0)
    assert np.diff(stamps_ns).tolist() == [100_000_000]


def test_tum_line_that_is_not_a_pose(tmp_path):
    (tmp_path / 'poses.txt').write_text('0.0 1 2 3\n')
    with pytest.raises(InputError, match='Line 1 of .*poses.txt'):
        read_tum(tmp_path / 'poses.txt')


def test_empty_trajectory(tmp_path):
    write_tum(tmp_path / 'poses.txt', np.empty(0, np.int64), np.empty((0, 4, 4)))
    stamps_ns, poses = read_tum(tmp_path / 'poses.txt')
    assert stamps_ns.shape == (0,) and poses.shape == (0, 4, 4)


def test_errors_name_what_is_missing(tmp_path, random_poses):
    with pytest.raises(InputError, match="has no 'images'"):
        read_sequence(tmp_path)
    written(tmp_path, random_poses)
    (tmp_path / 'images' / '000002.png').unlink()
    with pytest.raises(InputError, match='2 images, 3 depth images and 3 poses'):
        read_sequence(tmp_path)
    written(tmp_path, random_poses)
    (tmp_path / 'intrinsics.json').write_text('{"fx": 1}')
    with pytest.raises(InputError, match='does not hold fx, fy, cx and cy'):
        read_sequence(tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason=f'the real sequences are not at {REAL}')
@pytest.mark.parametrize(
    ('name', 'frames', 'median_m'),
    [
        ('hololens_office_a', 30, (1.0, 4.0)),
        ('open3d_testdata', 5, (1.0, 4.0)),
        ('icl_nuim_slambook2', 5, (1.0, 4.0)),
        ('dgp_rig_scene_01', 9, (2.0, 60.0)),
    ],
)
def test_real_sequences(name, frames, median_m):
    sequence = read_sequence(REAL / name)
    assert len(sequence) == frames == len(sequence.depth_paths)
    depth_m = sequence.depth_m(0)
    assert sequence.rgb(0).shape == (*depth_m.shape, 3)
    assert median_m[0] < np.nanmedian(depth_m) < median_m[1]
    assert sequence.intrinsics[0, 0, 2] == pytest.approx(depth_m.shape[1] / 2, rel=0.1)
