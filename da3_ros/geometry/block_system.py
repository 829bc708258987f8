"""
Normal equations of a graph, one block of unknowns per node, solved by sparse factorisation.

Shapes: N nodes, E edges, D unknowns per node.

A camera path gives a matrix with a narrow band, and a loop folds it to twice the width when the
nodes are ordered from both ends at once (reverse Cuthill-McKee): LAPACK's band Cholesky is then
several times faster than a general sparse solver. Only where loops go everywhere is the band too
wide, and SuperLU with a minimum degree ordering takes over.
"""

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded
from scipy.sparse import bsr_matrix, csc_matrix, csr_matrix, identity
from scipy.sparse.csgraph import reverse_cuthill_mckee
from scipy.sparse.linalg import splu

# Half width, in nodes, up to which a band is the faster of the two.
_WIDEST_BAND = 32
# The matrices are symmetric and positive definite: no pivoting, and an ordering that knows.
_SYMMETRIC = {'diag_pivot_thresh': 0.0, 'options': {'SymmetricMode': True}}


class BlockSystem:
    """The pattern of a graph, found once, and the factor of the last matrix that it was given."""

    def __init__(self, i: np.ndarray, j: np.ndarray, is_free: np.ndarray, dof: int) -> None:
        """
        Find an order for the free nodes of a graph and the places of all blocks.

        Args:
            i: First node of each edge (E,).
            j: Second node (E,), another one.
            is_free: Which nodes (N,) may move; at least one.
            dof: Unknowns per node.

        """
        self._is_free, self._dof = is_free, dof
        count = int(is_free.sum())
        place = np.full(len(is_free), -1)
        place[is_free] = np.arange(count)
        i, j = place[i], place[j]
        both = (i >= 0) & (j >= 0)
        graph = _adjacency(i[both], j[both], count)
        order = reverse_cuthill_mckee(graph, symmetric_mode=True)
        place = np.empty(count, dtype=int)
        place[order] = np.arange(count)
        width = int(np.abs(place[i[both]] - place[j[both]]).max(initial=0))
        if width > _WIDEST_BAND:
            pattern = (graph + (graph.sum() + 1.0) * identity(count)).tocsc()
            place = splu(pattern, permc_spec='MMD_AT_PLUS_A', **_SYMMETRIC).perm_c
        i, j = np.where(i >= 0, place[i], -1), np.where(j >= 0, place[j], -1)
        self._place = np.asarray(place)
        edge = np.arange(len(i))
        at_i, at_j, total = edge[i >= 0], edge[j >= 0], len(edge)
        # What a node or a block is the sum of, as a product with a matrix of ones.
        self._sum_nodes = _summation(
            np.concatenate([i[at_i], j[at_j]]), np.concatenate([at_i, at_j + total]), 2 * total
        )
        row = np.concatenate([i[at_i], j[at_j], i[both], j[both]])
        column = np.concatenate([i[at_i], j[at_j], j[both], i[both]])
        part = np.repeat(np.arange(4), [len(at_i), len(at_j), both.sum(), both.sum()])
        source = np.concatenate([at_i, at_j, edge[both], edge[both]]) + total * part
        kind = _Band if width <= _WIDEST_BAND else _Sparse
        self._factor = kind(row, column, source, 4 * total, dof)

    def gather(self, by_i: np.ndarray, by_j: np.ndarray) -> np.ndarray:
        """Return the sum (D * free nodes,) of what edges say of their ends, each (D, E)."""
        return (self._sum_nodes @ np.concatenate([by_i, by_j], axis=1).T).ravel()

    def factor(self, ii: np.ndarray, jj: np.ndarray, ij: np.ndarray, damping: float) -> None:
        """
        Factor the matrix with these blocks (D, D, E), its diagonal grown by ``1 + damping``.

        Raises:
            numpy.linalg.LinAlgError: if it is not positive definite.

        """
        parts = np.concatenate([ii, jj, ij, ij.swapaxes(0, 1)], axis=2)
        self._factor.factor(parts.reshape(self._dof**2, -1).T, damping)

    def solve(self, vector: np.ndarray) -> np.ndarray:
        """Return the solution (D * free nodes,) with the last matrix, ordered as ``vector``."""
        return self._factor.solve(vector)

    def to_nodes(self, solution: np.ndarray) -> np.ndarray:
        """Return a solution as steps (D, N) of all nodes, zero for those that are fixed."""
        steps = np.zeros((self._dof, len(self._is_free)))
        steps[:, self._is_free] = solution.reshape(-1, self._dof)[self._place].T
        return steps


class _Band:
    """Band Cholesky: ``rows`` below the diagonal of each column, block by block."""

    def __init__(self, row, column, source, sources, dof):
        below = row >= column
        row, column = row[below], column[below]
        self._dof, self._count = dof, int(column.max()) + 1
        self._blocks = int((row - column).max()) + 1
        slots = column * self._blocks + row - column
        self._sum = _summation(slots, source[below], sources, self._count * self._blocks)

    def factor(self, parts: np.ndarray, damping: float) -> None:
        dof, count, height = self._dof, self._count, self._blocks * self._dof
        blocks = (self._sum @ parts).reshape(count, self._blocks, dof, dof)
        band = np.zeros((count, dof, height))
        for k in range(dof):
            # LAPACK wants each column from its diagonal on.
            band[:, k, : height - k] = blocks[..., k].reshape(count, height)[:, k:]
        band[:, :, 0] *= 1.0 + damping
        self._cholesky = cholesky_banded(
            band.reshape(count * dof, height).T, lower=True, overwrite_ab=True, check_finite=False
        )

    def solve(self, vector: np.ndarray) -> np.ndarray:
        return cho_solve_banded((self._cholesky, True), vector, check_finite=False)


class _Sparse:
    """LU of a matrix in no particular shape, in the order that it comes in."""

    def __init__(self, row, column, source, sources, dof):
        self._dof, count = dof, int(row.max()) + 1
        keys, slots = np.unique(row * count + column, return_inverse=True)
        self._sum = _summation(slots.ravel(), source, sources)
        self._columns = keys % count
        self._starts = np.searchsorted(keys, count * np.arange(count + 1))
        self._diagonal = np.flatnonzero(keys // count == keys % count)

    def factor(self, parts: np.ndarray, damping: float) -> None:
        blocks = (self._sum @ parts).reshape(-1, self._dof, self._dof)
        k = np.arange(self._dof)
        blocks[self._diagonal[:, None], k, k] *= 1.0 + damping
        rows = bsr_matrix((blocks, self._columns, self._starts)).tocsr()
        # Symmetric, so its rows are its columns.
        columns = csc_matrix((rows.data, rows.indices, rows.indptr), rows.shape)
        try:
            self._lu = splu(columns, permc_spec='NATURAL', **_SYMMETRIC)
        except RuntimeError as error:
            raise np.linalg.LinAlgError(str(error)) from error

    def solve(self, vector: np.ndarray) -> np.ndarray:
        return self._lu.solve(vector)


def _adjacency(i: np.ndarray, j: np.ndarray, count: int) -> csr_matrix:
    both_ways = np.concatenate([i, j]), np.concatenate([j, i])
    return csr_matrix((np.ones(2 * len(i)), both_ways), (count, count))


def _summation(
    slots: np.ndarray, sources: np.ndarray, width: int, height: int | None = None
) -> csr_matrix:
    """Return the matrix that adds rows ``sources`` of what it is given up in rows ``slots``."""
    height = int(slots.max()) + 1 if height is None else height
    return csr_matrix((np.ones(len(slots)), (slots, sources)), (height, width))
