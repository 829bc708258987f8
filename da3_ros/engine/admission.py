"""Deciding what may enter the window: whole images, stamps that grow, one image size."""

from collections.abc import Sequence

from da3_ros.engine.frame import Frame
from da3_ros.engine.preprocess import network_size
from da3_ros.errors import FrameError, InputError


class Admission:
    """Checks frames against the stream so far; remembers only what was accepted."""

    def __init__(self, resolution: int, max_stamp_jump_s: float) -> None:
        """Take the longest side of the network's image and the jump that counts as a new start."""
        self._resolution = resolution
        self._max_stamp_jump_s = max_stamp_jump_s
        self._last_stamp_ns: dict[str, int] = {}
        self._size: tuple[int, int] | None = None

    def check(self, frames: Sequence[Frame]) -> str:
        """
        Return why the map must start anew for these frames, or an empty string.

        Raises:
            FrameError: if a frame cannot be used, in this stream or in any.

        """
        cameras = [frame.camera for frame in frames]
        if not frames or len(set(cameras)) != len(cameras):
            raise FrameError(
                'frame_set',
                f'Got frames of cameras {cameras}; expected one or more, each camera once.',
            )
        for frame in frames:
            frame.check()
        jumps = [self._stamp_jump(frame) for frame in frames]
        return next(filter(None, jumps), '') or self._size_change(frames)

    def accept(self, frames: Sequence[Frame]) -> None:
        """Remember frames that went through."""
        self._size = self._size_of(frames[0])
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
        """Return a reason to start anew when all images changed size; raise when only some did."""
        sizes = [self._size_of(frame) for frame in frames]
        expected = self._size or sizes[0]
        if set(sizes) == {expected}:
            return ''
        if len(set(sizes)) == 1 and self._last_stamp_ns.keys() <= {f.camera for f in frames}:
            return f'the image size for the network changed from {expected} to {sizes[0]}'
        raise FrameError(
            'frame_size',
            f'The images of cameras {[f.camera for f in frames]} are {sizes} for the network; '
            f'expected all to be {expected}, since a window has one size.',
        )

    def _size_of(self, frame: Frame) -> tuple[int, int]:
        """Return the (width, height) that the network sees of a frame."""
        height, width = frame.rgb.shape[:2]
        try:
            return network_size(width, height, self._resolution)
        except InputError as error:
            raise FrameError('frame_size', str(error)) from error
