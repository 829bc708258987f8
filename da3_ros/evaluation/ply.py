"""Points and triangles of PLY files, ASCII or binary: what true surfaces are kept in."""

from pathlib import Path
from typing import BinaryIO

from da3_ros.errors import InputError
import numpy as np

_TYPES = {
    **dict.fromkeys(('char', 'int8'), 'i1'),
    **dict.fromkeys(('uchar', 'uint8'), 'u1'),
    **dict.fromkeys(('short', 'int16'), 'i2'),
    **dict.fromkeys(('ushort', 'uint16'), 'u2'),
    **dict.fromkeys(('int', 'int32'), 'i4'),
    **dict.fromkeys(('uint', 'uint32'), 'u4'),
    **dict.fromkeys(('float', 'float32'), 'f4'),
    **dict.fromkeys(('double', 'float64'), 'f8'),
}
_ORDERS = {'binary_little_endian': '<', 'binary_big_endian': '>', 'ascii': ''}
_LONGEST_LINE = 1024


def read_ply(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """
    Read a file's points (N, 3) float64 and triangles (M, 3) int64, M = 0 where it has none.

    Raises:
        InputError: if it is no PLY file, ends early, or has faces that are no triangles.

    """
    try:
        with path.open('rb') as file:
            order, elements = _header(file)
            tables = {}
            for name, count, fields in elements:
                read = _binary if order else _ascii
                tables[name] = read(file, count, _row_type(fields, order or '='))
                if 'face' in tables:
                    break
    except (ValueError, KeyError, IndexError) as error:
        raise InputError(f'{path} is not a PLY file that can be read: {error}.') from error
    if 'vertex' not in tables:
        raise InputError(f"{path} has no element 'vertex'; expected points.")
    vertices = tables['vertex']
    points = np.stack([vertices[axis] for axis in 'xyz'], axis=1).astype(np.float64)
    faces = tables.get('face')
    if faces is None or not len(faces):
        return points, np.empty((0, 3), np.int64)
    if (faces['count'] != 3).any():
        raise InputError(f'{path} has faces that are no triangles; expected a triangle mesh.')
    return points, faces['corners'].astype(np.int64)


def _header(file: BinaryIO) -> tuple[str, list[tuple[str, int, list[list[str]]]]]:
    """Return the byte order ('' for ASCII), and name, count and properties of each element."""
    order, elements = None, []
    if file.readline(_LONGEST_LINE).strip() != b'ply':
        raise ValueError("the first line is not 'ply'")
    while (words := file.readline(_LONGEST_LINE).decode('ascii', 'replace').split()) != [
        'end_header'
    ]:
        if not words:
            raise ValueError("there is no 'end_header'")
        if words[0] == 'format':
            order = _ORDERS[words[1]]
        elif words[0] == 'element':
            elements.append((words[1], int(words[2]), []))
        elif words[0] == 'property':
            elements[-1][2].append(words[1:])
    if order is None:
        raise ValueError("there is no 'format'")
    return order, elements


def _row_type(fields: list[list[str]], order: str) -> np.dtype:
    """Return the type of one row; a list of properties is taken to be a triangle's corners."""
    columns = []
    for words in fields:
        if words[0] == 'list':
            columns.append(('count', order + _TYPES[words[1]]))
            columns.append(('corners', order + _TYPES[words[2]], (3,)))
        else:
            columns.append((words[1], order + _TYPES[words[0]]))
    return np.dtype(columns)


def _binary(file: BinaryIO, count: int, row: np.dtype) -> np.ndarray:
    content = file.read(count * row.itemsize)
    if len(content) < count * row.itemsize:
        raise ValueError(f'it ends after {len(content)} of {count * row.itemsize} bytes')
    return np.frombuffer(content, row)


def _ascii(file: BinaryIO, count: int, row: np.dtype) -> np.ndarray:
    lines = [file.readline() for _ in range(count)]
    numbers = np.array([line.split() for line in lines], dtype=np.float64)
    flat = [(name, i) for name in row.names for i in range(int(np.prod(row[name].shape)))]
    if count and numbers.shape[1] != len(flat):
        raise ValueError(f'a line has {numbers.shape[1]} numbers instead of {len(flat)}')
    table = np.zeros(count, row)
    for column, (name, i) in enumerate(flat):
        target = table[name] if row[name].shape == () else table[name][:, i]
        target[:] = numbers[:, column] if count else 0
    return table
