"""What leaves the engine of new views: steadied by motion, in the one scale of everything."""

from collections.abc import Sequence
from dataclasses import replace

from da3_ros.engine.device_points import makes_points, warm_up_points
from da3_ros.engine.frame import View
from da3_ros.engine.motion import MotionFilter
from da3_ros.engine.placed_view import PlacedView, RigPlace
from da3_ros.engine.scale import PartScales
from da3_ros.engine.scale.depths import median_depth
import torch


class Publication:
    """Turns placed views into published ones, and keeps the motion of their cameras for that."""

    def __init__(self, scales: PartScales, device: torch.device | None) -> None:
        """Take the scales of the map's parts; with a ``device``, views keep what is on it."""
        self._scales = scales
        self._device = device if device is not None and makes_points(device) else None
        self.clear()

    def warm_up(self) -> None:
        """Have the first view's points made as fast as the others'."""
        if self._device is not None:
            warm_up_points(self._device)

    def clear(self) -> None:
        """Forget how cameras moved: they are elsewhere in the map now without having moved."""
        self._motions: dict[str, MotionFilter] = {}
        self._rigs: dict[str, MotionFilter] = {}

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
            steadied.published(*placing, view in kept, is_adrift, self._device is not None)
            for view, steadied in zip(placed, self._steadied(placed, scale.unit), strict=True)
        )

    def _steadied(self, placed: Sequence[PlacedView], unit: float | None) -> list[PlacedView]:
        """Return the views where motion makes them likely to be; those of a rig stay rigid."""
        aboard = [view for view in placed if view.rig is not None]
        rig = self._steadied_rig(aboard, unit) if aboard else None
        steadied = []
        for view in placed:
            if view.rig is None:
                motion = self._motions.setdefault(view.keyframe.view.camera, MotionFilter())
                steadied.append(view.steadied(motion))
            else:
                steadied.append(view.on(rig))
        return steadied

    def _steadied_rig(self, aboard: Sequence[PlacedView], unit: float | None) -> RigPlace:
        """Return where the rig is likely to be, with the map's metre as it is by now."""
        rig = aboard[0].rig
        rig = rig if unit is None else replace(rig, unit=unit)
        if max(len(view.shared) for view in aboard) < 2:
            return rig
        motion = self._rigs.setdefault(rig.frame, MotionFilter())
        return rig.steadied(motion, median_depth(aboard[0].keyframe.depth))
