"""Deciding what may enter the window: whole images, stamps that grow, one shape for all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from da3_ros.engine.frame import Frame
from da3_ros.engine.preprocess import network_size
from da3_ros.errors import FrameError, InputError


@dataclass(frozen=True)
class Admitted:
    """The ``frames`` of a set that can be used, and by camera why others are ``refused``."""

    frames: tuple[Frame, ...]
    refused: Mapping[str, FrameError]


class Admission:
    """Checks frames against the stream so far; remembers only what was accepted."""

    def __init__(self, resolution: int, max_stamp_jump_s: float) -> None:
        """Take the longest side of the network's image and the jump that counts as a new start."""
        self._resolution = resolution
        self._max_stamp_jump_s = max_stamp_jump_s
        self._last_stamp_ns: dict[str, int] = {}
        self._shape: tuple[int, int] | None = None

    def admit(self, frames: Sequence[Frame]) -> Admitted:
        """
        Return which frames can be used, in this stream or in any.

        One camera that sends nonsense does not cost the others their frames.

        Raises:
            FrameError: if none can.

        """
        cameras = [frame.camera for frame in frames]
        if not frames or len(set(cameras)) != len(cameras):
            raise FrameError(
                'frame_set',
                f'Got frames of cameras {cameras}; expected one or more, each camera once.',
            )
        usable, refused = [], {}
        for frame in frames:
            try:
                frame.check()
                self._stamp_jump(frame)
                self._size_of(frame)
                usable.append(frame)
            except FrameError as error:
                refused[frame.camera] = error
        if not usable:
            raise next(iter(refused.values()))
        return Admitted(tuple(usable), refused)

    def check(self, frames: Sequence[Frame]) -> str:
        """Return why the map must start anew for admitted frames, or an empty string."""
        jumps = [self._stamp_jump(frame) for frame in frames]
        return next(filter(None, jumps), '') or self._size_change(frames)

    def shape(self, frames: Sequence[Frame]) -> tuple[int, int]:
        """Return the (width, height) of all views: that of the first frame of the first set."""
        return self._shape or self._size_of(frames[0])

    def accept(self, frames: Sequence[Frame]) -> None:
        """Remember frames that went through."""
        self._shape = self.shape(frames)
        self._last_stamp_ns |= {frame.camera: frame.stamp_ns for frame in frames}

    def _stamp_jump(self, frame: Frame) -> str:
        """Return a reason to start anew when the stamp went back far; raise when a little."""
        last = self._last_stamp_ns.get(frame.camera)
        if last is None or frame.stamp_ns > last:
            return ''
        back_s = (last - frame.stamp_ns) * 1e-9
        if back_s > self._max_stamp_jump_s:
            return f"the stamps of camera '{frame.camera}' went back by {back_s:.1f} s"
        raise FrameError(
            'frame_stamp',
            f"The stamp of camera '{frame.camera}' is {back_s:.3f} s before the last one; "
            'expected stamps that grow.',
        )

    def _size_change(self, frames: Sequence[Frame]) -> str:
        """Return a reason to start anew when all images are of one other size now."""
        sizes = {self._size_of(frame) for frame in frames}
        shape = self.shape(frames)
        is_all = self._last_stamp_ns.keys() <= {frame.camera for frame in frames}
        if len(sizes) > 1 or shape in sizes or not is_all:
            return ''
        return f'the image size for the network changed from {shape} to {sizes.pop()}'

    def _size_of(self, frame: Frame) -> tuple[int, int]:
        """Return the (width, height) that the network sees of a frame."""
        height, width = frame.rgb.shape[:2]
        try:
            return network_size(width, height, self._resolution)
        except InputError as error:
            raise FrameError('frame_size', str(error)) from error
