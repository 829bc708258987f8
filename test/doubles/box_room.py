"""A room with exact geometry, walks through it, and a network that knows both: a test bench."""

from collections.abc import Sequence

from da3_ros.engine.runner import WindowPrediction, WindowView
from da3_ros.evaluation.simulator import NetworkSimulator
from da3_ros.evaluation.truth import BoxRoom, RoomTruth
from da3_ros.geometry.transforms import BODY_FROM_OPTICAL, invert, rigid
import numpy as np
from scipy.spatial.transform import Rotation

ROOM = BoxRoom([-3.0, -4.0, -1.0], [5.0, 4.0, 2.0])


def box_depth(world_from_camera: np.ndarray, intrinsics: np.ndarray, height: int, width: int):
    """Return the z-depth (H, W) that a camera inside the room sees."""
    return ROOM.depth_m(world_from_camera, intrinsics, height, width)


def pose_at(position: Sequence[float], yaw_deg: float = 0.0) -> np.ndarray:
    """Return world_from_camera of a level camera at a place, looking along x turned by a yaw."""
    yaw = Rotation.from_euler('z', yaw_deg, degrees=True).as_matrix()
    return rigid(yaw, np.asarray(position)) @ BODY_FROM_OPTICAL


def arc(frames: int, turn_deg: float = 60.0) -> list[np.ndarray]:
    """Return a walk along an arc while turning."""
    t = np.linspace(0, 1, frames)
    return [pose_at([1.5 * s, 0.8 * np.sin(2 * s), 0.1 * s], turn_deg * s) for s in t]


def room_truth(
    poses: dict[int, np.ndarray], intrinsics: np.ndarray, size: tuple[int, int]
) -> RoomTruth:
    """Return the truth of one unnamed camera, and of one called left at the same place."""
    return RoomTruth(ROOM, {'': poses, 'left': poses}, intrinsics, size)


class RecordingSimulator(NetworkSimulator):
    """A network simulator that remembers the stamps of each window."""

    def __init__(self, *args, **kwargs) -> None:
        """Take what the simulator takes."""
        super().__init__(*args, **kwargs)
        self.windows: list[list[int]] = []

    def infer(
        self, views: Sequence[WindowView], depth_views: Sequence[int] | None = None
    ) -> WindowPrediction:
        """Predict a window."""
        self.windows.append([view.stamp_ns for view in views])
        return super().infer(views, depth_views)


def relative_error(
    estimated: Sequence[np.ndarray], truth: Sequence[np.ndarray]
) -> tuple[float, float]:
    """
    Return the largest position error, in units of the truth, and rotation error in degrees.

    Both paths start at their own origin; the estimate is scaled to the truth's length first.
    """
    est = np.stack([invert(estimated[0]) @ p for p in estimated])
    ref = np.stack([invert(truth[0]) @ p for p in truth])
    scale = np.sum(est[:, :3, 3] * ref[:, :3, 3]) / max(np.sum(est[:, :3, 3] ** 2), 1e-12)
    position = np.linalg.norm(scale * est[:, :3, 3] - ref[:, :3, 3], axis=1).max()
    relative = np.swapaxes(est[:, :3, :3], 1, 2) @ ref[:, :3, :3]
    angle = np.degrees(Rotation.from_matrix(relative).magnitude()).max()
    return float(position), float(angle)
