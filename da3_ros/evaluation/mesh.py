"""Triangles: the zero surface of a signed distance on a lattice, and points drawn on it."""

import itertools

import numpy as np

# Most triangles that are worked on at once when points are drawn.
_AT_ONCE = 1_000_000


def _tetrahedra() -> np.ndarray:
    """Return the corners (6, 4) of the tetrahedra around a cube's diagonal, bit b = axis b."""
    paths = []
    for order in itertools.permutations((1, 2, 4)):
        paths.append(np.cumsum([0, *order]))
    return np.array(paths)


_TETRAHEDRA = _tetrahedra()
_CORNERS = np.array([[(corner >> axis) & 1 for axis in range(3)] for corner in range(8)])


def zero_surface(values: np.ndarray, corners: np.ndarray, side: float) -> np.ndarray:
    """
    Return the triangles (M, 3, 3) float32 on which a function is zero, in no particular winding.

    Each cube is cut into six tetrahedra, in which the function is linear: marching tetrahedra.

    Args:
        values: (C, 8) at the corners of C cubes; bit b of a corner's number is its step along
            axis b.
        corners: (C, 3) where corner 0 of each cube is.
        side: of the cubes.

    """
    mixed = (values < 0).any(axis=1) & (values >= 0).any(axis=1)
    values, corners = values[mixed], corners[mixed]
    found = []
    for tetrahedron in _TETRAHEDRA:
        inside = values[:, tetrahedron] < 0  # (C, 4)
        count = inside.sum(axis=1)
        for wanted in (1, 2, 3):
            cubes = np.flatnonzero(count == wanted)
            # Corners inside first: the crossings are on the edges between them and the others.
            order = np.argsort(~inside[cubes], axis=1, kind='stable')
            ends = tetrahedron[order]  # (c, 4) corners of the cube
            at = np.stack([_CORNERS[e] for e in ends.T], axis=1) * side
            at = at + corners[cubes, None]  # (c, 4, 3)
            level = np.take_along_axis(values[cubes], ends, axis=1)  # (c, 4)
            edges = [(i, j) for i in range(wanted) for j in range(wanted, 4)]
            hits = [_crossing(at, level, *edge) for edge in edges]
            found.append(np.stack(hits[:3], axis=1))
            if len(hits) == 4:
                found.append(np.stack(hits[1:], axis=1))
    return np.concatenate(found).astype(np.float32) if found else np.empty((0, 3, 3), np.float32)


def _crossing(at: np.ndarray, level: np.ndarray, i: int, j: int) -> np.ndarray:
    """Return where (c, 3) the level is zero between corners i and j of each tetrahedron."""
    share = level[:, i] / (level[:, i] - level[:, j])
    return at[:, i] + share[:, None] * (at[:, j] - at[:, i])


def sampled_points(triangles: np.ndarray, count: int, seed: int = 42) -> np.ndarray:
    """Draw points (count, 3) float32 evenly over triangles (M, 3, 3); none where M is 0."""
    areas = np.empty(len(triangles))
    for start in range(0, len(triangles), _AT_ONCE):
        part = triangles[start : start + _AT_ONCE]
        cross = np.cross(part[:, 1] - part[:, 0], part[:, 2] - part[:, 0])
        areas[start : start + _AT_ONCE] = np.linalg.norm(cross, axis=1)
    total = areas.sum()
    if not total > 0:
        return np.empty((0, 3), np.float32)
    generator = np.random.default_rng(seed)
    places = np.searchsorted(np.cumsum(areas) / total, generator.random(count), side='right')
    a, b, c = np.moveaxis(triangles[np.minimum(places, len(triangles) - 1)], 1, 0)
    u, v = np.sqrt(generator.random(count))[:, None], generator.random(count)[:, None]
    return ((1 - u) * a + u * (1 - v) * b + u * v * c).astype(np.float32)
