"""From frames to views that are ready for the network."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

from da3_ros.engine.admission import Admission, Admitted
from da3_ros.engine.fitting import Fitting
from da3_ros.engine.frame import Frame
from da3_ros.engine.intrinsics import IntrinsicsEstimate
from da3_ros.engine.preprocess import Preprocessed
from da3_ros.engine.runner import WindowView
import numpy as np
import torch


@dataclass(frozen=True)
class NewView:
    """A frame that is ready for the network; ``intrinsics`` (3, 3) at its size, once known."""

    frame: Frame
    prepared: Preprocessed
    view: WindowView
    intrinsics: np.ndarray | None


class Intake:
    """Admits frames, prepares them, and remembers what the stream has told of its cameras."""

    def __init__(self, device: torch.device, resolution: int, max_stamp_jump_s: float) -> None:
        """Take where the network is, and what ``Admission`` needs."""
        self._device = device
        self._fitting = Fitting(device, resolution)
        self._resolution, self._max_stamp_jump_s = resolution, max_stamp_jump_s
        self._next_key = 0
        self.clear()

    def clear(self) -> None:
        """Forget the stream; keys are never used again."""
        self._admission = Admission(self._resolution, self._max_stamp_jump_s)
        self._estimates: dict[str, IntrinsicsEstimate] = {}
        self._estimated: dict[str, IntrinsicsEstimate] = {}

    def warm_up(self) -> None:
        """See ``Fitting.warm_up``."""
        self._fitting.warm_up()

    def admit(self, frames: Sequence[Frame]) -> Admitted:
        """See ``Admission.admit``."""
        return self._admission.admit(frames)

    def check(self, frames: Sequence[Frame]) -> str:
        """See ``Admission.check``."""
        return self._admission.check(frames)

    def accept(self, frames: Sequence[Frame]) -> None:
        """Remember frames that went through, and what the network said of their cameras."""
        self._admission.accept(frames)
        self._estimates |= self._estimated

    def prepare(self, frames: Sequence[Frame]) -> list[NewView]:
        """Undistort, resize and normalise the frames of a set, and give each a key."""
        shape = self._admission.shape(frames)
        return [self._prepared(frame, shape) for frame in frames]

    def _prepared(self, frame: Frame, shape: tuple[int, int]) -> NewView:
        fitted = self._fitting.fit(frame, shape)
        prepared = fitted.prepared
        self._next_key += 1
        view = WindowView(
            key=self._next_key,
            camera=frame.camera,
            stamp_ns=frame.stamp_ns,
            image=prepared.image.to(self._device),
            intrinsics=prepared.intrinsics,
            world_from_camera=frame.map_from_camera,
            content=fitted.content,
            seen=fitted.seen,
        )
        return NewView(frame, prepared, view, prepared.intrinsics)

    def with_intrinsics(self, new: NewView, predicted: np.ndarray) -> NewView:
        """Return the view with the network's intrinsics where the camera has none of its own."""
        if new.intrinsics is not None:
            return new
        before = self._estimates.get(new.frame.camera, IntrinsicsEstimate())
        estimate = self._estimated[new.frame.camera] = deepcopy(before)
        return replace(new, intrinsics=estimate.update(predicted))
