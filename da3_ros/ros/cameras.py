"""One camera's inputs: its subscriptions, its calibration, and its messages made frames."""

from collections.abc import Callable
from functools import partial

from da3_ros.config import NodeConfig
from da3_ros.engine import Frame
from da3_ros.errors import CameraInfoError, FrameError
from da3_ros.ros.calibration import Calibration, calibration_from_info
from da3_ros.ros.compressed import rgb_from_compressed
from da3_ros.ros.convert import rgb_from_image, stamp_ns
from da3_ros.ros.drops import DropLog
from da3_ros.ros.endpoints import Endpoints
from da3_ros.ros.qos import image_qos, input_qos
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

# A camera has a few resolutions; a sender of ever new ones must not fill the memory.
_MAX_CALIBRATIONS = 8
_IMAGES = {'raw': (Image, 'image'), 'compressed': (CompressedImage, 'image/compressed')}

ImageCallback = Callable[[str, Image | CompressedImage], None]


def topic(camera: str, name: str) -> str:
    """Return the relative topic of a camera; an unnamed camera has no prefix."""
    return f'{camera}/{name}' if camera else name


class CameraInput:
    """
    Subscribes to one camera and turns its messages into frames for the engine.

    CameraInfo is cached by image size and never synchronised on: images do not wait for it.
    """

    def __init__(
        self, name: str, config: NodeConfig, drops: DropLog, endpoints: Endpoints
    ) -> None:
        self.name = name
        self._image = topic(name, _IMAGES[config.transport][1])
        self._info = topic(name, 'camera_info')
        self._image_qos = endpoints.subscription_qos(self._image, image_qos(config))
        self._info_qos = endpoints.subscription_qos(self._info, input_qos(config.qos))
        self._endpoints = endpoints
        self._config = config
        frames = config.frames.cameras
        self._frame = frames[config.cameras.index(name)] if any(frames) else ''
        self._drops = drops
        self.calibrations: dict[tuple[int, int], Calibration] = {}
        self._is_uncalibrated = False
        self._subscriptions: list[Subscription] = []

    def subscribe(self, on_image: ImageCallback, has_room: Callable[[str], bool]) -> None:
        """
        Listen to camera_info and to the one image topic of the transport.

        Images are fetched from the middleware only while there is room for this camera's.
        """
        self._subscriptions = [
            self._endpoints.subscription(CameraInfo, self._info, self.learn, self._info_qos),
            self._endpoints.subscription(
                _IMAGES[self._config.transport][0],
                self._image,
                partial(on_image, self.name),
                self._image_qos,
                partial(has_room, self.name),
            ),
        ]

    def unsubscribe(self) -> None:
        """Stop listening."""
        for subscription in self._subscriptions:
            self._endpoints.unsubscribe(subscription)
        self._subscriptions = []

    def learn(self, message: CameraInfo) -> None:
        """
        Keep a CameraInfo; one that cannot be right is counted and the previous one stays.

        A camera without calibration says so with every image; that is counted once.
        """
        try:
            calibration = calibration_from_info(message)
        except CameraInfoError as error:
            was_uncalibrated = self._is_uncalibrated
            self._is_uncalibrated = error.reason == 'info_uncalibrated'
            if not (was_uncalibrated and self._is_uncalibrated):
                self._drops.drop(error.reason, str(error))
            return
        self._is_uncalibrated = False
        calibrations = dict(self.calibrations)  # the worker may be reading the old one
        calibrations.pop(calibration.size, None)
        calibrations[calibration.size] = calibration
        if len(calibrations) > _MAX_CALIBRATIONS:
            del calibrations[next(iter(calibrations))]
        self.calibrations = calibrations

    def frame(self, message: Image | CompressedImage) -> Frame:
        """Return a message as a frame; raises ``FrameError`` when it cannot be one."""
        _check_stamp(message)
        is_raw = isinstance(message, Image)
        rgb = rgb_from_image(message) if is_raw else rgb_from_compressed(message)
        calibration = self._calibration((rgb.shape[1], rgb.shape[0]))
        return Frame(
            camera=self.name,
            stamp_ns=stamp_ns(message.header),
            rgb=rgb,
            intrinsics=calibration.intrinsics if calibration else None,
            distortion=calibration.distortion if calibration else None,
        )

    def frame_id(self, message: Image | CompressedImage) -> str:
        """
        Return the camera's optical frame: what the parameter says, else what the image says.

        Without the slash that names began with in ROS 1: tf2 looks none up that has it.
        """
        return self._frame or message.header.frame_id.lstrip('/')

    def _calibration(self, size: tuple[int, int]) -> Calibration | None:
        """Return the calibration for images of a (width, height), or None to trust the network."""
        calibrations = self.calibrations
        if calibrations and size not in calibrations:
            known = ', '.join(f'{w}x{h}' for w, h in calibrations)
            self._drops.drop(
                'info_size',
                f'An image of {size[0]}x{size[1]} came, but the CameraInfo is for {known}; '
                "the network's own intrinsics are used.",
            )
        return calibrations.get(size)


def _check_stamp(message: Image | CompressedImage) -> None:
    """Raise ``FrameError`` for a stamp that ROS cannot count with, or not send again."""
    stamp = message.header.stamp
    if stamp.sec < 0 or stamp.nanosec >= 10**9:
        raise FrameError(
            'frame_stamp',
            f'An image has a stamp of {stamp.sec} s and {stamp.nanosec} ns; expected seconds from '
            '0 on and less than a second of nanoseconds.',
        )
