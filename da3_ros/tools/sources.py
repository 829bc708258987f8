"""Where frames come from: folders of images, videos and bags, all as one stream of frames."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import cv2
from da3_ros.engine import Frame
from da3_ros.errors import Da3Error, FrameError, InputError
from da3_ros.evaluation.sequences import image_files, read_intrinsics, read_rgb
from da3_ros.geometry.tum import read_tum
from da3_ros.tools.calibration import CameraModel
import numpy as np

BAG_SUFFIXES = ('.mcap', '.db3')
# Given the width and height of an image, what the user says of its camera.
Calibrate = Callable[[int, int], CameraModel]


class Source(Protocol):
    """A stream of frames; ``frame_id`` names the camera's optical frame."""

    frame_id: str

    def __len__(self) -> int:
        """Return how many frames there are, 0 where that is not known."""
        ...

    def frames(self) -> Iterator[Frame | FrameError]:
        """Yield each frame, or the error that says why it cannot be one."""
        ...


class ImageFolder:
    """The images of a folder in the order of their names; also the layout of sequences."""

    frame_id = 'camera'

    def __init__(self, folder: Path, frames_per_second: float) -> None:
        """Find images, intrinsics.json and the stamps in poses.txt, if they are there."""
        images = folder / 'images' if (folder / 'images').is_dir() else folder
        self._paths = image_files(images)
        if not self._paths:
            raise InputError(f'{folder} holds no image (.png, .jpg, ...) and is no rosbag2.')
        count = len(self._paths)
        self._stamps_ns = np.rint(np.arange(count) * 1e9 / frames_per_second).astype(np.int64)
        if (folder / 'poses.txt').is_file():
            stamps_ns, _ = read_tum(folder / 'poses.txt')
            if len(stamps_ns) == count and (np.diff(stamps_ns) > 0).all():
                self._stamps_ns = stamps_ns
        self._intrinsics: list[np.ndarray | None] = [None] * count
        if (folder / 'intrinsics.json').is_file():
            self._intrinsics = list(read_intrinsics(folder / 'intrinsics.json', count))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._paths)

    def frames(self) -> Iterator[Frame | FrameError]:
        """Yield the images as frames."""
        for path, stamp_ns, k in zip(self._paths, self._stamps_ns, self._intrinsics, strict=True):
            try:
                yield Frame('', int(stamp_ns), read_rgb(path), k)
            except InputError as error:
                yield FrameError('frame_decode', str(error))


class Video:
    """A video file, through OpenCV; stamps are counted from zero at the video's rate."""

    frame_id = 'camera'

    def __init__(self, path: Path) -> None:
        """Open the file; raises ``InputError`` if OpenCV cannot decode it."""
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise InputError(f'{path} is not a video that OpenCV can decode, and no rosbag2.')
        self._rate = self._capture.get(cv2.CAP_PROP_FPS)
        if not 0 < self._rate < 1000:
            self._rate = 30.0

    def __len__(self) -> int:
        """Return the number of frames as the file states it."""
        return max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def frames(self) -> Iterator[Frame | FrameError]:
        """Yield the frames up to the first that cannot be decoded: the end."""
        index = 0
        while True:
            is_there, bgr = self._capture.read()
            if not is_there:
                self._capture.release()
                return
            yield Frame('', round(index * 1e9 / self._rate), cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
            index += 1


class Bag:
    """The colour camera of a rosbag2."""

    def __init__(self, path: Path, topic: str | None) -> None:
        """Open the bag and choose its image topic; raises ``InputError`` if there is none."""
        try:
            from da3_ros.ros.bag import BagReader
            from da3_ros.ros.camera_bag import BagCamera
        except ImportError as error:
            raise Da3Error(
                f'Reading a bag needs the Python packages of ROS 2 and rosbags ({error}); source '
                'your ROS 2 installation, or run inside the environment that make setup builds.'
            ) from error
        self._camera = BagCamera(BagReader(path), topic)
        self.frame_id = self._camera.frame_id() or 'camera'

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._camera)

    def frames(self) -> Iterator[Frame | FrameError]:
        """Yield the images with the camera_info before them."""
        return self._camera.frames()


def open_source(path: Path, topic: str | None, frames_per_second: float) -> Source:
    """
    Open whatever ``path`` is: a bag, a folder of images or a video.

    Raises:
        InputError: if it is none of these, or is damaged.

    """
    if not path.exists():
        raise InputError(f'{path} does not exist; expected images, a video or a rosbag2.')
    if path.suffix in BAG_SUFFIXES or (path / 'metadata.yaml').is_file():
        return Bag(path, topic)
    if path.is_dir():
        return ImageFolder(path, frames_per_second)
    return Video(path)


def calibrated(frame: Frame, calibrate: Calibrate | None) -> Frame:
    """Return the frame with the camera that the user gave; that has the last word."""
    if calibrate is None:
        return frame
    height, width = frame.rgb.shape[:2]
    model = calibrate(width, height)
    model.check(width, height)
    return replace(frame, intrinsics=model.intrinsics, distortion=model.distortion)
