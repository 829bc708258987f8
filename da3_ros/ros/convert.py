"""
Image messages to and from NumPy, and CameraInfo out: free functions, no node.

Incoming messages are untrusted: sizes, steps and encodings are checked before the data is touched.
H rows, W columns of the image; pixels and frames as in ``da3_ros.geometry.cameras``.
"""

import array
import sys

import cv2
from cv_bridge import CvBridge, CvBridgeError
from da3_ros.config import DepthConfig
from da3_ros.errors import FrameError
from da3_ros.geometry.rays import valid_depth
from da3_ros.ros.picture_header import check_size
import numpy as np
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

# Bytes per pixel of what cv_bridge can turn into rgb8 (sensor_msgs/image_encodings.hpp). It cannot
# with nv21 and nv24, which are two planes and no pixels.
_BAYER = ('bayer_rggb', 'bayer_bggr', 'bayer_gbrg', 'bayer_grbg')
BYTES_PER_PIXEL = {
    **{'rgb8': 3, 'bgr8': 3, 'rgba8': 4, 'bgra8': 4, 'mono8': 1},
    **{'rgb16': 6, 'bgr16': 6, 'rgba16': 8, 'bgra16': 8, 'mono16': 2},
    **{'yuv422': 2, 'uyvy': 2, 'yuv422_yuy2': 2, 'yuyv': 2},
    **{f'{pattern}{bits}': bits // 8 for pattern in _BAYER for bits in (8, 16)},
}
# Two pixels of these share their colour. cv_bridge of Humble and Jazzy knows the first two only,
# and the others are new names for the same.
_SAME_YUV = {'yuv422': 'yuv422', 'yuv422_yuy2': 'yuv422_yuy2'}
_SAME_YUV |= {'uyvy': 'yuv422', 'yuyv': 'yuv422_yuy2'}
_BRIDGE = CvBridge()
IS_BIG_ENDIAN = sys.byteorder == 'big'


def stamp_ns(header: Header) -> int:
    """Return the stamp of a header in nanoseconds."""
    return header.stamp.sec * 10**9 + header.stamp.nanosec


def header_at(stamp: int, frame_id: str) -> Header:
    """Return a header with a stamp in nanoseconds."""
    header = Header(frame_id=frame_id)
    header.stamp.sec, header.stamp.nanosec = divmod(stamp, 10**9)
    return header


def byte_array(values: np.ndarray) -> array.array:
    """Return the bytes of an array in the type that rclpy takes without looking at each one."""
    data = array.array('B')
    fill(data, values)
    return data


def fill(data: array.array, values: np.ndarray) -> None:
    """Append the bytes of an array to a message's own data; assigning to it would copy twice."""
    data.frombytes(np.ascontiguousarray(values).reshape(-1).view(np.uint8))


def rgb_from_image(message: Image) -> np.ndarray:
    """
    Return the pixels (H, W, 3) uint8 of an image of any colour or grey encoding.

    The result of rgb8 shares the message's memory.

    Raises:
        FrameError: ``frame_size``, ``frame_encoding``, ``frame_step`` or ``frame_data``: the
        message contradicts itself or has an encoding that is not a colour.

    """
    pixels = _pixels(message)
    if message.encoding == 'rgb8':
        return pixels.reshape(message.height, message.width, 3)
    if message.encoding == 'bgr8':
        bgr = pixels.reshape(message.height, message.width, 3)
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    if message.encoding.endswith('16'):  # cv_bridge cannot swap bytes with NumPy 2
        order = '>u2' if message.is_bigendian else '<u2'
        pixels = np.ascontiguousarray(pixels).view(order).astype(np.uint16).view(np.uint8)
    packed = Image(
        height=message.height,
        width=message.width,
        encoding=_SAME_YUV.get(message.encoding, message.encoding),
        is_bigendian=IS_BIG_ENDIAN,
        step=pixels.shape[1],
    )
    fill(packed.data, pixels)
    try:
        return _BRIDGE.imgmsg_to_cv2(packed, desired_encoding='rgb8')
    except (CvBridgeError, cv2.error) as error:
        raise FrameError(
            'frame_encoding',
            f'An image of {message.width}x{message.height} in {message.encoding} cannot be turned '
            f'into rgb8: {error}.',
        ) from error


def _pixels(message: Image) -> np.ndarray:
    """Return the rows (H, W * bytes per pixel) uint8 of an image, without what pads them."""
    size = f'{message.width}x{message.height}'
    check_size(message.width, message.height)
    bytes_per_pixel = BYTES_PER_PIXEL.get(message.encoding)
    if bytes_per_pixel is None:
        raise FrameError(
            'frame_encoding',
            f'An image has the encoding {message.encoding!r}; expected one of '
            f'{", ".join(BYTES_PER_PIXEL)}.',
        )
    if message.encoding in _SAME_YUV and message.width % 2:
        raise FrameError(
            'frame_size',
            f'A {message.encoding} image has the size {size}; expected an even width.',
        )
    row_bytes = message.width * bytes_per_pixel
    if message.step < row_bytes:
        raise FrameError(
            'frame_step',
            f'A {size} {message.encoding} image has a step of {message.step} bytes; '
            f'expected at least {row_bytes}.',
        )
    if len(message.data) < message.height * message.step:
        raise FrameError(
            'frame_data',
            f'A {size} {message.encoding} image has {len(message.data)} bytes; '
            f'expected {message.height * message.step} (height times step).',
        )
    data = np.frombuffer(message.data, np.uint8, count=message.height * message.step)
    return data.reshape(message.height, message.step)[:, :row_bytes]


def published_depth(
    depth_m: np.ndarray, confidence: np.ndarray, config: DepthConfig
) -> np.ndarray:
    """Return the depth (H, W) float32 with NaN wherever it is not to be published."""
    depth_m = valid_depth(depth_m.astype(np.float32, copy=False))
    wanted = []
    if config.min_confidence > 0:
        wanted.append(confidence >= config.min_confidence)
    if config.max_range > 0:
        wanted.append(depth_m <= config.max_range)
    if not wanted:
        return depth_m
    return np.where(np.logical_and.reduce(wanted), depth_m, np.float32(np.nan))


def depth_to_image(depth_m: np.ndarray, encoding: str, header: Header) -> Image:
    """Return depth (H, W), NaN invalid, as 32FC1 [m] or as 16UC1 [mm] with 0 invalid (REP 118)."""
    if encoding == '32FC1':
        return float_image(depth_m, header)
    millimetres = np.rint(np.nan_to_num(depth_m, nan=0.0) * 1000.0)
    millimetres[millimetres > np.iinfo(np.uint16).max] = 0
    return image_message(millimetres.astype(np.uint16), '16UC1', header)


def float_image(values: np.ndarray, header: Header) -> Image:
    """Return values (H, W) as a 32FC1 image."""
    return image_message(values.astype(np.float32, copy=False), '32FC1', header)


def image_message(values: np.ndarray, encoding: str, header: Header) -> Image:
    """Return values (H, W) or (H, W, C), of the type that the encoding says, as an image."""
    height, width = values.shape[:2]
    message = Image(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=IS_BIG_ENDIAN,
        step=values.nbytes // height,
    )
    fill(message.data, values)
    return message


def intrinsics_to_info(
    intrinsics: np.ndarray, size: tuple[int, int], header: Header
) -> CameraInfo:
    """Return the CameraInfo of a rectified (width, height) image: P from K, no rotation, D = 0."""
    p = np.hstack([intrinsics, np.zeros((3, 1))])
    return CameraInfo(
        header=header,
        width=size[0],
        height=size[1],
        distortion_model='plumb_bob',
        d=[0.0] * 5,
        k=intrinsics.ravel().tolist(),
        r=np.eye(3).ravel().tolist(),
        p=p.ravel().tolist(),
    )
