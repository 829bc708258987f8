"""
A first guess for a graph of similarities that does not close yet, however far it is off.

Taken one after the other, rotations, scales and positions are three problems of one number per
node: scales and positions are linear once what comes before is known, and rotations nearly so. The
error of a loop is spread over the way round it, and the joint problem, which also bends a path to
shift its end, is then nearly linear.
"""

from dataclasses import replace

from da3_ros.geometry.similarity_edges import DOF, Edges, Nodes
import numpy as np
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import splu

_ROTATION_STEPS = 2
# An edge that counts for nothing could leave nodes without any hold.
_LEAST_WEIGHT = 1e-6


def spread(nodes: Nodes, edges: Edges, is_free: np.ndarray, weights: np.ndarray) -> Nodes:
    """
    Return the nodes with the errors of the edges spread evenly, for each kind of error alone.

    Args:
        nodes: N nodes.
        edges: E edges, which connect each free node to one that is not.
        is_free: Which nodes (N,) may move.
        weights: What the information of each edge is multiplied by (E,).

    """
    incidence = _incidence(edges, is_free)
    weights = np.maximum(weights, _LEAST_WEIGHT)
    rotation, position, log_scale = weights * edges.information
    solve = _solver(incidence, rotation)
    for _ in range(_ROTATION_STEPS):
        step = np.zeros((DOF, len(is_free)))
        step[:3, is_free] = solve(edges.rotation_errors(nodes))
        nodes = nodes.moved(step)
    step = np.zeros((DOF, len(is_free)))
    step[6, is_free] = _solver(incidence, log_scale)(edges.errors(nodes).log_scale[None])
    nodes = nodes.moved(step)
    errors = edges.errors(nodes)
    position = weights * errors.information[1]
    shift = np.zeros((3, len(is_free)))
    shift[:, is_free] = _solver(incidence, position)(errors.position)
    return replace(nodes, position=nodes.position + shift)


def _incidence(edges: Edges, is_free: np.ndarray) -> csr_matrix:
    """Return (E, free nodes): -1 at the first end of each edge, 1 at the second."""
    place = np.cumsum(is_free) - 1
    at_i, at_j = np.flatnonzero(is_free[edges.i]), np.flatnonzero(is_free[edges.j])
    signs = np.repeat([-1.0, 1.0], [len(at_i), len(at_j)])
    row = np.concatenate([at_i, at_j])
    column = place[np.concatenate([edges.i[at_i], edges.j[at_j]])]
    return csr_matrix((signs, (row, column)), (len(edges.i), int(is_free.sum())))


def _solver(incidence: csr_matrix, weights: np.ndarray):
    """Return the function from errors (K, E) to the steps (K, free nodes) that undo them."""
    weighted = (incidence.T @ diags(weights)).tocsr()
    laplacian = (weighted @ incidence).tocsc()
    lu = splu(laplacian, permc_spec='MMD_AT_PLUS_A', diag_pivot_thresh=0.0)
    return lambda errors: -lu.solve(weighted @ errors.T).T
