"""
Sequences with truth on disk: images, depth, poses and intrinsics in one folder.

Layout: ``images/%06d.png`` (or .jpg), ``depth/%06d.png`` (uint16, metres = value /
``depth_scale``, 0 is invalid), ``poses.txt`` (TUM, world_from_camera, optical frame; line k
belongs to image k) and ``intrinsics.json`` (fx fy cx cy width height depth_scale; ``per_image``
where cameras differ).
"""

from dataclasses import dataclass
import json
from pathlib import Path

import cv2
from da3_ros.errors import InputError
from da3_ros.geometry.cameras import camera_matrix
from da3_ros.geometry.tum import read_tum, write_tum
import numpy as np

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp')


@dataclass(frozen=True)
class Sequence:
    """
    F frames of one recording; images and depth are read when they are asked for.

    ``stamps_ns`` (F,) int64; ``world_from_camera`` (F, 4, 4) float64, optical frames;
    ``intrinsics`` (F, 3, 3) pixels; ``depth_paths`` is empty where there is no depth;
    ``depth_scale`` units a metre.
    """

    image_paths: tuple[Path, ...]
    depth_paths: tuple[Path, ...]
    depth_scale: float
    stamps_ns: np.ndarray
    world_from_camera: np.ndarray
    intrinsics: np.ndarray

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.image_paths)

    def rgb(self, index: int) -> np.ndarray:
        """Read an image, (H, W, 3) uint8; raises ``InputError`` if it can't be decoded."""
        return read_rgb(self.image_paths[index])

    def depth_m(self, index: int) -> np.ndarray:
        """Read a depth image, (H, W) float32 metres, NaN where it is invalid."""
        return read_depth(self.depth_paths[index], self.depth_scale)


def read_rgb(path: Path) -> np.ndarray:
    """
    Read an image file as (H, W, 3) uint8, in RGB order.

    Raises:
        InputError: if the file is not an image that OpenCV can read.

    """
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise InputError(f'{path} is not an image that OpenCV can read.')
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def read_depth(path: Path, units_per_metre: float, invalid: int = 0) -> np.ndarray:
    """
    Read a 16-bit depth image as (H, W) float32 metres, NaN where it is 0 or ``invalid``.

    Raises:
        InputError: if the file is not a 16-bit image.

    """
    raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if raw is None or raw.dtype != np.uint16 or raw.ndim != 2:
        raise InputError(f'{path} is not a 16-bit depth image.')
    known = (raw > 0) & (raw != invalid)
    return np.where(known, raw / np.float32(units_per_metre), np.nan).astype(np.float32)


def read_grey(path: Path) -> np.ndarray:
    """Read an image file as (H, W) uint8; raises ``InputError`` if it can't be decoded."""
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise InputError(f'{path} is not an image that OpenCV can read.')
    return grey


def image_files(folder: Path) -> tuple[Path, ...]:
    """Return the images in a folder, in the order of their names."""
    return tuple(sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES))


def read_intrinsics(path: Path, count: int) -> np.ndarray:
    """
    Read ``intrinsics.json`` as K (count, 3, 3), one a frame.

    Raises:
        InputError: if the file does not hold fx, fy, cx, cy, or ``per_image`` has another length.

    """
    try:
        values = json.loads(path.read_text())
        cameras = values.get('per_image') or [values] * count
        numbers = [[float(camera[key]) for key in ('fx', 'fy', 'cx', 'cy')] for camera in cameras]
        k = np.array([camera_matrix(*four) for four in numbers])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f'{path} does not hold fx, fy, cx and cy: {error!r}.') from error
    if len(k) != count:
        raise InputError(f'{path} holds {len(k)} cameras in per_image; expected {count}.')
    return k.reshape(count, 3, 3)


def read_sequence(root: Path, stamps_per_second: float = 1.0) -> Sequence:
    """
    Open a folder of the layout above; ``stamps_per_second`` is for stamps that count frames.

    Raises:
        InputError: if a part is missing or the numbers of images, depth images and poses differ.

    """
    for part in ('images', 'poses.txt', 'intrinsics.json'):
        if not (root / part).exists():
            raise InputError(
                f"{root} has no '{part}'; expected images/, poses.txt, intrinsics.json and depth/."
            )
    images = image_files(root / 'images')
    depth = image_files(root / 'depth') if (root / 'depth').is_dir() else ()
    stamps_ns, world_from_camera = read_tum(root / 'poses.txt', stamps_per_second)
    if len(stamps_ns) != len(images) or (depth and len(depth) != len(images)):
        raise InputError(
            f'{root} has {len(images)} images, {len(depth)} depth images and {len(stamps_ns)} '
            'poses; expected as many of each.'
        )
    path = root / 'intrinsics.json'
    intrinsics = read_intrinsics(path, len(images))
    depth_scale = float(json.loads(path.read_text()).get('depth_scale', 1000.0))
    return Sequence(images, depth, depth_scale, stamps_ns, world_from_camera, intrinsics)


def write_sequence(
    root: Path,
    rgb: np.ndarray,
    depth_m: np.ndarray,
    stamps_ns: np.ndarray,
    world_from_camera: np.ndarray,
    intrinsics: np.ndarray,
    depth_scale: float = 1000.0,
) -> None:
    """
    Write frames of one camera in the layout above, so that ``read_sequence`` gives them back.

    ``rgb`` (F, H, W, 3) uint8; ``depth_m`` (F, H, W), NaN where invalid, rounded to 1 /
    ``depth_scale`` and invalid beyond 65535 / ``depth_scale``; ``stamps_ns`` (F,);
    ``world_from_camera`` (F, 4, 4); ``intrinsics`` (3, 3).
    """
    for part in ('images', 'depth'):
        (root / part).mkdir(parents=True, exist_ok=True)
    for i, (image, depth) in enumerate(zip(rgb, depth_m, strict=True)):
        units = np.rint(np.nan_to_num(depth, nan=0.0, posinf=0.0, neginf=0.0) * depth_scale)
        units = np.where((units > 0) & (units <= 65535), units, 0).astype(np.uint16)
        cv2.imwrite(str(root / 'images' / f'{i:06d}.png'), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        cv2.imwrite(str(root / 'depth' / f'{i:06d}.png'), units)
    write_tum(root / 'poses.txt', stamps_ns, world_from_camera)
    camera = {
        'model': 'PINHOLE',
        'width': int(rgb.shape[2]),
        'height': int(rgb.shape[1]),
        'fx': float(intrinsics[0, 0]),
        'fy': float(intrinsics[1, 1]),
        'cx': float(intrinsics[0, 2]),
        'cy': float(intrinsics[1, 2]),
        'depth_scale': depth_scale,
        'pose_convention': 'world_from_camera, OpenCV optical frame',
    }
    (root / 'intrinsics.json').write_text(json.dumps(camera, indent=1) + '\n')
