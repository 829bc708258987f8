"""Cameras project and unproject alike, resize alike and lose their distortion."""

import cv2
from da3_ros.errors import InputError
from da3_ros.geometry.cameras import Distortion, scale_intrinsics, undistort, unproject
import numpy as np
import pytest

K = np.array([[300.0, 0.0, 162.0], [0.0, 310.0, 118.0], [0.0, 0.0, 1.0]])


def test_unprojected_points_project_back_onto_their_pixels() -> None:
    depth = np.random.default_rng(0).uniform(1, 9, (240, 320)).astype(np.float32)
    points = unproject(depth, K)
    np.testing.assert_array_equal(points[..., 2], depth)
    pixels, _ = cv2.projectPoints(points[17, 250], np.zeros(3), np.zeros(3), K, None)
    np.testing.assert_allclose(pixels.ravel(), [250, 17], atol=1e-3)


def test_invalid_depth_gives_invalid_points() -> None:
    depth = np.array([[1.0, np.nan]], np.float32)
    assert np.isnan(unproject(depth, K)[0, 1]).all()
    assert np.isfinite(unproject(depth, K)[0, 0]).all()


def test_resizing_keeps_the_field_of_view() -> None:
    scaled = scale_intrinsics(K, (320, 240), (640, 120))
    np.testing.assert_allclose(scaled[0], 2 * K[0])
    np.testing.assert_allclose(scaled[1], 0.5 * K[1])
    np.testing.assert_array_equal(scaled[2], [0, 0, 1])


@pytest.mark.parametrize(
    'distortion',
    [
        Distortion('plumb_bob', (-0.3, 0.1, 0.001, -0.001, 0.0)),
        Distortion('rational_polynomial', (0.2, -0.1, 0.0, 0.0, 0.01, 0.4, -0.1, 0.02)),
        Distortion('equidistant', (-0.05, 0.01, 0.0, 0.0)),
    ],
)
def test_undistorted_image_is_what_a_pinhole_sees(distortion: Distortion) -> None:
    """Dots drawn where the lens puts points appear where the pinhole puts them."""
    points = np.array([[[-0.3, -0.2, 1.0]], [[0.25, 0.2, 1.0]], [[0.0, 0.1, 1.0]]])
    project = cv2.fisheye.projectPoints if distortion.model == 'equidistant' else cv2.projectPoints
    pixels, _ = project(points, np.zeros(3), np.zeros(3), K, np.array(distortion.coefficients))
    image = np.zeros((240, 320, 3), np.uint8)
    for u, v in pixels.reshape(-1, 2):
        cv2.circle(image, (round(u), round(v)), 3, (255, 255, 255), -1)
    result = undistort(image, K, distortion)
    for x, y, _ in points.reshape(-1, 3):
        u, v = K[0, 0] * x + K[0, 2], K[1, 1] * y + K[1, 2]
        assert result[round(v), round(u)].min() > 200


def test_no_distortion_is_no_work() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    assert undistort(image, K, Distortion('plumb_bob', (0.0,) * 5)) is image


@pytest.mark.parametrize(
    ('model', 'coefficients'),
    [('fancy', (0.0,)), ('plumb_bob', (0.0,) * 3), ('equidistant', (float('nan'),) * 4)],
)
def test_distortion_that_is_none_is_refused(model: str, coefficients: tuple) -> None:
    with pytest.raises(InputError, match='istortion'):
        Distortion(model, coefficients)
