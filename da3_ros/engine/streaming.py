"""
The engine: frames in, depth and poses in one map out.

One ``push`` is one turn of the loop: prepare the new frames, run the window, register it to the
map, refine what the map knows, and decide what the map keeps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from da3_ros.config import EngineConfig
from da3_ros.engine.admission import Admission
from da3_ros.engine.device import resolve_device
from da3_ros.engine.device_preprocess import DevicePreprocess
from da3_ros.engine.frame import EngineStatus, Frame, KeyframePose, TrackingState, Update
from da3_ros.engine.graph_runner import GraphRunner, Progress
from da3_ros.engine.intrinsics import IntrinsicsEstimate
from da3_ros.engine.keyframes import covisibility, Keyframe, KeyframeRule, overlap_points
from da3_ros.engine.map_cloud import Surface, surface
from da3_ros.engine.map_file import save_map
from da3_ros.engine.networks import load_networks, MetricNetworkRunner
from da3_ros.engine.placed_view import PlacedView
from da3_ros.engine.preprocess import preprocess, Preprocessed
from da3_ros.engine.reconfiguration import check_change
from da3_ros.engine.registration import check_finite, refine, register, Registration
from da3_ros.engine.runner import Runner, WindowPrediction, WindowView
from da3_ros.engine.scale import make_sources, MapScale, MetricRunner, Robot
from da3_ros.engine.stage_clock import StageClock
from da3_ros.engine.window import Window
from da3_ros.errors import FrameError, RegistrationError
from da3_ros.geometry.cameras import undistort
from da3_ros.geometry.transforms import BODY_FROM_OPTICAL, Sim3
from da3_ros.model.da3 import AnyViewNetwork
import numpy as np
import torch

# A window that agrees less with the map than this is published but does not change the map.
_MIN_INLIERS_TO_REFINE = 0.3
# Windows in a row that fit nowhere before the map is given up.
_MAX_LOST = 10


@dataclass(frozen=True)
class _NewView:
    """A frame that is ready for the network; ``intrinsics`` (3, 3) at its size, once known."""

    frame: Frame
    prepared: Preprocessed
    view: WindowView
    intrinsics: np.ndarray | None


class StreamingEngine:
    """
    Keeps a window of views going through the network and one map behind it.

    Not thread-safe: one thread pushes. The first frame ever pushed sets the map's origin: it is at
    its ``map_from_camera`` if it has one, else the camera is taken to be level, at the origin,
    looking along the map's x axis (REP 103). The map's unit is a metre when the status says so.
    """

    has_map = True

    def __init__(
        self,
        config: EngineConfig,
        runner: Runner | None = None,
        make_runner: Callable[[AnyViewNetwork], Runner] | None = None,
        robot: Robot | None = None,
        metric_runner: MetricRunner | None = None,
    ) -> None:
        """
        Load the networks that ``config`` names, or take runners that stand for them.

        ``make_runner`` makes the runner of the network that predicts windows; None: the fast one.

        ``robot`` is asked for metres, from the thread that pushes.

        Raises:
            WeightsError: if the weights are missing, damaged or of another network.
            ConfigError: if the device is not there.

        """
        self.device = resolve_device(config.device)
        is_gpu = self.device.type == 'cuda'
        self._preprocess = DevicePreprocess(self.device) if is_gpu else preprocess
        self.model_name, self.is_trained, self.licence = config.model, True, ''
        self._resolution = config.resolution
        if runner is None:
            networks = load_networks(config, self.device)
            named = networks.named
            self.model_name, self.is_trained = named.source_name, named.is_trained
            self.licence = named.licence
            self._resolution = config.resolution or named.config.resolution
            if make_runner is None:
                runner = GraphRunner(
                    networks.window, config.window.size, config.cuda_graphs, config.compile
                )
            else:
                runner = make_runner(networks.window)
            if networks.metric is not None and metric_runner is None:
                metric_runner = MetricNetworkRunner(networks.metric)
        self._runner, self._metric_runner = runner, metric_runner
        self._config = config
        self._rule = KeyframeRule(config.keyframe)
        sources = make_sources(config.scale, robot, metric_runner)
        self._scale = MapScale(sources, config.scale.max_spread)
        self._window = Window(config.window.size, config.window.refreshed)
        self._map: list[Keyframe] = []
        self._next_key = 0
        self.reset()

    @property
    def status(self) -> EngineStatus:
        """The status after the last push, also when that push raised."""
        return self._status

    @property
    def keyframes(self) -> tuple[KeyframePose, ...]:
        """All keyframes of the map, oldest first, where they are believed to be now."""
        scaled_from_map = self._scaled_from_map
        return tuple(
            KeyframePose(
                k.view.camera,
                k.view.stamp_ns,
                scaled_from_map.apply_to_pose(k.map_from_camera),
            )
            for k in self._map
        )

    def reset(self) -> None:
        """Forget the map and the window; the next frame starts a new map."""
        self._window.clear()
        self._map.clear()
        self._admission = Admission(self._resolution, self._config.max_stamp_jump_s)
        self._estimates: dict[str, IntrinsicsEstimate] = {}
        self._lost = 0
        self._scale.start_anew()
        self._origin = np.zeros(3)
        self._status = EngineStatus()

    def configure(self, config: EngineConfig) -> None:
        """
        Take new values of the parameters that may change while running.

        Raises:
            ConfigError: if another parameter differs too; nothing changes then.

        """
        check_change(self._config, config)
        self._config = config
        self._rule = KeyframeRule(config.keyframe)

    def warm_up(
        self, width: int = 640, height: int = 480, new: int = 1, progress: Progress | None = None
    ) -> None:
        """
        Run the networks on empty images of a size, so that the first frames are not the slow ones.

        ``new`` is how many frames a push will have. On a GPU this captures every number of views
        that the window grows through: seconds, or minutes where it compiles.
        """
        image = np.zeros((height, width, 3), np.uint8)
        view = self._prepare(Frame('', 0, image)).view
        if isinstance(self._runner, GraphRunner):
            size = tuple(view.image.shape[-2:])
            self._runner.prepare(size, self._window.shapes(new), progress)
        else:
            self._runner.infer([view])
        if self._metric_runner is not None:
            self._metric_runner.infer(view, np.diag([width, width, 1.0]))

    def save_map(self, directory: Path, name: str = 'map') -> Path:
        """
        Write poses, intrinsics and a coloured cloud into a new folder and return its path.

        Raises:
            OSError: if the disk or the permissions do not allow it.

        """
        scaled_from_map = self._scaled_from_map
        return save_map(Path(directory), name, [k.mapped(scaled_from_map) for k in self._map])

    def surfaces(self) -> tuple[Surface, ...]:
        """Return what the cloud of the map is made of now; cheap, and safe to keep."""
        scaled_from_map = self._scaled_from_map
        return tuple(surface(k, scaled_from_map) for k in self._map)

    def push(self, frames: Sequence[Frame]) -> Update:
        """
        Take the newest frame of one or more cameras and return what is known of each.

        Args:
            frames: At most one frame for each camera, taken at about the same time.

        Raises:
            FrameError: if a frame cannot be used, or the window fits nowhere in the map; the map
            is as it was before, and ``reason`` is the name to count the drop under.

        """
        clock = StageClock()
        reset_reason = self._admission.check(frames)
        if not reset_reason and self._lost >= _MAX_LOST:
            reset_reason = 'the map was lost'
        if reset_reason:
            self.reset()
        newest = [self._prepare(frame) for frame in frames]
        clock.lap('preprocess')
        known = self._window.select(len(newest))
        prediction = self._runner.infer(
            [k.view for k in known] + [n.view for n in newest],
            self._window.dense_slots(len(known), len(newest)),
        )
        clock.lap('network')
        registration, newest = self._register(prediction, known, newest)
        refines = bool(known) and registration.inliers >= _MIN_INLIERS_TO_REFINE
        if refines:
            refine(known, prediction, registration)
        clock.lap('registration')
        placed = [
            self._place(new, len(known) + i, prediction, registration)
            for i, new in enumerate(newest)
        ]
        clock.lap('keyframes')
        scale_before = self._scale.scale
        notice = self._scale.observe(
            [p.keyframe for p in placed], [p.keyframe for p in placed if p.is_keyframe]
        )
        scale = self._scale.status
        spread = scale.spread if scale.is_metric else 0.0
        views = tuple(p.published(self._scaled_from_map, self._origin, spread) for p in placed)
        clock.lap('scale')
        self._admission.accept(frames)
        self._status = EngineStatus(
            state=TrackingState.TRACKING if known else TrackingState.INITIALIZING,
            views_in_window=len(known) + len(newest),
            keyframes=len(self._map),
            **scale.engine_fields,
            registration_inliers=registration.inliers,
            stage_ms=clock.stage_ms,
        )
        is_resized = scale.scale != scale_before
        keyframes_changed = refines or is_resized or any(view.is_keyframe for view in views)
        return Update(
            views, self._status, keyframes_changed, bool(reset_reason), reset_reason, notice
        )

    def _prepare(self, frame: Frame) -> _NewView:
        """Undistort, resize and normalise a frame, and give it a key."""
        rgb = frame.rgb
        if frame.distortion is not None and frame.intrinsics is not None:
            rgb = undistort(rgb, frame.intrinsics, frame.distortion)
        prepared = self._preprocess(rgb, self._resolution, intrinsics=frame.intrinsics)
        self._next_key += 1
        view = WindowView(
            key=self._next_key,
            camera=frame.camera,
            stamp_ns=frame.stamp_ns,
            image=prepared.image.to(self.device),
            intrinsics=prepared.intrinsics,
            world_from_camera=frame.map_from_camera,
        )
        return _NewView(frame, prepared, view, prepared.intrinsics)

    def _register(
        self, prediction: WindowPrediction, known: Sequence[Keyframe], newest: Sequence[_NewView]
    ) -> tuple[Registration, list[_NewView]]:
        """Place the window in the map and settle the intrinsics; the first one makes the map."""
        try:
            check_finite(prediction)
            newest = [
                self._with_intrinsics(new, prediction.intrinsics[len(known) + i])
                for i, new in enumerate(newest)
            ]
            anchors = known or [self._first_keyframe(newest[0], prediction)]
            registration = register(prediction, list(enumerate(anchors)))
        except RegistrationError as error:
            self._lost += 1
            self._status = replace(
                self._status, state=TrackingState.LOST, registration_inliers=0.0
            )
            raise FrameError('frame_registration', str(error)) from error
        self._lost = 0
        return registration, newest

    def _with_intrinsics(self, new: _NewView, predicted: np.ndarray) -> _NewView:
        """Return the view with the network's intrinsics where the camera has none of its own."""
        if new.intrinsics is not None:
            return new
        estimate = self._estimates.setdefault(new.frame.camera, IntrinsicsEstimate())
        return replace(new, intrinsics=estimate.update(predicted))

    def _first_keyframe(self, new: _NewView, prediction: WindowPrediction) -> Keyframe:
        """Return the view that fixes origin and unit of the map, for the first window."""
        known_pose = new.frame.map_from_camera
        map_from_camera = BODY_FROM_OPTICAL if known_pose is None else known_pose
        self._scale.set_unit(prediction.depth[0])
        self._origin = map_from_camera[:3, 3]
        return Keyframe(
            view=new.view,
            rgb=new.prepared.rgb,
            intrinsics=new.intrinsics,
            depth=prediction.depth[0],
            weight=prediction.confidence[0],
            map_from_camera=map_from_camera,
        )

    def _place(
        self, new: _NewView, slot: int, prediction: WindowPrediction, registration: Registration
    ) -> PlacedView:
        """Put a new view into the map's gauge, and keep it if it shows something new."""
        map_from_window = registration.map_from_window
        map_from_camera = map_from_window.apply_to_pose(prediction.window_from_camera[slot])
        depth = map_from_window.scale * prediction.depth[slot]
        depth = torch.where(torch.isfinite(depth) & (depth > 0), depth, torch.nan)
        keyframe = Keyframe(
            view=new.view,
            rgb=new.prepared.rgb,
            intrinsics=new.intrinsics,
            depth=depth,
            weight=prediction.confidence[slot],
            map_from_camera=map_from_camera,
        )
        covariance = registration.pose_covariance(map_from_camera)
        return PlacedView(keyframe, prediction.confidence[slot], covariance, self._keep(keyframe))

    @property
    def _scaled_from_map(self) -> Sim3:
        """What makes published lengths of the map's own, about the place where the map began."""
        scale = self._scale.scale
        return Sim3(scale, np.eye(3), (1.0 - scale) * self._origin)

    def _keep(self, candidate: Keyframe) -> bool:
        """Add a view to map and window if no keyframe sees it well; tell whether it was added."""
        points = overlap_points(candidate.depth, candidate.intrinsics, candidate.map_from_camera)
        to_keyframes = [covisibility(points, candidate.map_from_camera, k) for k in self._window]
        if not self._rule.is_new(to_keyframes):
            return False
        overlaps = [c.overlap for c in to_keyframes]
        reference = self._rule.next_reference(overlaps) if overlaps else 0
        for keyframe in self._window.add(candidate, overlaps, reference):
            keyframe.archive()
        self._map.append(candidate)
        if len(self._map) > self._config.keyframe.max_count:
            self._map.remove(next(k for k in self._map if k not in self._window))
        return True
