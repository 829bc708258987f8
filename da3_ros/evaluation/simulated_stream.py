"""Streams through the engine on a simulated network: what becomes of the scale."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from da3_ros.config import EngineConfig
from da3_ros.engine import EngineStatus, Frame, StreamingEngine, Update
from da3_ros.engine.scale import MetricRunner
from da3_ros.evaluation.simulated_robot import SimulatedRobot
from da3_ros.evaluation.simulator import NetworkSimulator
from da3_ros.evaluation.truth import BoxRoom
from da3_ros.geometry.transforms import BODY_FROM_OPTICAL, rigid
import numpy as np
from scipy.spatial.transform import Rotation

FURNISHED_ROOM = BoxRoom(
    [-3.0, -4.0, -1.0],
    [5.0, 4.0, 2.0],
    [
        [[3.0, -2.0, -1.0], [4.0, -1.0, 0.5]],
        [[2.0, 1.5, -1.0], [3.0, 3.0, 0.0]],
        [[-2.0, -3.0, -1.0], [-1.0, -2.0, 1.0]],
        [[-2.5, 1.0, -1.0], [-1.5, 2.0, 0.2]],
    ],
)


@dataclass(frozen=True)
class Moment:
    """
    The stream after one push.

    ``log_error`` is the logarithm of the published scale over the true one, NaN before the map is
    metric. The true one is the median over all frames so far of true over predicted depth, so one
    frame's error is not in it.
    """

    stamp_ns: int
    status: EngineStatus
    update: Update
    log_error: float


def play(
    network: NetworkSimulator,
    config: EngineConfig,
    stamps_ns: Sequence[int],
    size: tuple[int, int],
    cameras: Sequence[str] = ('',),
    robot: SimulatedRobot | None = None,
    metric_runner: MetricRunner | None = None,
) -> Iterator[Moment]:
    """Push a set of frames of a size (width, height) at each stamp, and yield what follows."""
    width, height = size
    engine = StreamingEngine(config, network, robot=robot, metric_runner=metric_runner)
    rgb = np.zeros((height, width, 3), np.uint8)
    true_logs = []
    for stamp in stamps_ns:
        if robot is not None:
            robot.now_ns = stamp
        k = [network.truth.intrinsics(camera, stamp, height, width) for camera in cameras]
        update = engine.push(
            [Frame(camera, stamp, rgb, matrix) for camera, matrix in zip(cameras, k, strict=True)]
        )
        view, status = update.views[0], update.status
        truth = network.truth.depth_m(view.camera, stamp, *view.depth_m.shape)
        true_logs.append(np.nanmedian(np.log(truth * status.scale / view.depth_m)))
        error = np.log(status.scale) - np.median(true_logs) if status.is_metric else np.nan
        yield Moment(stamp, status, update, float(error))


def camera_at(position: Sequence[float], yaw_deg: float = 0.0) -> np.ndarray:
    """Return world_from_camera (4, 4) of a level camera that looks along x turned by a yaw."""
    yaw = Rotation.from_euler('z', yaw_deg, degrees=True).as_matrix()
    return rigid(yaw, np.asarray(position, dtype=np.float64)) @ BODY_FROM_OPTICAL


def winding_walk(frames: int, turn_deg: float = 75.0) -> list[np.ndarray]:
    """Return poses (4, 4) along a winding path through the furnished room."""
    return [
        camera_at([2.0 * s, 1.2 * np.sin(3.0 * s), 0.1 * s], turn_deg * s)
        for s in np.linspace(0.0, 1.0, frames)
    ]
