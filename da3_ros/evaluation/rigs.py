"""Rigs of several cameras for simulated streams: where their cameras are, and what they see."""

from collections.abc import Mapping, Sequence

from da3_ros.evaluation.truth import RoomTruth
from da3_ros.geometry.transforms import invert, rigid, rotation_angle_deg
import numpy as np
from scipy.spatial.transform import Rotation


def ring(yaws_deg: Mapping[str, float], radius_m: float = 0.15) -> dict[str, np.ndarray]:
    """
    Return rig_from_camera (4, 4) of level cameras on a ring that look outwards, by name.

    The rig's frame is an optical one; a yaw of 0 looks along it, a positive one to the left.
    """
    poses = {}
    for name, yaw in yaws_deg.items():
        rotation = Rotation.from_euler('y', -yaw, degrees=True).as_matrix()
        poses[name] = rigid(rotation, rotation @ [0.0, 0.0, radius_m])
    return poses


def rig_truth(
    truth: RoomTruth,
    rig_from_camera: Mapping[str, np.ndarray],
    intrinsics: np.ndarray | Mapping[str, np.ndarray],
    size: tuple[int, int] | Mapping[str, tuple[int, int]],
) -> RoomTruth:
    """Return the truth of a rig that goes where the one camera of another truth does."""
    (poses,) = truth.poses.values()
    by_camera = {
        name: {stamp: pose @ on_rig for stamp, pose in poses.items()}
        for name, on_rig in rig_from_camera.items()
    }
    return RoomTruth(truth.room, by_camera, intrinsics, size)


def rigidity_errors(
    poses: Sequence[np.ndarray], rig_from_camera: Sequence[np.ndarray]
) -> tuple[float, float]:
    """
    Return how far poses (4, 4) of one set are from being rigid: largest degrees and metres.

    Each is compared with where the first one has it.
    """
    first = poses[0] @ invert(rig_from_camera[0])
    turned, off = 0.0, 0.0
    for pose, on_rig in zip(poses, rig_from_camera, strict=True):
        between = invert(first @ on_rig) @ pose
        turned = max(turned, float(rotation_angle_deg(between[:3, :3])))
        off = max(off, float(np.linalg.norm(between[:3, 3])))
    return turned, off
