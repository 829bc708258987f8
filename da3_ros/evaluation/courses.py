"""
Long ways through made-up buildings, for simulated networks: depth in closed form, any length.

A corridor that closes on itself shows drift, since nothing is seen twice until the lap is done; a
real trajectory in a room around it shows what a hand does with a camera.
"""

from da3_ros.errors import InputError
from da3_ros.evaluation.footage import CAMERA, Footage, room_footage
from da3_ros.evaluation.simulated_stream import camera_at
from da3_ros.evaluation.truth import BoxRoom, RoomTruth
import numpy as np

SIZE = (84, 56)
_K = np.array([[54.0, 0.0, 42.0], [0.0, 54.0, 28.0], [0.0, 0.0, 1.0]])
_STEP_NS = 100_000_000
_START_NS = 1_000_000_000
# The corridor is 2.4 m wide and high; how many cupboards stand in it around a block of 9 m by 6 m.
BLOCK_M = (9.0, 6.0)
_WIDTH_M = 2.4
_CUPBOARDS = 40


def corridor(
    frames: int, laps: float = 1.0, seed: int = 0, block_m: tuple[float, float] = BLOCK_M
) -> Footage:
    """
    Return a walk along a corridor around a block, with furniture along its walls.

    Raises:
        InputError: if the block has no size, or there is no way to go.

    """
    if min(block_m) <= 0 or not laps > 0:
        raise InputError(
            f'Got {laps:g} laps around a block of {block_m[0]:g} m by {block_m[1]:g} m; expected '
            'numbers above 0.'
        )
    rng = np.random.default_rng(seed)
    half = np.array(block_m) / 2
    outer = half + _WIDTH_M
    low, high = np.array([*-outer, -1.2]), np.array([*outer, 1.2])
    block = np.array([[*-half, -1.2], [*half, 1.2]])
    cupboards = round(_CUPBOARDS * sum(block_m) / sum(BLOCK_M))
    boxes = [block, *(_cupboard(rng, outer) for _ in range(cupboards))]
    poses = _walk_around(half + _WIDTH_M / 2, frames, laps)
    return _footage(f'corridor-{seed}', BoxRoom(low, high, np.stack(boxes)), poses)


def room_around(
    name: str, world_from_camera: np.ndarray, margin_m: float = 1.5, seed: int = 0
) -> Footage:
    """
    Return the footage of a trajectory (F, 4, 4) in a room that is drawn around it.

    The walls are ``margin_m`` beyond the positions, floor and ceiling too, and boxes stand where
    the camera never comes.

    Raises:
        InputError: if there are fewer than two poses.

    """
    if len(world_from_camera) < 2:
        raise InputError(f'{name} has {len(world_from_camera)} poses; expected at least two.')
    rng = np.random.default_rng(seed)
    centres = world_from_camera[:, :3, 3]
    low, high = centres.min(0) - margin_m, centres.max(0) + margin_m
    boxes = []
    for _ in range(200):
        middle, half = rng.uniform(low, high), rng.uniform(0.1, 0.5, 3)
        nearest = np.abs(centres - middle) - half
        if nearest.max(axis=1).min() > 0.3:
            boxes.append(np.stack([middle - half, middle + half]))
    room = BoxRoom(low, high, np.reshape(boxes[:40], (-1, 2, 3)))
    return _footage(name, room, world_from_camera)


def _footage(name: str, room: BoxRoom, poses: np.ndarray) -> Footage:
    """Return the footage of poses (F, 4, 4) in a room, ten frames a second."""
    stamps = _START_NS + _STEP_NS * np.arange(len(poses))
    by_stamp = {int(stamp): pose for stamp, pose in zip(stamps, poses, strict=True)}
    return room_footage(name, RoomTruth(room, {CAMERA: by_stamp}, _K, SIZE), SIZE)


def _cupboard(rng: np.random.Generator, outer: np.ndarray) -> np.ndarray:
    """Return a box (2, 3) that stands against the outer wall, up to 0.5 m deep."""
    along, width, depth = rng.uniform(-1, 1), rng.uniform(0.2, 0.6), rng.uniform(0.1, 0.5)
    bottom, top = np.sort(rng.uniform(-1.2, 1.2, 2))
    wall = rng.integers(4)
    axis, side = wall % 2, 1.0 if wall < 2 else -1.0
    low, high = np.empty(3), np.empty(3)
    low[axis], high[axis] = np.sort([side * outer[axis], side * (outer[axis] - depth)])
    middle = along * outer[1 - axis]
    low[1 - axis], high[1 - axis] = middle - width, middle + width
    low[2], high[2] = bottom, top
    return np.stack([low, high])


def _walk_around(half_m: np.ndarray, frames: int, laps: float) -> np.ndarray:
    """Return poses (F, 4, 4) along a rectangle of half sides (2,) with rounded corners."""
    corners = half_m * np.array([[1, -1], [1, 1], [-1, 1], [-1, -1], [1, -1]])
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    metres = np.linspace(0.0, laps, frames) * lengths[-1]

    def places(at: np.ndarray) -> np.ndarray:
        at = at % lengths[-1]
        return np.stack([np.interp(at, lengths, corners[:, i]) for i in (0, 1)], axis=-1)

    # Averaged over 2 m of the way, corners are round; people also sway and bob.
    around = np.linspace(-1.0, 1.0, 41)
    centres = places(metres[:, None] + around).mean(axis=1)
    ahead = places(metres[:, None] + 0.5 + around).mean(axis=1) - centres
    yaw = np.degrees(np.arctan2(ahead[:, 1], ahead[:, 0])) + 10.0 * np.sin(metres)
    height = 0.05 * np.sin(7.0 * metres)
    return np.stack([camera_at([*c, z], y) for c, z, y in zip(centres, height, yaw)])
