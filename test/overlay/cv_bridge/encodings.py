"""What sensor_msgs/image_encodings.hpp and cv_bridge say about each encoding."""

from dataclasses import dataclass
import re

import numpy as np

DEPTHS = {
    '8U': np.dtype(np.uint8),
    '8S': np.dtype(np.int8),
    '16U': np.dtype(np.uint16),
    '16S': np.dtype(np.int16),
    '32S': np.dtype(np.int32),
    '32F': np.dtype(np.float32),
    '64F': np.dtype(np.float64),
}
# Layout by the name before the bit depth: what the channels mean, and how many there are.
COLORS = {'mono': 1, 'rgb': 3, 'bgr': 3, 'rgba': 4, 'bgra': 4}
BAYER = ('bayer_rggb', 'bayer_bggr', 'bayer_gbrg', 'bayer_grbg')
# Newer names for the same, uyvy and yuyv, are unknown to that of Humble, as are nv21 and nv24.
YUV = {'yuv422': 'UYVY', 'yuv422_yuy2': 'YUY2'}
GENERIC = re.compile(r'(8U|8S|16U|16S|32S|32F|64F)(?:C([1-9]\d*))?')


@dataclass(frozen=True)
class Encoding:
    """One pixel: the type and number of its channels, and what they mean ('' for no colour)."""

    dtype: np.dtype
    channels: int
    color: str


def parse_encoding(name: str) -> Encoding:
    """Return what an encoding means; raise RuntimeError for one that cv_bridge does not know."""
    if name in YUV:
        return Encoding(DEPTHS['8U'], 2, YUV[name])
    color, bits = (name[:-2], 16) if name.endswith('16') else (name[:-1], 8)
    if name == f'{color}{bits}' and (color in COLORS or color in BAYER):
        return Encoding(DEPTHS[f'{bits}U'], COLORS.get(color, 1), color)
    generic = GENERIC.fullmatch(name)
    if generic:
        return Encoding(DEPTHS[generic[1]], int(generic[2] or 1), '')
    raise RuntimeError(f'Unrecognized image encoding [{name}]')


def type_name(dtype: np.dtype, channels: int) -> str:
    """Return the generic name of a pixel type, such as 8UC3."""
    for name, depth in DEPTHS.items():
        if depth == dtype.newbyteorder('='):
            return f'{name}C{channels}'
    raise KeyError(dtype.name)
