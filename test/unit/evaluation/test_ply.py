"""Points and triangles of PLY files: every encoding, and errors that say what is wrong."""

from pathlib import Path

from da3_ros.errors import InputError
from da3_ros.evaluation.ply import read_ply
import numpy as np
import pytest

POINTS = np.array([[0.0, 0.5, 1.0], [2.0, 3.0, 4.0], [-1.0, 0.25, 8.0], [1.0, 1.0, 1.0]])
TRIANGLES = np.array([[0, 1, 2], [1, 2, 3]])


def written(path: Path, encoding: str, triangles: np.ndarray | None, corners: int = 3) -> Path:
    """Write a file of the points, with a colour and a normal between, and triangles."""
    faces = [] if triangles is None else triangles
    header = (
        f'ply\nformat {encoding} 1.0\ncomment of somebody\nelement vertex {len(POINTS)}\n'
        'property float x\nproperty float y\nproperty uchar red\nproperty double z\n'
        f'element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n'
    )
    if encoding == 'ascii':
        lines = [f'{x} {y} 7 {z}' for x, y, z in POINTS]
        lines += [' '.join(map(str, [corners, *face])) for face in faces]
        path.write_text(header + '\n'.join(lines) + '\n')
        return path
    order = '<' if 'little' in encoding else '>'
    row = [('x', order + 'f4'), ('y', order + 'f4'), ('red', 'u1'), ('z', order + 'f8')]
    vertices = np.array([(x, y, 7, z) for x, y, z in POINTS], dtype=row)
    table = np.zeros(len(faces), [('n', 'u1'), ('i', order + 'i4', (3,))])
    if len(faces):
        table['n'], table['i'] = corners, faces
    path.write_bytes(header.encode() + vertices.tobytes() + table.tobytes())
    return path


@pytest.mark.parametrize('encoding', ['ascii', 'binary_little_endian', 'binary_big_endian'])
def test_every_encoding(encoding: str, tmp_path: Path) -> None:
    points, triangles = read_ply(written(tmp_path / 'mesh.ply', encoding, TRIANGLES))
    np.testing.assert_array_equal(points, POINTS)
    np.testing.assert_array_equal(triangles, TRIANGLES)
    points, triangles = read_ply(written(tmp_path / 'cloud.ply', encoding, None))
    np.testing.assert_array_equal(points, POINTS)
    assert triangles.shape == (0, 3)


def test_errors_say_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / 'mesh.ply'
    path.write_text('solid of another format\n')
    with pytest.raises(InputError, match="the first line is not 'ply'"):
        read_ply(path)
    written(path, 'binary_little_endian', TRIANGLES, corners=4)
    with pytest.raises(InputError, match='expected a triangle mesh'):
        read_ply(path)
    path.write_bytes(written(path, 'binary_little_endian', TRIANGLES).read_bytes()[:-5])
    with pytest.raises(InputError, match='it ends after'):
        read_ply(path)
    path.write_text('ply\nformat ascii 1.0\nelement vertex 1\n')
    with pytest.raises(InputError, match="no 'end_header'"):
        read_ply(path)
