"""
The one scale that depth, clouds, TF and odometry share.

The map is kept in the network units of its first window; what leaves the engine is multiplied by
one number. It changes at keyframes only, by steps no larger than the spread that was published
before, so that nothing in the map moves by more than it was said to be uncertain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import math

from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.scale.depths import median_depth
from da3_ros.engine.scale.estimate import ScaleEstimate
from da3_ros.engine.scale.source import ScaleSource
from da3_ros.errors import FrameError
import torch

# Keyframes in a row that a better source must have been good for before it takes over, and that
# the present one must have been silent for before a lesser one does.
_PATIENCE = 3
_SILENCE = 10
# What the map's own scale may drift by from keyframe to keyframe while nobody looks.
_DRIFT_PER_KEYFRAME = 0.01
# Share of the way to the source's estimate that is gone at a keyframe.
_GAIN = 0.5


@dataclass(frozen=True)
class ScaleStatus:
    """
    What is published of the scale.

    ``scale`` published units per network unit of the map's first window; ``spread`` its relative
    standard deviation, NaN where nobody measures it; ``source`` who does, or 'none'. ``warning``
    says in a sentence that a source was lost, or is empty; ``problems`` by source, why it says
    nothing.
    """

    scale: float = math.nan
    spread: float = math.nan
    source: str = 'none'
    is_metric: bool = False
    warning: str = ''
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def unit(self) -> float | None:
        """The map's length of a metre; None where it is not known."""
        return 1.0 / self.scale if self.is_metric else None

    @property
    def engine_fields(self) -> dict[str, object]:
        """The fields of ``EngineStatus`` that tell of the scale."""
        return {
            'scale': self.scale,
            'scale_spread': self.spread,
            'scale_source': self.source,
            'is_metric': self.is_metric,
            'scale_warning': self.warning,
            'scale_problems': self.problems,
        }


class MapScale:
    """
    Decides which source is believed, and follows it smoothly.

    Sources are tried in their order. The first one whose spread is at most ``max_spread`` is
    believed; a better one takes over when it was good for 3 keyframes in a row, a lesser one when
    the present one was silent for 10. Sources behind the believed one are not asked: a metric
    network costs nothing where odometry does. Without any, the first view has a median depth of 1.
    """

    def __init__(self, sources: Sequence[ScaleSource], max_spread: float) -> None:
        """Take the sources, best first."""
        self._sources = tuple(sources)
        self._max_spread = max_spread
        self.start_anew()

    def start_anew(self) -> None:
        """Forget the map."""
        for source in self._sources:
            source.reset()
        self._log_scale = math.nan
        self._spread = math.nan
        self._holder: ScaleSource | None = None
        self._was_metric = False
        self._asked_before: tuple[ScaleSource, ...] = ()
        self._good_for: dict[str, int] = {}

    def set_unit(self, depth: torch.Tensor) -> None:
        """
        Take the first view's depth (H, W): until metres are known, its median is published as 1.

        Raises:
            FrameError: if the depth has no finite, positive median.

        """
        median = median_depth(depth)
        if not median > 0:
            raise FrameError(
                'frame_registration',
                'The network gave no valid depth for the first view; the map waits for the next.',
            )
        self.start_anew()
        self._log_scale = -math.log(median)

    def continue_at(self, scale: float) -> None:
        """Begin with a scale that is a guess, until a source knows better."""
        self.start_anew()
        self._log_scale = math.log(scale)

    def resize(self, log_size: float) -> None:
        """
        Follow a correction that has multiplied the newest depths of the map by exp(``log_size``).

        What was measured in metres stays what it is; a map without metres, or with one scale by
        the user's word, keeps its unit.
        """
        before = self._holder.estimate if self._holder else None
        for source in self._sources:
            source.resize(log_size)
        if before is not None:
            self._log_scale += self._holder.estimate.log_scale - before.log_scale
        elif self._was_metric:
            self._log_scale -= log_size

    @property
    def scale(self) -> float:
        """Published units per map unit; NaN before the first view."""
        return math.exp(self._log_scale)

    @property
    def status(self) -> ScaleStatus:
        """What is published."""
        holder = self._holder
        warning = ''
        if holder is None and self._was_metric:
            warning = 'The scale is not known any more; the map keeps the last one.'
        elif holder is not None and holder.silent >= _SILENCE:
            warning = (
                f"The scale's source '{holder.name}' is silent since {holder.silent} keyframes"
                + (f': {holder.problem}.' if holder.problem else '.')
            )
        return ScaleStatus(
            scale=self.scale,
            spread=self._spread,
            source=holder.name if holder else 'none',
            is_metric=holder is not None,
            warning=warning,
            problems={s.name: s.problem for s in self._sources if s.problem},
        )

    def observe(self, views: Sequence[Keyframe], kept: Sequence[Keyframe]) -> str:
        """
        Take in a push, and move the scale if it has a keyframe or no scale was known yet.

        Args:
            views: All new views, placed in the map.
            kept: Those of them that became keyframes.

        Returns:
            A sentence when the source changed, else an empty string.

        """
        asked = self._asked()
        for source in self._sources:
            if source in asked:
                source.observe(views, kept)
            elif source in self._asked_before:
                source.reset()  # what it knows would get old while it is not asked
        self._asked_before = asked
        if not kept and (self._holder is not None or self._was_metric):
            return ''
        before = self._holder
        self._holder = self._choose()
        if self._holder is not None:
            self._follow(self._holder)
        else:
            self._spread = math.nan
        return self._report(before)

    def _asked(self) -> tuple[ScaleSource, ...]:
        """Return the sources up to the believed one; all when that learns nothing or is none."""
        holder = self._holder
        if holder is None or holder.silent > 1 or holder.stale >= _SILENCE:
            return self._sources
        return self._sources[: self._sources.index(holder) + 1]

    def _choose(self) -> ScaleSource | None:
        """Return who is to be believed from now on."""
        good = [s for s in self._sources if _spread(s) <= self._max_spread]
        self._good_for = {s.name: self._good_for.get(s.name, 0) + 1 for s in good}
        holder = self._holder
        if holder is None or holder not in good:
            return good[0] if good else None
        rank = self._sources.index(holder)
        for source in good:
            is_better = self._sources.index(source) < rank
            if is_better and self._good_for[source.name] >= _PATIENCE:
                return source
            if not is_better and source is not holder and holder.silent >= _SILENCE:
                return source
        return holder

    def _follow(self, source: ScaleSource) -> None:
        """Move towards what the source says; all the way when it is the first word there is."""
        estimate: ScaleEstimate = source.estimate
        spread = _spread(source)
        step = estimate.log_scale - self._log_scale
        if self._was_metric:
            limit = self._spread if self._spread > 0 else spread  # none after a loss or fixed
            step = max(-limit, min(limit, _GAIN * step))
        self._log_scale += step
        self._spread = math.hypot(spread, estimate.log_scale - self._log_scale)
        self._was_metric = True

    def _report(self, before: ScaleSource | None) -> str:
        """Return a sentence about a change of source."""
        after = self._holder
        if after is before:
            return ''
        if after is None:
            return f"The scale is not known any more: '{before.name}' has said nothing for long"
        known = f'1 unit is {self.scale:.4g} m, within {100 * self._spread:.1f} %'
        if before is None:
            return f"The scale is known from '{after.name}': {known}"
        return f"The scale is now known from '{after.name}' instead of '{before.name}': {known}"


def _spread(source: ScaleSource) -> float:
    """Return the spread of a source's estimate, grown by what it did not see; inf without one."""
    estimate = source.estimate
    if estimate is None:
        return math.inf
    return math.hypot(estimate.spread, _DRIFT_PER_KEYFRAME * math.sqrt(source.stale))
