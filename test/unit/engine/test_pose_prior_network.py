"""Pose priors with the embedded network, on rendered pictures of rooms that it has not seen."""

from da3_ros.config import EngineConfig
from da3_ros.engine.graph_runner import GraphRunner
from da3_ros.engine.pose_prior import PosePrior
from da3_ros.engine.runner import WindowPrediction, WindowView
from da3_ros.engine.window import Company
from da3_ros.geometry.transforms import invert, rotation_angle_deg
from da3_ros.model import load_any_view
from da3_ros.parameter_tree import replaced
from da3_ros.training.heldout import held_out_windows, HeldOutConfig
from doubles.faulty_odometry import turned
import numpy as np
import pytest
import torch

VIEWS = 3
CONFIG = replaced(EngineConfig(), {'pose_prior': 'odometry', 'device': 'cpu'})


class Told:
    """A robot whose odometry is a table."""

    def __init__(self, poses: np.ndarray) -> None:
        self.poses = poses

    def odom_from_camera(self, camera: str, stamp_ns: int) -> np.ndarray:
        return self.poses[stamp_ns]


class Windows:
    """Rendered windows of views, and the network."""

    def __init__(self) -> None:
        self.runner = GraphRunner(load_any_view('embedded', torch.device('cpu')), VIEWS)
        self.windows = held_out_windows(HeldOutConfig(4, VIEWS, first=1000), torch.device('cpu'))
        self.poses = self.windows.world_from_camera.double().numpy()  # (4, V, 4, 4)

    def infer(self, window: int, told: np.ndarray) -> tuple[WindowPrediction, PosePrior]:
        """Predict a window, its first views, as many as poses are told."""
        count = len(told)
        k = self.windows.intrinsics[window].double().numpy()
        views = [  # keys are never used twice: prefixes are kept by them
            WindowView(VIEWS * window + i, '', i, self.windows.images[window, i], k[i])
            for i in range(count)
        ]
        prior = PosePrior(CONFIG, Told(told))
        prediction = prior.infer(self.runner, Company(()), views, range(count))
        return prediction, prior

    def error_deg(self, window: int, told: np.ndarray | None = None) -> float:
        """Return by how much rotations seen from the first view are wrong."""
        true = self.poses[window]
        if told is None:
            views = [
                WindowView(VIEWS * window + i, '', i, self.windows.images[window, i])
                for i in range(VIEWS)
            ]
            prediction = self.runner.infer(views)
        else:
            prediction, _ = self.infer(window, told)
        seen = invert(prediction.window_from_camera[0]) @ prediction.window_from_camera
        right = invert(true[0]) @ true
        turn = np.swapaxes(seen[1:, :3, :3], 1, 2) @ right[1:, :3, :3]
        return float(rotation_angle_deg(turn).mean())


@pytest.fixture(scope='module')
def windows() -> Windows:
    """Return windows of four rooms."""
    return Windows()


def test_right_poses_leave_less_than_half_of_the_errors(windows: Windows) -> None:
    free = [windows.error_deg(i) for i in range(4)]
    told = [windows.error_deg(i, windows.poses[i]) for i in range(4)]
    assert np.mean(told) < 0.5 * np.mean(free)
    assert all(windows.infer(i, windows.poses[i])[1].status.used == 1 for i in range(4))


@pytest.mark.parametrize('axis', ['x', 'y', 'z'])
def test_a_view_that_is_said_to_be_turned_by_20_degrees_gives_itself_away(
    windows: Windows, axis: str
) -> None:
    for i in range(4):
        told = windows.poses[i].copy()
        told[-1] = told[-1] @ turned(axis, 20.0)
        prior = windows.infer(i, told)[1].status
        assert dict(prior.unused) == {'images': 1}
        assert 'the network sees the new view' in prior.problem


@pytest.mark.parametrize('count', [2, 3])
def test_views_at_one_place_or_on_one_line_are_no_division_by_nothing(
    windows: Windows, count: int
) -> None:
    """Said of pictures that were taken elsewhere: what is told need not even be right."""
    first = windows.poses[0, :1]
    still = np.repeat(first, count, axis=0)
    line = still.copy()
    line[:, 0, 3] += 0.1 * np.arange(count)
    nearly = still.copy()
    nearly[:, 0, 3] += 1e-9 * np.arange(count)
    for told in (still, line, nearly):
        prediction, _ = windows.infer(0, told)
        assert np.isfinite(prediction.window_from_camera).all()
        assert torch.isfinite(prediction.depth).all()
