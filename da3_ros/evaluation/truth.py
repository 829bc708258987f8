"""
What is true of a stream: depth, poses and intrinsics of every camera at every stamp.

H W are the size of the image that is asked for; any size can be.
"""

from collections.abc import Mapping
from typing import Protocol

from da3_ros.evaluation.depth import resize_nearest
from da3_ros.evaluation.sequences import Sequence
from da3_ros.geometry.cameras import pixel_rays, scale_intrinsics
import numpy as np


class Truth(Protocol):
    """Anything that knows a stream; a stamp that it has no frame of means the nearest one."""

    def world_from_camera(self, camera: str, stamp_ns: int) -> np.ndarray:
        """Return the pose (4, 4) of a camera's optical frame, in metres."""
        ...

    def depth_m(self, camera: str, stamp_ns: int, height: int, width: int) -> np.ndarray:
        """Return the depth (H, W) along the optical axis, NaN where it isn't known."""
        ...

    def intrinsics(self, camera: str, stamp_ns: int, height: int, width: int) -> np.ndarray:
        """Return K (3, 3) in pixels of an image (H, W)."""
        ...


class SequenceTruth:
    """The truth of sequences on disk, one a camera."""

    def __init__(self, sequences: Mapping[str, Sequence]) -> None:
        """Take a sequence with depth for each camera."""
        self._sequences = dict(sequences)

    def world_from_camera(self, camera: str, stamp_ns: int) -> np.ndarray:
        """Return the pose of the nearest frame."""
        sequence = self._sequences[camera]
        return sequence.world_from_camera[nearest(sequence.stamps_ns, stamp_ns)]

    def depth_m(self, camera: str, stamp_ns: int, height: int, width: int) -> np.ndarray:
        """Return the depth of the nearest frame, resized without inventing any."""
        sequence = self._sequences[camera]
        depth = sequence.depth_m(nearest(sequence.stamps_ns, stamp_ns))
        return resize_nearest(depth, height, width)

    def intrinsics(self, camera: str, stamp_ns: int, height: int, width: int) -> np.ndarray:
        """Return K of the nearest frame, for the size that its depth is resized to."""
        sequence = self._sequences[camera]
        index = nearest(sequence.stamps_ns, stamp_ns)
        depth_height, depth_width = sequence.depth_m(index).shape
        k = sequence.intrinsics[index]
        return scale_intrinsics(k, (depth_width, depth_height), (width, height))


class BoxRoom:
    """
    A room with boxes in it, seen from inside: depth in closed form, at any pose.

    ``low`` and ``high`` (3,) are opposite corners; ``boxes`` (B, 2, 3) those of what stands in it.
    """

    def __init__(
        self, low: np.ndarray, high: np.ndarray, boxes: np.ndarray = np.empty((0, 2, 3))
    ) -> None:
        """Take the corners, in metres."""
        self.low, self.high, self.boxes = np.asarray(low), np.asarray(high), np.asarray(boxes)

    def depth_m(
        self, world_from_camera: np.ndarray, intrinsics: np.ndarray, height: int, width: int
    ) -> np.ndarray:
        """Return the depth (H, W) that a camera (4, 4) inside the room sees."""
        rays = pixel_rays(intrinsics, height, width) @ world_from_camera[:3, :3].T
        rays = np.where(rays == 0, 1e-12, rays)
        # The rays have z = 1 in the camera, so lengths along them are depths. Axes come first: a
        # minimum of three images is many times faster than one of triples.
        rays = np.ascontiguousarray(np.moveaxis(rays, -1, 0))  # (3, H, W)
        low, high, boxes = (
            (corner - world_from_camera[:3, 3])[..., None, None]
            for corner in (self.low, self.high, self.boxes)
        )
        depth = (np.where(rays > 0, high, low) / rays).min(axis=0)
        for box_low, box_high in boxes:
            to_low, to_high = box_low / rays, box_high / rays
            enters = np.minimum(to_low, to_high).max(axis=0)
            leaves = np.maximum(to_low, to_high).min(axis=0)
            depth = np.where((enters > 0) & (enters < leaves), np.minimum(depth, enters), depth)
        return depth


class RoomTruth:
    """The truth of cameras that move through a room."""

    def __init__(
        self,
        room: BoxRoom,
        world_from_camera: Mapping[str, Mapping[int, np.ndarray]],
        intrinsics: np.ndarray | Mapping[str, np.ndarray],
        size: tuple[int, int] | Mapping[str, tuple[int, int]],
    ) -> None:
        """
        Take poses (4, 4) by camera and stamp, and K at a size (width, height).

        K and size are those of all cameras, or each camera's own.
        """
        self.room = room
        self._intrinsics, self._size = intrinsics, size
        self.poses = {camera: dict(poses) for camera, poses in world_from_camera.items()}

    def world_from_camera(self, camera: str, stamp_ns: int) -> np.ndarray:
        """Return the pose at the nearest stamp."""
        poses = self.poses[camera]
        if stamp_ns not in poses:
            stamps = np.array(sorted(poses))
            stamp_ns = int(stamps[nearest(stamps, stamp_ns)])
        return poses[stamp_ns]

    def depth_m(self, camera: str, stamp_ns: int, height: int, width: int) -> np.ndarray:
        """Return the depth at the nearest stamp."""
        pose = self.world_from_camera(camera, stamp_ns)
        k = self.intrinsics(camera, stamp_ns, height, width)
        return self.room.depth_m(pose, k, height, width)

    def intrinsics(self, camera: str, stamp_ns: int, height: int, width: int) -> np.ndarray:
        """Return K at another size."""
        k = self._intrinsics
        k = k[camera] if isinstance(k, Mapping) else k
        return scale_intrinsics(k, self.size(camera), (width, height))

    def size(self, camera: str) -> tuple[int, int]:
        """Return the (width, height) of a camera's images."""
        return self._size[camera] if isinstance(self._size, Mapping) else self._size


def nearest(stamps_ns: np.ndarray, stamp_ns: int) -> int:
    """Return the index of the stamp that is nearest to one; stamps (F,) grow."""
    after = int(np.searchsorted(stamps_ns, stamp_ns))
    if after == 0:
        return 0
    if after == len(stamps_ns):
        return after - 1
    is_nearer = stamps_ns[after] - stamp_ns < stamp_ns - stamps_ns[after - 1]
    return after if is_nearer else after - 1


def nearest_stamps(stamps_ns: np.ndarray, wanted_ns: np.ndarray, within_ns: int) -> np.ndarray:
    """Return the places of the nearest of growing stamps (F,) to wanted ones, -1 if too far."""
    if len(stamps_ns) == 0:
        return np.full(len(wanted_ns), -1)
    after = np.searchsorted(stamps_ns, wanted_ns).clip(1, max(1, len(stamps_ns) - 1))
    before = after - 1
    after = np.minimum(after, len(stamps_ns) - 1)
    is_before = wanted_ns - stamps_ns[before] <= stamps_ns[after] - wanted_ns
    found = np.where(is_before, before, after)
    return np.where(np.abs(stamps_ns[found] - wanted_ns) <= within_ns, found, -1)
