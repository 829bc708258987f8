"""ScanNet++: pictures of a phone in scanned rooms, cameras by COLMAP."""

from pathlib import Path

import cv2
from da3_ros.errors import InputError
from da3_ros.evaluation.datasets.colmap import Camera, read_colmap
from da3_ros.evaluation.datasets.dataset import Dataset, folders, needed, Scene, with_frames
from da3_ros.evaluation.datasets.true_points import true_points
from da3_ros.evaluation.frame_choice import Sampled
from da3_ros.evaluation.sequences import read_depth, read_rgb
from da3_ros.evaluation.surface_rules import SampledSurface, TsdfRule
from da3_ros.geometry.cameras import scale_intrinsics
import numpy as np

_SCENES = (
    *('09c1414f1b', '1ada7a0617', '40aec5fffa', '3e8bba0176', 'acd95847c5', '578511c8a9'),
    *('5f99900f09', 'c4c04e6d6c', 'f3d64c30f8', '7bc286c1b6', 'c5439f4607', '286b55a2bf'),
    *('fb5a96b1a2', '7831862f02', '38d58a7a31', 'bde1e479ad', '9071e139d9', '21d970d8de'),
    *('bcd2436daf', 'cc5237fd77'),
)
# The width and height at which the benchmark fuses.
_SIZE = (1024, 768)
_RULE = TsdfRule(0.02, 0.15, 0.05, 0.02, max_depth_m=5.0, margin_m=0.1)
_UNITS_PER_METRE = 1000.0


class _Lens:
    """What makes the benchmark's picture of a phone's: undistorted, cut to what is whole."""

    def __init__(self, camera: Camera) -> None:
        """
        Take a camera of the model PINHOLE or OPENCV.

        Raises:
            InputError: if it is another one.

        """
        if camera.model not in ('PINHOLE', 'OPENCV'):
            raise InputError(f'COLMAP camera model {camera.model}; expected PINHOLE or OPENCV.')
        width, height = camera.size
        # OpenCV counts pixels from their centres, COLMAP from their corners.
        self._raw = camera.matrix()
        self._raw[:2, 2] -= 0.5
        self._coefficients = np.zeros(5)
        matrix, self._cut = self._raw, (0, 0, width, height)
        if camera.model == 'OPENCV':
            self._coefficients[:4] = camera.parameters[4:]
            matrix, self._cut = cv2.getOptimalNewCameraMatrix(
                self._raw, self._coefficients, camera.size, 1, camera.size
            )
        self._whole = matrix
        left, top, width, height = self._cut
        if not width or not height:
            raise InputError(f'Nothing of a picture is left without the distortion of {camera}.')
        matrix = matrix.copy()
        matrix[:2, 2] += 0.5 - np.array([left, top])
        self.matrix = scale_intrinsics(matrix, (width, height), _SIZE)

    def seen(self, rgb: np.ndarray) -> np.ndarray:
        """Return the picture (768, 1024, 3) of a raw one."""
        if self._coefficients.any():
            rgb = cv2.undistort(rgb, self._raw, self._coefficients, newCameraMatrix=self._whole)
        left, top, width, height = self._cut
        rgb = rgb[top : top + height, left : left + width]
        return cv2.resize(rgb, _SIZE, interpolation=cv2.INTER_AREA)


def _scenes(root: Path) -> list[str]:
    return folders(root, _SCENES)


def _read(root: Path, name: str) -> Scene:
    folder = root / name / 'merge_dslr_iphone'
    cameras, pictures = read_colmap(needed(folder / 'colmap' / 'sparse_render_rgb'))
    images = folder / 'images'
    used = [p for p in pictures if 'iphone' in p.name and (images / p.name).is_file()]
    used = sorted(used, key=lambda p: p.name)
    with_frames(folder, len(used))
    lenses = {number: _Lens(cameras[number]) for number in {p.camera for p in used}}
    depths = [folder / 'render_depth' / f'{Path(p.name).stem}.png' for p in used]

    def depth_m(frame: int) -> np.ndarray:
        return read_depth(needed(depths[frame]), _UNITS_PER_METRE)

    def is_valid(frame: int) -> np.ndarray | None:
        if not depths[frame].is_file():
            return None
        depth = np.nan_to_num(depth_m(frame))
        return cv2.resize(depth, _SIZE, interpolation=cv2.INTER_LINEAR) > 0

    return Scene(
        name=name,
        world_from_camera=np.stack([p.world_from_camera for p in used]),
        intrinsics=np.stack([lenses[p.camera].matrix for p in used]),
        rgb=lambda frame: lenses[used[frame].camera].seen(read_rgb(images / used[frame].name)),
        depth_m=depth_m,
        is_valid=is_valid,
        surface=lambda frames: SampledSurface(
            true_points(needed(root / name / 'scans' / 'mesh_aligned_0.05.ply')), _RULE
        ),
    )


SCANNETPP = Dataset(
    'scannetpp',
    'SCENE/merge_dslr_iphone with colmap/sparse_render_rgb, images and render_depth, and '
    'SCENE/scans/mesh_aligned_0.05.ply, SCENE like 09c1414f1b',
    _scenes,
    _read,
    Sampled(),
)
