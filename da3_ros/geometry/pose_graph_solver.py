"""
Robust Gauss-Newton on a graph of similarities.

From a first guess that has the loops nearly closed (``spreading``), all nodes are moved at once.
Each loop has a kernel (dynamic covariance scaling, Agarwal et al. 2013) that lets it go when the
others contradict it. The kernels start so wide that no loop falls outside and are narrowed round
by round (graduated non-convexity, Blake and Zisserman 1987), because at first even a right loop
contradicts the drift that it is there to correct.

How narrow they may become is read off the loops themselves: when half of them have large errors
it is because drift is larger than the edges' information says, not because they are wrong.
"""

from contextlib import suppress

from da3_ros.geometry.block_system import BlockSystem
from da3_ros.geometry.similarity_edges import DOF, EdgeErrors, Edges, Nodes
from da3_ros.geometry.spreading import spread
import numpy as np

# Half of right loops have a squared error below this: chi², 7 freedoms.
_CHI2_MEDIAN = 6.35
# By how much the gate is narrowed in a round, the share of its weight that a loop must lose for
# the errors to be spread anew without it, and the weight at which it is let go.
_NARROWING = 10.0
_LOST_GRIP = 0.5
_REJECTED = 0.25
_MAX_ROUNDS, _MAX_STEPS, _MAX_HALVINGS = 20, 15, 6
# Gain in squared standard deviations that is worth no step, and one that is so small that the
# matrix of an earlier step is good enough, as long as each gain is so much smaller than the last;
# share of the cost below which a round has settled.
_SMALLEST_GAIN = 1e-4
_SMALL_GAIN = 0.05
_CONTRACTION = 0.1
_SETTLED = 0.3
# Relative change of weights that leaves the matrix as good as it was.
_SAME_WEIGHT = 0.1
# Growth of the diagonal, tried in turn: a long open path is soft enough to fail by rounding alone.
_DAMPINGS, _MOST_DAMPING = (0.0, 1e-14, 1e-12, 1e-10), 1e-8
# What a loop that was let go leaves behind in the matrix, so that its ends are not without hold.
_LEAST_WEIGHT = 1e-12


class PoseGraphSolver:
    """The edges that have an end which may move, and the normal equations of those ends."""

    def __init__(self, edges: Edges, is_free: np.ndarray, is_loop: np.ndarray) -> None:
        """
        Prepare the normal equations of a graph.

        Args:
            edges: E edges between N nodes.
            is_free: Which nodes (N,) may move; edges connect each of them to one that may not.
            is_loop: Which edges (E,) may be wrong.

        """
        self.edges = edges
        self._is_free, self._is_loop = is_free, is_loop
        self._system = BlockSystem(edges.i, edges.j, is_free, DOF)
        # Weights at which the matrix was factored last, and what the last step should have gained.
        self._factored: np.ndarray | None = None
        self._gain = np.inf

    def solve(self, start: Nodes, gate: float) -> tuple[Nodes, np.ndarray, int, bool]:
        """Return the best nodes, the weights (E,), the steps taken and whether they sufficed."""
        weights, width = np.ones(len(self._is_loop)), np.inf
        is_narrowest, is_last = False, not self._is_loop.any()
        nodes, steps = spread(start, self.edges, self._is_free, weights), 0
        for _ in range(_MAX_ROUNDS):
            nodes, taken, converged = self._settle(nodes, weights, is_last)
            steps += taken
            if not self._is_loop.any():
                return nodes, weights, steps, converged
            before, was_narrowest, was_last = weights, is_narrowest, is_last
            squared = self.edges.errors(nodes).squared()[self._is_loop]
            floor = gate * max(1.0, _low_median(squared) / _CHI2_MEDIAN)
            width = max(floor, min(width / _NARROWING, squared.max()))
            is_narrowest = width == floor
            weights = self._weights(squared, width)
            # A loop that has lost most of its weight twice is let go altogether: what little is
            # left of a large error would still bend the map. The others count in full again, or
            # drift that is larger than it should be would pull them loose one by one.
            # With no error out of the common there is nothing to decide.
            is_clear = floor == gate and weights.min() >= _REJECTED
            is_last = is_narrowest and (was_narrowest or is_clear)
            if is_last:
                weights = np.where(weights < _REJECTED, 0.0, 1.0)
            if was_last and is_last and np.array_equal(weights, before):
                return nodes, weights, steps, converged
            if np.any(weights < _LOST_GRIP * before):
                nodes = spread(start, self.edges, self._is_free, weights)
        return nodes, before, steps, False

    def _weights(self, squared: np.ndarray, width: float) -> np.ndarray:
        """Return the weights (E,) that kernels give to the squared errors of the loops."""
        weights = np.ones(len(self._is_loop))
        weights[self._is_loop] = np.minimum(1.0, 2.0 * width / (width + squared)) ** 2
        return weights

    def _settle(self, nodes: Nodes, weights: np.ndarray, is_last: bool) -> tuple[Nodes, int, bool]:
        """Return the best nodes for given weights, the steps taken and whether they sufficed."""
        for taken in range(_MAX_STEPS):
            errors = self.edges.errors(nodes)
            step, gain, is_exact = self._step(errors, weights)
            if gain < _SMALLEST_GAIN:
                return nodes, taken, True
            cost = weights @ errors.squared()
            better = self._descend(nodes, step, weights, cost)
            if better is not None:
                nodes = better
            elif is_exact:
                # Downhill by the slope but not in numbers: as far as their precision goes.
                return nodes, taken, gain < _SMALL_GAIN
            else:
                self._factored = None
            if not is_last and gain < _SETTLED * cost:
                return nodes, taken + 1, False
        return nodes, _MAX_STEPS, False

    def _step(self, errors: EdgeErrors, weights: np.ndarray) -> tuple[np.ndarray, float, bool]:
        """
        Return the Gauss-Newton step (7, N), what it should gain, and whether it is exact.

        Near the end the matrix hardly changes, and that of an earlier step is good enough: to
        factor it is most of the work.
        """
        downhill = -self._system.gather(*errors.gradient(weights))
        before = self._factored
        if before is not None and np.all(np.abs(weights - before) <= _SAME_WEIGHT * before):
            solution = self._system.solve(downhill)
            gain = float(downhill @ solution)
            if gain < min(_SMALL_GAIN, _CONTRACTION * self._gain):
                self._gain = gain
                return self._system.to_nodes(solution), gain, False
        self._factor(errors, weights)
        solution = self._system.solve(downhill)
        self._gain = float(downhill @ solution)
        return self._system.to_nodes(solution), self._gain, True

    def _factor(self, errors: EdgeErrors, weights: np.ndarray) -> None:
        blocks = errors.hessian(np.maximum(weights, _LEAST_WEIGHT))
        self._factored = weights
        for damping in _DAMPINGS:
            with suppress(np.linalg.LinAlgError):
                return self._system.factor(*blocks, damping)
        return self._system.factor(*blocks, _MOST_DAMPING)

    def _descend(
        self, nodes: Nodes, step: np.ndarray, weights: np.ndarray, cost: float
    ) -> Nodes | None:
        """Return the nodes after as much of the step as lowers the cost, or None."""
        for halving in range(_MAX_HALVINGS):
            moved = nodes.moved(0.5**halving * step)
            if weights @ self.edges.errors(moved).squared() < cost:
                return moved
        return None


def _low_median(values: np.ndarray) -> float:
    """Return the median, of an even number the lower of the two in the middle."""
    return float(np.sort(values)[(len(values) - 1) // 2])
