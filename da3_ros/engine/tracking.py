"""Whether a new view is where it was placed: the difference between tracking and being lost."""

from collections.abc import Sequence
from dataclasses import replace

from da3_ros.engine.placed_view import PlacedView
from da3_ros.errors import RegistrationError

# A view hangs together with the map when the keyframe that shares most with it sees so much of
# it, agrees about so much of that, and the network is so sure of it, of what is usual.
_FOLLOWED = (0.05, 0.35, 0.05)
_FOUND_AGAIN = (0.2, 0.5, 0.1)
# One that agrees about so much, of so much of it, holds however unsure the network is.
_OBVIOUS = (0.3, 0.6)
_MEMORY = 30
# Views in a row that fit nowhere before another part of the map is begun. It is begun by a view
# that the network is about as sure of as is usual; if none comes, less is asked for after a while.
_PATIENCE = 10
_MIN_FIRST = 0.25
_RELENT = 0.8


class Tracking:
    """Judges views by what is usual in the stream, and counts those in a row that fit nowhere."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.clear()

    def clear(self) -> None:
        """Forget the stream."""
        self.lost = 0
        self._waited = 0
        self._is_dark = False
        self._usual = 0.0
        self._views = 0

    @property
    def is_lost(self) -> bool:
        """Whether the last view fitted nowhere."""
        return self.lost > 0

    @property
    def gives_up(self) -> bool:
        """Whether it is time to begin another part of the map with the next view."""
        return self._waited >= _PATIENCE

    def lose(self) -> None:
        """Count a view that fits nowhere."""
        self.lost += 1
        self._waited += 1

    def holds(self, view: PlacedView) -> bool:
        """
        Tell whether a view hangs together with the keyframes that it was placed by.

        One that is carried by a rig has to do so obviously: it has been made to fit.
        """
        inside, agreeing, certain = self._asked()
        fits = not view.is_carried and _holds(view, inside, agreeing, certain)
        return fits or _is_obvious(view)

    def check(self, views: Sequence[PlacedView]) -> list[PlacedView]:
        """
        Take in views that were placed by keyframes, and return those that hold; one is enough.

        Those that do not, but belong to a rig of which another camera holds, come last.

        Raises:
            RegistrationError: if none does: it was placed, but where is not known.

        """
        held = [view for view in views if self.holds(view)]
        if not held:
            inside, agreeing, least = self._asked()
            best = max(views, key=lambda v: v.sight.inside * v.sight.agreeing)
            raise RegistrationError(
                f'The map sees {100 * best.sight.inside:.0f} % of the new view and agrees about '
                f'{100 * best.sight.agreeing:.0f} % of that, and the network is '
                f'{best.certainty:.2g} sure of it; expected at least {100 * inside:.0f} %, '
                f'{100 * agreeing:.0f} % and {least:.2g}.'
            )
        others = [view for view in views if view.rig is not None and view not in held]
        for view in held:
            if not view.is_carried:
                self._learn(view)
        self._hold()
        held = [replace(view, is_carried=False) if view.is_carried else view for view in held]
        return [*held, *others]

    def _asked(self) -> tuple[float, float, float]:
        """Return what a view must reach: what is seen of it, agrees, and how sure of it."""
        inside, agreeing, certain = _FOUND_AGAIN if self.is_lost else _FOLLOWED
        return inside, agreeing, certain * self._usual

    def check_first(self, view: PlacedView) -> None:
        """
        Take in a view that begins a map or a part of it.

        When the lights have just come back, the place may well be known: nothing is begun then
        before it was looked for.

        Raises:
            RegistrationError: if the network hardly sees anything in the view, a dark picture
                say, or saw nothing before.

        """
        if view.certainty < _MIN_FIRST * self._usual:
            self._usual *= _RELENT
            self._is_dark = True
            self._waited = 0
            raise RegistrationError(
                f'The network is {view.certainty:.2g} sure of the new view where '
                f'{self._usual:.2g} is usual; expected a picture that shows something.'
            )
        if self._is_dark:
            self._is_dark = False
            self._waited = 0
            raise RegistrationError(
                'The pictures show something again; expected a place that the map knows.'
            )
        self._learn(view)
        self._hold()

    def _learn(self, view: PlacedView) -> None:
        """Take in how sure the network is of a view that is well placed."""
        self._views = min(self._views + 1, _MEMORY)
        self._usual += (view.certainty - self._usual) / self._views

    def _hold(self) -> None:
        """Note that the stream is where it was placed."""
        self.lost = self._waited = 0
        self._is_dark = False


def _holds(view: PlacedView, inside: float, agreeing: float, certainty: float) -> bool:
    """Tell whether a view reaches all of three thresholds."""
    sight = view.sight
    return sight.inside >= inside and sight.agreeing >= agreeing and view.certainty >= certainty


def _is_obvious(view: PlacedView) -> bool:
    return view.sight.inside >= _OBVIOUS[0] and view.sight.agreeing >= _OBVIOUS[1]
