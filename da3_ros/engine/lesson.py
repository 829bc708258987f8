"""What the map learns from a window that was placed in it: the part of a push nobody waits for."""

from collections.abc import Sequence
from dataclasses import dataclass

from da3_ros.engine.mapper import Mapper
from da3_ros.engine.placed_view import PlacedView
from da3_ros.engine.registration import refine, Registration
from da3_ros.engine.rigging import Rigging
from da3_ros.engine.runner import WindowPrediction
from da3_ros.engine.scale.map_scale import ScaleStatus
from da3_ros.engine.window import Company

# A window that agrees less with the map than this is published but does not change the map.
_MIN_INLIERS_TO_REFINE = 0.3


@dataclass(frozen=True, eq=False)
class Lesson:
    """A window's ``prediction``, where it is in the map, and its new views; as long as these."""

    company: Company
    prediction: WindowPrediction
    registration: Registration
    placed: Sequence[PlacedView]

    def __len__(self) -> int:
        """Count the new views."""
        return len(self.placed)

    @property
    def refines(self) -> bool:
        """Whether the keyframes that the window was placed by learn from it."""
        return bool(self.company.known) and self.registration.inliers >= _MIN_INLIERS_TO_REFINE

    @property
    def may_add(self) -> bool:
        """Whether new views may become keyframes: where they are is known, or they begin a map."""
        return self.refines or not self.company.known

    def teach(self, mapper: Mapper, rigging: Rigging, scale: ScaleStatus) -> None:
        """Refine the keyframes of the window, and look at its guests."""
        if self.refines:
            refine(self.company.known, self.prediction, self.registration)
            rigging.straighten(self.company.known, mapper.map, scale)
        mapper.look_around()
        mapper.look_at_guests(self.company, self.prediction, self.registration, self.placed[0])
