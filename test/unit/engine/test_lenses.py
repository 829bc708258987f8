"""The network sees what a camera without distortion would, and what goes out says so."""

import cv2
from da3_ros.config import EngineConfig
from da3_ros.engine import Frame, StreamingEngine
from da3_ros.engine.preprocess import preprocess
from da3_ros.evaluation.simulator import NetworkSimulator, Noise
from da3_ros.geometry.cameras import Distortion
from da3_ros.parameter_tree import replaced
from doubles.box_room import arc, room_truth
import numpy as np
import pytest

SIZE = WIDTH, HEIGHT = 224, 168
NETWORK_SIZE = 112, 84
K = np.array([[160.0, 0.0, 111.0], [0.0, 165.0, 84.0], [0.0, 0.0, 1.0]])
HALF = np.diag((0.5, 0.5, 1.0))
CONFIG = replaced(EngineConfig(), {'device': 'cpu', 'resolution': 112, 'window.size': 3})
LENSES = {
    'plumb_bob': (-0.3, 0.1, 0.001, -0.001, 0.0),
    'rational_polynomial': (0.2, -0.1, 0.0, 0.0, 0.01, 0.4, -0.1, 0.02),
    'equidistant': (-0.05, 0.01, 0.0, 0.0),
}


def stream(count: int) -> tuple[StreamingEngine, list[dict]]:
    """Return an engine on an oracle, and the stamps and pictures of its frames."""
    frames = [
        {
            'stamp_ns': (i + 1) * 10**8,
            'rgb': np.random.default_rng(i).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
        }
        for i in range(count)
    ]
    poses = dict(zip((f['stamp_ns'] for f in frames), arc(count, 20.0), strict=True))
    truth = room_truth(poses, HALF @ K, NETWORK_SIZE)
    return StreamingEngine(CONFIG, NetworkSimulator(truth, Noise())), frames


@pytest.mark.parametrize('model', LENSES)
def test_the_engine_takes_distortion_away(model: str) -> None:
    """The picture is OpenCV's, resized; the intrinsics are K at the size of the depth."""
    engine, (given,) = stream(1)
    distortion = Distortion(model, LENSES[model])
    (view,) = engine.push([Frame('', **given, intrinsics=K, distortion=distortion)]).views
    d = np.array(LENSES[model])
    if model == 'equidistant':
        straight = cv2.fisheye.undistortImage(given['rgb'], K, d, Knew=K)
    else:
        straight = cv2.undistort(given['rgb'], K, d)
    np.testing.assert_array_equal(view.rgb, preprocess(straight, 112).rgb)
    np.testing.assert_allclose(view.intrinsics, HALF @ K)
    assert view.depth_m.shape == (84, 112)


def test_a_new_calibration_counts_from_the_next_frame_on() -> None:
    """Other intrinsics, another lens, none: the map goes on."""
    engine, frames = stream(4)
    calibrations = [
        {'intrinsics': K, 'distortion': Distortion('plumb_bob', LENSES['plumb_bob'])},
        {'intrinsics': K * [[1.01], [1.01], [1]]},
        {'intrinsics': K, 'distortion': Distortion('equidistant', LENSES['equidistant'])},
        {},
    ]
    for given, calibration in zip(frames, calibrations, strict=True):
        update = engine.push([Frame('', **given, **calibration)])
        assert not update.was_reset
        if calibration:
            expected = HALF @ calibration['intrinsics']
            np.testing.assert_allclose(update.views[0].intrinsics, expected)
        else:  # the network's own
            assert np.isfinite(update.views[0].intrinsics).all()
