"""Messages to and from NumPy, against OpenCV and against nonsense."""

import array

import cv2
from cv_bridge import CvBridge
from da3_ros.config import DepthConfig
from da3_ros.errors import FrameError
from da3_ros.ros.convert import (
    byte_array,
    BYTES_PER_PIXEL,
    depth_to_image,
    header_at,
    intrinsics_to_info,
    published_depth,
    rgb_from_image,
    stamp_ns,
)
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
from rig import image, K
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
# Channels, type and what OpenCV calls the conversion. ROS names a Bayer pattern by its first two
# rows, OpenCV by the second and third pixel of the second row.
_COLOURS = {
    'rgb': (3, None),
    'bgr': (3, cv2.COLOR_BGR2RGB),
    'rgba': (4, cv2.COLOR_RGBA2RGB),
    'bgra': (4, cv2.COLOR_BGRA2RGB),
    'mono': (1, cv2.COLOR_GRAY2RGB),
    'bayer_rggb': (1, cv2.COLOR_BayerBG2RGB),
    'bayer_bggr': (1, cv2.COLOR_BayerRG2RGB),
    'bayer_gbrg': (1, cv2.COLOR_BayerGR2RGB),
    'bayer_grbg': (1, cv2.COLOR_BayerGB2RGB),
}
KINDS = {
    f'{name}{8 * kind().itemsize}': (channels, kind, code)
    for name, (channels, code) in _COLOURS.items()
    for kind in (np.uint8, np.uint16)
} | {
    'yuv422': (2, np.uint8, cv2.COLOR_YUV2RGB_UYVY),
    'uyvy': (2, np.uint8, cv2.COLOR_YUV2RGB_UYVY),
    'yuv422_yuy2': (2, np.uint8, cv2.COLOR_YUV2RGB_YUY2),
    'yuyv': (2, np.uint8, cv2.COLOR_YUV2RGB_YUY2),
}


def message(pixels: np.ndarray, encoding: str, padding: int = 0) -> Image:
    """Return an image message whose rows end in ``padding`` bytes of rubbish."""
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(height, -1)
    rows = np.hstack([rows, np.full((height, padding), 7, np.uint8)])
    return Image(
        height=height, width=width, encoding=encoding, step=rows.shape[1], data=byte_array(rows)
    )


@pytest.mark.parametrize('padding', [0, 6])
@pytest.mark.parametrize('encoding', BYTES_PER_PIXEL)
def test_every_encoding_becomes_rgb(encoding: str, padding: int) -> None:
    """What OpenCV makes of the same random pixels, whatever pads the rows."""
    channels, kind, code = KINDS[encoding]
    pixels = np.random.default_rng(3).integers(0, np.iinfo(kind).max + 1, (6, 8, channels), kind)
    expected = pixels if code is None else cv2.cvtColor(pixels, code)
    if kind == np.uint16:
        expected = np.rint(expected / 257.0)
    rgb = rgb_from_image(message(pixels, encoding, padding))
    assert rgb.dtype == np.uint8
    np.testing.assert_array_equal(rgb, expected)


@pytest.mark.parametrize('encoding', [name for name in BYTES_PER_PIXEL if name.endswith('16')])
@pytest.mark.parametrize('padding', [0, 5])
def test_the_byte_order_of_16_bit_images_is_honoured(encoding: str, padding: int) -> None:
    """A camera that sends the high byte first."""
    channels = KINDS[encoding][0]
    pixels = np.random.default_rng(2).integers(0, 2**16, (6, 8, channels)).astype('<u2')
    little = message(pixels, encoding, padding)
    big = message(pixels.astype('>u2'), encoding, padding)
    big.is_bigendian = True
    np.testing.assert_array_equal(rgb_from_image(big), rgb_from_image(little))


def test_a_red_scene_is_red_in_every_bayer_pattern() -> None:
    """Holds the names of the patterns to their meaning, apart from OpenCV's constants."""
    for pattern, (row, column) in {'rggb': (0, 0), 'grbg': (0, 1), 'gbrg': (1, 0)}.items():
        mosaic = np.zeros((8, 8, 1), np.uint8)
        mosaic[row::2, column::2] = 200
        rgb = rgb_from_image(message(mosaic, f'bayer_{pattern}8'))
        assert rgb[2:6, 2:6, 0].min() > 90 and rgb[..., 1:].max() == 0, pattern


def test_only_names_that_every_cv_bridge_knows_are_given_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That of Humble knows neither uyvy nor yuyv."""
    given = []
    convert = CvBridge.imgmsg_to_cv2
    monkeypatch.setattr(
        CvBridge,
        'imgmsg_to_cv2',
        lambda self, image, **kw: given.append(image.encoding) or convert(self, image, **kw),
    )
    for encoding in ('uyvy', 'yuyv'):
        rgb_from_image(message(RGB[..., :2], encoding))
    assert given == ['yuv422', 'yuv422_yuy2']


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
        ('frame_encoding', {'encoding': 'nv12'}),
        ('frame_encoding', {'encoding': 'nv21'}),
        ('frame_encoding', {'encoding': 'nv24'}),
        ('frame_size', {'encoding': 'yuv422', 'width': 7}),
        ('frame_size', {'width': 2**32 - 1, 'height': 2**32 - 1, 'step': 2**32 - 1}),
        ('frame_size', {'width': 40_000, 'height': 1, 'step': 120_000}),
        ('frame_size', {'width': 10_000, 'height': 10_000}),
        ('frame_step', {'step': 23}),
        ('frame_step', {'step': 0}),
        ('frame_data', {'data': byte_array(np.zeros(6 * 24 - 1, np.uint8))}),
        ('frame_data', {'data': []}),
        ('frame_data', {'height': 2**14, 'step': 2**32 - 1}),
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


_UINT32 = st.one_of(st.integers(0, 20), st.integers(0, 2**32 - 1))


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    width=_UINT32,
    height=_UINT32,
    step=st.one_of(st.integers(0, 200), _UINT32),
    data=st.binary(max_size=2000),
    encoding=st.one_of(st.sampled_from([*BYTES_PER_PIXEL, '8UC3', 'rgb8 ', 'nv21']), st.text()),
    is_bigendian=st.integers(0, 255),
)
def test_any_image_gives_pixels_or_a_frame_error(data: bytes, **fields: object) -> None:
    """Nothing else: no other exception, no other shape."""
    fuzzed = Image(data=array.array('B', data), **fields)
    try:
        rgb = rgb_from_image(fuzzed)
    except FrameError as error:
        assert error.reason.startswith('frame_') and str(error).endswith('.')
        return
    assert rgb.shape == (fuzzed.height, fuzzed.width, 3)
    assert rgb.dtype == np.uint8


@settings(derandomize=True)
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
