"""Metres from a depth sensor: its ranges against the map's depth, on the pixels that both see."""

from collections import deque
from collections.abc import Sequence

from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.scale.depths import cell_of, depth_ratio, DepthRatio, is_smooth
from da3_ros.engine.scale.robot import Robot
from da3_ros.engine.scale.source import Evidence, ReadingSource
from da3_ros.geometry.rays import is_depth
import numpy as np
import torch

# The fewest points in the image that say something, and the most that are compared.
_MIN_POINTS = 20
_MAX_POINTS = 5000
# A keyframe for which no measurement has come by then will not get any.
_PATIENCE_NS = 2_000_000_000
# A view's depth is off as a whole by about this; what sensor and extrinsics get wrong for good.
_VIEW_SIGMA = 0.02
_FLOOR = 0.005
# Keyframes that may wait for their measurement.
_WAITING = 8


class DepthSensorSource(ReadingSource):
    """
    Compares the depth of keyframes with points that a sensor measured at their stamps.

    A scan's single row across the image is enough. Points at edges, where sensor and camera may
    see different things, are left out.
    """

    name = 'depth_sensor'

    def __init__(self, robot: Robot) -> None:
        """Take who has the sensor's points."""
        super().__init__(_FLOOR)
        self._robot = robot

    def _forget(self) -> None:
        super()._forget()
        self._waiting: deque[Keyframe] = deque(maxlen=_WAITING)

    def _take(self, views: Sequence[Keyframe], kept: Sequence[Keyframe]) -> Evidence:
        # Until something is known, any view will do: the robot may stand, and no keyframe come.
        self._waiting.extend(kept if len(self._readings) else views)
        now_ns = max(view.view.stamp_ns for view in views)
        evidence = Evidence.ABSENT
        for keyframe in list(self._waiting):
            view = keyframe.view
            points = self._robot.points_in_camera(view.camera, view.stamp_ns)
            if points is not None:
                found = Evidence.FRESH if self._read(keyframe, points) else Evidence.IDLE
                evidence = max(evidence, found, key=lambda e: e.value)
            if points is not None or now_ns - view.stamp_ns > _PATIENCE_NS:
                self._waiting.remove(keyframe)
        if evidence is Evidence.ABSENT:
            self.problem = (
                'nothing came from the depth sensor at the stamps of the images, or TF does not '
                'say where it is'
            )
        return evidence

    def _read(self, keyframe: Keyframe, points: np.ndarray) -> bool:
        """Take a reading from points (N, 3) in the camera's frame; False if too few are seen."""
        ratio = points_ratio(keyframe, points)
        if ratio is None:
            self.problem = (
                f"fewer than {_MIN_POINTS} of the sensor's points lie in the image of camera "
                f"'{keyframe.view.camera}'"
            )
            return False
        self._readings.add(ratio.log_scale, ratio.sigma)
        return True


def points_ratio(keyframe: Keyframe, points: np.ndarray) -> DepthRatio | None:
    """Return the ratio of points (N, 3) to the depth where they fall; None if hardly any do."""
    points = points[np.isfinite(points).all(axis=1)]
    points = points[points[:, 2] > 0]
    points = points[:: max(1, len(points) // _MAX_POINTS)]
    height, width = keyframe.depth.shape
    (fx, skew, cx), (_, fy, cy), _ = keyframe.intrinsics
    x, y, z = points.T
    u = np.rint((fx * x + skew * y) / z + cx)
    v = np.rint(fy * y / z + cy)
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    u, v, z = (torch.as_tensor(a[inside]) for a in (u, v, z))
    u, v = u.long(), v.long()
    depth = keyframe.depth.float()
    valid = (is_smooth(depth) & is_depth(depth))[v, u]
    if int(valid.sum()) < _MIN_POINTS:
        return None
    u, v, z = u[valid], v[valid], z[valid]
    weights = (keyframe.weight[v, u].float() - 1.0).clamp_min(1e-3)
    return depth_ratio(z, depth[v, u], weights, cell_of(u, v, height, width), _VIEW_SIGMA)
