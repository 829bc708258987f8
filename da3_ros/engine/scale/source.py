"""What every source of metres has in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
import enum

from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.scale.estimate import Readings, ScaleEstimate


class Evidence(enum.Enum):
    """What a source got from a push: nothing, something that says nothing, or a new reading."""

    ABSENT = enum.auto()
    IDLE = enum.auto()
    FRESH = enum.auto()


class ScaleSource(ABC):
    """
    One way to know how many metres a map unit has.

    ``silent`` counts the pushes with a keyframe since what the source needs was last there,
    ``stale`` those since it last learned something: a robot that only turns has live odometry from
    which nothing follows. ``problem`` says in a sentence why nothing was learned, or is empty.
    """

    name: str

    def __init__(self) -> None:
        """Start without evidence."""
        self.silent = self.stale = 0
        self.problem = ''

    def observe(self, views: Sequence[Keyframe], kept: Sequence[Keyframe]) -> None:
        """Take in a push: all new views, placed in the map, and those that became keyframes."""
        if kept:
            self.silent += 1
            self.stale += 1
        evidence = self._take(views, kept)
        if evidence is not Evidence.ABSENT:
            self.silent = 0
        if evidence is Evidence.FRESH:
            self.stale = 0
            self.problem = ''

    def reset(self) -> None:
        """Forget the map: its unit is another from now on."""
        self.silent = self.stale = 0
        self.problem = ''
        self._forget()

    def resize(self, log_size: float) -> None:
        """Know that the newest depths of the map were multiplied by exp(``log_size``)."""

    @property
    @abstractmethod
    def estimate(self) -> ScaleEstimate | None:
        """Metres per map unit as far as is known."""

    @abstractmethod
    def _take(self, views: Sequence[Keyframe], kept: Sequence[Keyframe]) -> Evidence:
        """Learn from a push, and set ``problem`` where nothing follows."""

    @abstractmethod
    def _forget(self) -> None:
        """Forget all that was learned."""


class ReadingSource(ScaleSource):
    """A source whose estimate is what its newest ``_readings`` add up to."""

    def __init__(self, floor: float) -> None:
        """Start without readings; ``floor`` is the spread that no number of them gets below."""
        super().__init__()
        self._readings = Readings(floor)
        self._forget()

    @property
    def estimate(self) -> ScaleEstimate | None:
        """What the readings add up to."""
        return self._readings.estimate

    def resize(self, log_size: float) -> None:
        """Keep what was measured in metres."""
        self._readings.shift(-log_size)

    def _forget(self) -> None:
        self._readings.clear()
