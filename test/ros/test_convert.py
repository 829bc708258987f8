"""Messages to and from NumPy, against OpenCV and against nonsense."""

import cv2
from da3_ros.config import DepthConfig
from da3_ros.errors import CameraInfoError, FrameError
from da3_ros.ros.convert import (
    byte_array,
    BYTES_PER_PIXEL,
    calibration_from_info,
    depth_to_image,
    header_at,
    intrinsics_to_info,
    published_depth,
    rgb_from_compressed,
    rgb_from_image,
    stamp_ns,
)
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from rig import camera_info, image, K
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def message(pixels: np.ndarray, encoding: str, padding: int = 0) -> Image:
    """Return an image message whose rows end in ``padding`` bytes of rubbish."""
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(height, -1)
    rows = np.hstack([rows, np.full((height, padding), 7, np.uint8)])
    return Image(
        height=height, width=width, encoding=encoding, step=rows.shape[1], data=byte_array(rows)
    )


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize(
    ('encoding', 'pixels', 'expected'),
    [
        ('rgb8', RGB, RGB),
        ('bgr8', RGB[..., ::-1], RGB),
        ('rgba8', cv2.cvtColor(RGB, cv2.COLOR_RGB2RGBA), RGB),
        ('bgra8', cv2.cvtColor(RGB, cv2.COLOR_RGB2BGRA), RGB),
        ('mono8', RGB[..., 0], np.repeat(RGB[..., :1], 3, axis=2)),
        ('mono16', RGB[..., 0].astype(np.uint16) * 257, np.repeat(RGB[..., :1], 3, axis=2)),
        ('rgb16', RGB.astype(np.uint16) * 257, RGB),
        ('bayer_rggb8', RGB[..., 0], cv2.cvtColor(RGB[..., 0], cv2.COLOR_BAYER_BG2RGB)),
        ('bayer_gbrg8', RGB[..., 0], cv2.cvtColor(RGB[..., 0], cv2.COLOR_BAYER_GR2RGB)),
        ('yuv422', RGB[..., :2], cv2.cvtColor(RGB[..., :2], cv2.COLOR_YUV2RGB_UYVY)),
        ('yuv422_yuy2', RGB[..., :2], cv2.cvtColor(RGB[..., :2], cv2.COLOR_YUV2RGB_YUY2)),
    ],
)
def test_every_encoding_becomes_rgb(
    encoding: str, pixels: np.ndarray, expected: np.ndarray, padding: int
) -> None:
    """What OpenCV makes of the same pixels, whatever pads the rows."""
    rgb = rgb_from_image(message(pixels, encoding, padding))
    assert rgb.dtype == np.uint8
    np.testing.assert_allclose(rgb.astype(int), expected.astype(int), atol=1)


def test_the_byte_order_of_16_bit_images_is_honoured() -> None:
    """A camera that sends the high byte first."""
    grey = np.random.default_rng(2).integers(0, 2**16, (6, 8)).astype('<u2')
    little, big = message(grey, 'mono16'), message(grey.astype('>u2'), 'mono16')
    big.is_bigendian = True
    np.testing.assert_array_equal(rgb_from_image(big), rgb_from_image(little))


def test_rgb8_shares_the_memory_of_the_message() -> None:
    """No copy where none is needed."""
    source = message(RGB, 'rgb8')
    rgb = rgb_from_image(source)
    source.data[0] ^= 255
    assert rgb[0, 0, 0] == RGB[0, 0, 0] ^ 255


@pytest.mark.parametrize(
    ('reason', 'fields'),
    [
        ('frame_size', {'width': 0}),
        ('frame_size', {'height': 0}),
        ('frame_encoding', {'encoding': 'no_such_thing'}),
        ('frame_encoding', {'encoding': '32FC1'}),
        ('frame_encoding', {'encoding': ''}),
        ('frame_step', {'step': 23}),
        ('frame_step', {'step': 0}),
        ('frame_data', {'data': byte_array(np.zeros(6 * 24 - 1, np.uint8))}),
        ('frame_data', {'data': []}),
        ('frame_data', {'height': 2**32 - 1, 'step': 2**32 - 1}),
    ],
)
def test_contradictions_are_refused_before_the_data_is_touched(reason: str, fields: dict) -> None:
    """Each with the name under which it is counted and one sentence."""
    bad = message(RGB, 'rgb8')
    for name, value in fields.items():
        setattr(bad, name, value)
    with pytest.raises(FrameError, match=r'^An? .*\.$') as caught:
        rgb_from_image(bad)
    assert caught.value.reason == reason


@settings(max_examples=300, deadline=None)
@given(
    width=st.integers(0, 20),
    height=st.integers(0, 20),
    step=st.integers(0, 100),
    size=st.integers(0, 1500),
    encoding=st.sampled_from([*BYTES_PER_PIXEL, '8UC3', 'rgb8 ', 'nv21']),
    is_bigendian=st.booleans(),
)
def test_any_header_gives_an_image_or_a_frame_error(
    width: int, height: int, step: int, size: int, encoding: str, is_bigendian: bool
) -> None:
    """Nothing else: no other exception, no other shape."""
    fuzzed = Image(width=width, height=height, step=step, encoding=encoding)
    fuzzed.is_bigendian = is_bigendian
    fuzzed.data = byte_array(np.zeros(size, np.uint8)) if size else []
    try:
        rgb = rgb_from_image(fuzzed)
    except FrameError:
        return
    assert rgb.shape == (height, width, 3)
    assert rgb.dtype == np.uint8


@pytest.mark.parametrize('extension', ['.png', '.jpg'])
def test_compressed_images_are_decoded_in_rgb(extension: str) -> None:
    """Red stays red."""
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 2] = 250  # OpenCV writes bgr
    data = cv2.imencode(extension, red)[1]
    rgb = rgb_from_compressed(CompressedImage(format='any', data=byte_array(data)))
    np.testing.assert_allclose(rgb[8, 8].astype(int), [250, 0, 0], atol=4)


@pytest.mark.parametrize('cut', [0, 10, 100])
def test_a_corrupt_compressed_image_is_refused(cut: int) -> None:
    """Empty, cut in the header, and rubbish."""
    data = cv2.imencode('.png', RGB)[1][:cut] if cut < 100 else np.full(500, 3, np.uint8)
    with pytest.raises(FrameError) as caught:
        rgb_from_compressed(CompressedImage(format='png', data=byte_array(data) if cut else []))
    assert caught.value.reason == 'frame_decode'


@pytest.mark.parametrize(
    ('reason', 'change'),
    [
        ('info_intrinsics', {'k': (K * np.nan).ravel()}),
        ('info_intrinsics', {'k': np.zeros(9)}),
        ('info_intrinsics', {'k': (K * [[-1], [1], [1]]).ravel()}),
        ('info_intrinsics', {'k': (np.where(K > 1, np.inf, K)).ravel()}),
        ('info_size', {'width': 0}),
        ('info_distortion', {'d': [0.1, 0.2], 'distortion_model': 'plumb_bob'}),
        ('info_distortion', {'d': [0.1] * 5, 'distortion_model': 'no_such_model'}),
        ('info_distortion', {'d': [np.nan] * 5, 'distortion_model': 'plumb_bob'}),
    ],
)
def test_an_impossible_camera_info_is_refused(reason: str, change: dict) -> None:
    """Each with the name under which it is counted."""
    info = camera_info()
    for name, value in change.items():
        setattr(info, name, value)
    with pytest.raises(CameraInfoError) as caught:
        calibration_from_info(info)
    assert caught.value.reason == reason


def test_a_camera_info_without_distortion_needs_no_model() -> None:
    """Simulators leave the model empty."""
    info = camera_info()
    info.d = [0.0] * 5
    calibration = calibration_from_info(info)
    assert calibration.distortion is None
    np.testing.assert_array_equal(calibration.intrinsics, K)


def test_distortion_goes_with_the_intrinsics() -> None:
    """The coefficients as they came."""
    info = camera_info()
    info.distortion_model, info.d = 'plumb_bob', [0.1, -0.2, 0.001, 0.002, 0.0]
    assert calibration_from_info(info).distortion.coefficients == tuple(info.d)


@given(st.integers(0, 2**31 * 10**9 - 1))
def test_stamps_survive_the_round_trip(stamp: int) -> None:
    """To the nanosecond."""
    assert stamp_ns(header_at(stamp, 'map')) == stamp


def test_depth_that_is_not_to_be_published_is_nan() -> None:
    """By confidence, by range, and what is no depth at all."""
    depth = np.array([[1.0, 2.0, 3.0, 0.0, -1.0, np.inf, np.nan]], np.float32)
    confidence = np.array([[1.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0]], np.float32)
    everything = published_depth(depth, confidence, DepthConfig())
    np.testing.assert_array_equal(np.isfinite(everything[0]), [1, 1, 1, 0, 0, 0, 0])
    confident = published_depth(depth, confidence, DepthConfig(min_confidence=2.0))
    np.testing.assert_array_equal(np.isfinite(confident[0]), [0, 1, 1, 0, 0, 0, 0])
    near = published_depth(depth, confidence, DepthConfig(max_range=2.0))
    np.testing.assert_array_equal(np.isfinite(near[0]), [1, 1, 0, 0, 0, 0, 0])
    assert near.dtype == np.float32


def test_16uc1_is_millimetres_and_zero_is_invalid() -> None:
    """Rounded, and what does not fit is invalid, not wrapped."""
    depth = np.array([[1.0004, 1.0006, 65.535, 65.536, 1e6, np.nan]], np.float32)
    encoded = depth_to_image(depth, '16UC1', Header())
    assert (encoded.encoding, encoded.step) == ('16UC1', 12)
    np.testing.assert_array_equal(
        np.frombuffer(encoded.data, np.uint16), [1000, 1001, 65535, 0, 0, 0]
    )


def test_the_published_camera_info_is_rectified() -> None:
    """P is K, nothing is distorted or rotated."""
    info: CameraInfo = intrinsics_to_info(K, (64, 48), Header(frame_id='c'))
    assert (info.width, info.height, info.header.frame_id) == (64, 48, 'c')
    np.testing.assert_array_equal(info.k.reshape(3, 3), K)
    np.testing.assert_array_equal(info.p.reshape(3, 4), np.hstack([K, np.zeros((3, 1))]))
    np.testing.assert_array_equal(info.r.reshape(3, 3), np.eye(3))
    assert (info.distortion_model, list(info.d)) == ('plumb_bob', [0.0] * 5)


def test_images_of_the_rig_are_what_they_say() -> None:
    """The other tests' images are valid."""
    assert rgb_from_image(image(1)).shape == (48, 64, 3)
