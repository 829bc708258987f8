"""Images between ROS messages and OpenCV's arrays."""

import array
import sys

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from cv_bridge.color import convert_encoding
from cv_bridge.encodings import parse_encoding, type_name


class CvBridgeError(TypeError):
    """A conversion is not possible."""


class CvBridge:
    """Converts sensor_msgs images to NumPy arrays and back."""

    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = 'passthrough') -> np.ndarray:
        """
        Return the pixels (H, W) or (H, W, C) of a message in an encoding.

        Raises:
            CvBridgeError: An encoding is unknown or cannot be converted to the other.
            TypeError: The data is shorter than height × step.

        """
        try:
            encoding = parse_encoding(img_msg.encoding)
        except RuntimeError as error:
            raise CvBridgeError(error) from error
        dtype = encoding.dtype.newbyteorder('>' if img_msg.is_bigendian else '<')
        pixel_bytes = dtype.itemsize * encoding.channels
        row_shape = (img_msg.step // pixel_bytes,)
        if encoding.channels > 1:
            row_shape += (encoding.channels,)
        rows = np.ndarray((img_msg.height, *row_shape), dtype, buffer=img_msg.data)
        image = np.ascontiguousarray(rows[:, : img_msg.width], dtype=encoding.dtype)
        if desired_encoding == 'passthrough':
            return image
        return _converted(image, img_msg.encoding, desired_encoding)

    def compressed_imgmsg_to_cv2(
        self, cmprs_img_msg: CompressedImage, desired_encoding: str = 'passthrough'
    ) -> np.ndarray:
        """
        Return the decoded pixels, in OpenCV's order (blue first) or in an encoding.

        Like the real one, gives None for data that cannot be decoded, if nothing is desired.

        Raises:
            CvBridgeError: The decoded image cannot be converted.

        """
        image = cv2.imdecode(np.frombuffer(cmprs_img_msg.data, np.uint8), cv2.IMREAD_UNCHANGED)
        if desired_encoding == 'passthrough':
            return image
        if image is None:
            raise CvBridgeError('The compressed image cannot be decoded')
        return _converted(image, 'bgr8', desired_encoding)

    def cv2_to_imgmsg(
        self, cvim: np.ndarray, encoding: str = 'passthrough', header: Header | None = None
    ) -> Image:
        """
        Return a message with the pixels (H, W) or (H, W, C) as they are.

        Raises:
            TypeError: ``cvim`` is not an array.
            CvBridgeError: The encoding is unknown or of another pixel type.

        """
        if not isinstance(cvim, np.ndarray):
            raise TypeError('Your input type is not a numpy array')
        kind = type_name(cvim.dtype, cvim.shape[2] if cvim.ndim > 2 else 1)
        if encoding != 'passthrough':
            try:
                expected = parse_encoding(encoding)
            except RuntimeError as error:
                raise CvBridgeError(error) from error
            if type_name(expected.dtype, expected.channels) != kind:
                raise CvBridgeError(
                    f'encoding specified as {encoding}, but image has incompatible type {kind}'
                )
        message = Image(
            header=header or Header(),
            height=cvim.shape[0],
            width=cvim.shape[1],
            encoding=kind if encoding == 'passthrough' else encoding,
            is_bigendian=int(_is_big_endian(cvim.dtype)),
            step=cvim.nbytes // cvim.shape[0],
        )
        message.data = array.array('B', cvim.tobytes())
        return message

    def cv2_to_compressed_imgmsg(
        self, cvim: np.ndarray, dst_format: str = 'jpg'
    ) -> CompressedImage:
        """Return a message with the pixels, blue first, encoded as jpg, png or the like."""
        if not isinstance(cvim, np.ndarray):
            raise TypeError('Your input type is not a numpy array')
        encoded = cv2.imencode(f'.{dst_format}', cvim)[1]
        message = CompressedImage(format=dst_format)
        message.data = array.array('B', encoded.tobytes())
        return message


def _is_big_endian(dtype: np.dtype) -> bool:
    return dtype.byteorder == '>' or (dtype.byteorder == '=' and sys.byteorder == 'big')


def _converted(image: np.ndarray, source: str, target: str) -> np.ndarray:
    try:
        return convert_encoding(image, source, target)
    except RuntimeError as error:
        raise CvBridgeError(error) from error
