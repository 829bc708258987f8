"""Which frames are seen together: the official sample, windows over a whole scene, stretches."""

from da3_ros.evaluation.frame_choice import First, Sampled, Spread, Stretches
from doubles.official_benchmark import official
import numpy as np
import pytest


@pytest.mark.parametrize(('frames', 'most'), [(1000, 100), (76, 8), (8, 8), (5, 100)])
def test_the_sample_is_the_official_one(frames: int, most: int) -> None:
    addict = pytest.importorskip('addict')
    every = np.tile(np.eye(4), (frames, 1, 1))
    every[:, 0, 3] = np.arange(frames)
    data = {
        'image_files': list(range(frames)),
        'extrinsics': every,
        'intrinsics': every[:, :3, :3],
        'aux': {},
    }
    with official('bench.evaluator') as module:
        evaluator = module.Evaluator.__new__(module.Evaluator)
        evaluator.max_frames = most
        theirs = evaluator._sample_frames(addict.Dict(data), 'scene').image_files
    assert Sampled().windows(frames, most) == [theirs]


def test_windows_spread_over_a_scene() -> None:
    assert Spread().windows(7, 3) == [[0, 2, 4], [1, 3, 5]]
    assert Spread().windows(2, 3) == []
    assert Sampled().windows(0, 3) == []


def test_stretches_of_a_long_recording() -> None:
    assert Stretches(2, most=3).windows(20, 3) == [[0, 2, 4], [8, 10, 12], [15, 17, 19]]
    assert Stretches(2).windows(5, 3) == [[0, 2, 4]]
    assert Stretches(2).windows(4, 3) == []


def test_first_frames() -> None:
    assert First().windows(8, 3) == [[0, 1, 2]]
    assert First().windows(2, 3) == []
