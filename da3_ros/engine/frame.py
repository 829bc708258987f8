"""What goes into the engine and what comes out: frames, views, updates and the engine's status."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
import enum

from da3_ros.engine.content import Content
from da3_ros.engine.device_view import DeviceView
from da3_ros.engine.prior_status import PriorStatus
from da3_ros.errors import FrameError
from da3_ros.geometry.cameras import Distortion
import numpy as np


@dataclass(frozen=True)
class Frame:
    """
    One image of one camera, as it came from the sensor.

    ``rgb`` (H, W, 3) uint8; ``stamp_ns`` nanoseconds, growing for each camera; ``intrinsics`` (3,
    3) pixels of ``rgb``, or None to use the network's own; ``map_from_camera`` (4, 4) a pose that
    is already known, OpenCV optical frame, or None; ``distortion`` is removed before anything
    else.
    """

    camera: str
    stamp_ns: int
    rgb: np.ndarray
    intrinsics: np.ndarray | None = None
    map_from_camera: np.ndarray | None = None
    distortion: Distortion | None = None

    def check(self) -> None:
        """Raise ``FrameError`` when the frame cannot be an image of a camera."""
        rgb = self.rgb
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
            raise FrameError(
                'frame_image',
                f"Camera '{self.camera}' gave an image of shape {rgb.shape} and type {rgb.dtype}; "
                'expected (H, W, 3) uint8.',
            )
        _check_matrix(self, 'intrinsics', (3, 3))
        _check_matrix(self, 'map_from_camera', (4, 4))
        k = self.intrinsics
        if k is not None and not (k[0, 0] > 0 and k[1, 1] > 0):
            raise FrameError(
                'frame_intrinsics',
                f"Camera '{self.camera}' has focal lengths {k[0, 0]:g} and {k[1, 1]:g}; "
                'expected two positive numbers of pixels.',
            )


def _check_matrix(frame: Frame, name: str, shape: tuple[int, int]) -> None:
    """Raise ``FrameError`` unless the named matrix is None or finite and of this shape."""
    matrix = getattr(frame, name)
    if matrix is not None and (matrix.shape != shape or not np.isfinite(matrix).all()):
        raise FrameError(
            f'frame_{name}',
            f"Camera '{frame.camera}' has {name} {np.asarray(matrix).tolist()}; "
            f'expected a finite matrix of shape {shape}.',
        )


class TrackingState(enum.IntEnum):
    """State of the engine; the values are those of ``da3_ros/msg/Status``."""

    WAITING = 0
    INITIALIZING = 1
    TRACKING = 2
    LOST = 3


@dataclass(frozen=True)
class View:
    """
    What the engine knows of one new frame, all of it in the one gauge and scale of the map.

    ``depth_m`` (h, w) float32 along the optical axis, NaN where invalid; in metres when the status
    says ``is_metric``, else in map units. ``confidence`` (h, w) float32, 1 and up. ``rgb`` (h, w,
    3) uint8, the pixels that the depth belongs to. ``intrinsics`` (3, 3) pixels at the size of the
    depth. ``map_from_camera`` (4, 4) float64. ``pose_covariance`` (6, 6): x, y, z, rotations about
    the fixed x, y, z axes of the map (REP 103), m² and rad². ``on_device`` is what of it is on a
    GPU, for whoever asked the engine for that: a view that has it keeps memory there.
    """

    camera: str
    stamp_ns: int
    depth_m: np.ndarray
    confidence: np.ndarray
    rgb: np.ndarray
    intrinsics: np.ndarray | None
    map_from_camera: np.ndarray | None
    pose_covariance: np.ndarray | None
    is_keyframe: bool
    on_device: DeviceView | None = None

    def within(self, content: Content | None) -> 'View':
        """Return the view without the padding around its content, None: as it is."""
        if content is None:
            return self
        k = self.intrinsics
        return replace(
            self,
            depth_m=self.depth_m[content.pixels],
            confidence=self.confidence[content.pixels],
            rgb=self.rgb[content.pixels],
            intrinsics=None if k is None else content.cut_out(k),
            on_device=None if self.on_device is None else self.on_device.within(content),
        )


@dataclass(frozen=True)
class EngineStatus:
    """
    How the engine is doing after an update; fields mean what ``da3_ros/msg/Status`` says.

    ``scale_warning`` says in a sentence that the scale's source was lost, or is empty;
    ``scale_problems`` by source, why nothing follows from it. ``prior`` tells of known poses that
    windows went with. ``window_shrunk_to`` is how many views a window holds since memory ran out,
    0 while it never did. The rig's errors are NaN where there is no rig of two or more that voted,
    ``rig_problem`` says in a sentence whose extrinsics images speak against, or is empty.
    """

    state: TrackingState = TrackingState.WAITING
    views_in_window: int = 0
    keyframes: int = 0
    map_parts: int = 0
    is_adrift: bool = False
    loops_closed: int = 0
    scale: float = float('nan')
    scale_spread: float = float('nan')
    scale_source: str = 'none'
    is_metric: bool = False
    scale_warning: str = ''
    scale_problems: Mapping[str, str] = field(default_factory=dict)
    registration_inliers: float = 0.0
    window_shrunk_to: int = 0
    rig_cameras: int = 0
    rig_outvoted: int = 0
    rig_rotation_error_deg: float = float('nan')
    rig_translation_error: float = float('nan')
    rig_problem: str = ''
    prior: PriorStatus = PriorStatus()
    stage_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Update:
    """
    Result of one ``StreamingEngine.push``: a view for each frame that was placed in the map.

    ``keyframes_changed`` tells that the engine's ``keyframes`` are not what they were before;
    ``was_reset`` that the map was started anew by this push; ``reset_reason`` says why. ``notice``
    is a sentence on a new source of the scale, or empty. ``refused`` tells, by camera, why a frame
    could not be used while others of its set could.
    """

    views: tuple[View, ...]
    status: EngineStatus
    keyframes_changed: bool = False
    was_reset: bool = False
    reset_reason: str = ''
    notice: str = ''
    refused: Mapping[str, FrameError] = field(default_factory=dict)


@dataclass(frozen=True)
class KeyframePose:
    """
    Where a keyframe is believed to be now; ``map_from_camera`` (4, 4) float64.

    ``scale`` is what its depth has to be multiplied by to be published, of when it was made: the
    scale of the map times what loops have resized it by since.
    """

    camera: str
    stamp_ns: int
    map_from_camera: np.ndarray
    scale: float = 1.0
