"""The page of a stream: what is kept of it is bounded, and a network without a map has one too."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from da3_ros.config import NodeConfig
from da3_ros.engine import EngineStatus, KeyframePose, Update, View
from da3_ros.tools import infer_page as infer_page_module
from da3_ros.tools.infer_page import InferPage
import numpy as np
import pytest


def view(stamp_ns: int, **changes) -> View:
    """Return a view of a wall; a keyframe."""
    pose = np.eye(4)
    pose[0, 3] = stamp_ns / 1e9
    made = View(
        camera='',
        stamp_ns=stamp_ns,
        depth_m=np.full((12, 16), 2.0, np.float32),
        confidence=np.full((12, 16), 3.0, np.float32),
        rgb=np.full((12, 16, 3), 90, np.uint8),
        intrinsics=np.array([[16.0, 0, 8], [0, 16, 6], [0, 0, 1]]),
        map_from_camera=pose,
        pose_covariance=np.eye(6),
        is_keyframe=True,
    )
    return replace(made, **changes)


def engine(**changes) -> SimpleNamespace:
    """Return what a page asks of an engine."""
    fields = {'model_name': 'embedded', 'device': 'cpu', 'licence': '', 'is_trained': True}
    fields |= {'has_map': True, 'keyframes': (), 'status': EngineStatus(scale=4.0)}
    return SimpleNamespace(**(fields | changes))


def keyframes_in(monkeypatch: pytest.MonkeyPatch) -> list:
    """Return a list that the scenes of pages leave their keyframes in."""
    found: list = []
    scene_text = infer_page_module.scene_text

    def spy(keyframes, ways, flat):
        found.append((keyframes, ways, flat))
        return scene_text(keyframes, ways, flat)

    monkeypatch.setattr(infer_page_module, 'scene_text', spy)
    return found


def test_keyframes_are_where_and_as_large_as_the_map_has_them_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = keyframes_in(monkeypatch)
    page = InferPage(NodeConfig(), 'a run')
    for stamp in (0, 10**9, 2 * 10**9):
        page.add(Update((view(stamp),), EngineStatus(scale=2.0)), 5.0)
    moved = np.eye(4)
    moved[1, 3] = 9.0
    kept = (KeyframePose('', 10**9, moved, 3.0), KeyframePose('', 77, np.eye(4), 1.0))
    page.write(tmp_path / 'report.html', engine(keyframes=kept), drops=2)
    ((keyframes, ways, flat),) = found
    (keyframe,) = keyframes
    assert keyframe.map_from_camera[1, 3] == 9.0 and keyframe.scale == 1.5
    assert ways['camera'][:, 0].tolist() == [0.0, 1.0, 2.0] and flat is None
    assert '2 dropped' in (tmp_path / 'report.html').read_text()


def test_a_network_that_makes_no_map_has_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = keyframes_in(monkeypatch)
    page = InferPage(NodeConfig(), 'a run')
    alone = view(5, map_from_camera=None, pose_covariance=None, is_keyframe=False)
    page.add(Update((alone,), EngineStatus()), 5.0)
    page.write(tmp_path / 'report.html', engine(has_map=False), drops=0)
    ((keyframes, ways, flat),) = found
    assert keyframes == [] and ways == {} and flat.stamp_ns == 5
    text = (tmp_path / 'report.html').read_text()
    assert 'Way of the camera' not in text and 'keyframes</span>' not in text


def test_a_stream_without_a_frame_has_no_page(tmp_path: Path) -> None:
    InferPage(NodeConfig(), 'a run').write(tmp_path / 'report.html', engine(), drops=3)
    assert not (tmp_path / 'report.html').exists()


def test_a_long_stream_is_kept_in_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infer_page_module, '_MAX_KEYFRAMES', 7)
    page = InferPage(NodeConfig(), 'a run')
    for i in range(1000):
        page.add(Update((view(i * 10**8),), EngineStatus(scale=1.0)), 5.0)
        assert len(page._pictures) <= 24 and len(page._keyframes) <= 7
    stamps = np.array([stamp for stamp, _ in page._pictures])
    assert np.ptp(np.diff(stamps)) == 0, 'evenly over the stream'
    assert stamps[0] == 0 and stamps[-1] > 0.8 * 1000 * 10**8
