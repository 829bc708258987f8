"""Cameras project and unproject alike, resize alike and lose their distortion."""

import cv2
from da3_ros.errors import InputError
from da3_ros.geometry import cameras
from da3_ros.geometry.cameras import Distortion, scale_intrinsics, undistort, unproject
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

K = np.array([[300.0, 0.0, 162.0], [0.0, 310.0, 118.0], [0.0, 0.0, 1.0]])

LENSES = [
    Distortion('plumb_bob', (-0.3, 0.1, 0.001, -0.001, 0.0)),
    Distortion('rational_polynomial', (0.2, -0.1, 0.0, 0.0, 0.01, 0.4, -0.1, 0.02)),
    Distortion('equidistant', (-0.05, 0.01, 0.0, 0.0)),
]


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


@pytest.mark.parametrize('distortion', LENSES)
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


@pytest.mark.parametrize('distortion', LENSES)
def test_undistorting_is_what_opencv_does(distortion: Distortion) -> None:
    """On a random picture, to the last pixel, the first time and from what was kept."""
    picture = np.random.default_rng(1).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    coefficients = np.array(distortion.coefficients)
    if distortion.model == 'equidistant':
        expected = cv2.fisheye.undistortImage(picture, K, coefficients, Knew=K)
    else:
        expected = cv2.undistort(picture, K, coefficients)
    for _ in range(2):
        np.testing.assert_array_equal(undistort(picture, K, distortion), expected)


def test_what_a_camera_needs_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anew for another K, D or size, never for another picture."""
    made = []
    make = cv2.initUndistortRectifyMap
    monkeypatch.setattr(
        cv2, 'initUndistortRectifyMap', lambda *given: made.append(given) or make(*given)
    )
    monkeypatch.setattr(cameras, '_MAPS', cameras._UndistortionMaps(2**20))
    small, large = np.zeros((24, 32, 3), np.uint8), np.zeros((48, 64, 3), np.uint8)
    rigs = [(small, K, LENSES[0]), (small, 2 * K, LENSES[0])]
    rigs += [(small, K, LENSES[1]), (large, K, LENSES[0])]
    for picture, k, distortion in 5 * rigs:
        undistort(picture, k, distortion)
    assert len(made) == len(rigs)


def test_ever_new_cameras_do_not_fill_the_memory() -> None:
    """The maps that were used last are kept, and the newest whatever its size."""
    kept = cameras._UndistortionMaps(3 * 6 * 32 * 24)
    used = kept.of(K, LENSES[0], (32, 24))
    for i in range(10):
        kept.of(K + i, LENSES[1], (32, 24))
        assert kept.of(K, LENSES[0], (32, 24)) is used
    assert len(kept._maps) == 3
    kept.of(K, LENSES[0], (320, 240))
    assert len(kept._maps) == 1


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    model=st.sampled_from([('plumb_bob', 5), ('rational_polynomial', 14), ('equidistant', 4)]),
    values=st.lists(st.floats(-1e6, 1e6), min_size=14, max_size=14),
    focal=st.floats(0.2, 40_000),
)
def test_no_lens_breaks_an_image(model: tuple[str, int], values: list, focal: float) -> None:
    """Coefficients that are no lens give a picture that shows nothing, and no more than that."""
    name, count = model
    k = np.array([[focal, 0.0, -40.0], [0.0, focal, 60.0], [0.0, 0.0, 1.0]])
    picture = np.full((24, 40, 3), 200, np.uint8)
    result = undistort(picture, k, Distortion(name, tuple(values[:count])))
    assert result.shape == picture.shape and result.max() <= 200


def test_no_distortion_is_no_work() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    assert undistort(image, K, Distortion('plumb_bob', (0.0,) * 5)) is image


@pytest.mark.parametrize(
    ('model', 'coefficients'),
    [
        ('fancy', (0.0,)),
        ('plumb_bob', (0.0,) * 3),
        ('equidistant', (float('nan'),) * 4),
        ('equidistant', (1e9,) * 4),
    ],
)
def test_distortion_that_is_none_is_refused(model: str, coefficients: tuple) -> None:
    with pytest.raises(InputError, match='istortion'):
        Distortion(model, coefficients)
