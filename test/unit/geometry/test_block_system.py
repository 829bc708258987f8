"""Both factorisations solve what a dense solver solves."""

from da3_ros.geometry.block_system import BlockSystem
import numpy as np
import pytest

DOF = 3


def edges_of(count: int, is_tangled: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return a chain with a shortcut in both directions, twice the same; or with many."""
    rng = np.random.default_rng(0)
    pairs = [(k, k + 1) for k in range(count - 1)] + [(3, 1), (1, 3), (1, 3)]
    if is_tangled:
        pairs += [tuple(rng.choice(count, 2, replace=False)) for _ in range(5 * count)]
    return tuple(np.array(pairs).T)


@pytest.mark.parametrize(('count', 'is_tangled'), [(2, False), (12, False), (120, True)])
def test_solution_is_the_dense_one(count: int, is_tangled: bool) -> None:
    rng = np.random.default_rng(1)
    i, j = edges_of(max(count, 5), is_tangled)
    keep = (i < count) & (j < count)
    i, j = i[keep], j[keep]
    is_free = np.ones(count, dtype=bool)
    is_free[count // 2] = False
    jacobians = rng.normal(size=(2 * DOF, 2 * DOF, len(i)))
    blocks = np.einsum('kae,kbe->abe', jacobians, jacobians)
    ii, jj, ij = blocks[:DOF, :DOF], blocks[DOF:, DOF:], blocks[:DOF, DOF:]
    by_i, by_j = rng.normal(size=(2, DOF, len(i)))
    dense, vector = np.zeros((count, DOF, count, DOF)), np.zeros((count, DOF))
    for e, (a, b) in enumerate(zip(i, j, strict=True)):
        dense[a, :, a] += ii[..., e]
        dense[b, :, b] += jj[..., e]
        dense[a, :, b] += ij[..., e]
        dense[b, :, a] += ij[..., e].T
        vector[a] += by_i[:, e]
        vector[b] += by_j[:, e]
    matrix = dense[is_free][:, :, is_free].reshape(2 * (DOF * (count - 1),))
    matrix += 0.5 * np.diag(np.diag(matrix))
    expected = np.zeros((DOF, count))
    expected[:, is_free] = np.linalg.solve(matrix, vector[is_free].ravel()).reshape(-1, DOF).T
    system = BlockSystem(i, j, is_free, DOF)
    system.factor(ii, jj, ij, damping=0.5)
    got = system.to_nodes(system.solve(system.gather(by_i, by_j)))
    np.testing.assert_allclose(got, expected, atol=1e-9)


@pytest.mark.parametrize('is_tangled', [False, True])
def test_a_matrix_without_hold_is_refused(is_tangled: bool) -> None:
    i, j = edges_of(60, is_tangled)
    is_free = np.arange(60) > 0
    zero = np.zeros((DOF, DOF, len(i)))
    with pytest.raises(np.linalg.LinAlgError):
        BlockSystem(i, j, is_free, DOF).factor(zero, zero, zero, damping=0.0)
