"""Frames of a camera to a bag and back: images, camera_info and, where known, the true pose."""

from collections.abc import Iterable, Iterator
from pathlib import Path
import sys

from da3_ros.engine import Frame
from da3_ros.errors import CameraInfoError, FrameError, InputError
from da3_ros.ros.bag import BagReader, BagWriter
from da3_ros.ros.calibration import Calibration, calibration_from_info
from da3_ros.ros.compressed import rgb_from_compressed
from da3_ros.ros.convert import (
    byte_array,
    header_at,
    intrinsics_to_info,
    rgb_from_image,
    stamp_ns,
)
from da3_ros.ros.poses import odometry_message
import numpy as np
from sensor_msgs.msg import Image

IMAGE_TOPIC = '/image'
INFO_TOPIC = '/camera_info'
TRUTH_TOPIC = '/ground_truth/odometry'

_RAW = 'sensor_msgs/msg/Image'
_COMPRESSED = 'sensor_msgs/msg/CompressedImage'
_INFO = 'sensor_msgs/msg/CameraInfo'
# Names that cameras' depth images go by; an image topic that is none of them is taken for colour.
_NOT_COLOUR = ('depth', 'disparity', 'confidence', 'mask', 'infra')


def write_camera_bag(path: Path, frames: Iterable[Frame], frame_id: str) -> None:
    """
    Write frames as a new MCAP bag, each with its camera_info; ``frame_id`` is the optical frame.

    The topics are ``/image``, ``/camera_info`` and, for frames whose ``map_from_camera`` is known,
    ``/ground_truth/odometry``.

    Raises:
        InputError: if ``path`` exists.

    """
    with BagWriter(path) as writer:
        for frame in frames:
            header = header_at(frame.stamp_ns, frame_id)
            height, width = frame.rgb.shape[:2]
            if frame.intrinsics is not None:
                info = intrinsics_to_info(frame.intrinsics, (width, height), header)
                writer.write(INFO_TOPIC, frame.stamp_ns, info)
            if frame.map_from_camera is not None:
                in_map = header_at(frame.stamp_ns, 'ground_truth')
                exact = np.zeros((6, 6))
                truth = odometry_message(frame.map_from_camera, exact, in_map, frame_id)
                writer.write(TRUTH_TOPIC, frame.stamp_ns, truth)
            image = Image(
                header=header,
                height=height,
                width=width,
                encoding='rgb8',
                is_bigendian=sys.byteorder == 'big',
                step=3 * width,
                data=byte_array(frame.rgb),
            )
            writer.write(IMAGE_TOPIC, frame.stamp_ns, image)


class BagCamera:
    """One camera of a bag: its images as frames, with the camera_info that goes with them."""

    def __init__(self, bag: BagReader, topic: str | None = None) -> None:
        """
        Choose the image topic: ``topic``, or the only colour image in the bag.

        Raises:
            InputError: if there is no such image topic, or more than one to choose from.

        """
        images = [t for t, name in bag.topics.items() if name in (_RAW, _COMPRESSED)]
        self.topic = _chosen(bag, images, topic)
        self.info_topic = _info_topic(bag, self.topic)
        self._bag = bag

    def __len__(self) -> int:
        """Return how many images there are."""
        return self._bag.count([self.topic])

    def frames(self) -> Iterator[Frame | FrameError]:
        """Yield each image as a frame, or as the error that says why it cannot be one."""
        topics = [self.topic] if self.info_topic is None else [self.topic, self.info_topic]
        calibration = self._first_calibration()
        for raw in self._bag.messages(topics):
            message = raw.message()
            if raw.topic == self.info_topic:
                calibration = _calibration(message) or calibration
                continue
            try:
                is_raw = raw.type_name == _RAW
                rgb = rgb_from_image(message) if is_raw else rgb_from_compressed(message)
            except FrameError as error:
                yield error
                continue
            fits = calibration is not None and calibration.size == (rgb.shape[1], rgb.shape[0])
            yield Frame(
                camera='',
                stamp_ns=stamp_ns(message.header),
                rgb=rgb,
                intrinsics=calibration.intrinsics if fits else None,
                distortion=calibration.distortion if fits else None,
            )

    def frame_id(self) -> str:
        """Return the optical frame of the first image; empty when there is no image."""
        for raw in self._bag.messages([self.topic]):
            return raw.message().header.frame_id
        return ''

    def _first_calibration(self) -> Calibration | None:
        """Return the first usable camera_info: images before it are of the same camera."""
        if self.info_topic is None:
            return None
        found = (_calibration(raw.message()) for raw in self._bag.messages([self.info_topic]))
        return next((calibration for calibration in found if calibration is not None), None)


def _chosen(bag: BagReader, images: list[str], topic: str | None) -> str:
    """Return the image topic to use, or raise an ``InputError`` that lists what there is."""
    listed = ', '.join(sorted(images)) or 'none'
    if topic is not None:
        name = topic if topic.startswith('/') else f'/{topic}'
        if name not in images:
            raise InputError(f"{bag.path} has no image topic '{name}'; topics: {listed}.")
        return name
    colour = [t for t in images if not any(word in t for word in _NOT_COLOUR)]
    raw = [t for t in colour if bag.topics[t] == _RAW]
    # A raw topic and its compressed twin are the same images.
    candidates = raw or colour
    if len(candidates) != 1:
        raise InputError(
            f'{bag.path} has {len(candidates)} topics with colour images; choose one with '
            f'--topic. Its image topics: {listed}.'
        )
    return candidates[0]


def _info_topic(bag: BagReader, image_topic: str) -> str | None:
    """Return the camera_info beside an image topic (REP: same namespace), if the bag has it."""
    base = image_topic.removesuffix('/compressed')
    while base:
        base = base.rpartition('/')[0]
        if bag.topics.get(f'{base}/camera_info') == _INFO:
            return f'{base}/camera_info'
    return None


def _calibration(message: object) -> Calibration | None:
    """Return a CameraInfo's calibration, or None where it cannot be right."""
    try:
        return calibration_from_info(message)
    except CameraInfoError:
        return None
