"""Pixels that show nothing once distortion is taken away have no depth and no say."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
from da3_ros.config import EngineConfig
from da3_ros.engine import Frame, StreamingEngine, Update
from da3_ros.engine.device_preprocess import DevicePreprocess
from da3_ros.engine.intake import Intake
from da3_ros.engine.lenses import Lenses
from da3_ros.engine.letterbox import fit
from da3_ros.engine.runner import WindowPrediction, WindowView
from da3_ros.evaluation.simulator import NetworkSimulator, Noise
from da3_ros.geometry.cameras import Distortion
from da3_ros.parameter_tree import replaced
from doubles.box_room import arc, room_truth
import numpy as np
import pytest
import torch

SIZE = WIDTH, HEIGHT = 224, 168
K = np.array([[160.0, 0.0, 111.0], [0.0, 165.0, 84.0], [0.0, 0.0, 1.0]])
HALF = np.diag((0.5, 0.5, 1.0))
CONFIG = replaced(EngineConfig(), {'device': 'cpu', 'resolution': 112, 'window.size': 4})
# Pincushion: the corners look past what was taken.
CPU = torch.device('cpu')
LENSES = {
    'plumb_bob': (0.4, 0.1, 0.002, -0.001, 0.0),
    'rational_polynomial': (0.5, 0.1, 0.0, 0.0, 0.01, 0.1, -0.1, 0.02),
    'equidistant': (0.5, 0.1, 0.0, 0.0),
}


def frame(model: str | None, stamp: int = 1, k: np.ndarray | None = K) -> Frame:
    """Return a random picture through a lens."""
    rgb = np.random.default_rng(stamp).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    distortion = None if model is None else Distortion(model, LENSES[model])
    return Frame('', stamp * 10**8, rgb, intrinsics=k, distortion=distortion)


def distances_inside(model: str) -> np.ndarray:
    """Return how far (H, W) inside the taken picture each pixel comes from; negative: outside."""
    is_fisheye = model == 'equidistant'
    make = cv2.fisheye.initUndistortRectifyMap if is_fisheye else cv2.initUndistortRectifyMap
    x, y = make(K, np.array(LENSES[model]), np.eye(3), K, SIZE, cv2.CV_32FC1)
    return np.minimum.reduce([x, WIDTH - 1 - x, y, HEIGHT - 1 - y])


@pytest.mark.parametrize('model', LENSES)
def test_what_is_seen_comes_from_inside_of_the_picture(model: str) -> None:
    """To the 32nd of a pixel that OpenCV rounds to."""
    seen = Lenses().seen(frame(model), WIDTH).numpy()
    inside = distances_inside(model)
    assert 0.02 < (~seen).mean() < 0.5
    is_clear = np.abs(inside) > 1 / 32
    np.testing.assert_array_equal(seen[is_clear], inside[is_clear] > 0)


@pytest.mark.parametrize('model', LENSES)
def test_a_pixel_that_is_partly_dark_is_not_seen(model: str) -> None:
    """At half the size: of four pixels, all must be seen."""
    full = Lenses().seen(frame(model), WIDTH).numpy()
    half = Lenses().seen(frame(model), WIDTH // 2).numpy()
    of_four = full.reshape(HEIGHT // 2, 2, WIDTH // 2, 2).all(axis=(1, 3))
    np.testing.assert_array_equal(half, of_four)


def test_lenses_without_dark_borders_have_no_mask() -> None:
    """Barrel distortion fills the picture; without distortion or intrinsics nothing is taken."""
    lenses = Lenses()
    barrel = replace(frame(None), distortion=Distortion('plumb_bob', (-0.2, 0.0, 0.0, 0.0)))
    assert lenses.seen(barrel, 112) is None
    assert lenses.seen(frame(None), 112) is None
    assert lenses.seen(frame('plumb_bob', k=None), 112) is None


def test_a_mask_is_made_once_for_a_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other pictures have the same; many calibrations leave no more than a bounded number."""
    lenses = Lenses()
    first = lenses.seen(frame('plumb_bob', 1), 112)
    assert lenses.seen(frame('plumb_bob', 2), 112) is first
    assert lenses.seen(frame('plumb_bob', k=1.1 * K), 112) is not first
    monkeypatch.setattr('da3_ros.engine.lenses._MAX_CALIBRATIONS', 3)
    for i in range(5):
        lenses.seen(frame('plumb_bob', k=(1 + 0.01 * i) * K), 112)
    assert len(lenses._seen) == 3


def test_both_ways_to_preprocess_have_the_same_mask() -> None:
    """The one on the device, too."""
    intake = Intake(CPU, 112, 1.0)
    plain = intake.prepare([frame('plumb_bob')])[0].view
    intake._fitting._preprocess = DevicePreprocess(CPU)
    fast = intake.prepare([frame('plumb_bob')])[0].view
    assert not plain.seen.all()
    np.testing.assert_array_equal(fast.seen, plain.seen)


def test_a_mask_lies_in_the_letterbox_where_its_picture_does() -> None:
    """What no camera saw is dark, and so are the lens's own borders."""
    wide = Frame('wide', 1, np.zeros((56, 112, 3), np.uint8))
    bent = replace(frame('plumb_bob'), camera='bent')
    view = Intake(CPU, 112, 1.0).prepare([wide, bent])[1].view
    rows, columns = view.content.pixels
    resolution, _ = fit(WIDTH, HEIGHT, 112, (112, 56))
    alone = Lenses().seen(bent, resolution)
    assert tuple(view.seen.shape) == (56, 112) and not alone.all()
    np.testing.assert_array_equal(view.seen[rows, columns], alone)
    assert view.seen.sum() == alone.sum()


def test_the_mask_of_a_letterbox_is_made_once_too() -> None:
    """Keyframes hold the masks of their views for as long as the map lives."""
    intake = Intake(CPU, 112, 1.0)
    wide = Frame('wide', 1, np.zeros((56, 112, 3), np.uint8))
    views = [intake.prepare([wide, frame('plumb_bob', i)])[1].view for i in (1, 2)]
    assert views[0].content is not None and views[0].seen is views[1].seen


class Gossip(NetworkSimulator):
    """Says of dark pixels, and only of them, whatever comes to its mind."""

    def __init__(self, truth: object, tale: float, confidence: float) -> None:
        """Take what the true depth is multiplied by there, and how sure that is."""
        super().__init__(truth, Noise())
        self._tale, self._sureness = tale, confidence

    def infer(
        self, views: Sequence[WindowView], depth_views: Sequence[int] | None = None
    ) -> WindowPrediction:
        """Predict a window."""
        prediction = super().infer(views, depth_views)
        for i, view in enumerate(views):
            if view.seen is not None:
                prediction.depth[i][~view.seen] *= self._tale
                prediction.confidence[i][~view.seen] = self._sureness
        return prediction


def run(tale: float, confidence: float) -> tuple[StreamingEngine, list[Update]]:
    """Return an engine after a walk through a room, and what it said."""
    frames = [frame('plumb_bob', i + 1) for i in range(6)]
    poses = dict(zip((f.stamp_ns for f in frames), arc(6, 40.0), strict=True))
    truth = room_truth(poses, HALF @ K, (112, 84))
    engine = StreamingEngine(CONFIG, Gossip(truth, tale, confidence))
    return engine, [engine.push([f]) for f in frames]


def test_dark_pixels_are_neither_published_nor_listened_to() -> None:
    """NaN and 1 in what goes out; the map is the same to the last bit, whatever they say."""
    engine, updates = run(7.0, 1000.0)
    _, quiet = run(1.0, 1.0)
    seen = Lenses().seen(frame('plumb_bob'), 112).numpy()
    for update, other in zip(updates, quiet, strict=True):
        (view,), (twin,) = update.views, other.views
        np.testing.assert_array_equal(np.isfinite(view.depth_m), seen)
        assert (view.confidence[~seen] == 1.0).all() and (view.confidence[seen] > 1.0).all()
        np.testing.assert_array_equal(view.depth_m, twin.depth_m)
        np.testing.assert_array_equal(view.map_from_camera, twin.map_from_camera)
        np.testing.assert_array_equal(view.pose_covariance, twin.pose_covariance)
    surfaces = engine.surfaces()
    assert len(surfaces) > 1
    for surface in surfaces:
        np.testing.assert_array_equal(np.isfinite(surface.depth.numpy()), seen)
