"""Reads what was recorded of a node with one camera, and checks that it agrees with itself."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from da3_ros.geometry.cameras import unproject
from da3_ros.ros.bag import BagReader
from da3_ros.ros.convert import stamp_ns
from da3_ros.ros.poses import matrix_of, matrix_of_pose
from da3_ros.ros.replay import OUTPUT_TYPES, PER_FRAME_TOPICS
import numpy as np
from sensor_msgs.msg import Image, PointCloud2

# How far a cloud may be from its unprojected depth, relative to the range.
_CLOUD_TOLERANCE = 1e-3
# Share of the valid depth that must be in the cloud: only points in the air are left out.
_MIN_POINTS = 0.5


@dataclass(frozen=True)
class RecordedFrame:
    """
    The outputs for one image; ``received_ns`` is when its depth was recorded.

    ``depth_m`` and ``confidence`` (h, w) float32; ``intrinsics`` (3, 3); ``map_from_camera``
    (4, 4); ``points`` (h, w, 3) float32; ``tf_map_from_camera`` (4, 4) is the same pose from TF.
    """

    stamp_ns: int
    received_ns: int
    depth_m: np.ndarray
    confidence: np.ndarray
    info_size: tuple[int, int]
    intrinsics: np.ndarray
    map_from_camera: np.ndarray
    tf_map_from_camera: np.ndarray
    points: np.ndarray

    def problems(self) -> Iterator[str]:
        """Yield a sentence for each contradiction between the topics."""
        height, width = self.depth_m.shape
        if self.info_size != (width, height):
            yield f'camera_info is for {self.info_size}, depth is {(width, height)}'
        if self.points.shape[:2] != self.depth_m.shape:
            yield f'the cloud is {self.points.shape[:2]}, depth is {self.depth_m.shape}'
        else:
            expected = unproject(self.depth_m, self.intrinsics)
            error = np.linalg.norm(self.points - expected, axis=-1)
            worst = np.nanmax(error / np.linalg.norm(expected, axis=-1), initial=0.0)
            if not worst <= _CLOUD_TOLERANCE:
                yield f'the cloud is off the unprojected depth by {worst:.2g} of the range'
            is_point = ~np.isnan(self.points[..., 2])
            is_depth = ~np.isnan(self.depth_m)
            if (is_point & ~is_depth).any():
                yield 'the cloud has points where depth is invalid'
            if is_point.sum() < _MIN_POINTS * is_depth.sum():
                yield f'the cloud has {is_point.sum()} points, depth has {is_depth.sum()}'
        if not np.allclose(self.map_from_camera, self.tf_map_from_camera, atol=1e-9):
            yield 'TF and odometry differ'


@dataclass(frozen=True)
class Recording:
    """
    Everything that was recorded: the frames whose topics are complete, in the order of stamps.

    ``keyframes`` (K, 4, 4) map_from_camera and ``keyframe_stamps_ns`` (K,) as last published;
    ``counts`` messages by topic; ``incomplete`` stamps for which a topic is missing or twice;
    ``scales`` of the map by the stamp of the image that it was published with [ns].
    """

    frames: tuple[RecordedFrame, ...]
    keyframes: np.ndarray
    keyframe_stamps_ns: tuple[int, ...]
    counts: Counter
    incomplete: tuple[int, ...]
    scales: dict[int, float]

    def problems(self, input_stamps_ns: Sequence[int], published: int) -> list[str]:
        """
        Return a sentence for everything that is not as it must be; nothing when all is well.

        ``input_stamps_ns`` are the stamps of all images that went in, ``published`` how many the
        node says it has published.
        """
        stamps = [frame.stamp_ns for frame in self.frames]
        found = [
            f'frame {frame.stamp_ns}: {problem}'
            for frame in self.frames
            for problem in frame.problems()
        ]
        found += [f'frame {stamp}: a topic is missing or twice' for stamp in self.incomplete]
        found += [
            f'frame {stamp}: no image has this stamp'
            for stamp in set(stamps) - set(input_stamps_ns)
        ]
        if len(self.frames) != published:
            found.append(f'{len(self.frames)} frames are recorded, {published} were published')
        for topic in ('/keyframes', '/status'):
            if published and not self.counts[topic]:
                found.append(f'{topic} has no message')
        if self.counts['/status'] < published:
            found.append(f'{self.counts["/status"]} status messages for {published} frames')
        return found


def read_recording(path: Path) -> Recording:
    """
    Read a bag of a node's outputs; depth may be 32FC1 or 16UC1.

    Raises:
        InputError: if the bag cannot be read.

    """
    by_stamp: dict[int, dict[str, list]] = {}
    received: dict[int, int] = {}
    counts: Counter[str] = Counter()
    scales: dict[int, float] = {}
    path_message = None
    with BagReader(path) as bag:
        for raw in bag.messages([t for t in OUTPUT_TYPES if t in bag.topics]):
            counts[raw.topic] += 1
            if raw.topic == '/keyframes':
                path_message = raw.message()
            if raw.topic == '/status':
                status = raw.message()
                scales[stamp_ns(status.header)] = status.scale
            if raw.topic not in PER_FRAME_TOPICS:
                continue
            message = raw.message()
            header = message.transforms[0].header if raw.topic == '/tf' else message.header
            stamp = stamp_ns(header)
            by_stamp.setdefault(stamp, {}).setdefault(raw.topic, []).append(message)
            if raw.topic == '/depth/image_rect':
                received[stamp] = raw.stamp_ns
    complete = {
        stamp: {topic: messages[0] for topic, messages in topics.items()}
        for stamp, topics in sorted(by_stamp.items())
        if sorted(topics) == sorted(PER_FRAME_TOPICS)
        and all(len(messages) == 1 for messages in topics.values())
    }
    poses = [] if path_message is None else path_message.poses
    return Recording(
        frames=tuple(_frame(s, received[s], topics) for s, topics in complete.items()),
        keyframes=np.array([matrix_of_pose(p.pose) for p in poses]).reshape(-1, 4, 4),
        keyframe_stamps_ns=tuple(stamp_ns(p.header) for p in poses),
        counts=counts,
        incomplete=tuple(sorted(by_stamp.keys() - complete.keys())),
        scales=scales,
    )


def _frame(stamp: int, received_ns: int, topics: dict) -> RecordedFrame:
    """Return the messages of one stamp as arrays."""
    info = topics['/depth/camera_info']
    return RecordedFrame(
        stamp_ns=stamp,
        received_ns=received_ns,
        depth_m=image_values(topics['/depth/image_rect']),
        confidence=image_values(topics['/confidence/image_rect']),
        info_size=(info.width, info.height),
        intrinsics=np.array(info.k).reshape(3, 3),
        map_from_camera=matrix_of_pose(topics['/odometry'].pose.pose),
        tf_map_from_camera=matrix_of(topics['/tf'].transforms[0].transform),
        points=cloud_points(topics['/points']),
    )


def image_values(message: Image) -> np.ndarray:
    """Return a depth or confidence image (h, w) float32; 16UC1 becomes metres with NaN for 0."""
    kind = {'32FC1': 'f4', '16UC1': 'u2'}[message.encoding]
    order = '>' if message.is_bigendian else '<'
    values = np.frombuffer(message.data, f'{order}{kind}')
    values = values.reshape(message.height, -1)[:, : message.width].astype(np.float32)
    if message.encoding == '16UC1':
        values = np.where(values > 0, values / 1000.0, np.nan).astype(np.float32)
    return values


def cloud_points(message: PointCloud2) -> np.ndarray:
    """Return the x, y, z of an organised cloud, (h, w, 3) float32."""
    points = cloud_rows(message, x='f4', y='f4', z='f4').reshape(message.height, message.width)
    return np.stack([points['x'], points['y'], points['z']], axis=-1)


def cloud_rows(message: PointCloud2, **kinds: str) -> np.ndarray:
    """Return the points (h * w,) of a cloud as they lie, with fields of these NumPy types."""
    offsets = {field.name: field.offset for field in message.fields}
    order = '>' if message.is_bigendian else '<'
    layout = np.dtype(
        {
            'names': list(kinds),
            'formats': [f'{order}{kind}' for kind in kinds.values()],
            'offsets': [offsets[name] for name in kinds],
            'itemsize': message.point_step,
        }
    )
    return np.frombuffer(message.data, layout, count=message.width * message.height)
