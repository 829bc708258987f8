"""What goes into the point clouds: the groups ``points`` and ``map_points`` of the parameters."""

from dataclasses import dataclass

from da3_ros.errors import ConfigError
from da3_ros.parameter_tree import Config, parameter


@dataclass(frozen=True)
class PointsConfig(Config):
    """The published point cloud of each image."""

    layout: str = parameter(
        'organised',
        'organised: rows and columns as in the image, NaN where there is no point; compact: the '
        'points alone, one row of them, in the same order.',
        choices=('organised', 'compact'),
        dynamic=True,
    )
    stride: int = parameter(
        1, 'Every n-th row and column of the depth image.', minimum=1, maximum=64, dynamic=True
    )
    min_range: float = parameter(
        0.0,
        'Points nearer to the camera than this are left out, such as the robot itself [m].',
        minimum=0.0,
        maximum=1e6,
        dynamic=True,
    )
    max_range: float = parameter(
        0.0,
        'Points farther from the camera than this are left out [m]; 0 is no limit.',
        minimum=0.0,
        maximum=1e6,
        dynamic=True,
    )
    min_confidence: float = parameter(
        0.0,
        'Points with a lower confidence are left out; the network gives 1 and up.',
        minimum=0.0,
        maximum=1e6,
        dynamic=True,
    )
    max_edge: float = parameter(
        0.03,
        'Points that hang in the air where depth runs across an edge are left out: those whose '
        'depth steps, on both sides, by more than this share from one pixel to the next, and not '
        'as a plane does. 0 leaves all of them in.',
        minimum=0.0,
        maximum=1.0,
        dynamic=True,
    )
    frame: str = parameter(
        'camera',
        'camera: in the optical frame of the image; map: in frames.map, at the pose of the image. '
        'The points of a network that makes no map stay with the camera.',
        choices=('camera', 'map'),
        dynamic=True,
    )
    max_rate_hz: float = parameter(
        0.0,
        'Clouds per second of each camera, by the stamps, at most; 0 is one for every image.',
        minimum=0.0,
        maximum=1e3,
        dynamic=True,
    )

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` for the first field whose value is not allowed."""
        super().__post_init__()
        if 0 < self.max_range <= self.min_range:
            raise ConfigError(
                f"'min_range' is {self.min_range!r} and 'max_range' is {self.max_range!r}; "
                'expected the first to be smaller, or no limit (0).'
            )


@dataclass(frozen=True)
class MapPointsConfig(Config):
    """The published point cloud of the whole map; ``points`` says what is left out of it."""

    voxel_m: float = parameter(
        0.0,
        'Edge of the cubes of which each holds one point [m]; 0 is a hundredth of the median '
        'depth. There are never more than a million points: of many keyframes fewer pixels count.',
        minimum=0.0,
        maximum=1e3,
        dynamic=True,
    )
    period_s: float = parameter(
        2.0,
        'While the map changes, its points are published this often at most [s].',
        minimum=0.1,
        maximum=3600.0,
        dynamic=True,
    )
