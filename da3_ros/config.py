"""
Configuration as frozen values: one tree that code, node, tools and documentation share.

Each field carries its description and its allowed values in its metadata, so the ROS parameter
descriptors and the README's table are generated from here and defaults stand in one place only.
``EngineConfig`` is what ``StreamingEngine`` needs; ``NodeConfig`` adds what only the node needs.
The dotted path of a field is its parameter name: ``window.size``, ``depth.encoding``.
"""

from dataclasses import dataclass
import re

from da3_ros.cloud_config import MapPointsConfig, PointsConfig
from da3_ros.errors import ConfigError
from da3_ros.frames_config import FramesConfig
from da3_ros.parameter_tree import Config, group, parameter

DEPTH_ENCODINGS = ('32FC1', '16UC1')
POSE_PRIORS = ('none', 'rig', 'odometry')
SCALE_SOURCES = ('rig', 'odometry', 'metric_model', 'depth_sensor', 'fixed')
_CAMERA_NAME = re.compile(r'[A-Za-z][A-Za-z0-9_]*(/[A-Za-z][A-Za-z0-9_]*)*')
_DEVICE = re.compile(r'auto|cpu|cuda(:\d+)?')


@dataclass(frozen=True)
class WindowConfig(Config):
    """The views that go through the network together."""

    size: int = parameter(
        8,
        'Views in the window, reference and newest included; time per frame grows with it.',
        minimum=2,
        maximum=64,
    )
    refreshed: int = parameter(
        2,
        'Keyframes of the window whose depth is inferred anew with each frame: the reference '
        'and others in turn. Fewer save time, more give a steadier scale.',
        minimum=1,
        maximum=64,
    )


@dataclass(frozen=True)
class KeyframeConfig(Config):
    """When a frame becomes a keyframe and when the reference moves."""

    max_overlap: float = parameter(
        0.75,
        'A frame becomes a keyframe when less than this share of it is seen by every keyframe.',
        minimum=0.0,
        maximum=1.0,
        dynamic=True,
    )
    min_parallax_deg: float = parameter(
        8.0,
        'A frame becomes a keyframe when its median parallax to the nearest keyframe is larger.',
        minimum=0.1,
        maximum=90.0,
        dynamic=True,
    )
    min_reference_overlap: float = parameter(
        0.8,
        'The reference moves to the next keyframe when a new keyframe overlaps it by less; small '
        'networks want it near, large ones hold on to it for longer.',
        minimum=0.0,
        maximum=1.0,
        dynamic=True,
    )
    revisits: bool = parameter(
        True,
        'Let keyframes of places that were seen before into the window, close loops and join '
        'parts of the map.',
        dynamic=True,
    )
    max_count: int = parameter(
        500,
        'Keyframes kept in the map; beyond it, those that others see best are forgotten.',
        minimum=2,
        maximum=1_000_000,
    )


@dataclass(frozen=True)
class ScaleConfig(Config):
    """Where the size of the map comes from."""

    sources: tuple = parameter(
        SCALE_SOURCES,
        'Who may say how large the map is, best first; each counts where what it needs is there. '
        'rig: known distances between the cameras, from TF. odometry: camera motion, from TF. '
        'metric_model: a metric network. depth_sensor: measured ranges. fixed: scale.fixed. '
        'With none, the first view has a median depth of 1 and is_metric is false.',
    )
    fixed: float = parameter(
        0.0,
        'Metres per network unit of the first window, for the source fixed; 0 is not known.',
        minimum=0.0,
        maximum=1e6,
    )
    depth_sensor: str = parameter(
        'none',
        'What the source depth_sensor listens to: depth_image is depth_sensor/image with '
        'depth_sensor/camera_info, laser_scan is depth_sensor/scan, point_cloud is '
        'depth_sensor/points.',
        choices=('none', 'depth_image', 'laser_scan', 'point_cloud'),
    )
    min_motion_m: float = parameter(
        0.1,
        'Camera motion between keyframes that is shorter by odometry says nothing of the scale '
        '[m].',
        minimum=0.0,
        maximum=1e3,
    )
    max_spread: float = parameter(
        0.2,
        'A source is believed only while the relative standard deviation of its scale is at most '
        'this.',
        minimum=0.001,
        maximum=1.0,
    )

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` for the first field whose value is not allowed."""
        super().__post_init__()
        sources = tuple(name for name in self.sources if name)  # ROS has no empty list of names
        if not set(sources) <= set(SCALE_SOURCES) or len(set(sources)) != len(sources):
            allowed = ', '.join(repr(name) for name in SCALE_SOURCES)
            raise ConfigError(
                f"'sources' is {list(sources)!r}; expected some of {allowed}, each at most once."
            )
        object.__setattr__(self, 'sources', sources)


@dataclass(frozen=True)
class EngineConfig(Config):
    """What ``StreamingEngine`` needs to know; no ROS in it."""

    model: str = parameter(
        'embedded',
        'embedded, a Hugging Face id such as depth-anything/DA3-SMALL, or the path of a '
        '.safetensors file or of a directory that holds one.',
    )
    metric_model: str = parameter(
        '',
        'Metric network for the scale source metric_model, for instance '
        'depth-anything/DA3METRIC-LARGE, named like model; empty is none.',
    )
    device: str = parameter('auto', 'auto (CUDA where there is a GPU), cpu, cuda or cuda:N.')
    precision: str = parameter(
        'auto',
        'Precision of the network; auto is bf16 where it is native, else fp16 on a GPU and fp32 '
        'on a CPU; the embedded model takes fp16 on any GPU.',
        choices=('auto', 'fp32', 'bf16', 'fp16'),
    )
    resolution: int = parameter(
        0,
        'Longest side of the image that the network sees, in pixels; 0 is the size that the model '
        'was made for (504 for the official ones).',
        minimum=0,
        maximum=2016,
    )
    cuda_graphs: bool = parameter(
        True,
        'On a GPU, capture the network once for each number of views and replay it: a second or '
        'two at start, milliseconds less for each frame.',
    )
    compile: bool = parameter(
        False,
        'Compile the network with torch.compile, up to minutes at the first start: for GPUs '
        "without Triton, where the package's own kernels cannot run; needs a C compiler.",
    )
    max_stamp_jump_s: float = parameter(
        1.0,
        'A stamp that goes back by more than this is a new start (a bag that loops) and resets '
        'the map; by less, the frame is dropped.',
        minimum=0.0,
        maximum=3600.0,
    )
    pose_prior: str = parameter(
        'none',
        'Poses that the network is told beside the images, from TF. rig: where cameras are to '
        'each other, at the start of a map. odometry: where all views of a window are. Both need '
        'CameraInfo; what disagrees with the images is dropped. See docs/pose_priors.md.',
        choices=POSE_PRIORS,
    )
    window: WindowConfig = group(WindowConfig)
    keyframe: KeyframeConfig = group(KeyframeConfig)
    scale: ScaleConfig = group(ScaleConfig)

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` for the first field whose value is not allowed."""
        super().__post_init__()
        if not self.model.strip():
            raise ConfigError(
                "'model' is empty; expected 'embedded', a Hugging Face id or a path."
            )
        if not _DEVICE.fullmatch(self.device):
            raise ConfigError(
                f"'device' is {self.device!r}; expected 'auto', 'cpu', 'cuda' or 'cuda:N'."
            )


@dataclass(frozen=True)
class DepthConfig(Config):
    """The published depth image."""

    encoding: str = parameter(
        '32FC1',
        '32FC1 (metres, NaN is invalid) or 16UC1 (millimetres, 0 is invalid); REP 117, REP 118.',
        choices=DEPTH_ENCODINGS,
        dynamic=True,
    )
    min_confidence: float = parameter(
        0.0,
        'Depth with a lower confidence is published as invalid; the network gives 1 and up.',
        minimum=0.0,
        maximum=1e6,
        dynamic=True,
    )
    max_range: float = parameter(
        0.0,
        'Depth beyond this is published as invalid [m]; 0 is no limit.',
        minimum=0.0,
        maximum=1e6,
        dynamic=True,
    )


@dataclass(frozen=True)
class QosConfig(Config):
    """Quality of service; a best-effort input takes reliable and best-effort publishers alike."""

    input_reliability: str = parameter(
        'best_effort',
        'Reliability of the image and camera_info subscriptions.',
        choices=('best_effort', 'reliable'),
    )
    output_reliability: str = parameter(
        'reliable',
        'Reliability of the outputs; reliable also serves best-effort subscribers.',
        choices=('best_effort', 'reliable'),
    )
    output_depth: int = parameter(
        5, 'Messages kept per output topic (keep last).', minimum=1, maximum=1000
    )


@dataclass(frozen=True)
class RigConfig(Config):
    """How images of several cameras become sets that go through the network together."""

    max_apart_s: float = parameter(
        0.02,
        'Images of different cameras whose stamps are no farther apart form one set [s].',
        minimum=0.0,
        maximum=1.0,
    )
    max_wait_s: float = parameter(
        0.05,
        'How long a set waits for cameras that are missing from it before it goes without them, '
        'twenty times as long with replay: every_frame; a camera that was missing three times in '
        'a row is not waited for until it sends again [s].',
        minimum=0.0,
        maximum=10.0,
    )


@dataclass(frozen=True)
class NodeConfig(EngineConfig):
    """Everything that the node can be told: the engine's tree and the ROS side."""

    cameras: tuple = parameter(
        ('',),
        'Camera names, each the prefix of its topics; one empty name is one camera, no prefix.',
    )
    transport: str = parameter(
        'raw',
        'raw subscribes to image, compressed to image/compressed.',
        choices=('raw', 'compressed'),
    )
    replay: str = parameter(
        'realtime',
        'realtime: the newest image goes first, and those that it overtook are dropped; '
        'every_frame: none is dropped, images wait their turn, at first here, then in the '
        'middleware, which asks for a reliable publisher.',
        choices=('realtime', 'every_frame'),
    )
    pose_prior_wait_s: float = parameter(
        0.05,
        'For pose_prior: odometry: how long an image waits for the transform at its stamp [s]; '
        'more than the time between two transforms, or images go without.',
        minimum=0.0,
        maximum=1.0,
    )
    autostart: bool = parameter(True, 'Configure and activate without being told to.')
    tf: str = parameter(
        'camera',
        'none; camera: map to the optical frame; odom: map to the odometry frame, for a robot '
        'that has its own odom to camera transforms (REP 105).',
        choices=('none', 'camera', 'odom'),
    )
    tf_tolerance_s: float = parameter(
        0.0,
        'How much later than its image a transform is dated [s], as transform_tolerance of AMCL: '
        'who looks up the present, as Nav2 does, is answered until the next image is through.',
        minimum=0.0,
        maximum=60.0,
    )
    save_directory: str = parameter(
        '~/.ros/da3_ros', 'Directory under which ~/save_map writes, one new folder a call.'
    )
    frames: FramesConfig = group(FramesConfig)
    depth: DepthConfig = group(DepthConfig)
    points: PointsConfig = group(PointsConfig)
    map_points: MapPointsConfig = group(MapPointsConfig)
    rig: RigConfig = group(RigConfig)
    qos: QosConfig = group(QosConfig)

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` for the first field whose value is not allowed."""
        super().__post_init__()
        if not self.cameras or any(not isinstance(name, str) for name in self.cameras):
            raise ConfigError(f"'cameras' is {self.cameras!r}; expected a list of names or [''].")
        if len(set(self.cameras)) != len(self.cameras):
            raise ConfigError(f"'cameras' is {self.cameras!r}; expected every name once.")
        for name in self.cameras:
            if not _CAMERA_NAME.fullmatch(name) and (name or len(self.cameras) > 1):
                raise ConfigError(
                    f"'cameras' holds {name!r}; expected a topic prefix such as 'front' "
                    '(only a single camera may have an empty name).'
                )
        if not self.save_directory.strip() or '\0' in self.save_directory:
            raise ConfigError(
                f"'save_directory' is {self.save_directory!r}; expected the path of a directory."
            )

    def check(self) -> None:
        """Raise ``ConfigError`` for parameters that do not go together, once all are given."""
        self.frames.check(len(self.cameras), sends_odom=self.tf == 'odom')
