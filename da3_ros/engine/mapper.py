"""
What becomes of a registered window: keyframes, the views that go with the next one, and loops.

The mapper owns the map and the window. It decides who comes along with new views, keeps those that
show something new, lets old keyframes in as guests where a place looks familiar, and closes the
loops that they prove.
"""

from collections.abc import Callable, Sequence

from da3_ros.config import EngineConfig
from da3_ros.engine.keyframes import covisibilities, Keyframe, KeyframeRule, overlap_points
from da3_ros.engine.loop_closing import LoopCloser
from da3_ros.engine.map import Change, Loop, Map
from da3_ros.engine.placed_view import PlacedView
from da3_ros.engine.registration import Registration
from da3_ros.engine.revisits import Guest, Revisits
from da3_ros.engine.runner import WindowPrediction, WindowView
from da3_ros.engine.scale.depths import median_depth
from da3_ros.engine.window import Company, Window
from da3_ros.errors import InputError
from da3_ros.geometry.transforms import rotation_angle_deg, Sim3
import numpy as np
import torch

# A guest that is off by no more than this, as a share of the scene's depth, in degrees and in
# logarithms of scale, is where the map has it: registration takes in what is left.
_IN_PLACE = (0.03, 1.0, 0.03)
# Places that a lost view may be at, tried one a frame.
_RECOLLECTIONS = 3
# Parts with fewer keyframes are not worth keeping once they are left.
_MIN_PART = 3

Describe = Callable[[WindowView], torch.Tensor]


class Mapper:
    """Keeps the map and the window; all of it belongs to the thread that pushes."""

    def __init__(self, config: EngineConfig, describe: Describe) -> None:
        """Take the configuration, and who describes the place of a view."""
        self._describe = describe
        self.configure(config)
        self.map = Map(config.keyframe.max_count)
        self.window = Window(config.window.size, config.window.refreshed)
        self._full_size = config.window.size
        self._revisits = Revisits(self.map, 2 * config.window.size)
        self._closer = LoopCloser()
        self.clear()

    def configure(self, config: EngineConfig) -> None:
        """Take new thresholds."""
        self._rule = KeyframeRule(config.keyframe)
        self._revisits_on = config.keyframe.revisits

    def clear(self) -> None:
        """Forget everything."""
        self.window.clear()
        self.map.clear()
        self._revisits.clear()
        self._closer.cancel()
        self._closing: Guest | None = None
        self._joining: tuple[Guest, Sim3] | None = None
        self._released: list[Keyframe] = []
        self._has_room = False
        self.part = 0
        self._next_part = 1
        self.loops_closed = 0

    def company(self, newest: int) -> Company:
        """Return who goes with ``newest`` new views while the map is known."""
        self._archive()
        guest = self._revisits.guest
        self._has_room = self.window.has_room(newest)
        if guest is None or not self._has_room:
            return Company(tuple(self.window.select(newest)))
        return Company(tuple(self.window.select(newest, 1)), (guest.keyframe,))

    def dense_slots(self, company: Company, newest: int) -> list[int]:
        """Return which of a window's views get depth this time."""
        return self.window.dense_slots(len(company.known), newest, len(company.guests))

    def recollected(self, view: WindowView, newest: int, attempt: int) -> Company:
        """
        Return who goes with a view that is lost: a place, and what is around it.

        First where the stream was last, which is where most views are found again; then places
        that look like the view, of which there are none where it looks like nothing at all.
        """
        self._archive()
        matches = self.map.places.query(self._describe(view), _RECOLLECTIONS, ())
        places = [*list(self.window)[-1:], *(self.map[key] for key, _ in matches)]
        if not places:
            return self.company(newest)
        place = places[attempt % len(places)]
        members = [place, *self.map.neighbours(place)][: max(1, self.window.size - newest)]
        for keyframe in members:
            keyframe.recall()
        return Company(tuple(members), is_recollected=True)

    def settle(self, company: Company) -> None:
        """Make those the window that a lost view was found by; what is left behind is archived."""
        for keyframe in self.window.replace(company.known):
            self._release(keyframe)
        self._dismiss_guest()
        left, self.part = self.part, company.known[0].part
        if left != self.part and sum(k.part == left for k in self.map) < _MIN_PART:
            self.map.forget_part(left)

    def let_go(self, company: Company) -> None:
        """Archive those that were recalled in vain."""
        for keyframe in company.known:
            self._release(keyframe)

    def begin_part(self) -> int:
        """Start another part of the map, and return its number; the window is empty then."""
        self._dismiss_guest()
        if sum(k.part == self.part for k in self.map) < _MIN_PART:
            self.map.forget_part(self.part)
        for keyframe in self.window.replace(()):
            self._release(keyframe)
        self.part = self._next_part
        self._next_part += 1
        return self.part

    def keep(self, placed: PlacedView, known: Sequence[Keyframe]) -> bool:
        """
        Add a view to map and window if no keyframe sees it well; tell whether it was added.

        One that its window could not place, and its rig carries, must be sure of what it sees.
        """
        is_doubtful = placed.is_carried and not placed.is_sure
        if is_doubtful or not self._rule.is_new(placed.shared):
            return False
        keyframe = placed.keyframe
        overlaps = self._overlaps(placed, known)
        reference = self._rule.next_reference(overlaps) if overlaps else 0
        members = list(self.window)
        descriptor = self._describe(keyframe.view)  # first: it may want for memory
        self._admit(keyframe, overlaps, reference)
        linked = list(zip(members, overlaps, strict=True))
        self.map.add(keyframe, descriptor, linked, self._in_use())
        if self._invites:
            self._revisits.invite(keyframe, descriptor, list(self.window))
        return True

    @property
    def _invites(self) -> bool:
        """Whether a guest would be let in now."""
        return self._revisits_on and self._has_room and self._closing is None

    @property
    def is_adrift(self) -> bool:
        """Whether it is a guess where the part that is worked on lies to older ones."""
        return self.part != min(self.map.parts, default=self.part)

    def look_around(self) -> None:
        """While adrift, look for a place that an older part knows with every view."""
        if self._invites and self.is_adrift and len(self.window):
            host = list(self.window)[-1]
            self._revisits.invite(host, self._describe(host.view), list(self.window))

    def look_at_guests(
        self,
        company: Company,
        prediction: WindowPrediction,
        registration: Registration,
        newest: PlacedView,
    ) -> None:
        """Let the guest of a window be judged; what follows is for ``corrected`` to carry out."""
        if not company.guests or self._revisits.guest is None:
            return
        guest = self._revisits.guest
        now_from_then = self._revisits.look(
            len(company.known), prediction, registration, newest.keyframe
        )
        if now_from_then is not None:
            self._believe(guest, now_from_then)
        elif self._revisits.is_exhausted:
            self._dismiss_guest()

    def corrected(self) -> Change | None:
        """
        Carry out what the last window proved: a loop that was closed, or two parts that are one.

        The map changes here alone, before a window is registered to it.
        """
        if self._joining is not None:
            guest, now_from_then = self._joining
            self._joining = None
            return self._join(guest, now_from_then)
        if self._closing is None:
            return None
        guest, self._closing = self._closing, None
        try:
            correction = self._closer.finish()
        except (InputError, np.linalg.LinAlgError) as error:
            self.map.loops.pop()
            self._revisits.pass_over(guest.keyframe)
            self._release(guest.keyframe)
            return Change(f'A loop is not closed: {error}'.rstrip('.'))
        for loop in correction.rejected:
            self.map.loops.remove(loop)
        size_before = guest.host.size
        self.map.move(correction.now_from_then)
        log_size = float(np.log(guest.host.size / size_before))
        ends = (guest.host.view.key, guest.keyframe.view.key)
        if any((loop.first, loop.second) == ends for loop in correction.rejected):
            self._revisits.pass_over(guest.keyframe)
            self._release(guest.keyframe)
            return Change('', log_size)
        self.loops_closed += 1
        self._welcome(guest)
        return Change(f'A loop is closed: {_seen_again(guest)}', log_size)

    @property
    def engine_fields(self) -> dict[str, object]:
        """The fields of ``EngineStatus`` that tell of the map."""
        return {
            'keyframes': len(self.map),
            'map_parts': len(self.map.parts),
            'is_adrift': self.is_adrift,
            'loops_closed': self.loops_closed,
            'window_shrunk_to': self.shrunk_to,
        }

    @property
    def shrunk_to(self) -> int:
        """The size of the window, 0 while it never shrank."""
        return self.window.size if self.window.size < self._full_size else 0

    def shrink(self, newest: int) -> bool:
        """Let the window be smaller from now on, archive what left it; tell if it could be."""
        before = self.window.size
        self.window.shrink(newest)
        for keyframe in self.map:  # those too that a push recalled which did not end
            self._release(keyframe)
        return self.window.size < before

    def _believe(self, guest: Guest, now_from_then: Sim3) -> None:
        """Act on where a guest was found to be."""
        keyframe, host = guest.keyframe, guest.host
        if keyframe.part != host.part:
            self._joining = guest, now_from_then
            return
        if _is_in_place(keyframe, now_from_then):
            self._welcome(guest)
            return
        in_host = Sim3.from_rigid(host.map_from_camera).inverse()
        measured = in_host @ now_from_then @ Sim3.from_rigid(keyframe.map_from_camera)
        self.map.loops.append(Loop(host.view.key, keyframe.view.key, measured))
        self._closing = guest
        self._closer.start(self.map, host.part)

    def _join(self, guest: Guest, now_from_then: Sim3) -> Change:
        """Take the younger of two parts to where a guest has been found to be of the older one."""
        here, there = guest.host.part, guest.keyframe.part
        if there < here:
            self.map.join(there, here, now_from_then.inverse())
        else:
            self.map.join(here, there, now_from_then)
        self.part = min(here, there)
        self._welcome(guest)
        notice = f'Two parts of the map are joined: {_seen_again(guest)}'
        return Change(notice, joined=max(here, there))

    def _welcome(self, guest: Guest) -> None:
        """Make a guest one of the window, now that the map has it where it was seen."""
        keyframe, host = guest.keyframe, guest.host
        if host.view.key not in self.map or keyframe.part != self.part:
            self._release(keyframe)  # tracking was lost in the meantime
            return
        points = overlap_points(host.depth, host.intrinsics, host.map_from_camera)
        pose = host.map_from_camera
        own, *others = covisibilities(points, pose, [keyframe, *self.window])
        self.map.link(host, keyframe, own.overlap)
        if keyframe not in self.window:
            self._admit(keyframe, [other.overlap for other in others], 0)

    def _admit(self, keyframe: Keyframe, overlaps: Sequence[float], reference: int) -> None:
        """Take a keyframe into the window, and archive those that have to leave."""
        for left in self.window.add(keyframe, overlaps, reference):
            self._release(left)

    def _overlaps(self, placed: PlacedView, known: Sequence[Keyframe]) -> list[float]:
        """Return how much each member of the window sees of a view, of which some went with it."""
        shared = {id(k): c.overlap for k, c in zip(known, placed.shared, strict=True)}
        pose = placed.keyframe.map_from_camera
        others = [k for k in self.window if id(k) not in shared]
        if others:
            points = overlap_points(placed.keyframe.depth, placed.keyframe.intrinsics, pose)
            seen = covisibilities(points, pose, others)
            shared |= {id(k): c.overlap for k, c in zip(others, seen, strict=True)}
        return [shared[id(k)] for k in self.window]

    def _dismiss_guest(self) -> None:
        """Let the guest go."""
        guest = self._revisits.dismiss()
        if guest is not None:
            self._release(guest)

    def _release(self, keyframe: Keyframe) -> None:
        """Let a keyframe be archived once everything is done with the window at hand."""
        self._released.append(keyframe)

    def _archive(self) -> None:
        """Archive what was released, unless the network is still to see it."""
        needed = [*self.window, *(g.keyframe for g in self._guests())]
        for keyframe in self._released:
            if keyframe not in needed:
                keyframe.archive()
        self._released.clear()

    def _guests(self) -> list[Guest]:
        """Return the guest that is looked at, or the one whose loop is being closed."""
        return [g for g in (self._revisits.guest, self._closing) if g is not None]

    def _in_use(self) -> list[Keyframe]:
        """Return the keyframes that must not be forgotten now."""
        return [*self.window, *(k for g in self._guests() for k in (g.keyframe, g.host))]


def _seen_again(guest: Guest) -> str:
    return f'the place of {guest.keyframe.view.stamp_ns * 1e-9:.1f} s was seen again'


def _is_in_place(keyframe: Keyframe, now_from_then: Sim3) -> bool:
    """Tell whether a keyframe need not be moved."""
    position, degrees, log_scale = _IN_PLACE
    moved = now_from_then.apply_to_pose(keyframe.map_from_camera)
    off = float(np.linalg.norm(moved[:3, 3] - keyframe.map_from_camera[:3, 3]))
    return (
        off <= position * median_depth(keyframe.depth)
        and float(rotation_angle_deg(now_from_then.rotation)) <= degrees
        and abs(float(np.log(now_from_then.scale))) <= log_scale
    )
