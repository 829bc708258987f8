"""Loops, getting lost and being found: the engine on a simulated network, along a ring."""

from dataclasses import replace
from da3_ros.engine import TrackingState
from da3_ros.engine.runner import WindowPrediction
from da3_ros.errors import FrameError
from da3_ros.evaluation.simulator import REALISTIC
from da3_ros.geometry.transforms import rigid
from doubles.ring_corridor import on_ring, Stream
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
import torch

# What is drawn in the world along the first frames, which a map is compared by.
FIRST = range(25)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class Scrambled:
    """A network that puts the keyframes of a window anywhere, and is sure of it."""

    def __init__(self, good) -> None:
        self._good, self._rng = good, np.random.default_rng(0)

    def infer(self, views, depth_views=None) -> WindowPrediction:
        prediction = self._good.infer(views, depth_views)
        poses = prediction.window_from_camera.copy()
        for i in range(len(views) - 1):
            turn = Rotation.random(random_state=self._rng).as_matrix()
            poses[i] = rigid(turn, poses[i][:3, 3] + 3 * self._rng.normal(size=3))
        return replace(prediction, window_from_camera=poses)

    def describe(self, view) -> torch.Tensor:
        return self._good.describe(view)


def test_a_window_that_agrees_with_nothing_changes_nothing() -> None:
    stream = Stream(on_ring(np.linspace(0, 0.3, 50)), REALISTIC).run(40)
    engine = stream.engine
    before = engine.keyframes
    good, engine._runner = engine._runner, Scrambled(engine._runner)
    with pytest.raises(FrameError, match='of the window agrees with the map'):
        stream.push(40)
    assert engine.status.state is TrackingState.LOST
    for was, now in zip(before, engine.keyframes, strict=True):
        np.testing.assert_array_equal(was.map_from_camera, now.map_from_camera)
    engine._runner = good
    stream._next = 41
    stream.run()
    assert stream.errors(range(41, 50), FIRST).max() < 0.2
