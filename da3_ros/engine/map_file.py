"""Writing a map to disk: keyframe poses, intrinsics and a coloured point cloud."""

from collections.abc import Sequence
import json
import os
from pathlib import Path
import tempfile

from da3_ros.engine.keyframes import Keyframe
from da3_ros.errors import InputError
from da3_ros.geometry.cameras import unproject
from da3_ros.geometry.transforms import Sim3
from da3_ros.geometry.tum import write_tum
from da3_ros.geometry.voxels import voxel_means
import numpy as np

# Voxels along the median depth of the map: points closer than that are one point.
_VOXELS_PER_MEDIAN_DEPTH = 200


def save_map(directory: Path, name: str, keyframes: Sequence[Keyframe]) -> Path:
    """
    Write ``poses.txt``, ``intrinsics.json`` and ``map.ply`` into a new folder of ``directory``.

    Everything is written beside the folder first and renamed at the end, so a full disk or a crash
    never leaves half a map under the name. An existing folder is not touched: a number is added to
    the name.

    Raises:
        InputError: if the name leads out of ``directory``.
        OSError: if the disk or the permissions do not allow it.

    """
    if name in ('', '..') or Path(name).name != name or '\0' in name:
        raise InputError(f'The map is to be named {name!r}; expected the name of a folder alone.')
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f'.{name}-', dir=directory) as partial:
        folder = Path(partial) / name
        folder.mkdir()
        write_tum(
            folder / 'poses.txt',
            [k.view.stamp_ns for k in keyframes],
            [k.map_from_camera for k in keyframes],
        )
        (folder / 'intrinsics.json').write_text(
            json.dumps(_intrinsics(keyframes), indent=1) + '\n'
        )
        write_ply(folder / 'map.ply', *fused_points(keyframes))
        for number in range(10_000):
            target = directory / (name if number == 0 else f'{name}-{number}')
            if not target.exists():
                os.rename(folder, target)
                return target
    raise FileExistsError(f"'{directory}' already holds 10000 maps named '{name}'.")


def write_ply(path: Path, points: np.ndarray, colours: np.ndarray) -> None:
    """Write points (N, 3) float32 and colours (N, 3) uint8 as a binary PLY."""
    fields = [
        ('x', '<f4'),
        ('y', '<f4'),
        ('z', '<f4'),
        ('red', 'u1'),
        ('green', 'u1'),
        ('blue', 'u1'),
    ]
    vertices = np.empty(len(points), dtype=fields)
    for i, axis in enumerate('xyz'):
        vertices[axis] = points[:, i]
    for i, colour in enumerate(('red', 'green', 'blue')):
        vertices[colour] = colours[:, i]
    kinds = {'<f4': 'float', 'u1': 'uchar'}
    properties = ''.join(f'property {kinds[kind]} {name}\n' for name, kind in fields)
    header = (
        f'ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n'
        f'{properties}end_header\n'
    )
    path.write_bytes(header.encode() + vertices.tobytes())


def fused_points(keyframes: Sequence[Keyframe]) -> tuple[np.ndarray, np.ndarray]:
    """Return points (N, 3) float32 in the map and colours (N, 3) uint8, one a filled voxel."""
    clouds, colours = [], []
    for k in keyframes:
        points = unproject(k.depth.float().cpu().numpy(), k.intrinsics).reshape(-1, 3)
        valid = np.isfinite(points).all(axis=1)
        clouds.append(Sim3.from_rigid(k.map_from_camera).apply(points[valid]))
        colours.append(k.rgb.reshape(-1, 3)[valid])
    if not clouds:
        return np.empty((0, 3), np.float32), np.empty((0, 3), np.uint8)
    points, rgb = np.concatenate(clouds), np.concatenate(colours)
    depths = np.concatenate([k.depth.float().cpu().numpy().ravel() for k in keyframes])
    voxel = float(np.nanmedian(depths)) / _VOXELS_PER_MEDIAN_DEPTH
    return voxel_means(points.astype(np.float32), rgb, voxel)


def _intrinsics(keyframes: Sequence[Keyframe]) -> list[dict]:
    """Return one record for each keyframe, in the order of poses.txt, in pixels of its depth."""
    records = []
    for k in keyframes:
        (fx, _, cx), (_, fy, cy), _ = k.intrinsics.tolist()
        height, width = k.depth.shape
        record = {'camera': k.view.camera, 'stamp_ns': k.view.stamp_ns, 'width': width}
        records.append(record | {'height': height, 'fx': fx, 'fy': fy, 'cx': cx, 'cy': cy})
    return records
