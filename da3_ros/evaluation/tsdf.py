"""
Fusion of depth images into one surface: a truncated signed distance, averaged on a lattice.

Space is cut into blocks of lattice points, and a view changes only the blocks near the surface
that it sees (Curless and Levoy 1996, blocks as in Open3D's scalable volume). Blocks overlap by one
layer of points, so each gives its piece of the surface by itself: they are made, read and
forgotten a few at a time, and however much space is seen, little of it is in memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from da3_ros.evaluation.mesh import zero_surface
from da3_ros.geometry.cameras import unproject
from da3_ros.geometry.transforms import invert, Sim3
import numpy as np
from tqdm import tqdm

# Cubes along a block's side, and blocks that are worked on at once.
_SIDE = 8
_AT_ONCE = 2048
# Bits of a block's number along each axis: three of them are one int64.
_BITS = 21
# Blocks that views may touch, each counted once, and once for each view. More, as of a depth that
# is far too large, take longer than minutes: then voxels are made twice as large, and again.
_MAX_BLOCKS = 200_000
_MAX_TOUCHED = 2_000_000
# Triangles that are kept; of more, every second one goes, which leaves the surface evenly covered.
_MAX_TRIANGLES = 8_000_000


@dataclass(frozen=True)
class DepthView:
    """
    One depth image and the picture that it stands for.

    ``depth`` (h, w) in the unit of the surface, not positive or not finite where there is none;
    ``size`` (width, height) of the picture, of which each pixel takes the depth at its place;
    ``intrinsics`` (3, 3) pixels of the picture; ``is_valid`` (height, width) bool, where the
    picture's depth counts, None for everywhere; it is kept as bits, for pictures may be large.
    """

    depth: np.ndarray
    size: tuple[int, int]
    intrinsics: np.ndarray
    world_from_camera: np.ndarray
    is_valid: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Pack eight pixels of a row into a byte."""
        if self.is_valid is not None:
            object.__setattr__(self, 'is_valid', np.packbits(self.is_valid, axis=1))

    def at(self, column: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Return the depth, 0 where there is none, of whole pixels within the picture."""
        height, width = self.depth.shape
        depth = self.depth[row * height // self.size[1], column * width // self.size[0]]
        if self.is_valid is not None:
            bit = self.is_valid[row, column >> 3] >> (7 - (column & 7)) & 1
            depth = np.where(bit, depth, 0.0)
        return np.where(np.isfinite(depth), depth, 0.0)

    def points(self) -> np.ndarray:
        """Return the points (N, 3) float64 in the world of the depth image's valid pixels."""
        height, width = self.depth.shape
        column = np.arange(width) * self.size[0] // width
        row = np.arange(height) * self.size[1] // height
        depth = self.at(*np.meshgrid(column, row))
        step = np.diag([width / self.size[0], height / self.size[1], 1.0])
        points = unproject(depth, step @ self.intrinsics)[depth > 0]
        return Sim3.from_rigid(self.world_from_camera).apply(points.astype(np.float64))


def fused_surface(
    views: Sequence[DepthView], voxel: float, truncation: float, max_depth: float = np.inf
) -> np.ndarray:
    """
    Return the triangles (M, 3, 3) float32 of the surface that depth images agree on.

    Args:
        views: what is fused.
        voxel: distance of lattice points; twice that, and so on, where it is too little for what
            is seen.
        truncation: distance from the surface at which the signed distance ends; grows along.
        max_depth: depth beyond which a view says nothing.

    """
    while True:
        touched = [_touched_blocks(view, voxel, truncation, max_depth) for view in views]
        blocks = np.unique(np.concatenate([np.empty(0, np.int64), *touched]))
        if len(blocks) <= _MAX_BLOCKS and sum(map(len, touched)) <= _MAX_TOUCHED:
            break
        voxel, truncation = 2 * voxel, 2 * truncation
    triangles, count, every = [], 0, 1
    starts = range(0, len(blocks), _AT_ONCE)
    for start in tqdm(starts, 'fuse', unit='part', leave=False, delay=2, disable=None):
        keys = blocks[start : start + _AT_ONCE]
        part = _surface_of(keys, views, touched, voxel, truncation, max_depth)[::every]
        triangles.append(part)
        count += len(part)
        while count > _MAX_TRIANGLES:
            triangles = [part[::2] for part in triangles]
            count, every = sum(map(len, triangles)), 2 * every
    return np.concatenate(triangles) if triangles else np.empty((0, 3, 3), np.float32)


def _touched_blocks(
    view: DepthView, voxel: float, truncation: float, max_depth: float
) -> np.ndarray:
    """Return the sorted numbers of the blocks within the truncation of what a view sees."""
    centre = view.world_from_camera[:3, 3]
    depth = view.depth
    points = view.points() if depth.size else np.empty((0, 3))
    ahead = (points - centre) @ view.world_from_camera[:3, 2]
    points = points[ahead <= max_depth]
    side = _SIDE * voxel
    found = []
    # The corners of the cube of half side ``truncation`` around a point, and itself, are no more
    # than a block apart if blocks are that large; else steps between them are needed.
    steps = np.linspace(-truncation, truncation, 2 + int(np.ceil(2 * truncation / side)))
    cells = _block_corners(np.unique(_number(np.floor(points / voxel))))
    for offset in np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3):
        found.append(np.unique(_number(np.floor((cells * voxel + offset) / side))))
    return np.unique(np.concatenate(found))


def _number(block: np.ndarray) -> np.ndarray:
    """Return one int64 for each block (N, 3); those too far away to have one are left out."""
    half = 2 ** (_BITS - 1)
    block = block[(np.abs(block) < half).all(axis=-1)].astype(np.int64) + half
    return (block[:, 0] << 2 * _BITS) | (block[:, 1] << _BITS) | block[:, 2]


def _block_corners(numbers: np.ndarray) -> np.ndarray:
    """Return the blocks (N, 3) that have these numbers."""
    mask = 2**_BITS - 1
    parts = (numbers >> 2 * _BITS, (numbers >> _BITS) & mask, numbers & mask)
    return np.stack(parts, axis=1) - 2 ** (_BITS - 1)


def _surface_of(
    numbers: np.ndarray,
    views: Sequence[DepthView],
    touched: Sequence[np.ndarray],
    voxel: float,
    truncation: float,
    max_depth: float,
) -> np.ndarray:
    """Return the triangles (M, 3, 3) of some blocks."""
    steps = np.arange(_SIDE + 1)
    lattice = np.stack(np.meshgrid(steps, steps, steps, indexing='ij'), axis=-1).reshape(-1, 3)
    # Distances are known at the middles of voxels.
    first = (_block_corners(numbers) * _SIDE + 0.5) * voxel  # (B, 3)
    total = np.zeros((len(numbers), len(lattice)), np.float32)
    weight = np.zeros_like(total)
    for view, keys in zip(views, touched, strict=True):
        here = np.flatnonzero(np.isin(numbers, keys, assume_unique=True))
        for some in _split(here):
            points = first[some, None] + lattice * voxel  # (b, P, 3)
            distance, is_seen = _signed_distance(view, points, truncation, max_depth)
            total[some] += np.where(is_seen, distance, 0.0)
            weight[some] += is_seen
    return _triangles(total, weight, first, voxel)


def _split(places: np.ndarray, size: int = 256) -> Iterator[np.ndarray]:
    """Yield a few places at a time: what one view does to them fits the processor's cache."""
    for start in range(0, len(places), size):
        yield places[start : start + size]


def _signed_distance(
    view: DepthView, points: np.ndarray, truncation: float, max_depth: float
) -> tuple[np.ndarray, np.ndarray]:
    """
    Return distances in truncations, at most 1, and whether a view knows them, for (..., 3).

    They are along the ray, positive before the surface; what is farther behind it than the
    truncation is hidden.
    """
    camera_from_world = invert(view.world_from_camera)
    local = (points @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]).astype(np.float32)
    x, y, z = np.moveaxis(local, -1, 0)
    ahead = z > 0
    z_safe = np.where(ahead, z, 1.0)
    (fx, skew, cx), (_, fy, cy), _ = view.intrinsics.astype(np.float32)
    u, v = (fx * x + skew * y) / z_safe + cx + 0.5, fy * y / z_safe + cy + 0.5
    width, height = view.size
    is_seen = ahead & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    depth = np.zeros_like(z)
    depth[is_seen] = view.at(u[is_seen].astype(np.int64), v[is_seen].astype(np.int64))
    along = np.sqrt(1 + (x / z_safe) ** 2 + (y / z_safe) ** 2)
    distance = (depth - z) * along / np.float32(truncation)
    is_seen &= (depth > 0) & (depth <= max_depth) & (distance > -1)
    return np.minimum(distance, 1.0), is_seen


def _triangles(
    total: np.ndarray, weight: np.ndarray, first: np.ndarray, voxel: float
) -> np.ndarray:
    """Return the zero surface in the cubes of which a view saw all corners."""
    shape = (len(total), *3 * [_SIDE + 1])
    known = (weight > 0).reshape(shape)
    distance = (total / np.maximum(weight, 1)).reshape(shape)
    cubes = [[], []]
    for corner in range(8):
        steps = [(corner >> axis) & 1 for axis in range(3)]
        a, b, c = (slice(step, _SIDE + step) for step in steps)
        cubes[0].append(known[:, a, b, c])
        cubes[1].append(distance[:, a, b, c])
    is_known = np.logical_and.reduce(cubes[0])
    # A surface crosses only cubes with both signs: most have one, and go before they are copied.
    low, high = np.minimum.reduce(cubes[1]), np.maximum.reduce(cubes[1])
    block, *step = np.nonzero(is_known & (low < 0) & (high >= 0))
    values = np.stack([part[(block, *step)] for part in cubes[1]], axis=1)
    corners = first[block] + np.stack(step, axis=1) * voxel
    return zero_surface(values, corners, voxel)
