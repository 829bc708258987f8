"""Ranges of sensors as points, and messages that contradict themselves."""

import array
import math

import cv2
from da3_ros.errors import InputError
from da3_ros.geometry.cameras import Distortion
from da3_ros.ros.calibration import Calibration
from da3_ros.ros.convert import byte_array, float_image, header_at
from da3_ros.ros.ranges import points_of_cloud, points_of_depth_image, points_of_scan
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from sensor_msgs.msg import Image, LaserScan, PointCloud2, PointField

K = np.array([[60.0, 0.0, 31.5], [0.0, 61.0, 23.5], [0.0, 0.0, 1.0]])
CAMERA = Calibration((64, 48), K, None)


def depth_image(depth: np.ndarray, **fields: object) -> Image:
    message = float_image(depth, header_at(0, 'sensor'))
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def test_pixels_of_a_depth_image_lie_on_their_rays() -> None:
    depth = np.full((48, 64), np.nan)
    depth[10, 20], depth[0, 0], depth[5, 5], depth[6, 6] = 2.0, 1.5, 0.0, np.inf
    points = points_of_depth_image(depth_image(depth), CAMERA)
    expected = [[-1.5 * 31.5 / 60, -1.5 * 23.5 / 61, 1.5],
                [2 * (20 - 31.5) / 60, 2 * (10 - 23.5) / 61, 2.0]]  # fmt: skip
    np.testing.assert_allclose(points, expected, rtol=1e-6)


@pytest.mark.parametrize(('order', 'is_bigendian'), [('<', 0), ('>', 1)])
def test_millimetres_of_either_byte_order_and_padded_rows(order: str, is_bigendian: int) -> None:
    padded = np.zeros((48, 70), f'{order}u2')
    padded[10, 20], padded[:, 64:] = 2500, 9999
    message = Image(height=48, width=64, encoding='16UC1', is_bigendian=is_bigendian, step=140)
    message.data = byte_array(padded)
    points = points_of_depth_image(message, CAMERA)
    np.testing.assert_allclose(points[:, 2], [2.5])


@pytest.mark.parametrize(
    'distortion',
    [
        Distortion('plumb_bob', (-0.2, 0.05, 0.001, -0.002, 0.0)),
        Distortion('equidistant', (0.02, -0.01, 0.0, 0.0)),
    ],
    ids=['plumb_bob', 'equidistant'],
)
def test_a_lens_is_taken_into_account(distortion: Distortion) -> None:
    """Points project onto the pixels that they came from, by OpenCV's own projection."""
    depth = np.zeros((48, 64))
    depth[::8, ::8] = 2.0
    points = points_of_depth_image(depth_image(depth), Calibration((64, 48), K, distortion))
    project = cv2.fisheye.projectPoints if 'equi' in distortion.model else cv2.projectPoints
    d = np.array(distortion.coefficients)
    if distortion.model == 'equidistant':
        pixels = project(points[:, None], np.zeros(3), np.zeros(3), K, d)[0][:, 0]
    else:
        pixels = project(points, np.zeros(3), np.zeros(3), K, d)[0][:, 0]
    v, u = np.nonzero(depth)
    np.testing.assert_allclose(pixels, np.stack([u, v], axis=1), atol=0.05)


def test_beams_of_a_scan_lie_at_their_angles() -> None:
    scan = LaserScan(angle_min=-math.pi / 2, angle_increment=math.pi / 4, range_max=10.0)
    scan.range_min, scan.ranges = 0.5, [1.0, math.inf, 2.0, math.nan, 0.1, 11.0]
    np.testing.assert_allclose(points_of_scan(scan), [[0, -1, 0], [2, 0, 0]], atol=1e-6)


def test_points_of_a_cloud_are_those_that_are_finite() -> None:
    points = np.array([[1, 2, 3, 9], [np.nan, 0, 0, 9], [4, 5, 6, 9]], np.float64)
    fields = [
        PointField(name=n, offset=8 * i, datatype=PointField.FLOAT64, count=1)
        for i, n in enumerate('xyzi')
    ]
    message = PointCloud2(height=1, width=3, fields=fields, point_step=32, row_step=96)
    message.data = byte_array(points)
    np.testing.assert_array_equal(points_of_cloud(message), [[1, 2, 3], [4, 5, 6]])
    message.width = 4
    with pytest.raises(InputError, match='expected 128'):
        points_of_cloud(message)
    message.width, message.fields = 3, fields[:2]
    with pytest.raises(InputError, match='expected x, y and z'):
        points_of_cloud(message)


@pytest.mark.parametrize('order', '<>')
def test_rows_and_bytes_of_a_cloud_lie_as_it_says(order: str) -> None:
    """Padding behind each row, other fields between, and the high byte first."""
    layout = np.dtype(
        {
            'names': list('xyz'),
            'formats': [f'{order}f4'] * 3,
            'offsets': [4, 12, 8],
            'itemsize': 20,
        }
    )
    points = np.zeros((2, 3), layout)
    for i, axis in enumerate('xyz'):
        points[axis] = np.arange(6).reshape(2, 3) + 10 * i
    rows = np.pad(points.view(np.uint8).reshape(2, 60), ((0, 0), (0, 4)), constant_values=255)
    fields = [
        PointField(name=name, offset=offset, datatype=PointField.FLOAT32, count=1)
        for name, offset in zip('xyz', (4, 12, 8), strict=True)
    ]
    fields.append(PointField(name='what', offset=2**32 - 1, datatype=99, count=2**32 - 1))
    cloud = PointCloud2(height=2, width=3, fields=fields, point_step=20, row_step=64)
    cloud.data, cloud.is_bigendian = byte_array(rows), order == '>'
    expected = np.arange(6.0)[:, None] + (0, 10, 20)
    np.testing.assert_array_equal(points_of_cloud(cloud), expected)


_UINT32 = st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    width=_UINT32,
    height=_UINT32,
    point_step=_UINT32,
    row_step=_UINT32,
    data=st.binary(max_size=400),
    offsets=st.tuples(_UINT32, _UINT32, _UINT32),
    datatype=st.integers(5, 9),
    is_bigendian=st.booleans(),
)
def test_any_cloud_gives_points_or_an_input_error(
    data: bytes, offsets: tuple, datatype: int, **fields: object
) -> None:
    cloud = PointCloud2(data=array.array('B', data), **fields)
    cloud.fields = [
        PointField(name=name, offset=offset, datatype=datatype, count=1)
        for name, offset in zip('xyz', offsets, strict=True)
    ]
    try:
        points = points_of_cloud(cloud)
    except InputError:
        return
    assert points.shape[1:] == (3,) and np.isfinite(points).all()


@pytest.mark.parametrize(
    ('fields', 'expected'),
    [
        ({'encoding': 'rgb8'}, 'encoding'),
        ({'width': 63}, 'CameraInfo is for 64x48'),
        ({'step': 10}, 'steps of 10'),
        ({'data': byte_array(np.zeros(100, np.uint8))}, '100 bytes'),
    ],
)
def test_depth_images_that_cannot_be_are_refused(fields: dict, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        points_of_depth_image(depth_image(np.ones((48, 64)), **fields), CAMERA)


@pytest.mark.parametrize('angle', [math.nan, math.inf])
def test_a_scan_without_angles_is_refused(angle: float) -> None:
    with pytest.raises(InputError, match='expected numbers'):
        points_of_scan(LaserScan(angle_min=angle))
