"""Pose graphs of a walk round a ring, with noise, drift and loops, of which the truth is known."""

from dataclasses import dataclass

from da3_ros.geometry.pose_graph import PoseGraphEdges
from da3_ros.geometry.sim3_batch import Sim3Batch
import numpy as np
from scipy.spatial.transform import Rotation

# Standard deviations of rotation [rad], translation [steps of the walk] and log scale.
SIGMA = np.array([0.01, 0.02, 0.01])
# The axis that the walk drifts about.
_AXIS = np.array([0.3, 0.5, 0.8]) / np.linalg.norm([0.3, 0.5, 0.8])


@dataclass(frozen=True, eq=False)
class Ring:
    """A graph, where its nodes truly are, and where edges between neighbours alone put them."""

    truth: Sim3Batch
    drifted: Sim3Batch
    edges: PoseGraphEdges

    def error(self, map_from_node: Sim3Batch) -> float:
        """Return the root mean square distance of nodes to the truth."""
        offsets = map_from_node.translation - self.truth.translation
        return float(np.sqrt(np.mean(np.sum(offsets**2, axis=1))))


def ring(
    count: int,
    neighbours: int = 4,
    loops: int = 1,
    *,
    noise: float = 1.0,
    drift_deg: float = 0.0,
    growth: float = 1.0,
    wrong: int = 0,
    is_tangled: bool = False,
    seed: int = 0,
) -> Ring:
    """
    Return a ring of nodes one unit apart, each tied to earlier neighbours, closed by loops.

    Args:
        count: Nodes.
        neighbours: Earlier nodes that each is tied to.
        loops: Loops, from the end of the walk to its beginning.
        noise: Of all edges, in multiples of ``SIGMA``.
        drift_deg: By how much the neighbours' edges turn too far on the whole way round.
        growth: By how much they grow.
        wrong: How many of the loops are wrong, by about a quarter of the ring.
        is_tangled: Put the loops between any two nodes instead.
        seed: Of all that is random.

    """
    rng = np.random.default_rng(seed)
    truth = _walk(count)
    pairs = [(j - k, j) for j in range(count) for k in range(1, neighbours + 1) if j >= k]
    total = len(pairs)
    if is_tangled:
        apart = [(i, j) for i in range(count) for j in range(i + 20, count)]
        pairs += [apart[k] for k in rng.choice(len(apart), loops, replace=False)]
    else:
        pairs += [(2 * k, count - 1 - 2 * k) for k in range(loops)]
    nodes = np.array(pairs).reshape(-1, 2)
    is_loop = np.arange(len(nodes)) >= total
    i, j = nodes.T
    share = np.where(is_loop, 0, j - i) / count
    turns = np.radians(drift_deg) * share[:, None] * _AXIS
    exact = truth[i].inverse() @ truth[j]
    turns = Rotation.from_rotvec(turns + noise * SIGMA[0] * rng.normal(size=(len(nodes), 3)))
    i_from_j = Sim3Batch(
        exact.scale * growth**share * np.exp(noise * SIGMA[2] * rng.normal(size=len(nodes))),
        turns.as_matrix() @ exact.rotation,
        exact.translation + noise * SIGMA[1] * rng.normal(size=(len(nodes), 3)),
    )
    if wrong:
        shift = rng.normal(size=(wrong, 3))
        shift *= count / 4 / np.linalg.norm(shift, axis=1, keepdims=True)
        i_from_j.translation[-wrong:] += shift
    information = np.tile(SIGMA**-2.0, (len(nodes), 1))
    edges = PoseGraphEdges(nodes, i_from_j, information, is_loop)
    return Ring(truth, _chained(truth, edges), edges)


def random_batch(rng: np.random.Generator, count: int) -> Sim3Batch:
    """Return similarities of any rotation, and of scales around 1."""
    rotation = Rotation.random(count, random_state=rng).as_matrix()
    return Sim3Batch(np.exp(0.3 * rng.normal(size=count)), rotation, rng.normal(size=(count, 3)))


def _walk(count: int) -> Sim3Batch:
    angle = np.linspace(0, 2 * np.pi, count)
    radius = count / (2 * np.pi)
    place = [radius * np.cos(angle), radius * np.sin(angle), 0.02 * count * np.sin(3 * angle)]
    turn = np.stack([0 * angle, 0.2 * np.sin(angle), angle + np.pi / 2], axis=1)
    rotation = Rotation.from_rotvec(turn).as_matrix()
    return Sim3Batch(np.exp(0.1 * np.sin(2 * angle)), rotation, np.stack(place, axis=1))


def _chained(truth: Sim3Batch, edges: PoseGraphEdges) -> Sim3Batch:
    """Return the nodes that follow from the first by edges between next neighbours alone."""
    i, j = edges.nodes.T
    steps = np.flatnonzero(~edges.is_loop & (j == i + 1))
    placed = [truth.one(0)]
    for step in steps:
        placed.append(placed[-1] @ edges.i_from_j.one(step))
    return Sim3Batch.stack(placed)
