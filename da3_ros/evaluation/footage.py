"""Footage to evaluate streams on: frames of one camera with truth, on disk, in memory, made up."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from da3_ros.errors import InputError
from da3_ros.evaluation.depth import resize_nearest
from da3_ros.evaluation.sequences import Sequence
from da3_ros.evaluation.truth import nearest, RoomTruth, SequenceTruth, Truth
from da3_ros.geometry.cameras import scale_intrinsics
import numpy as np

# Cameras of truths have names; footage is of one, and it has none.
CAMERA = ''


@dataclass(frozen=True)
class Footage:
    """
    F frames of one camera and all that is true of them.

    ``stamps_ns`` (F,) grow; ``rgb`` of an index is the picture (H, W, 3) uint8, which is black
    where there is truth alone, for a simulated network; ``size`` is its (width, height).
    """

    name: str
    truth: Truth
    stamps_ns: np.ndarray
    size: tuple[int, int]
    rgb: Callable[[int], np.ndarray]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.stamps_ns)

    def world_from_camera(self) -> np.ndarray:
        """Return the true poses (F, 4, 4)."""
        return np.stack([self.truth.world_from_camera(CAMERA, int(s)) for s in self.stamps_ns])

    def depth_m(self, index: int, height: int, width: int) -> np.ndarray:
        """Return the true depth (H, W) of a frame, NaN where it isn't known."""
        return self.truth.depth_m(CAMERA, int(self.stamps_ns[index]), height, width)

    def intrinsics(self, index: int, height: int, width: int) -> np.ndarray:
        """Return the true K (3, 3) of a frame, in pixels of an image (H, W)."""
        return self.truth.intrinsics(CAMERA, int(self.stamps_ns[index]), height, width)


@dataclass(frozen=True)
class FilmTruth:
    """The truth of F frames of one camera, in memory: poses (F, 4, 4), depth (F, H, W), K."""

    stamps_ns: np.ndarray
    poses: np.ndarray
    depths_m: np.ndarray
    k: np.ndarray

    def world_from_camera(self, camera: str, stamp_ns: int) -> np.ndarray:
        """Return the pose of the nearest frame."""
        return self.poses[nearest(self.stamps_ns, stamp_ns)]

    def depth_m(self, camera: str, stamp_ns: int, height: int, width: int) -> np.ndarray:
        """Return the depth of the nearest frame, resized without inventing any."""
        return resize_nearest(self.depths_m[nearest(self.stamps_ns, stamp_ns)], height, width)

    def intrinsics(self, camera: str, stamp_ns: int, height: int, width: int) -> np.ndarray:
        """Return K of all frames, at another size."""
        film_height, film_width = self.depths_m.shape[1:]
        return scale_intrinsics(self.k, (film_width, film_height), (width, height))


def film_footage(name: str, truth: FilmTruth, rgb: np.ndarray) -> Footage:
    """Return the footage of pictures (F, H, W, 3) uint8 in memory."""
    height, width = rgb.shape[1:3]
    return Footage(name, truth, truth.stamps_ns, (width, height), rgb.__getitem__)


def sequence_footage(name: str, sequence: Sequence) -> Footage:
    """
    Return the footage of a sequence on disk.

    Raises:
        InputError: if it has no depth.

    """
    if not sequence.depth_paths:
        raise InputError(f'{name} has no depth images; expected one a frame in depth/.')
    height, width = sequence.rgb(0).shape[:2]
    truth = SequenceTruth({CAMERA: sequence})
    return Footage(name, truth, sequence.stamps_ns, (width, height), sequence.rgb)


def room_footage(name: str, truth: RoomTruth, size: tuple[int, int]) -> Footage:
    """Return footage without pictures of a camera in a room."""
    black = np.zeros((size[1], size[0], 3), np.uint8)
    stamps_ns = np.array(sorted(truth.poses[CAMERA]), dtype=np.int64)
    return Footage(name, truth, stamps_ns, size, partial(_always, black))


def _always(picture: np.ndarray, _: int) -> np.ndarray:
    return picture
