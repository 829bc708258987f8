"""sensor_msgs_py lays points out by their fields."""

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header

XYZ = np.array([[1, 2, 3], [np.nan, 5, 6], [7, 8, 9]], np.float32)


def test_xyz_round_trip() -> None:
    cloud = point_cloud2.create_cloud_xyz32(Header(frame_id='camera'), XYZ)
    assert (cloud.width, cloud.height, cloud.point_step, cloud.row_step) == (3, 1, 12, 36)
    assert cloud.header.frame_id == 'camera'
    np.testing.assert_array_equal(point_cloud2.read_points_numpy(cloud), XYZ)
    np.testing.assert_array_equal(
        point_cloud2.read_points_numpy(cloud, skip_nans=True), XYZ[[0, 2]]
    )
    np.testing.assert_array_equal(
        point_cloud2.read_points_numpy(cloud, ['z', 'x'], uvs=[2]), [[9, 7]]
    )


def test_fields_are_found_by_offset_and_type() -> None:
    fields = [
        PointField(name='x', offset=0, datatype=PointField.FLOAT32, count=1),
        PointField(name='ring', offset=6, datatype=PointField.UINT16, count=1),
    ]
    cloud = point_cloud2.create_cloud(Header(), fields, [(1.5, 3), (2.5, 4)], point_step=16)
    assert isinstance(cloud, PointCloud2)
    assert len(cloud.data) == 32
    assert bytes(cloud.data[22:24]) == (4).to_bytes(2, 'little')
    points = point_cloud2.read_points(cloud)
    assert points['x'].tolist() == [1.5, 2.5]
    assert points['ring'].tolist() == [3, 4]
