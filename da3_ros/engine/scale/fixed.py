"""The user's word: so many metres per network unit of the first window."""

from collections.abc import Sequence
import math

from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.scale.estimate import ScaleEstimate
from da3_ros.engine.scale.source import Evidence, ScaleSource


class FixedSource(ScaleSource):
    """Says what it was told, always."""

    name = 'fixed'

    def __init__(self, metres_per_unit: float) -> None:
        """Take the number."""
        super().__init__()
        self._estimate = ScaleEstimate(math.log(metres_per_unit), 0.0)

    @property
    def estimate(self) -> ScaleEstimate:
        """The number, taken to be exact."""
        return self._estimate

    def _take(self, views: Sequence[Keyframe], kept: Sequence[Keyframe]) -> Evidence:
        return Evidence.FRESH

    def _forget(self) -> None:
        pass
