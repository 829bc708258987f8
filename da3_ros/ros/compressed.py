"""
CompressedImage messages to NumPy, by the conventions of compressed_image_transport.

``format`` is ``rgb8; jpeg compressed bgr8``: the encoding of the image before it was compressed,
the codec, and the encoding of what the codec was given. Older senders and camera drivers write the
codec alone. The data itself says which codec it is; the rest is needed for grey values that are a
Bayer pattern, for channels in another order than the codec's, and for depth, which is no picture.
"""

from dataclasses import dataclass
import re

import cv2
from da3_ros.errors import FrameError
from da3_ros.ros.convert import image_message, rgb_from_image
from da3_ros.ros.picture_header import check_picture
import numpy as np
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

# As it is stored: grey stays grey and 16 bits stay 16, but no transparency and no turning by EXIF.
_AS_STORED = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
_BAYER = re.compile(r'(bayer_(?:rggb|bggr|gbrg|grbg))(?:8|16)')
_MEASUREMENT = re.compile(r'(8S|16U|16S|32S|32F|64F)(C\d+)?')


@dataclass(frozen=True)
class _Format:
    """What ``format`` says: encoding before compression, and of what was compressed; or ''."""

    source: str
    target: str

    @classmethod
    def parse(cls, text: str) -> '_Format':
        source, _, codec = text.partition(';')
        return cls(source.strip(), codec.partition('compressed')[2].strip())

    @property
    def mosaic(self) -> str:
        """Return the Bayer pattern that grey values are, or ''; one with a target is no more."""
        bayer = _BAYER.fullmatch(self.source)
        return bayer[1] if bayer and not self.target else ''


def rgb_from_compressed(message: CompressedImage) -> np.ndarray:
    """
    Return the pixels (H, W, 3) uint8 of a JPEG or PNG, not turned by the orientation in its EXIF.

    Raises:
        FrameError: ``frame_size`` if it has no pixels or too many (``MAX_PIXELS``), which is found
            before anything is decoded; ``frame_format`` if it is neither JPEG nor PNG;
            ``frame_encoding`` if it is no picture; ``frame_decode`` if it is corrupt or cut off.

    """
    data = memoryview(message.data)
    check_picture(data)
    stored = _Format.parse(message.format)
    if _MEASUREMENT.fullmatch(stored.source):
        raise FrameError(
            'frame_encoding',
            f'A compressed image has the format {message.format!r}, which is a measurement and no '
            'picture; expected colours or grey values.',
        )
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), _AS_STORED)
    except cv2.error:  # for instance not enough memory
        pixels = None
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise FrameError(
            'frame_decode',
            f'OpenCV cannot decode {len(data)} bytes of format {message.format!r}; expected a '
            'JPEG or a PNG that is not corrupt.',
        )
    if pixels.ndim == 2 and stored.mosaic:
        mosaic = f'{stored.mosaic}{8 * pixels.itemsize}'
        return rgb_from_image(image_message(pixels, mosaic, Header()))
    if pixels.dtype == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257)  # as cv_bridge does
    if pixels.ndim == 2:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    # OpenCV takes and gives blue first; who compressed rgb gave it red instead.
    return pixels if stored.target.startswith('rgb') else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
