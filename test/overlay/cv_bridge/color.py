"""Conversion between encodings, with the OpenCV codes that the real cv_bridge uses."""

import cv2
import numpy as np

from cv_bridge.encodings import BAYER, COLORS, Encoding, parse_encoding

# ROS names a Bayer pattern by its first two rows, OpenCV by pixels 2 and 3 of its second row.
OPENCV_BAYER = {
    'bayer_rggb': 'BayerBG',
    'bayer_bggr': 'BayerRG',
    'bayer_gbrg': 'BayerGR',
    'bayer_grbg': 'BayerGB',
}
OPENCV_COLOR = {'mono': 'GRAY', 'rgb': 'RGB', 'bgr': 'BGR', 'rgba': 'RGBA', 'bgra': 'BGRA'}


def convert_encoding(image: np.ndarray, source_name: str, target_name: str) -> np.ndarray:
    """
    Return ``image`` (H, W) or (H, W, C) in another encoding.

    Raises:
        RuntimeError: The conversion is not one that cv_bridge makes, or OpenCV refuses the image.

    """
    if source_name == target_name:
        return image.copy()
    source, target = parse_encoding(source_name), parse_encoding(target_name)
    if not (source.color and target.color):
        if target.color:
            raise RuntimeError(
                f'[{source_name}] is not a color format. but [{target_name}] is. '
                'The conversion does not make sense'
            )
        if source.channels != target.channels:
            raise RuntimeError(
                f'[{source_name}] and [{target_name}] do not have the same number of channels'
            )
        return _with_depth(image, target.dtype)
    if source.color != target.color:
        try:
            image = cv2.cvtColor(image, _color_code(source, target, source_name, target_name))
        except cv2.error as error:
            raise RuntimeError(str(error)) from error
    return _with_depth(image, target.dtype)


def _color_code(source: Encoding, target: Encoding, source_name: str, target_name: str) -> int:
    """Return the code of cv2.cvtColor."""
    alpha = target.color in ('rgba', 'bgra')
    known = target.color in COLORS and not (source.color in BAYER and alpha)
    if not known:
        raise RuntimeError(f'Unsupported conversion from [{source_name}] to [{target_name}]')
    wanted = OPENCV_COLOR[target.color]
    if source.color in ('UYVY', 'YUY2'):
        return getattr(cv2, f'COLOR_YUV2{wanted}_{source.color}')
    here = OPENCV_BAYER.get(source.color) or OPENCV_COLOR[source.color]
    return getattr(cv2, f'COLOR_{here}2{wanted}')


def _with_depth(image: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return the image in another type: 8 and 16 bit unsigned span each other's range."""
    if image.dtype == dtype:
        return image
    scale = {('uint8', 'uint16'): 257.0, ('uint16', 'uint8'): 1 / 257.0}.get(
        (image.dtype.name, dtype.name), 1.0
    )
    values = image * scale
    if dtype.kind != 'f':
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return values.astype(dtype)
