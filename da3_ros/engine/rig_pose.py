"""
Where a rig of cameras is: one pose for all of them, for which every camera votes.

A network errs in each view by itself, and some views it puts anywhere, since they share nothing
with the others. Cameras that are fixed to each other can't do that. So the rig is where most of
the votes agree on, each by what it is worth, and the others are where the rig has them.

Shapes: N cameras. Everything here is small, so it is NumPy.
"""

from dataclasses import dataclass
import itertools

from da3_ros.engine.pose_fit import agreements, ITERATIONS
from da3_ros.engine.pose_pairs import PosePairs
from da3_ros.geometry.transforms import invert, rigid, Sim3
import numpy as np

# A camera that agrees less is outvoted: its errors are three times what is usual, or more.
_OUTVOTED = 0.25
# Squared errors that may be usual, in those expected: of a poor network that knows the views.
_MAX_USUAL = 100.0
# Share of the votes that must be for a pose: of two that differ and are much alike, none is.
_MAJORITY = 0.55
# A unit that follows from errors alone may be anything above 0, but not 0.
_MIN_GROWTH = 0.01


@dataclass(frozen=True)
class RigSeat:
    """
    Where a camera is on its rig: ``rig_from_camera`` (4, 4) in metres.

    ``stamp_ns`` is the same for all views of a set, and tells them from those of other sets.
    """

    stamp_ns: int
    rig_from_camera: np.ndarray


@dataclass(frozen=True)
class RigFit:
    """
    Where the votes have put a rig.

    ``map_from_rig`` (4, 4); ``unit`` is the map's length of a metre, 0 where nobody knows it and
    all cameras are taken to be in one place; ``agreement`` (N,) is 1 for
    cameras that are where the others say and goes to 0 for those that are not; ``level`` is the
    variance of the errors in those that were expected.
    """

    map_from_rig: np.ndarray
    unit: float
    agreement: np.ndarray
    level: float

    @property
    def is_outvoted(self) -> np.ndarray:
        """Which of the cameras (N,) are not where the others say."""
        return self.agreement < _OUTVOTED


def anchored(
    map_from_camera: np.ndarray, rig_from_camera: np.ndarray, anchor: int, unit: float
) -> RigFit:
    """Return the rig where one of its cameras (N, 4, 4) is, and the others have no say."""
    at = aboard(np.eye(4), rig_from_camera[anchor], unit)
    agreement = np.zeros(len(map_from_camera))
    agreement[anchor] = 1.0
    return RigFit(map_from_camera[anchor] @ invert(at), unit, agreement, 1.0)


def aboard(map_from_rig: np.ndarray, rig_from_camera: np.ndarray, unit: float) -> np.ndarray:
    """Return the pose (..., 4, 4) of cameras on a rig, in a map that has ``unit`` for a metre."""
    scaled = np.array(rig_from_camera, dtype=np.float64)
    scaled[..., :3, 3] *= unit
    return map_from_rig @ scaled


def fit_rig(
    map_from_camera: np.ndarray,
    rig_from_camera: np.ndarray,
    trust: np.ndarray,
    sigma: np.ndarray,
    unit: float | None,
) -> RigFit | None:
    """
    Fit ``map_from_rig`` to the poses that a window gives to the cameras; None without a majority.

    IRLS with Geman and McClure's weights, started at the camera that most votes agree with. The
    unit of a rig that is small for its errors is as uncertain as it matters little.

    Args:
        map_from_camera: What the window says (N, 4, 4).
        rig_from_camera: Extrinsics (N, 4, 4) in metres.
        trust: The weight of each vote (N,), above 0.
        sigma: Expected error of a camera's centre about each axis, in map units, and of its
            direction, rad.
        unit: The map's length of a metre, None if it is not known.

    """
    pairs = PosePairs(rig_from_camera, map_from_camera, sigma)
    candidates = [unit] if unit is not None else _units(rig_from_camera, map_from_camera)
    starts = [pairs.most_agreed(trust, candidate) for candidate in candidates]
    if not starts:
        return None
    gauge = min(starts, key=lambda start: trust @ np.sqrt(pairs.squared_errors(start)))
    for _ in range(ITERATIONS):
        agreement = agreements(pairs.squared_errors(gauge), trust, _MAX_USUAL)
        gauge = _moved(gauge, pairs, trust * agreement, unit)
    errors = pairs.squared_errors(gauge)
    agreement = agreements(errors, trust, _MAX_USUAL)
    if trust[agreement >= _OUTVOTED].sum() < _MAJORITY * trust.sum():
        return None
    votes = agreement.sum()
    level = agreement @ errors / max(votes - 1.0, 1.0)
    map_from_rig = rigid(gauge.rotation, gauge.translation)
    return RigFit(map_from_rig, gauge.scale, agreement, max(float(level), 1.0))


def _units(rig_from_camera: np.ndarray, map_from_camera: np.ndarray) -> list[float]:
    """Return the map's length of a metre as each pair of cameras has it."""
    found = []
    for a, b in itertools.combinations(range(len(rig_from_camera)), 2):
        known = np.linalg.norm(rig_from_camera[a, :3, 3] - rig_from_camera[b, :3, 3])
        seen = np.linalg.norm(map_from_camera[a, :3, 3] - map_from_camera[b, :3, 3])
        if min(known, seen) > 0:
            found.append(float(seen / known))
    return found


def _moved(gauge: Sim3, pairs: PosePairs, weights: np.ndarray, unit: float | None) -> Sim3:
    """Return the best gauge for given weights (N,), with the unit, if it is known, kept."""
    centres = pairs.centres(weights)
    rotation = pairs.rotation(weights, centres, gauge.scale)
    scale = unit
    if unit is None:
        squares, least = centres.squares_a(), _MIN_GROWTH * gauge.scale
        scale = max(centres.products(rotation) / squares, least) if squares > 0 else gauge.scale
    return centres.gauge(scale, rotation)
