"""What the user says of a camera: a field of view, or a calibration file."""

from dataclasses import dataclass
import json
from pathlib import Path

from da3_ros.errors import InputError
from da3_ros.geometry.cameras import Distortion
import numpy as np


@dataclass(frozen=True)
class CameraModel:
    """Intrinsics (3, 3) and distortion of a camera; ``size`` (width, height) where it is known."""

    intrinsics: np.ndarray
    distortion: Distortion | None = None
    size: tuple[int, int] | None = None

    def check(self, width: int, height: int) -> None:
        """Raise ``InputError`` when the model is for images of another size."""
        if self.size is not None and self.size != (width, height):
            raise InputError(
                f'The calibration is for images of {self.size[0]}x{self.size[1]}, but an image is '
                f'{width}x{height}; calibrate for this size, or leave the calibration out to use '
                "the network's own."
            )


def from_fov(fov_deg: float, width: int, height: int) -> CameraModel:
    """
    Return an ideal camera with a horizontal field of view, square pixels and a centred axis.

    Raises:
        InputError: if the angle is not between 1 and 170 degrees.

    """
    if not 1.0 <= fov_deg <= 170.0:
        raise InputError(f'The field of view is {fov_deg:g} degrees; expected 1 to 170.')
    focal = 0.5 * width / np.tan(np.radians(fov_deg) / 2)
    centre = ((width - 1) / 2, (height - 1) / 2)
    return CameraModel(
        np.array([[focal, 0.0, centre[0]], [0.0, focal, centre[1]], [0.0, 0.0, 1.0]])
    )


def read_calibration(path: Path) -> CameraModel:
    """
    Read a camera_info YAML (as camera_calibration writes it) or an intrinsics.json.

    Raises:
        InputError: if the file is neither.

    """
    try:
        if path.suffix == '.json':
            return _from_json(json.loads(path.read_text()))
        import yaml  # comes with ROS and with huggingface_hub

        return _from_yaml(yaml.safe_load(path.read_text()))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f'{path} is not a calibration: {error!r}; expected a camera_info YAML with '
            'image_width, image_height and camera_matrix, or a JSON file with fx, fy, cx, cy.'
        ) from error


def _from_json(values: dict) -> CameraModel:
    """Return the model in an intrinsics.json with one camera."""
    k = np.array(
        [[values['fx'], 0.0, values['cx']], [0.0, values['fy'], values['cy']], [0.0, 0.0, 1.0]]
    )
    size = (values['width'], values['height']) if 'width' in values else None
    return CameraModel(k, None, size)


def _from_yaml(values: dict) -> CameraModel:
    """Return the model in a file of camera_calibration."""
    k = np.array(values['camera_matrix']['data'], dtype=np.float64).reshape(3, 3)
    coefficients = tuple(map(float, values.get('distortion_coefficients', {}).get('data', ())))
    distortion = None
    if any(coefficients):
        model = values.get('distortion_model') or values.get('camera_model')
        distortion = Distortion(model, coefficients)
    return CameraModel(k, distortion, (values['image_width'], values['image_height']))
