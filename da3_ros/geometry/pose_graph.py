"""
The pose graph: places all keyframes anew so that they agree with all that was measured of them.

Nodes are similarities, because a map from images drifts in scale as well; edges are measured
similarities between two nodes. Edges along the path are trusted; loops are believed as far as
the other edges do not contradict them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from da3_ros.errors import InputError
from da3_ros.geometry import quaternions
from da3_ros.geometry.pose_graph_solver import PoseGraphSolver
from da3_ros.geometry.sim3_batch import Sim3Batch
from da3_ros.geometry.similarity_edges import Edges, Nodes
import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

# 99 % of right loops have a squared error below this, in standard deviations: chi², 7 freedoms.
LOOP_GATE = 18.5
# Far beyond what anything is measured to, and far from where doubles overflow.
_INFORMATION_RANGE = (1e-30, 1e30)


@dataclass(frozen=True, eq=False)
class PoseGraphEdges:
    """
    What was measured between E pairs of nodes.

    ``nodes`` (E, 2) int the pairs (i, j); ``i_from_j`` where node j is in the frame of i;
    ``information`` (E, 3) the inverse variances of rotation [1/rad²], translation [1/unit² of
    frame i] and logarithm of scale; ``is_loop`` (E,) bool the edges that may be wrong.
    """

    nodes: np.ndarray
    i_from_j: Sim3Batch
    information: np.ndarray
    is_loop: np.ndarray


@dataclass(frozen=True, eq=False)
class PoseGraphResult:
    """
    The graph after optimisation.

    ``weights`` (E,) is what the information of each edge was multiplied by: 1 for one that was
    believed, 0 for a loop that was let go. ``cost`` is the weighted sum of squared errors in
    standard deviations. ``converged`` is False when the ``steps`` ran out before the end.
    """

    map_from_node: Sim3Batch
    weights: np.ndarray
    cost: float
    steps: int
    converged: bool


def optimise_pose_graph(
    map_from_node: Sim3Batch,
    edges: PoseGraphEdges,
    fixed: Sequence[int] = (0,),
    gate: float = LOOP_GATE,
) -> PoseGraphResult:
    """
    Return the nodes where all edges, loops as far as they agree, fit best.

    Nodes that no path of believed edges connects to a fixed one stay as they are. A loop is let
    go only when other loops contradict it: a single one is always believed, so look at it well
    before it comes here. The time is linear in nodes and edges as long as nodes are mostly tied
    to those with a near number; any other graph is solved too, but more slowly.

    Args:
        map_from_node: N nodes as they are now.
        edges: What was measured between them.
        fixed: Indices of the nodes that may not move, at least one.
        gate: Squared error in standard deviations above which a loop loses weight, unless half
            of the loops have errors that are as large: then it is wider in proportion.

    Raises:
        InputError: if an array has a wrong shape, an index names no node or an edge ends where
            it begins, a number is not finite, a scale is not positive, or an information is
            not within 1e-30 and 1e30.

    """
    fixed = np.atleast_1d(np.asarray(fixed))
    _check(map_from_node, edges, fixed)
    count = len(map_from_node)
    i, j = np.asarray(edges.nodes).T
    is_free = _connected(i, j, fixed, count)
    active = np.flatnonzero(is_free[i] | is_free[j])
    weights = np.ones(len(i))
    if len(active) == 0:
        return PoseGraphResult(map_from_node, weights, 0.0, 0, True)
    measured = edges.i_from_j[active]
    solver = PoseGraphSolver(
        Edges(
            i=i[active],
            j=j[active],
            rotation=quaternions.from_matrices(measured.rotation),
            position=np.ascontiguousarray(measured.translation.T),
            log_scale=np.log(measured.scale),
            information=np.ascontiguousarray(edges.information[active].T),
        ),
        is_free,
        np.asarray(edges.is_loop)[active],
    )
    nodes, weights[active], steps, converged = solver.solve(Nodes.from_batch(map_from_node), gate)
    # What may not move comes back bit for bit; so does what only loops held that were let go.
    believed = weights > 0
    placed = nodes.to_batch().where(
        _connected(i[believed], j[believed], fixed, count), map_from_node
    )
    cost = float(weights[active] @ solver.edges.errors(Nodes.from_batch(placed)).squared())
    return PoseGraphResult(placed, weights, cost, steps, converged)


def _connected(i: np.ndarray, j: np.ndarray, fixed: np.ndarray, count: int) -> np.ndarray:
    """Return which nodes (N,) may move: those that edges connect to a fixed one."""
    graph = csr_matrix((np.ones(len(i)), (i, j)), (count, count))
    _, part = connected_components(graph, directed=False)
    is_free = np.isin(part, part[fixed])
    is_free[fixed] = False
    return is_free


def _check(map_from_node: Sim3Batch, edges: PoseGraphEdges, fixed: np.ndarray) -> None:
    """Raise ``InputError`` unless the graph makes sense."""
    count, pairs = len(map_from_node), np.asarray(edges.nodes)
    total = len(pairs)
    if fixed.size == 0:
        raise InputError('No node is fixed; expected at least one, to hold the map in place.')
    _check_batch('map_from_node', map_from_node, count)
    _check_batch('i_from_j', edges.i_from_j, total)
    shapes = {'nodes': (pairs, (total, 2)), 'information': (edges.information, (total, 3))}
    shapes['is_loop'] = (edges.is_loop, (total,))
    for name, (array, expected) in shapes.items():
        if np.shape(array) != expected:
            raise InputError(f'{name} has shape {np.shape(array)}; expected {expected}.')
    for name, indices in (('nodes', pairs), ('fixed', fixed)):
        if not np.issubdtype(indices.dtype, np.integer):
            raise InputError(f'{name} has type {indices.dtype}; expected integers.')
        if np.any((indices < 0) | (indices >= count)):
            raise InputError(
                f'{name} holds indices from {indices.min()} to {indices.max()}; expected them '
                f'in 0 to {count - 1}, one per node of map_from_node.'
            )
    if np.any(pairs[:, 0] == pairs[:, 1]):
        edge = int(np.argmax(pairs[:, 0] == pairs[:, 1]))
        raise InputError(
            f'Edge {edge} goes from node {pairs[edge, 0]} to itself; expected two nodes.'
        )
    least, most = _INFORMATION_RANGE
    if not np.all((edges.information >= least) & (edges.information <= most)):
        raise InputError(
            f'information goes from {np.min(edges.information)} to {np.max(edges.information)}; '
            f'expected it within {least} and {most}.'
        )


def _check_batch(name: str, batch: Sim3Batch, count: int) -> None:
    shapes = {'scale': (count,), 'rotation': (count, 3, 3), 'translation': (count, 3)}
    for part, expected in shapes.items():
        array = getattr(batch, part)
        if np.shape(array) != expected:
            raise InputError(f'{name}.{part} has shape {np.shape(array)}; expected {expected}.')
        if not np.all(np.isfinite(array)):
            raise InputError(f'{name}.{part} holds a number that is not finite.')
    if not np.all(batch.scale > 0):
        raise InputError(f'{name}.scale goes down to {batch.scale.min()}; expected it above 0.')
