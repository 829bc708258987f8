"""
The engine of single-view networks: depth of each frame by itself, no poses and no map.

It has the interface of ``StreamingEngine``, so that node and tools need not know which they run.
"""

from collections.abc import Sequence
from pathlib import Path

from da3_ros.config import EngineConfig
from da3_ros.engine.admission import Admission
from da3_ros.engine.device import empty_cache, resolve_device, resolve_precision
from da3_ros.engine.device_faults import fits_memory, spares_memory
from da3_ros.engine.device_points import makes_points, warm_up_points
from da3_ros.engine.device_view import DeviceView
from da3_ros.engine.fitting import Fitted, Fitting
from da3_ros.engine.frame import EngineStatus, Frame, KeyframePose, TrackingState, Update, View
from da3_ros.engine.map_cloud import Surface
from da3_ros.engine.preprocess import preprocess, Preprocessed
from da3_ros.engine.reconfiguration import check_change
from da3_ros.engine.stage_clock import StageClock
from da3_ros.errors import ConfigError
from da3_ros.geometry.rays import is_depth
from da3_ros.model import load_model, Prediction
from da3_ros.model.acceleration import accelerate
from da3_ros.model.single_view import SingleViewNetwork
from da3_ros.model.sky import is_sky
import numpy as np
import torch


class SingleViewEngine:
    """
    Predicts each frame alone: a window of one, no pose, no TF, no keyframes.

    The sky has no depth (NaN). Depth is in metres where the network is metric and all cameras have
    intrinsics; else each frame has a scale of its own, and ``is_metric`` is false. The network
    says nothing of its confidence, so that is 1, the least there is.
    """

    has_map = False

    def __init__(
        self,
        config: EngineConfig,
        net: SingleViewNetwork | None = None,
        on_device: bool = False,
    ) -> None:
        """
        Load the network that ``config`` names, or take one that is on its device already.

        ``on_device`` has views keep what of them is on a GPU.

        Raises:
            WeightsError: if the weights are missing, damaged or of another network.
            ConfigError: if the device is not there.

        """
        self.device = resolve_device(config.device)
        if net is None:
            precision = resolve_precision(config.precision, self.device)
            net = accelerate(load_model(config.model, self.device, precision), 'fused')
        self.model_name, self.is_trained = net.source_name, net.is_trained
        self.licence = net.licence
        self._net = net
        self._config = config
        self._resolution = config.resolution or net.config.resolution
        self._fitting = Fitting(self.device, self._resolution)
        self._on_device = on_device and makes_points(self.device)
        self.reset()

    @property
    def status(self) -> EngineStatus:
        """The status after the last push that did not raise."""
        return self._status

    @property
    def keyframes(self) -> tuple[KeyframePose, ...]:
        """Nothing: there is no map."""
        return ()

    def reset(self) -> None:
        """Forget the stamps of the stream; there is nothing else to forget."""
        self._admission = Admission(self._resolution, self._config.max_stamp_jump_s)
        self._status = EngineStatus()

    def configure(self, config: EngineConfig) -> None:
        """
        Take new values of the parameters that may change while running.

        Raises:
            ConfigError: if another parameter differs too; nothing changes then.

        """
        check_change(self._config, config)
        self._config = config

    @fits_memory
    def warm_up(
        self, width: int = 640, height: int = 480, new: int = 1, progress: object = None
    ) -> None:
        """Run the network once on an empty image, so that the first frame is not the slow one."""
        self._fitting.warm_up()
        self._infer([preprocess(np.zeros((height, width, 3), np.uint8), self._resolution)])
        if self._on_device:
            warm_up_points(self.device)

    def shrink(self, newest: int) -> int:
        """Free memory; there is no window to shrink: 0."""
        empty_cache(self.device)
        return 0

    def save_map(self, directory: Path, name: str = 'map') -> Path:
        """
        Refuse: there is no map.

        Raises:
            ConfigError: always.

        """
        raise ConfigError(
            f"'{self.model_name}' sees each view alone and makes no map; choose an any-view model "
            'to save one.'
        )

    def surfaces(self) -> tuple[Surface, ...]:
        """Return nothing: there is no map."""
        return ()

    def update_map(self) -> None:
        """There is no map."""

    @spares_memory
    def push(self, frames: Sequence[Frame]) -> Update:
        """
        Return what the network says of the newest frame of one or more cameras.

        Raises:
            FrameError: if a frame cannot be used; ``reason`` is the name to count the drop under.

        """
        clock = StageClock()
        admitted = self._admission.admit(frames)
        frames = admitted.frames
        reset_reason = self._admission.check(frames)
        if reset_reason:
            self.reset()
        shape = self._admission.shape(frames)
        fitted = [self._fitting.fit(frame, shape) for frame in frames]
        clock.lap('preprocess')
        prediction = self._infer([each.prepared for each in fitted])
        depths, skies = prediction.depth[0], is_sky(prediction.sky[0])
        views = tuple(
            _view(*parts, self._on_device)
            for parts in zip(frames, fitted, depths, skies, strict=True)
        )
        clock.lap('network')
        self._admission.accept(frames)
        is_metric = prediction.scale is not None
        self._status = EngineStatus(
            state=TrackingState.TRACKING,
            views_in_window=1,
            scale=float(prediction.scale[0, 0]) if is_metric else float('nan'),
            scale_source='metric_model' if is_metric else 'none',
            is_metric=is_metric,
            stage_ms=clock.stage_ms,
        )
        return Update(
            views,
            self._status,
            was_reset=bool(reset_reason),
            reset_reason=reset_reason,
            refused=admitted.refused,
        )

    @torch.inference_mode()
    def _infer(self, prepared: Sequence[Preprocessed]) -> Prediction:
        """Predict all views at once; in metres only if all of them can be."""
        images = torch.stack([p.image for p in prepared]).to(self.device, self._net.dtype)
        intrinsics = None
        if all(p.intrinsics is not None for p in prepared):
            matrices = np.stack([p.intrinsics for p in prepared])
            intrinsics = torch.as_tensor(matrices, dtype=torch.float32, device=self.device)[None]
        return self._net(images[None], intrinsics)


def _view(
    frame: Frame, fitted: Fitted, depth: torch.Tensor, sky: torch.Tensor, on_device: bool
) -> View:
    """
    Return what is published of one frame, from its depth (H, W) and sky (H, W) bool.

    ``on_device`` tells whether it keeps what is on the device.
    """
    is_valid = is_depth(depth) & ~sky
    if fitted.seen is not None:
        is_valid &= fitted.seen.to(depth.device)
    depth = torch.where(is_valid, depth, torch.nan)
    kept = None
    if on_device:  # before the download, which is waited for: all of it is complete then
        image = fitted.prepared.image.to(depth.device)
        kept = DeviceView(depth, torch.ones_like(depth), image)
    depth_m = depth.cpu().numpy()
    return View(
        camera=frame.camera,
        stamp_ns=frame.stamp_ns,
        depth_m=depth_m,
        confidence=np.ones_like(depth_m),
        rgb=fitted.prepared.rgb,
        intrinsics=fitted.prepared.intrinsics,
        map_from_camera=None,
        pose_covariance=None,
        is_keyframe=False,
        on_device=kept,
    ).within(fitted.content)
