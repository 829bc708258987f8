"""
What several cameras have to do with each other: that they are one rig, as far as TF says so.

The views of a set are placed by their window one by one. Here they become one rigid body: its pose
is what their votes agree on, a camera that was put anywhere goes along with the others, and one
whose extrinsics images speak against is left alone.

Shapes: N views of a set.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from da3_ros.engine.extrinsics_check import ExtrinsicsCheck, Tolerance
from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.mutual_sight import see_each_other
from da3_ros.engine.placed_view import PlacedView, RigPlace
from da3_ros.engine.pose_fit import usual_sigma
from da3_ros.engine.registration import Registration
from da3_ros.engine.rig_pose import aboard, anchored, fit_rig, RigFit, RigSeat
from da3_ros.engine.scale.depths import median_depth
from da3_ros.engine.scale.map_scale import ScaleStatus
from da3_ros.engine.scale.robot import Robot
from da3_ros.geometry.transforms import invert, rotation_angle_deg
import numpy as np

# A vote counts in full with so large a share of the best certainty of a set, and for a view of
# which the map sees so much; for one of which it sees nothing, a tenth.
_CERTAIN = 0.1
_SEEN = 0.3
_UNSEEN = 0.1
# A view is sure of itself with so large a share of the best certainty of its set.
_SURE = 0.2
# Sets that the unit of a map without metres is averaged over.
_MEMORY = 30

Holds = Callable[[PlacedView], bool]


@dataclass(frozen=True)
class RigStatus:
    """What is reported of the newest set; fields mean what ``EngineStatus`` says."""

    cameras: int = 0
    outvoted: int = 0
    rotation_error_deg: float = float('nan')
    translation_error: float = float('nan')
    problem: str = ''

    def engine_fields(self, scale: float) -> dict[str, object]:
        """Return the fields of ``EngineStatus``, lengths times ``scale``."""
        return {
            'rig_cameras': self.cameras,
            'rig_outvoted': self.outvoted,
            'rig_rotation_error_deg': self.rotation_error_deg,
            'rig_translation_error': scale * self.translation_error,
            'rig_problem': self.problem,
        }


@dataclass(frozen=True)
class _Case:
    """
    What speaks for a view where its window has it.

    ``is_sure``: the network is, about as much as of the others; ``is_firm``: and others of its set
    agree on the rig, and the map, if there is one, knows what it sees there.
    """

    is_outvoted: bool
    is_firm: bool
    is_sure: bool


class Rigging:
    """Makes the views of a set one rig; remembers what the stream told of the extrinsics."""

    def __init__(self, robot: Robot | None) -> None:
        """Take who knows the extrinsics."""
        self._robot = robot
        self.clear()

    def clear(self) -> None:
        """Forget the stream."""
        self._cameras: list[str] = []  # in the order in which they first came
        self._checks: dict[str, ExtrinsicsCheck] = {}
        self._is_connected = False
        self.status = RigStatus()
        self.unsettle()

    @property
    def is_rigid(self) -> bool:
        """Whether the newest set was placed as one rig of two cameras or more."""
        return self.status.cameras > 1

    def measured(self, placed: Sequence[PlacedView]) -> list[Keyframe]:
        """Return the views that may say how large the map is, where their window had them."""
        trusted = [
            view.as_measured
            for view in placed
            if not view.is_carried and not self._is_wrong(view.keyframe.view.camera)
        ]
        return trusted or [placed[0].as_measured]

    def unsettle(self) -> None:
        """Forget how large the map is: it has been corrected, or another part of it begins."""
        self._unit: float | None = None
        self._units = 0
        self._distance = 0.0

    def settle(
        self,
        placed: Sequence[PlacedView],
        registration: Registration,
        known: Sequence[Keyframe],
        scale: ScaleStatus,
        holds: Holds,
    ) -> list[PlacedView]:
        """
        Return the views of a set, those of a rig where it has them; ``status`` tells of it.

        ``scale`` is what is known of the map's, ``holds`` says whether a view hangs together with
        the map by itself. Views whose camera is not connected in TF stay as they are.
        """
        self.status = RigStatus(problem=self._problem())
        names = [view.keyframe.view.camera for view in placed]
        self._cameras += [name for name in names if name not in self._cameras]
        if self._robot is None or len(self._cameras) < 2:
            return list(placed)
        frame, seats = self._seats(placed)
        voters = [i for i, name in enumerate(names) if name in seats and not self._is_wrong(name)]
        self._is_connected |= len(seats) > 1
        if not voters or not self._is_connected:
            return list(placed)
        self._distance = median_depth(placed[0].keyframe.depth)
        sigma = self._sigma(registration)
        fit = self._fit(placed, voters, seats, sigma, scale.unit, bool(known))
        if fit is None:
            return list(placed)
        covariance = registration.fit.gauge_covariance(fit.map_from_rig)
        covariance = covariance + _own_covariance(registration, fit)
        stamp_ns = placed[0].keyframe.view.stamp_ns
        rig = RigPlace(frame, stamp_ns, fit.map_from_rig, covariance, fit.unit)
        outvoted = {names[i] for i, is_out in zip(voters, fit.is_outvoted, strict=True) if is_out}
        tolerance = Tolerance.of(fit.level**0.5 * sigma, fit.unit, self._distance)
        best = max(view.certainty for view in placed)
        votes = len(voters) - len(outvoted)
        settled = []
        for name, view in zip(names, placed, strict=True):
            if name in seats:
                is_sure = view.certainty >= _SURE * best
                is_firm = is_sure and votes > 1 and (not known or holds(view))
                case = _Case(name in outvoted, is_firm, is_sure)
                view = self._seated(view, rig, seats[name], case, known, tolerance)
            settled.append(view)
        self._report(settled)
        return settled

    def _fit(
        self,
        placed: Sequence[PlacedView],
        voters: Sequence[int],
        seats: Mapping[str, RigSeat],
        sigma: np.ndarray,
        unit: float | None,
        is_mapped: bool,
    ) -> RigFit | None:
        """Return where the votes put the rig, or the best of them; None where no map can begin."""
        voting = [placed[i] for i in voters]
        on_rig = np.stack([seats[view.keyframe.view.camera].rig_from_camera for view in voting])
        poses = np.stack([view.map_from_camera for view in voting])
        trust = _trust(voting, is_mapped)
        if unit is None:
            free = fit_rig(poses, on_rig, trust, sigma, None)
            unit = self._unit if free is None else self._learnt_unit(free.unit)
        fit = fit_rig(poses, on_rig, trust, sigma, unit) if unit is not None else None
        if fit is None:  # the network can't place them to each other, so it is TF that knows
            fit = anchored(poses, on_rig, int(np.argmax(trust)) if is_mapped else 0, unit or 0.0)
            self._compare(voting, on_rig, sigma, fit.unit)
        if is_mapped:
            return fit
        if voters[0] != 0:
            return None
        # The first view is where the map begins, whatever the others say.
        first = anchored(poses, on_rig, 0, fit.unit)
        return first if fit.is_outvoted[0] else replace(fit, map_from_rig=first.map_from_rig)

    def _compare(
        self,
        voting: Sequence[PlacedView],
        rig_from_camera: np.ndarray,
        sigma: np.ndarray,
        unit: float,
    ) -> None:
        """Check cameras, of which no majority agrees, against the first, if they can tell."""
        first, *others = (view.keyframe for view in voting)
        by_tf = aboard(
            anchored(first.map_from_camera[None], rig_from_camera[:1], 0, unit).map_from_rig,
            rig_from_camera[1:],
            unit,
        )
        tolerance = Tolerance.of(sigma, unit, self._distance)
        for other, expected in zip(others, by_tf, strict=True):
            if see_each_other(first, other, expected):
                check = self._check_of(other.view.camera)
                check.update(expected, other.map_from_camera, unit, tolerance)

    def straighten(
        self, refined: Sequence[Keyframe], keyframes: Iterable[Keyframe], scale: ScaleStatus
    ) -> None:
        """
        Make keyframes of one set a rigid rig again, after some were refined by themselves.

        ``keyframes`` are all of the map: of a set, they may have left the window.
        """
        unit = self._unit if scale.unit is None else scale.unit
        sets: dict[tuple[int, int], list[Keyframe]] = {
            (k.seat.stamp_ns, k.part): [] for k in refined if k.seat is not None
        }
        if not sets or unit is None or not self._distance > 0:
            return
        for keyframe in keyframes:
            if keyframe.seat is not None:
                key = keyframe.seat.stamp_ns, keyframe.part
                if key in sets:
                    sets[key].append(keyframe)
        sigma = usual_sigma(self._distance)
        for members in sets.values():
            if len(members) < 2:
                continue
            on_rig = np.stack([member.seat.rig_from_camera for member in members])
            looks = np.array([member.observations for member in members])
            poses = np.stack([member.map_from_camera for member in members])
            fit = fit_rig(poses, on_rig, looks / (looks + 1.0), sigma, unit)
            if fit is None:
                continue
            for member, is_out, seat in zip(members, fit.is_outvoted, on_rig, strict=True):
                if not is_out:
                    member.map_from_camera = aboard(fit.map_from_rig, seat, unit)

    def _seats(self, placed: Sequence[PlacedView]) -> tuple[str, Mapping[str, RigSeat]]:
        """Return the camera whose frame is the rig's, and the seats of those that TF connects."""
        views = [view.keyframe.view for view in placed]
        stamp_ns = views[0].stamp_ns
        best: tuple[str, dict[str, RigSeat]] = '', {}
        for frame in self._cameras:
            seats = {}
            for view in views:
                if (view.camera, view.stamp_ns) == (frame, stamp_ns):
                    pose = np.eye(4)
                else:
                    pose = self._robot.camera_from_other(
                        frame, stamp_ns, view.camera, view.stamp_ns
                    )
                if pose is not None:
                    seats[view.camera] = RigSeat(stamp_ns, pose)
            if len(seats) > len(best[1]):
                best = frame, seats
            if len(seats) == len(views):
                break
        return best

    def _sigma(self, registration: Registration) -> np.ndarray:
        """Return the expected errors of a view: of its centre in map units, and direction, rad."""
        found = [registration.fit.centre**0.5, registration.fit.direction**0.5]
        return np.maximum(usual_sigma(self._distance), found)

    def _seated(
        self,
        view: PlacedView,
        rig: RigPlace,
        seat: RigSeat,
        case: _Case,
        known: Sequence[Keyframe],
        tolerance: Tolerance,
    ) -> PlacedView:
        """Return a view where its rig has it, unless it is elsewhere and is firm about that."""
        camera = view.keyframe.view.camera
        seated = view.seated(rig, seat)
        is_wrong = self._is_wrong(camera)
        if (case.is_outvoted or is_wrong) and not case.is_firm:
            return view if is_wrong else seated.carried(known, case.is_sure)
        check = self._check_of(camera)
        check.update(seated.map_from_camera, view.map_from_camera, rig.unit, tolerance)
        return view if case.is_outvoted or is_wrong else seated

    def _check_of(self, camera: str) -> ExtrinsicsCheck:
        return self._checks.setdefault(camera, ExtrinsicsCheck())

    def _is_wrong(self, camera: str) -> bool:
        return camera in self._checks and self._checks[camera].is_wrong

    def _problem(self) -> str:
        """Return what is wrong with extrinsics."""
        wrong = [check.sentence(name) for name, check in self._checks.items() if check.is_wrong]
        return '. '.join(wrong)

    def _learnt_unit(self, unit: float) -> float:
        """Take in how long a metre is in the map by one set, and return the mean of all."""
        self._units = min(self._units + 1, _MEMORY)
        before = unit if self._unit is None else self._unit
        self._unit = before + (unit - before) / self._units
        return self._unit

    def _report(self, settled: Sequence[PlacedView]) -> None:
        """Make the status of a set."""
        aboard_rig = [view for view in settled if view.rig is not None]
        voted = [view for view in aboard_rig if not view.is_carried]
        compared = voted if len(voted) > 1 else aboard_rig
        turned = off = float('nan')
        if len(compared) > 1:
            measured = np.stack([view.measured.map_from_camera for view in compared])
            believed = np.stack([view.keyframe.map_from_camera for view in compared])
            between = invert(believed) @ measured
            angles = rotation_angle_deg(between[:, :3, :3])
            turned = float(np.sqrt(np.mean(angles**2)))
            off = float(np.sqrt(np.mean(np.sum(between[:, :3, 3] ** 2, axis=1))))
        self.status = RigStatus(
            cameras=len(aboard_rig),
            outvoted=len(aboard_rig) - len(voted),
            rotation_error_deg=turned,
            translation_error=off,
            problem=self._problem(),
        )


def _trust(placed: Sequence[PlacedView], is_mapped: bool) -> np.ndarray:
    """Return the weight of each view's vote (N,); all are alike where nothing is known."""
    certainty = np.array([view.certainty for view in placed])
    best = np.nanmax(certainty) if np.isfinite(certainty).any() else 1.0
    trust = np.nan_to_num(certainty / (certainty + _CERTAIN * best), nan=0.0).clip(1e-3)
    if is_mapped:
        seen = np.array([min(view.sight.inside / _SEEN, 1.0) for view in placed])
        agreeing = np.array([view.sight.agreeing for view in placed])
        trust = trust * (_UNSEEN + (1.0 - _UNSEEN) * seen * agreeing)
    return trust


def _own_covariance(registration: Registration, fit: RigFit) -> np.ndarray:
    """Return the covariance (6, 6) that is left of the views' own errors when so many vote."""
    return registration.fit.own_covariance * fit.level / max(float(fit.agreement.sum()), 1.0)
