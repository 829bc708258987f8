"""A deterministic engine with the interface of ``StreamingEngine`` and no network in it."""

from collections.abc import Sequence
import dataclasses
import json
from pathlib import Path
import threading
import time

import cv2
from da3_ros.config import NodeConfig
from da3_ros.engine import (
    EngineStatus,
    Frame,
    KeyframePose,
    Surface,
    TrackingState,
    Update,
    View,
)
from da3_ros.engine.admission import Admission
from da3_ros.errors import WeightsError
from da3_ros.geometry.cameras import scale_intrinsics
from da3_ros.geometry.transforms import rigid, Sim3
import numpy as np
from scipy.spatial.transform import Rotation
import torch

KEYFRAME_EVERY = 3


class FakeEngine:
    """
    Sees a slanted plane at half the size of the image, from a camera on a curve.

    ``delay_s`` is how long a push takes; ``gate`` (set by default) holds every push while it is
    cleared. A model named ``missing`` has no weights. ``raises`` is raised once by the next push.
    """

    is_trained = True
    has_map = True
    licence = 'Apache-2.0'

    def __init__(self, config: NodeConfig, robot: object = None) -> None:
        if config.model == 'missing':
            raise WeightsError("There are no weights at 'missing'; give the path of a file.")
        self.device = torch.device('cpu')
        self.model_name = config.model
        self.config = config
        self.delay_s = 0.0
        self.gate = threading.Event()
        self.gate.set()
        self.raises: Exception | None = None
        self.frames: list[Frame] = []
        self.warm = False
        self.is_pushing = False
        self.threads: set[str] = set()
        self.reset()

    def warm_up(self, new: int, progress: object) -> None:
        """Remember that it was called."""
        self.warm = True

    def configure(self, config: NodeConfig) -> None:
        """Take a new configuration."""
        self.config = config

    def reset(self) -> None:
        """Forget the keyframes."""
        self.keyframes: tuple[KeyframePose, ...] = ()
        self.correction = Sim3.identity()  # what a loop that was closed did to the map
        self._surfaces: tuple[Surface, ...] = ()
        self.status = EngineStatus()
        self._admission = Admission(56, self.config.max_stamp_jump_s)
        self._count = 0

    def save_map(self, directory: Path) -> Path:
        """Write the number of keyframes."""
        directory.mkdir(parents=True, exist_ok=True)
        folder = directory / f'map-{len(self.keyframes)}'
        folder.mkdir()
        (folder / 'keyframes.json').write_text(json.dumps(len(self.keyframes)))
        return folder

    def update_map(self) -> None:
        """Learn nothing."""

    def surfaces(self) -> tuple[Surface, ...]:
        """Return what was seen of the plane, corrected."""
        return tuple(s._replace(scaled_from_map=self.correction) for s in self._surfaces)

    def push(self, frames: Sequence[Frame]) -> Update:
        """Return a view for each frame."""
        self.threads.add(threading.current_thread().name)
        self.is_pushing = True
        self.gate.wait()
        self.is_pushing = False
        time.sleep(self.delay_s)
        if self.raises is not None:
            error, self.raises = self.raises, None
            raise error
        for frame in frames:
            frame.check()
        reason = self._admission.check(frames)
        if reason:
            self.reset()
        self._admission.accept(frames)
        self.frames += frames
        views = tuple(self._view(frame) for frame in frames)
        self.keyframes += tuple(
            KeyframePose(v.camera, v.stamp_ns, v.map_from_camera) for v in views if v.is_keyframe
        )
        self._surfaces += tuple(_surface(v) for v in views if v.is_keyframe)
        self._count += 1
        self.status = EngineStatus(
            state=TrackingState.TRACKING if self._count > 1 else TrackingState.INITIALIZING,
            views_in_window=len(frames),
            keyframes=len(self.keyframes),
            scale=2.0,
            scale_spread=0.1,
            registration_inliers=0.9,
            stage_ms={'network': 1.0},
        )
        changed = any(v.is_keyframe for v in views)
        return Update(views, self.status, changed, bool(reason), reason)

    def _view(self, frame: Frame) -> View:
        height, width = frame.rgb.shape[0] // 2, frame.rgb.shape[1] // 2
        k = frame.intrinsics
        if k is None:
            k = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1.0]])
        else:
            k = scale_intrinsics(k, (frame.rgb.shape[1], frame.rgb.shape[0]), (width, height))
        u, v = np.meshgrid(np.arange(width), np.arange(height))
        depth = (1.0 + 0.01 * u + 0.02 * v).astype(np.float32)
        depth[:2, :3] = np.nan
        return View(
            camera=frame.camera,
            stamp_ns=frame.stamp_ns,
            depth_m=depth,
            confidence=(1.0 + 0.05 * u).astype(np.float32),
            rgb=cv2.resize(frame.rgb, (width, height), interpolation=cv2.INTER_AREA),
            intrinsics=k,
            map_from_camera=pose(self._count),
            pose_covariance=np.diag([1e-4, 1e-4, 1e-4, 1e-5, 1e-5, 1e-5]),
            is_keyframe=self._count % KEYFRAME_EVERY == 0,
        )


class HalfBlindEngine(FakeEngine):
    """A fake that cannot place what the camera ``left`` sees."""

    def push(self, frames: Sequence[Frame]) -> Update:
        """Return a view for each frame of another camera."""
        update = super().push(frames)
        views = tuple(view for view in update.views if view.camera != 'left')
        return dataclasses.replace(update, views=views)


class LostEngine(FakeEngine):
    """A fake whose status is LOST from the start."""

    def reset(self) -> None:
        """Forget the keyframes and be lost."""
        super().reset()
        self.status = dataclasses.replace(self.status, state=TrackingState.LOST)


def _surface(view: View) -> Surface:
    """Return what the cloud of the map is made of where a view is a keyframe."""
    return Surface(
        key=view.stamp_ns,
        depth=torch.from_numpy(view.depth_m),
        weight=torch.from_numpy(view.confidence),
        observations=1,
        rgb=view.rgb,
        intrinsics=view.intrinsics,
        map_from_camera=view.map_from_camera,
        scaled_from_map=Sim3.identity(),
    )


def pose(count: int) -> np.ndarray:
    """Return map_from_camera (4, 4) of the so-manieth frame."""
    rotation = Rotation.from_euler('xyz', [0.1, 0.02 * count, -0.3]).as_matrix()
    return rigid(rotation, np.array([0.1 * count, -0.2, 0.3]))
