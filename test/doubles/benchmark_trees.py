"""Tiny made-up trees in the layouts of benchmarks: a few frames of a wall, small pictures."""

from collections.abc import Callable
from pathlib import Path

import cv2
from da3_ros.geometry.transforms import invert, quaternion_xyzw, rigid
from da3_ros.geometry.tum import write_tum
import numpy as np
from scipy.io import savemat
from scipy.spatial.transform import Rotation

WIDTH, HEIGHT = 56, 42
WALL_M = 2.0
FRAMES = 4


def poses(count: int = FRAMES) -> np.ndarray:
    """Return world_from_camera (count, 4, 4) of cameras before a wall, all looking ahead."""
    turns = Rotation.from_euler('yx', [[3.0 * i, 2.0 * i] for i in range(count)], degrees=True)
    places = [[0.2 * i, 0.1 * i * i, 0.05 * i] for i in range(count)]
    return np.stack([rigid(r, t) for r, t in zip(turns.as_matrix(), places, strict=True)])


def picture(number: int) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 that no other number has."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)


def put_image(path: Path, image: np.ndarray) -> None:
    """Write an image, RGB where it has colours, and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    assert cv2.imwrite(str(path), colours)


def put_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def put_mesh(path: Path, points: np.ndarray, triangles: np.ndarray = ()) -> None:
    """Write an ASCII PLY file."""
    lines = [' '.join(map(str, point)) for point in points]
    lines += [f'3 {a} {b} {c}' for a, b, c in triangles]
    faces = f'element face {len(triangles)}\nproperty list uchar int vertex_indices\n'
    put_text(
        path,
        f'ply\nformat ascii 1.0\nelement vertex {len(points)}\nproperty float x\n'
        f'property float y\nproperty float z\n{faces if len(triangles) else ""}end_header\n'
        + '\n'.join(lines)
        + '\n',
    )


WALL = np.array([[-2, -2, WALL_M], [3, -2, WALL_M], [3, 3, WALL_M], [-2, 3, WALL_M]])
TWO = np.array([[0, 1, 2], [0, 2, 3]])


def wall_depth(number: int, units_per_metre: float, hole: int = 0) -> np.ndarray:
    """Return a depth image (H, W) uint16 of about the wall, with a hole at its top left."""
    depth = np.full((HEIGHT, WIDTH), (WALL_M - 0.05 * number) * units_per_metre)
    depth[:6, :7] = hole
    return depth.round().astype(np.uint16)


def colmap_texts(names: list[str], camera: str) -> tuple[str, str]:
    """Return cameras.txt and images.txt; every second picture saw no point."""
    cameras = f'# Camera list\n# ID MODEL WIDTH HEIGHT PARAMS\n# Number of cameras: 1\n{camera}\n'
    lines = ['# Image list', '# ID QW QX QY QZ TX TY TZ CAMERA NAME', '# POINTS2D', '# Number']
    for i, (name, pose) in enumerate(zip(names, invert(poses(len(names))), strict=True)):
        x, y, z, w = quaternion_xyzw(pose[:3, :3])
        tx, ty, tz = pose[:3, 3]
        lines += [f'{i + 1} {w} {x} {y} {z} {tx} {ty} {tz} 0 {name}', '1.0 2.0 -1']
    return cameras, '\n'.join(lines) + '\n'


def make_eth3d(root: Path) -> str:
    """Write one scene, of which one picture is left out and one is not there."""
    scene = root / 'relief'
    numbers = (100, 101, 430, 102, 103)
    names = [f'dslr_images/DSC_0{number}.JPG' for number in numbers]
    camera = f'0 THIN_PRISM_FISHEYE {WIDTH} {HEIGHT} 50.0 51.0 28.5 20.5 0.1 0 0 0 0 0 0 0'
    for name, text in zip(('cameras', 'images'), colmap_texts(names, camera), strict=True):
        put_text(scene / 'dslr_calibration_jpg' / f'{name}.txt', text)
    for i, name in enumerate(names[:4]):
        put_image(scene / 'images' / name, picture(i))
        depth = wall_depth(i, 1.0).astype(np.float32) + 0.5
        depth[:6, :7] = np.inf
        path = scene / 'ground_truth_depth' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        depth.tofile(path)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[-5:], mask[:, -5:] = 1, 2
    put_image(scene / 'masks_for_images' / 'dslr_images' / 'DSC_0100.png', mask)
    put_mesh(scene / 'combined_mesh.ply', WALL, TWO)
    return 'relief'


def make_7scenes(root: Path) -> str:
    """Write one scene in the inner folder that the archive has; a frame lacks its pose."""
    folder = root / '7Scenes' / 'stairs' / 'seq-02'
    for i, pose in enumerate(poses()):
        put_image(folder / f'frame-{i:06d}.color.png', picture(i))
        put_image(folder / f'frame-{i:06d}.depth.png', wall_depth(i, 1000.0, hole=65535))
        rows = '\n'.join('\t '.join(f'{x:.9e}' for x in row) for row in pose)
        put_text(folder / f'frame-{i:06d}.pose.txt', rows + '\n')
    put_image(folder / 'frame-000007.color.png', picture(7))
    put_mesh(root / '7Scenes' / 'meshes' / 'stairs.ply', WALL, TWO)
    return 'stairs'


def make_scannetpp(root: Path, model: str = 'PINHOLE', lens: str = '') -> str:
    """Write one scene with a DSLR's picture among the phone's."""
    folder = root / '09c1414f1b' / 'merge_dslr_iphone'
    names = ['iphone/frame_000000.jpg', 'dslr/DSC0001.jpg', 'iphone/frame_000010.jpg']
    names += ['iphone/frame_000005.jpg']
    camera = f'0 {model} {WIDTH} {HEIGHT} 50.0 51.0 28.5 20.5 {lens}'
    for name, text in zip(('cameras', 'images'), colmap_texts(names, camera), strict=True):
        put_text(folder / 'colmap' / 'sparse_render_rgb' / f'{name}.txt', text)
    put_text(folder / 'colmap' / 'sparse_render_rgb' / 'points3D.txt', '')
    for i, name in enumerate(names):
        put_image(folder / 'images' / name, picture(i))
        put_image(folder / 'render_depth' / f'{Path(name).stem}.png', wall_depth(i, 1000.0))
    put_mesh(root / '09c1414f1b' / 'scans' / 'mesh_aligned_0.05.ply', WALL, TWO)
    return '09c1414f1b'


def make_hiroom(root: Path) -> str:
    """Write one scene, its cloud, and a second one on the list that is not there."""
    name = '20241230/000001/room_0'
    folder = root / 'data' / name
    for i, pose in enumerate(poses()):
        put_image(folder / 'image' / f'{i:02d}.jpg', picture(i))
        put_image(folder / 'depth' / f'{i:02d}.png', wall_depth(i, 655.35))
        aliasing = np.zeros((HEIGHT, WIDTH), np.uint8)
        aliasing[10 + i] = 255
        put_image(folder / 'aliasing_mask' / f'{i:02d}.png', aliasing)
        (folder / 'pose').mkdir(exist_ok=True)
        np.save(folder / 'pose' / f'{i:02d}.npy', invert(pose))
    put_image(folder / 'image' / '99.jpg', picture(9))
    np.save(folder / 'cam_K.npy', np.array([[50.0, 0, 28], [0, 51.0, 21], [0, 0, 1]]))
    put_text(root / 'selected_scene_list_val.txt', f'{name}\n20241230/000002/room_1')
    grid = np.stack(np.meshgrid(*2 * [np.linspace(-2, 3, 60)], [WALL_M]), axis=-1)
    put_mesh(root / 'fused_pcd' / '20241230-000001-room_0.ply', grid.reshape(-1, 3))
    return name


def _put_cameras(folder: Path, count: int) -> None:
    """Write DTU's cameras, in millimetres."""
    for i, pose in enumerate(poses(count)):
        matrix = invert(pose)
        matrix[:3, 3] *= 1000
        rows = [' '.join(map(str, row)) for row in matrix]
        k = ['50.0 0.0 28.0', '0.0 51.0 21.0', '0.0 0.0 1.0']
        lines = ['extrinsic', *rows, '', 'intrinsic', *k, '', '425.0 2.5']
        put_text(folder / f'{i:08d}_cam.txt', '\n'.join(lines) + '\n')


def make_dtu(root: Path) -> str:
    """Write one scan of 36 pictures: its 34th comes first."""
    for i in range(36):
        put_image(root / 'Rectified' / 'scan1' / f'rect_{i + 1:03d}_3_r5000.png', picture(i))
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[4:, 4 + i % 3 :] = 200
        mask[0, 0] = 10
        put_image(root / 'depth_raw' / 'Depths' / 'scan1' / f'depth_visual_{i:04d}.png', mask)
    _put_cameras(root / 'Cameras', 36)
    grid = np.stack(np.meshgrid(*2 * [np.linspace(-400, 400, 50)], [2000.0]), axis=-1)
    put_mesh(root / 'Points' / 'stl' / 'stl001_total.ply', grid.reshape(-1, 3))
    folder = root / 'SampleSet' / 'mvs_data' / 'ObsMask'
    folder.mkdir(parents=True)
    box_mm = np.array([[-500.0, -500, 1500], [500, 500, 2500]])
    observed = np.ones((11, 11, 11), np.uint8)
    savemat(folder / 'ObsMask1_10.mat', {'ObsMask': observed, 'BB': box_mm, 'Res': 100.0})
    savemat(folder / 'Plane1.mat', {'P': np.array([[0.0], [0.0], [1.0], [0.0]])})
    return 'scan1'


def make_dtu64(root: Path) -> str:
    """Write one scan of 36 pictures in the archive of poses."""
    for i in range(36):
        put_image(root / 'scan105' / 'image' / f'{i:08d}.png', picture(i))
    _put_cameras(root / 'Cameras', 36)
    return 'scan105'


def make_tum(root: Path) -> str:
    """Write a recording of 31 frames whose stamps differ a little; a picture has no pose."""
    folder = root / 'rgbd_dataset_freiburg1_desk'
    stamps_ns = 1_305_031_100_000_000_000 + np.arange(31) * 33_000_000
    rgb, depth = ['# color images', '# file', '# timestamp filename'], ['# depth maps']
    for i, stamp in enumerate(stamps_ns / 1e9):
        put_image(folder / 'rgb' / f'{stamp:.6f}.png', picture(i))
        put_image(folder / 'depth' / f'{stamp + 0.004:.6f}.png', wall_depth(i % 4, 5000.0))
        rgb.append(f'{stamp:.6f} rgb/{stamp:.6f}.png')
        depth.append(f'{stamp + 0.004:.6f} depth/{stamp + 0.004:.6f}.png')
    rgb.append(f'{stamp + 9:.6f} rgb/{stamp:.6f}.png')
    put_text(folder / 'rgb.txt', '\n'.join(rgb) + '\n')
    put_text(folder / 'depth.txt', '\n'.join(depth) + '\n')
    write_tum(folder / 'groundtruth.txt', stamps_ns - 3_000_000, poses(31))
    return folder.name


def make_kitti(root: Path) -> str:
    """Write a drive of ten pictures; the colour camera is 6 cm left of the first one."""
    sequence = root / 'dataset' / 'sequences' / '04'
    for i in range(10):
        put_image(sequence / 'image_2' / f'{i:06d}.png', picture(i))
    put_text(
        sequence / 'calib.txt',
        'P0: 50 0 28 0 0 50 21 0 0 0 1 0\nP2: 50 0 28 3.0 0 50 21 0 0 0 1 0\n',
    )
    lines = [' '.join(map(str, pose[:3].ravel())) for pose in poses(10)]
    put_text(root / 'dataset' / 'poses' / '04.txt', '\n'.join(lines) + '\n')
    return '04'


def make_euroc(root: Path) -> str:
    """Write a flight of 21 pictures; its camera is turned and off the body."""
    folder = root / 'V1_01_easy' / 'mav0'
    camera = rigid(Rotation.from_euler('z', 90, degrees=True).as_matrix(), [0.1, -0.2, 0.3])
    numbers = ', '.join(map(str, camera.ravel().round(12)))
    put_text(
        folder / 'cam0' / 'sensor.yaml',
        f'sensor_type: camera\nT_BS:\n  cols: 4\n  rows: 4\n  data: [{numbers}]\n'
        f'rate_hz: 20\nresolution: [{WIDTH}, {HEIGHT}]\nintrinsics: [50.0, 51.0, 28.0, 21.0]\n'
        'distortion_model: radial-tangential\n'
        'distortion_coefficients: [-0.28, 0.07, 0.0002, 0.00002]\n',
    )
    rows, states = ['#timestamp [ns],filename'], ['#timestamp,p,q']
    for i, pose in enumerate(poses(21)):
        stamp = 1_403_715_273_262_142_976 + i * 50_000_000
        put_image(folder / 'cam0' / 'data' / f'{stamp}.png', picture(i)[..., 0])
        rows.append(f'{stamp},{stamp}.png')
        x, y, z, w = quaternion_xyzw(pose[:3, :3])
        p = ','.join(map(str, pose[:3, 3]))
        # The truth begins late: the first picture has none.
        states += [f'{stamp + 1_000_000},{p},{w},{x},{y},{z},0,0,0'] if i else []
    put_text(folder / 'cam0' / 'data.csv', '\r\n'.join(rows) + '\r\n')
    put_text(folder / 'state_groundtruth_estimate0' / 'data.csv', '\n'.join(states) + '\n')
    return 'V1_01_easy'


TREES: dict[str, Callable[[Path], str]] = {
    'eth3d': make_eth3d,
    '7scenes': make_7scenes,
    'scannetpp': make_scannetpp,
    'hiroom': make_hiroom,
    'dtu': make_dtu,
    'dtu64': make_dtu64,
    'tum': make_tum,
    'kitti': make_kitti,
    'euroc': make_euroc,
}
