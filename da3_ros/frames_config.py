"""Names of the coordinate frames, as parameters."""

from dataclasses import dataclass
import re

from da3_ros.errors import ConfigError
from da3_ros.parameter_tree import Config, parameter

_FRAME_ID = re.compile(r'[A-Za-z_][A-Za-z0-9_/]*')


@dataclass(frozen=True)
class FramesConfig(Config):
    """Names of the coordinate frames (REP 105)."""

    map: str = parameter('map', 'Frame of the map; parent of every pose that is published.')
    odom: str = parameter('odom', 'Odometry frame, the child of the map frame for tf: odom.')
    cameras: tuple = parameter(
        ('',),
        'Optical frames of the cameras, in the order of cameras; an empty name, or none, takes '
        "the frame_id of each image's header.",
    )

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` for a name that tf2 would refuse."""
        super().__post_init__()
        for name in ('map', 'odom'):
            value = getattr(self, name)
            if not _FRAME_ID.fullmatch(value):
                raise ConfigError(f"'{name}' is {value!r}; expected a frame id such as 'map'.")
        for name in self.cameras:
            if not isinstance(name, str) or (name and not _FRAME_ID.fullmatch(name)):
                raise ConfigError(
                    f"'cameras' holds {name!r}; expected a frame id such as 'camera_optical'."
                )

    def check(self, cameras: int, sends_odom: bool) -> None:
        """
        Raise ``ConfigError`` for names that do not go together, or with so many cameras.

        The map may be called odom where no map → odom is sent: for a camera that is the odometry.
        """
        given = [name for name in self.cameras if name]
        if given and len(self.cameras) != cameras:
            raise ConfigError(
                f"'frames.cameras' has {len(self.cameras)} names and 'cameras' {cameras}; "
                'expected one frame for each camera, in their order.'
            )
        names = [self.map, *([self.odom] if sends_odom else []), *given]
        if len(set(names)) < len(names):
            raise ConfigError(
                f"'frames' has one name for different frames: map '{self.map}', odom "
                f"'{self.odom}', cameras {list(self.cameras)}."
            )
