"""
A room with exact geometry and a network that knows it: the engine's test bench.

The room is a box seen from inside; its depth has a closed form. ``OracleRunner`` answers like the
network does: true depth and poses, in a gauge and a scale that are drawn anew for each window.
"""

from collections.abc import Sequence

from da3_ros.engine.runner import WindowPrediction, WindowView
from da3_ros.geometry.cameras import pixel_rays
from da3_ros.geometry.transforms import BODY_FROM_OPTICAL, invert, rigid, Sim3
import numpy as np
from scipy.spatial.transform import Rotation
import torch

ROOM_LOW, ROOM_HIGH = np.array([-3.0, -4.0, -1.0]), np.array([5.0, 4.0, 2.0])


def box_depth(world_from_camera: np.ndarray, intrinsics: np.ndarray, height: int, width: int):
    """Return the z-depth (H, W) that a camera inside the room sees."""
    rays = pixel_rays(intrinsics, height, width) @ world_from_camera[:3, :3].T
    to_walls = np.where(rays > 0, ROOM_HIGH, ROOM_LOW) - world_from_camera[:3, 3]
    depth = np.divide(to_walls, rays, out=np.full_like(rays, np.inf), where=rays != 0)
    return depth.min(axis=-1)  # the rays have z = 1 in the camera, so this is z-depth


def pose_at(position: Sequence[float], yaw_deg: float = 0.0) -> np.ndarray:
    """Return world_from_camera of a level camera at a place, looking along x turned by a yaw."""
    yaw = Rotation.from_euler('z', yaw_deg, degrees=True).as_matrix()
    return rigid(yaw, np.asarray(position)) @ BODY_FROM_OPTICAL


def arc(frames: int, turn_deg: float = 60.0) -> list[np.ndarray]:
    """Return a walk along an arc while turning."""
    t = np.linspace(0, 1, frames)
    return [pose_at([1.5 * s, 0.8 * np.sin(2 * s), 0.1 * s], turn_deg * s) for s in t]


class OracleRunner:
    """
    Predicts the truth of each stamp in a random similarity gauge, with noise where asked for.

    ``depth_noise`` is the relative error of a smooth bias field, one draw for each view and
    window. ``outliers`` is the share of pixels whose depth is wrong by half.
    """

    def __init__(
        self,
        world_from_camera: dict[int, np.ndarray],
        intrinsics: np.ndarray,
        seed: int = 0,
        depth_noise: float = 0.0,
        outliers: float = 0.0,
    ) -> None:
        """Take the true pose of each stamp and the true K at the size of the network's image."""
        self._poses = world_from_camera
        self._intrinsics = intrinsics
        self._rng = np.random.default_rng(seed)
        self._depth_noise = depth_noise
        self._outliers = outliers
        self.windows: list[list[int]] = []

    def infer(
        self, views: Sequence[WindowView], depth_views: Sequence[int] | None = None
    ) -> WindowPrediction:
        """Predict a window; depth of the views that are asked for."""
        rng = self._rng
        self.windows.append([view.stamp_ns for view in views])
        gauge = Sim3(
            float(np.exp(rng.normal())),
            Rotation.random(random_state=rng).as_matrix(),
            rng.normal(size=3),
        )
        depths, poses = [], []
        for view in views:
            pose = self._poses[view.stamp_ns]
            height, width = view.image.shape[-2:]
            depth = box_depth(pose, self._intrinsics, height, width)
            field = torch.from_numpy(rng.normal(size=(1, 1, 3, 4)))
            field = torch.nn.functional.interpolate(field, (height, width), mode='bilinear')
            depth = depth * np.exp(self._depth_noise * field[0, 0].numpy())
            wrong = rng.random(depth.shape) < self._outliers
            depths.append(gauge.scale * np.where(wrong, 1.5 * depth, depth))
            poses.append(gauge.apply_to_pose(pose))
        depth = torch.from_numpy(np.stack(depths)).float()
        if depth_views is not None:
            others = sorted(set(range(len(views))) - set(depth_views))
            depth[others] = torch.nan
        return WindowPrediction(
            depth=depth,
            confidence=torch.full_like(depth, 2.0),
            window_from_camera=np.stack(poses),
            intrinsics=np.tile(self._intrinsics, (len(views), 1, 1)),
        )


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
