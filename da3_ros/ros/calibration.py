"""What a CameraInfo says of the images that come with it: their size, K and D."""

from dataclasses import dataclass

from da3_ros.errors import CameraInfoError, InputError
from da3_ros.geometry.cameras import Distortion
import numpy as np
from sensor_msgs.msg import CameraInfo

# Focal lengths in sizes of the image: fields of view from 0.06 to 179.4 degrees.
_MIN_FOCAL, _MAX_FOCAL = 0.005, 1000.0


@dataclass(frozen=True)
class Calibration:
    """
    A usable CameraInfo: ``size`` (width, height), ``intrinsics`` (3, 3) in pixels, and D.

    All of it is of the images as they are sent, after region of interest and binning.
    """

    size: tuple[int, int]
    intrinsics: np.ndarray
    distortion: Distortion | None


def calibration_from_info(message: CameraInfo) -> Calibration:
    """
    Return what a CameraInfo says of the images that come with it.

    K and D are of the whole sensor. ``roi`` is what is read out of it, and ``binning`` how many
    pixels of that become one, as in image_geometry; distortion is of rays and needs no change. R
    and P, which rectify for stereo, are not used: the image stays in the camera's own frame.

    Raises:
        CameraInfoError: ``info_uncalibrated``, as drivers say it: K is zero. ``info_size``,
            ``info_roi``, ``info_intrinsics`` or ``info_distortion``: it cannot be of a camera.

    """
    if message.width == 0 or message.height == 0:
        raise CameraInfoError(
            'info_size', f'A CameraInfo is for images of {message.width}x{message.height} pixels.'
        )
    k = _intrinsics(message)
    left, top, width, height = _region(message)
    binning = max(message.binning_x, 1), max(message.binning_y, 1)
    size = width // binning[0], height // binning[1]
    if 0 in size:
        raise CameraInfoError(
            'info_roi',
            f'A CameraInfo says that {width}x{height} pixels are binned by {binning[0]}x'
            f'{binning[1]}, which leaves none.',
        )
    k[:2, 2] -= left, top
    k[:2] /= np.array(binning)[:, None]
    return Calibration(size, k, _distortion(message))


def _intrinsics(message: CameraInfo) -> np.ndarray:
    """Return K (3, 3), of the whole sensor."""
    k = np.array(message.k, dtype=np.float64).reshape(3, 3)
    if not k.any():
        raise CameraInfoError(
            'info_uncalibrated',
            'A CameraInfo has K = 0, which says that the camera is not calibrated; it is ignored. '
            'Calibrate the camera, or its images are used as those of an unknown one.',
        )
    size = np.array((message.width, message.height))
    focal, centre = k[(0, 1), (0, 1)], k[:2, 2]
    is_pinhole = (
        np.isfinite(k).all()
        and (focal >= _MIN_FOCAL * size).all()
        and (focal <= _MAX_FOCAL * size).all()
        and (centre >= -size).all()
        and (centre <= 2 * size).all()
        and np.array_equal(k[(0, 1, 2, 2, 2), (1, 0, 0, 1, 2)], (0, 0, 0, 0, 1))
    )
    if not is_pinhole:
        raise CameraInfoError(
            'info_intrinsics',
            f'A CameraInfo for {size[0]}x{size[1]} pixels has K = {k.ravel().tolist()}; expected '
            'fx, 0, cx, 0, fy, cy, 0, 0, 1 with positive focal lengths and a centre that suit '
            'this size.',
        )
    return k


def _region(message: CameraInfo) -> tuple[int, int, int, int]:
    """Return left, top, width and height of the part of the sensor that is read out."""
    roi = message.roi
    if not (roi.x_offset or roi.y_offset or roi.width or roi.height):
        return 0, 0, message.width, message.height
    right, bottom = roi.x_offset + roi.width, roi.y_offset + roi.height
    if 0 in (roi.width, roi.height) or right > message.width or bottom > message.height:
        raise CameraInfoError(
            'info_roi',
            f'A CameraInfo for {message.width}x{message.height} pixels has the region of interest '
            f'{roi.width}x{roi.height} at {roi.x_offset}, {roi.y_offset}; expected a part of it.',
        )
    return roi.x_offset, roi.y_offset, roi.width, roi.height


def _distortion(message: CameraInfo) -> Distortion | None:
    """Return D with its model; None where the lens has none."""
    if not np.any(message.d):
        return None
    try:
        return Distortion(message.distortion_model, tuple(message.d))
    except InputError as error:
        raise CameraInfoError('info_distortion', str(error)) from error
