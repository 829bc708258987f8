"""The derivatives in closed form are those that differences give."""

from da3_ros.geometry import quaternions
from da3_ros.geometry.sim3_batch import Sim3Batch
from da3_ros.geometry.similarity_edges import DOF, Edges, Nodes
from doubles.rings import random_batch
import numpy as np
import pytest

STEP = 1e-6
WEIGHTS = np.array([0.3])


def graph(size: float, seed: int) -> tuple[Nodes, Edges]:
    """Return two nodes and an edge between them that is off by about ``size`` in all."""
    rng = np.random.default_rng(seed)
    batch = random_batch(rng, 2)
    turn = quaternions.from_vectors(size * rng.normal(size=(3, 1)))
    off = Sim3Batch(
        np.exp(size * rng.normal(size=1)),
        quaternions.to_matrices(turn),
        size * rng.normal(size=(1, 3)),
    )
    measured = off @ batch[:1].inverse() @ batch[1:]
    edges = Edges(
        i=np.array([0]),
        j=np.array([1]),
        rotation=quaternions.from_matrices(measured.rotation),
        position=measured.translation.T,
        log_scale=np.log(measured.scale),
        information=np.array([[4.0], [9.0], [25.0]]),
    )
    return Nodes.from_batch(batch), edges


def residuals(nodes: Nodes, edges: Edges) -> np.ndarray:
    """Return the seven errors in standard deviations, about the axes of node i."""
    errors = edges.errors(nodes)
    back = quaternions.conjugate(nodes.rotation[:, :1])
    parts = [quaternions.rotate(back, errors.rotation), quaternions.rotate(back, errors.position)]
    parts = np.concatenate([*parts, errors.log_scale[None]])[:, 0]
    return parts * np.sqrt(WEIGHTS * np.repeat(errors.information[:, 0], [3, 3, 1]))


def jacobian(nodes: Nodes, edges: Edges) -> np.ndarray:
    """Return the derivatives (7, 14) of the residuals by steps of both nodes."""
    columns = []
    for node in range(2):
        for k in range(DOF):
            step = np.zeros((DOF, 2))
            step[k, node] = STEP
            ahead, behind = (residuals(nodes.moved(s * step), edges) for s in (1, -1))
            columns.append((ahead - behind) / (2 * STEP))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('size', [0.0, 1e-5, 1e-2, 0.6])
def test_derivatives_are_those_of_differences(size: float, seed: int) -> None:
    nodes, edges = graph(size, seed)
    j, r = jacobian(nodes, edges), residuals(nodes, edges)
    errors = edges.errors(nodes)
    assert errors.squared() * WEIGHTS == pytest.approx(r @ r, abs=1e-12)
    gradient = np.concatenate(errors.gradient(WEIGHTS))[:, 0]
    np.testing.assert_allclose(gradient, j.T @ r, atol=1e-6)
    ii, jj, ij = (block[..., 0] for block in errors.hessian(WEIGHTS))
    np.testing.assert_allclose(np.block([[ii, ij], [ij.T, jj]]), j.T @ j, atol=1e-6)


def test_an_exact_edge_has_no_error() -> None:
    nodes, edges = graph(0.0, 0)
    assert edges.errors(nodes).squared() < 1e-24


def test_nodes_survive_the_round_trip() -> None:
    batch = random_batch(np.random.default_rng(1), 5)
    back = Nodes.from_batch(batch).to_batch()
    np.testing.assert_allclose(back.scale, batch.scale)
    np.testing.assert_allclose(back.rotation, batch.rotation, atol=1e-12)
    np.testing.assert_allclose(back.translation, batch.translation)
