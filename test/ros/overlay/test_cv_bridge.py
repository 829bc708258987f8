"""cv_bridge gives the pixels that OpenCV gives, and refuses what the real one refuses."""

import array

import cv2
from cv_bridge import CvBridge, CvBridgeError
import numpy as np
import pytest
from sensor_msgs.msg import Image

BRIDGE = CvBridge()
RNG = np.random.default_rng(7)
PIXELS = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)


def image_message(pixels: np.ndarray, encoding: str, padding: int = 0, **fields) -> Image:
    """Return a message of the pixels' bytes, with ``padding`` bytes after each row."""
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(len(pixels), -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    height, width = pixels.shape[:2]
    message = Image(height=height, width=width, encoding=encoding, step=rows.shape[1], **fields)
    message.data = array.array('B', rows.tobytes())
    return message


@pytest.mark.parametrize(
    ('encoding', 'pixels', 'code'),
    [
        ('bgr8', PIXELS, cv2.COLOR_BGR2RGB),
        ('rgba8', np.dstack((PIXELS, PIXELS[..., 0])), cv2.COLOR_RGBA2RGB),
        ('bgra8', np.dstack((PIXELS, PIXELS[..., 0])), cv2.COLOR_BGRA2RGB),
        ('mono8', PIXELS[..., 0], cv2.COLOR_GRAY2RGB),
        ('bayer_rggb8', PIXELS[..., 0], cv2.COLOR_BayerBG2RGB),
        ('bayer_bggr8', PIXELS[..., 0], cv2.COLOR_BayerRG2RGB),
        ('bayer_gbrg8', PIXELS[..., 0], cv2.COLOR_BayerGR2RGB),
        ('bayer_grbg8', PIXELS[..., 0], cv2.COLOR_BayerGB2RGB),
        ('yuv422', PIXELS[..., :2], cv2.COLOR_YUV2RGB_UYVY),
        ('yuv422_yuy2', PIXELS[..., :2], cv2.COLOR_YUV2RGB_YUY2),
    ],
)
@pytest.mark.parametrize('padding', [0, 24])
def test_colors_become_rgb(encoding: str, pixels: np.ndarray, code: int, padding: int) -> None:
    message = image_message(pixels, encoding, padding)
    expected = cv2.cvtColor(np.ascontiguousarray(pixels), code)
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message, 'rgb8'), expected)


def test_bayer_of_a_red_scene_is_red() -> None:
    """Holds the names of the patterns to their meaning, apart from OpenCV's constants."""
    mosaic = np.zeros((8, 8), np.uint8)
    mosaic[0::2, 0::2] = 200  # the red sites of RGGB
    rgb = BRIDGE.imgmsg_to_cv2(image_message(mosaic, 'bayer_rggb8'), 'rgb8')
    assert rgb[2:6, 2:6, 0].min() > 90
    assert rgb[..., 1:].max() == 0


@pytest.mark.parametrize(
    'encoding', ['rgb8', 'bgra8', '8UC1', '16UC1', '32FC1', '64FC3', 'mono16']
)
def test_round_trip(encoding: str) -> None:
    shapes = {'rgb8': (5, 4, 3), 'bgra8': (5, 4, 4), '64FC3': (5, 4, 3)}
    kinds = {'16UC1': np.uint16, 'mono16': np.uint16, '32FC1': np.float32, '64FC3': np.float64}
    pixels = RNG.uniform(0, 250, shapes.get(encoding, (5, 4))).astype(
        kinds.get(encoding, np.uint8)
    )
    message = BRIDGE.cv2_to_imgmsg(pixels, encoding)
    assert (message.encoding, message.step) == (encoding, pixels.nbytes // 5)
    back = BRIDGE.imgmsg_to_cv2(message)
    assert back.dtype == pixels.dtype
    np.testing.assert_array_equal(back, pixels)


def test_big_endian_data_is_read_as_such() -> None:
    depth_mm = np.array([[1, 258], [65535, 1000]], np.uint16)
    message = image_message(depth_mm.astype('>u2'), '16UC1', is_bigendian=1)
    image = BRIDGE.imgmsg_to_cv2(message)
    np.testing.assert_array_equal(image, depth_mm)


def test_sixteen_bits_are_scaled_to_eight() -> None:
    pixels = np.array([[0, 128, 129, 257, 65535]], np.uint16)
    image = BRIDGE.imgmsg_to_cv2(image_message(pixels, 'mono16'), 'mono8')
    np.testing.assert_array_equal(image, [[0, 0, 1, 1, 255]])


def test_compressed_image() -> None:
    message = BRIDGE.cv2_to_compressed_imgmsg(PIXELS, 'png')
    np.testing.assert_array_equal(BRIDGE.compressed_imgmsg_to_cv2(message), PIXELS)
    rgb = BRIDGE.compressed_imgmsg_to_cv2(message, 'rgb8')
    np.testing.assert_array_equal(rgb, PIXELS[..., ::-1])


@pytest.mark.parametrize(
    ('encoding', 'desired'),
    [
        ('nonsense', 'rgb8'),
        ('8UC3', 'rgb8'),
        ('bayer_rggb8', 'rgba8'),
        ('uyvy', 'rgb8'),
        ('nv21', 'rgb8'),
    ],
)
def test_impossible_conversions_raise(encoding: str, desired: str) -> None:
    pixels = PIXELS if encoding == '8UC3' else PIXELS[..., 0]
    with pytest.raises(CvBridgeError):
        BRIDGE.imgmsg_to_cv2(image_message(pixels, encoding), desired)


def test_short_data_raises() -> None:
    message = image_message(PIXELS, 'rgb8')
    message.data = message.data[:-1]
    with pytest.raises(TypeError):
        BRIDGE.imgmsg_to_cv2(message)


def test_encoding_must_fit_the_array() -> None:
    with pytest.raises(CvBridgeError, match='incompatible type 8UC3'):
        BRIDGE.cv2_to_imgmsg(PIXELS, 'mono8')
