"""What leaves the engine of new views: steadied by motion, in the one scale of everything."""

from collections.abc import Sequence

from da3_ros.engine.frame import View
from da3_ros.engine.motion import MotionFilter
from da3_ros.engine.placed_view import PlacedView
from da3_ros.engine.scale import PartScales


class Publication:
    """Turns placed views into published ones, and keeps the motion of their cameras for that."""

    def __init__(self, scales: PartScales) -> None:
        """Take the scales of the map's parts."""
        self._scales = scales
        self.clear()

    def clear(self) -> None:
        """Forget how cameras moved: they are elsewhere in the map now without having moved."""
        self._motions: dict[str, MotionFilter] = {}

    def views(
        self,
        placed: Sequence[PlacedView],
        kept: Sequence[PlacedView],
        part: int,
        is_adrift: bool,
    ) -> tuple[View, ...]:
        """
        Return new views of a ``part`` of the map in the scale that everything is published in.

        ``kept`` are those of them that became keyframes; ``is_adrift`` tells that the part is.
        """
        scale = self._scales[part].status
        spread = scale.spread if scale.is_metric else 0.0
        placing = self._scales.scaled_from_map(part), self._scales.origin, spread
        return tuple(
            self._steadied(view).published(*placing, view in kept, is_adrift) for view in placed
        )

    def _steadied(self, view: PlacedView) -> PlacedView:
        motion = self._motions.setdefault(view.keyframe.view.camera, MotionFilter())
        return view.steadied(motion)
