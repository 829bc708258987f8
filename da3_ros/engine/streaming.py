"""
The engine: frames in, depth and poses in one map out.

One ``push`` is one turn of the loop: prepare the new frames, run the window, register it to the
map, and decide what the map keeps. What the map learns from it beyond that, ``update_map``, is
done when the views are out.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from da3_ros.config import EngineConfig
from da3_ros.engine.device import empty_cache, finish, resolve_device
from da3_ros.engine.device_faults import fits_memory, spares_memory
from da3_ros.engine.frame import EngineStatus, Frame, KeyframePose, TrackingState, Update
from da3_ros.engine.graph_runner import GraphRunner, Progress
from da3_ros.engine.intake import Intake, NewView
from da3_ros.engine.lesson import Lesson
from da3_ros.engine.map import Change
from da3_ros.engine.map_cloud import Surface, surface
from da3_ros.engine.map_file import save_map
from da3_ros.engine.mapper import Mapper
from da3_ros.engine.networks import load_networks, MetricNetworkRunner
from da3_ros.engine.placed_view import PlacedView
from da3_ros.engine.placer import Placer
from da3_ros.engine.pose_prior import PosePrior
from da3_ros.engine.publication import Publication
from da3_ros.engine.reconfiguration import check_change
from da3_ros.engine.registration import Registration
from da3_ros.engine.rigging import Rigging
from da3_ros.engine.runner import Runner, WindowPrediction
from da3_ros.engine.scale import MapScale, MetricRunner, new_scale, PartScales, Robot
from da3_ros.engine.stage_clock import StageClock
from da3_ros.engine.tracking import Tracking
from da3_ros.engine.unseen import without_unseen
from da3_ros.engine.window import Company
from da3_ros.errors import FrameError, RegistrationError
from da3_ros.model.da3 import AnyViewNetwork
import numpy as np
import torch


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
        on_device: bool = False,
    ) -> None:
        """
        Load the networks that ``config`` names, or take runners that stand for them.

        ``make_runner`` makes the runner of the network that predicts windows; None: the fast one.
        ``robot`` is asked for metres, from the thread that pushes; ``on_device``: ``make_engine``.

        Raises:
            WeightsError: if the weights are missing, damaged or of another network.
            ConfigError: if the device is not there.

        """
        self.device = resolve_device(config.device)
        self.model_name, self.is_trained, self.licence = config.model, True, ''
        resolution = config.resolution
        if runner is None:
            networks = load_networks(config, self.device)
            named = networks.named
            self.model_name, self.is_trained = named.source_name, named.is_trained
            self.licence, resolution = named.licence, config.resolution or named.config.resolution
            runner = (make_runner or partial(GraphRunner.of, config))(networks.window)
            if networks.metric is not None and metric_runner is None:
                metric_runner = MetricNetworkRunner(networks.metric)
        self._config = config
        self._runner = runner
        self._metric_runner = metric_runner
        self._prior = PosePrior(config, robot)
        self._intake = Intake(self.device, resolution, config.max_stamp_jump_s)
        self._mapper = Mapper(config, lambda view: self._runner.describe(view))
        self._tracking = Tracking()
        self._rigging = Rigging(robot)
        self._placer = Placer(self._intake, self._rigging, self._tracking)
        self._scales = PartScales(partial(new_scale, config.scale, robot, metric_runner))
        self._publication = Publication(self._scales, self.device if on_device else None)
        self.reset()

    @property
    def status(self) -> EngineStatus:
        """The status after the last push, also when that push raised."""
        return self._status

    @property
    def keyframes(self) -> tuple[KeyframePose, ...]:
        """All keyframes of the map, oldest first, where they are believed to be now."""
        self.update_map()
        scaled = self._scales.scaled_from_map
        return tuple(k.pose_in(scaled(k.part)) for k in self._mapper.map)

    def reset(self) -> None:
        """Forget the map and the window; the next frame starts a new map."""
        self._mapper.clear()
        self._intake.clear()
        self._tracking.clear()
        self._rigging.clear()
        self._scales.clear()
        self._prior.clear()
        self._last: PlacedView | None = None
        self._publication.clear()
        self._lesson: Lesson | None = None
        self._untold: list[str] = []
        self._reset_reason = ''
        self._status = EngineStatus(window_shrunk_to=self._mapper.shrunk_to)

    def configure(self, config: EngineConfig) -> None:
        """
        Take new values of the parameters that may change while running.

        Raises:
            ConfigError: if another parameter differs too; nothing changes then.

        """
        check_change(self._config, config)
        self._config = config
        self._mapper.configure(config)

    @fits_memory
    def warm_up(
        self, width: int = 640, height: int = 480, new: int = 1, progress: Progress | None = None
    ) -> None:
        """
        Run the networks on empty images of a size, so that the first frames are not the slow ones.

        ``new`` is how many frames a push will have. On a GPU this captures every number of views
        that the window grows through: seconds, or minutes where it compiles.
        """
        self._intake.warm_up()
        view = self._intake.prepare([Frame('', 0, np.zeros((height, width, 3), np.uint8))])[0].view
        if isinstance(self._runner, GraphRunner):
            size = tuple(view.image.shape[-2:])
            self._runner.prepare(size, self._mapper.window.shapes(new), progress)
        else:
            self._runner.infer([view])
        if self._metric_runner is not None:
            self._metric_runner.infer(view, np.diag([width, width, 1.0]))
        self._publication.warm_up()

    def shrink(self, newest: int) -> int:
        """Free memory; return how many views a window has from now on, 0 if it cannot shrink."""
        self._lesson = None  # what it would refine may be archived now
        has_shrunk = self._mapper.shrink(newest)
        if isinstance(self._runner, GraphRunner):
            self._runner.release(self._mapper.window.shapes(newest))
        empty_cache(self.device)
        self._status = replace(self._status, window_shrunk_to=self._mapper.shrunk_to)
        return self._mapper.window.size if has_shrunk else 0

    def save_map(self, directory: Path, name: str = 'map') -> Path:
        """
        Write poses, intrinsics and a coloured cloud into a new folder and return its path.

        Raises:
            OSError: if the disk or the permissions do not allow it.

        """
        self.update_map()
        placed = [k.mapped(self._scales.scaled_from_map(k.part)) for k in self._mapper.map]
        return save_map(Path(directory), name, placed)

    def surfaces(self) -> tuple[Surface, ...]:
        """Return what the cloud of the map is made of now; cheap, and safe to keep."""
        self.update_map()
        return tuple(surface(k, self._scales.scaled_from_map(k.part)) for k in self._mapper.map)

    @spares_memory
    def push(self, frames: Sequence[Frame]) -> Update:
        """
        Take the newest frame of one or more cameras and return what is known of each.

        Args:
            frames: At most one frame for each camera, taken at about the same time.

        Raises:
            FrameError: if a frame cannot be used, or the window fits nowhere in the map; the map
            is as it was before, and ``reason`` is the name to count the drop under.

        """
        self.update_map()
        clock = StageClock()
        admitted = self._intake.admit(frames)
        frames = admitted.frames
        reset_reason = self._intake.check(frames)
        if reset_reason:
            self.reset()
            self._reset_reason = reset_reason
        newest = self._intake.prepare(frames)
        clock.lap('preprocess')
        company = self._company(newest)
        dense = self._mapper.dense_slots(company, len(newest))
        new = [n.view for n in newest]
        found = self._prior.infer(self._runner, company, new, dense)
        finish(self.device)  # pictures are here, whoever predicted
        prediction = without_unseen(found, company.views + new, dense)
        clock.lap('network')
        # Told with the next update, should this push come to none.
        self._untold.append(self._take(self._mapper.corrected()))
        try:
            registration, placed = self._place(prediction, company, newest)
        except RegistrationError as error:
            self._lose(company)
            raise FrameError('frame_registration', str(error)) from error
        notices, self._untold = [*self._untold, self._find(company)], []
        lesson = Lesson(company, prediction, registration, placed)
        clock.lap('registration')
        kept = [p for p in placed if lesson.may_add and self._mapper.keep(p, company.known)]
        clock.lap('keyframes')
        before, kept_frames = self._scale.scale, [p.keyframe for p in kept]
        notices.append(self._scale.observe(self._rigging.measured(placed), kept_frames))
        views = self._publication.views(placed, kept, self._mapper.part, self._mapper.is_adrift)
        clock.lap('scale')
        self._intake.accept(frames)
        self._last = placed[0]
        self._lesson = lesson
        self._status = EngineStatus(
            state=TrackingState.TRACKING if company.known else TrackingState.INITIALIZING,
            views_in_window=len(company) + len(newest),
            **self._mapper.engine_fields,
            **self._scale.status.engine_fields,
            registration_inliers=registration.inliers,
            **self._rigging.status.engine_fields(self._scale.scale),
            prior=self._prior.status,
            stage_ms=clock.stage_ms,
        )
        reset_reason, self._reset_reason = self._reset_reason, ''
        return Update(
            views,
            self._status,
            lesson.refines or any(notices) or bool(kept) or self._scale.scale != before,
            was_reset=bool(reset_reason),
            reset_reason=reset_reason,
            notice='. '.join(filter(None, notices)),
            refused=admitted.refused,
        )

    def update_map(self) -> None:
        """
        Let the map learn from the last push, if it has not yet; no view need wait for that.

        Whoever asks for the map, and the next push, do it first. Raises ``FrameError`` as push.
        """
        lesson, self._lesson = self._lesson, None
        if lesson is not None:
            self._learn(lesson)

    @spares_memory
    def _learn(self, lesson: Lesson) -> None:
        lesson.teach(self._mapper, self._rigging, self._scale.status)

    def _company(self, newest: Sequence[NewView]) -> Company:
        """Return who goes with new views; nobody where a map, or a part of it, begins."""
        if not self._tracking.is_lost or not len(self._mapper.map):
            return self._mapper.company(len(newest))
        if self._tracking.gives_up:
            return Company(())
        return self._mapper.recollected(newest[0].view, len(newest), self._tracking.lost - 1)

    def _place(
        self, prediction: WindowPrediction, company: Company, newest: Sequence[NewView]
    ) -> tuple[Registration, list[PlacedView]]:
        """
        Place the window in the map; the first one makes the map, or another part of it.

        Raises ``RegistrationError`` if it fits nowhere.
        """
        before = self._last.keyframe if self._last is not None else None
        pose = newest[0].frame.map_from_camera
        if pose is not None and before is not None:  # in metres, and the map is not
            pose = self._scales.scaled_from_map(self._mapper.part).inverse().apply_to_pose(pose)
        registration, placed = self._placer.place(
            prediction, company, newest, before, pose, self._scale.status
        )
        if not company.known:
            self._start_part(prediction.depth[0], placed)
        for view in placed:
            view.keyframe.part = self._mapper.part
        return registration, placed

    def _start_part(self, depth: torch.Tensor, placed: Sequence[PlacedView]) -> None:
        """Begin the map, or another part of it, with views that were placed by the first one."""
        if self._last is None:
            self._scale.set_unit(depth)
            self._scales.origin = placed[0].keyframe.map_from_camera[:3, 3]
            return
        before = self._scale.scale
        self._unsettle()
        self._scales.begin(self._mapper.begin_part(), before, self._mapper.map.parts)

    def _find(self, company: Company) -> str:
        """Go on from where a lost view was found; returns what to tell of it."""
        if company.is_recollected:
            self._mapper.settle(company)
            self._unsettle()
            return 'Tracking goes on: a place is known again'
        if not company.known and self._last is not None:
            return 'Tracking was lost: another part of the map begins'
        return ''

    def _lose(self, company: Company) -> None:
        """Count a window that fits nowhere."""
        if company.is_recollected:
            self._mapper.let_go(company)
        self._tracking.lose()
        status = replace(self._status, state=TrackingState.LOST, prior=self._prior.status)
        self._status = replace(status, registration_inliers=0.0)

    def _take(self, change: Change | None) -> str:
        """Let the scale follow a correction of the map; returns what to tell of it."""
        if change is None:
            return ''
        self._unsettle()
        if change.joined is None:
            self._scale.resize(change.log_size)
        else:
            self._scales.forget(change.joined)
        return change.notice

    def _unsettle(self) -> None:
        """Forget motion: where cameras are has changed without their moving."""
        self._publication.clear()
        self._rigging.unsettle()

    @property
    def _scale(self) -> MapScale:
        """The scale of the part of the map that is worked on."""
        return self._scales[self._mapper.part]
