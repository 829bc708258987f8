"""Cameras and poses of a COLMAP reconstruction, as text or binary."""

from dataclasses import dataclass
from pathlib import Path
import struct

from da3_ros.errors import InputError
from da3_ros.geometry.cameras import camera_matrix
from da3_ros.geometry.transforms import invert, pose_from_quaternion
import numpy as np

# Number in binary files: name, number of parameters.
_MODELS = {
    0: ('SIMPLE_PINHOLE', 3),
    1: ('PINHOLE', 4),
    2: ('SIMPLE_RADIAL', 4),
    3: ('RADIAL', 5),
    4: ('OPENCV', 8),
    5: ('OPENCV_FISHEYE', 8),
    6: ('FULL_OPENCV', 12),
    7: ('FOV', 5),
    8: ('SIMPLE_RADIAL_FISHEYE', 4),
    9: ('RADIAL_FISHEYE', 5),
    10: ('THIN_PRISM_FISHEYE', 12),
}
_ONE_FOCAL_LENGTH = {name for name, _ in _MODELS.values() if name.startswith(('SIMPLE', 'RADIAL'))}


@dataclass(frozen=True)
class Camera:
    """A camera model's name, image size (width, height) and parameters, fx fy cx cy first."""

    model: str
    size: tuple[int, int]
    parameters: tuple[float, ...]

    def matrix(self) -> np.ndarray:
        """Return K (3, 3) in COLMAP's pixels, whose corner is (0, 0); raises ``InputError``."""
        if self.model in _ONE_FOCAL_LENGTH or len(self.parameters) < 4:
            raise InputError(f'COLMAP camera model {self.model}; expected one with fx fy cx cy.')
        return camera_matrix(*self.parameters[:4])


@dataclass(frozen=True)
class Picture:
    """A registered picture: its file's name, its camera's number, world_from_camera (4, 4)."""

    name: str
    camera: int
    world_from_camera: np.ndarray


def read_colmap(folder: Path) -> tuple[dict[int, Camera], list[Picture]]:
    """
    Read cameras and pictures, in the order of the file, of cameras and images, .bin or .txt.

    Raises:
        InputError: if a file is missing or can't be read.

    """
    for suffix, cameras_of, pictures_of in (
        ('.bin', _binary_cameras, _binary_pictures),
        ('.txt', _text_cameras, _text_pictures),
    ):
        cameras, pictures = folder / f'cameras{suffix}', folder / f'images{suffix}'
        if cameras.is_file() and pictures.is_file():
            try:
                return cameras_of(cameras), pictures_of(pictures)
            except (ValueError, IndexError, KeyError, struct.error) as error:
                raise InputError(f'{folder} is no COLMAP reconstruction: {error}.') from error
    raise InputError(f'{folder} has neither cameras.bin and images.bin nor the same as .txt.')


def _text_cameras(path: Path) -> dict[int, Camera]:
    cameras = {}
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith('#'):
            number, model, width, height, *parameters = line.split()
            size = int(float(width)), int(float(height))
            cameras[int(number)] = Camera(model, size, tuple(map(float, parameters)))
    return cameras


def _text_pictures(path: Path) -> list[Picture]:
    lines = [x for x in path.read_text().splitlines() if not x.startswith('#')]
    pictures = []
    # Every other line lists points, and is empty where there are none.
    for line in lines[::2]:
        if line.strip():
            fields = line.split(maxsplit=9)
            numbers = np.array(fields[1:8], dtype=np.float64)
            pictures.append(_picture(fields[9], int(fields[8]), numbers))
    return pictures


def _picture(name: str, camera: int, numbers: np.ndarray) -> Picture:
    """Return a picture of qw qx qy qz tx ty tz, camera_from_world."""
    camera_from_world = pose_from_quaternion(numbers[4:], np.roll(numbers[:4], -1))
    return Picture(name, camera, invert(camera_from_world))


def _binary_cameras(path: Path) -> dict[int, Camera]:
    data = path.read_bytes()
    (count,), at = struct.unpack_from('<Q', data), 8
    cameras = {}
    for _ in range(count):
        number, model, width, height = struct.unpack_from('<iiQQ', data, at)
        name, size = _MODELS[model]
        parameters = struct.unpack_from(f'<{size}d', data, at + 24)
        cameras[number] = Camera(name, (width, height), parameters)
        at += 24 + 8 * size
    return cameras


def _binary_pictures(path: Path) -> list[Picture]:
    data = path.read_bytes()
    (count,), at = struct.unpack_from('<Q', data), 8
    pictures = []
    for _ in range(count):
        _, *numbers, camera = struct.unpack_from('<i7di', data, at)
        end = data.index(b'\0', at + 64)
        name = data[at + 64 : end].decode()
        (points,) = struct.unpack_from('<Q', data, end + 1)
        at = end + 9 + 24 * points  # x, y and the number of each point
        pictures.append(_picture(name, camera, np.array(numbers)))
    return pictures
