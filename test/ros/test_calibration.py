"""What CameraInfo says of images, and what cannot be of a camera."""

import cv2
from da3_ros.errors import CameraInfoError
from da3_ros.ros.calibration import calibration_from_info
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from rig import camera_info, K
from sensor_msgs.msg import CameraInfo, RegionOfInterest

D = [-0.2, 0.05, 0.001, -0.002, 0.0]


@pytest.mark.parametrize(
    ('reason', 'change'),
    [
        ('info_uncalibrated', {'k': np.zeros(9)}),
        ('info_intrinsics', {'k': (K * np.nan).ravel()}),
        ('info_intrinsics', {'k': (K * [[-1], [1], [1]]).ravel()}),
        ('info_intrinsics', {'k': (np.where(K > 1, np.inf, K)).ravel()}),
        ('info_intrinsics', {'k': (K * [[1e6], [1], [1]]).ravel()}),
        ('info_intrinsics', {'k': (K * [[1e-6], [1], [1]]).ravel()}),
        ('info_intrinsics', {'k': (K + [[0, 0, 1e5], [0, 0, 0], [0, 0, 0]]).ravel()}),
        ('info_intrinsics', {'k': (K + [[0, 9, 0], [0, 0, 0], [0, 0, 0]]).ravel()}),
        ('info_intrinsics', {'k': (2 * K).ravel()}),
        ('info_size', {'width': 0}),
        ('info_distortion', {'d': [0.1, 0.2], 'distortion_model': 'plumb_bob'}),
        ('info_distortion', {'d': [0.1] * 5, 'distortion_model': 'equidistant'}),
        ('info_distortion', {'d': [0.1] * 5, 'distortion_model': 'no_such_model'}),
        ('info_distortion', {'d': [0.1] * 5, 'distortion_model': ''}),
        ('info_distortion', {'d': [np.nan] * 5, 'distortion_model': 'plumb_bob'}),
        ('info_distortion', {'d': [1e200] * 5, 'distortion_model': 'plumb_bob'}),
        ('info_roi', {'roi': RegionOfInterest(x_offset=1, width=64, height=48)}),
        ('info_roi', {'roi': RegionOfInterest(y_offset=2**32 - 1, width=64, height=48)}),
        ('info_roi', {'roi': RegionOfInterest(x_offset=4)}),
        ('info_roi', {'binning_x': 65}),
    ],
)
def test_an_impossible_camera_info_is_refused(reason: str, change: dict) -> None:
    """Each with the name under which it is counted, in a sentence of bounded length."""
    info = camera_info()
    for name, value in change.items():
        setattr(info, name, value)
    with pytest.raises(CameraInfoError, match=r'\.$') as caught:
        calibration_from_info(info)
    assert caught.value.reason == reason
    assert len(str(caught.value)) < 500


def test_a_million_coefficients_are_not_repeated() -> None:
    """They would fill the log."""
    info = camera_info()
    info.distortion_model, info.d = 'plumb_bob', [1.0] * 10**6
    with pytest.raises(
        CameraInfoError, match='has 1000000 coefficients; expected 4 or 5'
    ) as caught:
        calibration_from_info(info)
    assert len(str(caught.value)) < 200


def test_a_camera_info_without_distortion_needs_no_model() -> None:
    """Simulators leave the model empty."""
    info = camera_info()
    info.d = [0.0] * 5
    calibration = calibration_from_info(info)
    assert calibration.distortion is None
    np.testing.assert_array_equal(calibration.intrinsics, K)


@pytest.mark.parametrize(
    ('model', 'count'),
    [
        *(('plumb_bob', n) for n in (4, 5)),
        *(('rational_polynomial', n) for n in (8, 12, 14)),
        ('equidistant', 4),
    ],
)
def test_distortion_is_kept(model: str, count: int) -> None:
    """As many coefficients as the model may have."""
    info = camera_info()
    info.distortion_model, info.d = model, [0.01 * i for i in range(count)]
    distortion = calibration_from_info(info).distortion
    assert (distortion.model, distortion.coefficients) == (model, tuple(info.d))


def test_region_and_binning_see_the_same_points() -> None:
    """A point of the world is at the pixel of the full image that the sent one was cut from."""
    info = camera_info()
    info.distortion_model, info.d = 'plumb_bob', D
    full = calibration_from_info(info)
    info.roi = RegionOfInterest(x_offset=8, y_offset=6, width=40, height=31)
    info.binning_x, info.binning_y = 4, 2
    sent = calibration_from_info(info)
    assert sent.size == (10, 15)
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (20, 3)) + (0, 0, 1)
    pixels, sent_pixels = (
        cv2.projectPoints(points, np.zeros(3), np.zeros(3), c.intrinsics, np.array(D))[0][:, 0]
        for c in (full, sent)
    )
    np.testing.assert_allclose(sent_pixels, (pixels - (8, 6)) / (4, 2), atol=1e-9)
    assert sent.distortion == full.distortion


def test_a_region_of_zeros_and_a_binning_of_zero_are_the_whole_image() -> None:
    """As the message defines it, and so is a binning of one."""
    info = camera_info()
    info.binning_x = info.binning_y = 1
    info.roi = RegionOfInterest(width=64, height=48)
    for message in (info, camera_info()):
        calibration = calibration_from_info(message)
        assert calibration.size == (64, 48)
        np.testing.assert_array_equal(calibration.intrinsics, K)


_UINT32 = st.one_of(st.integers(0, 1000), st.integers(0, 2**32 - 1))
_FLOAT = st.one_of(
    st.floats(), st.floats(0, 1000), st.sampled_from([0.0, 1.0, -1.0, np.nan, np.inf])
)
_REGION = st.builds(
    RegionOfInterest, x_offset=_UINT32, y_offset=_UINT32, width=_UINT32, height=_UINT32
)
_PINHOLE = st.builds(
    lambda fx, fy, cx, cy: [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
    *[st.floats(1, 1e4), st.floats(1, 1e4), st.floats(-1e3, 1e4), st.floats(-1e3, 1e4)],
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    width=_UINT32,
    height=_UINT32,
    distortion_model=st.one_of(
        st.sampled_from(['plumb_bob', 'rational_polynomial', 'equidistant']), st.text()
    ),
    d=st.lists(_FLOAT, max_size=20),
    k=st.one_of(_PINHOLE, st.lists(_FLOAT, min_size=9, max_size=9)),
    binning_x=_UINT32,
    binning_y=_UINT32,
    roi=st.one_of(st.just(RegionOfInterest()), _REGION),
)
def test_any_camera_info_gives_a_camera_or_an_error(**fields: object) -> None:
    """Whatever the fields hold: what is usable is finite, positive and inside of the sensor."""
    info = CameraInfo(**fields)
    try:
        calibration = calibration_from_info(info)
    except CameraInfoError as error:
        assert error.reason.startswith('info_') and str(error).endswith('.')
        return
    assert 1 <= calibration.size[0] <= info.width and 1 <= calibration.size[1] <= info.height
    assert np.isfinite(calibration.intrinsics).all()
    assert (calibration.intrinsics[(0, 1), (0, 1)] > 0).all()
    assert np.isfinite(getattr(calibration.distortion, 'coefficients', ())).all()
