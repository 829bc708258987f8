"""Point clouds between ROS messages and NumPy."""

import array
from collections import namedtuple
from collections.abc import Iterable, Sequence
import sys

import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured, unstructured_to_structured
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

DATATYPES = {
    PointField.INT8: 'i1',
    PointField.UINT8: 'u1',
    PointField.INT16: 'i2',
    PointField.UINT16: 'u2',
    PointField.INT32: 'i4',
    PointField.UINT32: 'u4',
    PointField.FLOAT32: 'f4',
    PointField.FLOAT64: 'f8',
}


def dtype_from_fields(fields: Iterable[PointField], point_step: int | None = None) -> np.dtype:
    """Return the structured type of one point; a field of count n becomes name_0 … name_(n-1)."""
    layout: dict = {'names': [], 'formats': [], 'offsets': []}
    for i, field in enumerate(fields):
        name = field.name or f'unnamed_field_{i}'
        scalar = np.dtype(DATATYPES[field.datatype])
        for k in range(field.count):
            layout['names'].append(name if field.count == 1 else f'{name}_{k}')
            layout['formats'].append(scalar)
            layout['offsets'].append(field.offset + k * scalar.itemsize)
    if point_step is not None:
        layout['itemsize'] = point_step
    return np.dtype(layout)


def read_points(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[int] | None = None,
    reshape_organized_cloud: bool = False,
) -> np.ndarray:
    """
    Return the points as a structured array (N,), or (width, height) when reshaped.

    The real one gives (width, height) too, although the points lie row by row.
    """
    dtype = dtype_from_fields(cloud.fields, cloud.point_step)
    points = np.ndarray((cloud.width * cloud.height,), dtype, buffer=cloud.data)
    if bool(cloud.is_bigendian) != (sys.byteorder == 'big'):
        points = points.byteswap()
    if field_names is not None:
        missing = set(field_names) - set(points.dtype.names)
        assert not missing, f'The cloud has no fields {sorted(missing)}'
        points = points[list(field_names)]
    if skip_nans and not cloud.is_dense:
        names = points.dtype.names
        points = points[~np.any([np.isnan(points[name]) for name in names], axis=0)]
    if uvs is not None:
        points = points[uvs if isinstance(uvs, np.ndarray) else np.fromiter(uvs, int)]
    if reshape_organized_cloud and cloud.height > 1:
        points = points.reshape(cloud.width, cloud.height)
    return points


def read_points_numpy(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[int] | None = None,
    reshape_organized_cloud: bool = False,
) -> np.ndarray:
    """Return the points as a plain array (N, fields); the fields must have one type."""
    points = read_points(cloud, field_names, skip_nans, uvs, reshape_organized_cloud)
    assert len({points.dtype[name] for name in points.dtype.names}) == 1, (
        'All fields need to have the same datatype. Use `read_points()` otherwise.'
    )
    return structured_to_unstructured(points)


def read_points_list(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[int] | None = None,
) -> list[tuple]:
    """Return the points as named tuples."""
    points = read_points(cloud, field_names, skip_nans, uvs)
    point_type = namedtuple('Point', points.dtype.names)
    return [point_type._make(point) for point in points]


def create_cloud(
    header: Header,
    fields: Sequence[PointField],
    points: Iterable,
    point_step: int | None = None,
) -> PointCloud2:
    """
    Return a cloud of points given as tuples, as an array (N, fields) or as a structured array.

    Like the real one, takes an organised structured array as (width, height).
    """
    dtype = dtype_from_fields(fields, point_step)
    if not isinstance(points, np.ndarray):
        points = np.array([tuple(point) for point in points], dtype)
    elif points.dtype.names is None:
        points = unstructured_to_structured(points, dtype)
    assert points.dtype == dtype, f'The points have type {points.dtype}, the fields {dtype}'
    assert points.ndim <= 2, f'The points have {points.ndim} dimensions; at most 2 are allowed'
    width, height = points.shape if points.ndim == 2 else (len(points), 1)
    cloud = PointCloud2(
        header=header,
        height=height,
        width=width,
        fields=fields,
        is_bigendian=sys.byteorder == 'big',
        is_dense=False,
        point_step=dtype.itemsize,
        row_step=dtype.itemsize * width,
    )
    cloud.data = array.array('B', points.tobytes())
    return cloud


def create_cloud_xyz32(header: Header, points: Iterable) -> PointCloud2:
    """Return a cloud of x, y, z in 32 bit."""
    fields = [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, name in enumerate('xyz')
    ]
    return create_cloud(header, fields, points)
