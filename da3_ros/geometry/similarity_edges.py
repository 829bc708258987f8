"""
How well a graph of similarities agrees with what was measured between its nodes, and which way up.

Shapes: N nodes, E edges; components come first, (3, N) for instance. All in float64.

A node is changed by a step of seven numbers about the map's axes and its own place: a rotation
vector ω [rad], a shift ν [map units] and a change of log scale σ. Written so, an edge knows only
the offset between its two nodes and no lever arm from the map's origin, which keeps the normal
equations well conditioned however far away that is.
"""

from dataclasses import dataclass

from da3_ros.geometry import quaternions
from da3_ros.geometry.sim3_batch import Sim3Batch
import numpy as np

# Numbers in a step.
DOF = 7
_AXES = np.arange(3)


@dataclass(frozen=True, eq=False)
class Nodes:
    """``map_from_node``: quaternions (4, N), positions (3, N) and logarithms of scale (N,)."""

    rotation: np.ndarray
    position: np.ndarray
    log_scale: np.ndarray

    @classmethod
    def from_batch(cls, map_from_node: Sim3Batch) -> 'Nodes':
        """Return the nodes of N similarities."""
        return cls(
            quaternions.from_matrices(map_from_node.rotation),
            np.ascontiguousarray(map_from_node.translation.T, dtype=np.float64),
            np.log(map_from_node.scale),
        )

    def to_batch(self) -> Sim3Batch:
        """Return them as N similarities."""
        matrices = quaternions.to_matrices(self.rotation)
        return Sim3Batch(np.exp(self.log_scale), matrices, self.position.T.copy())

    def moved(self, step: np.ndarray) -> 'Nodes':
        """Return the nodes after a step (7, N)."""
        turned = quaternions.multiply(quaternions.from_vectors(step[:3]), self.rotation)
        return Nodes(
            turned / np.sqrt(np.sum(turned**2, axis=0)),
            self.position + step[3:6],
            self.log_scale + step[6],
        )


@dataclass(frozen=True, eq=False)
class Edges:
    """
    Measured ``i_from_j`` between nodes ``i`` and ``j``, both (E,).

    ``rotation`` (4, E), ``position`` (3, E), ``log_scale`` (E,) and ``information`` (3, E), the
    inverse variances of rotation [1/rad²], position [1/unit² of frame i] and log scale.
    """

    i: np.ndarray
    j: np.ndarray
    rotation: np.ndarray
    position: np.ndarray
    log_scale: np.ndarray
    information: np.ndarray

    def rotation_errors(self, nodes: Nodes) -> np.ndarray:
        """Return by how much each ``j`` is turned off, seen from ``i``: vectors (3, E) [rad]."""
        # With R_i on both sides the error comes out about the map's axes.
        off = quaternions.multiply(
            quaternions.conjugate(self.rotation),
            quaternions.conjugate(nodes.rotation[:, self.i]),
        )
        return quaternions.to_vectors(quaternions.multiply(nodes.rotation[:, self.j], off))

    def errors(self, nodes: Nodes) -> 'EdgeErrors':
        """Return how far the nodes are from what was measured."""
        scale = np.exp(nodes.log_scale[self.i])
        offset = nodes.position[:, self.j] - nodes.position[:, self.i]
        expected = scale * quaternions.rotate(nodes.rotation[:, self.i], self.position)
        rotation, position, log_scale = self.information
        return EdgeErrors(
            rotation=self.rotation_errors(nodes),
            position=offset - expected,
            log_scale=nodes.log_scale[self.j] - nodes.log_scale[self.i] - self.log_scale,
            offset=offset,
            information=np.stack([rotation, position / scale**2, log_scale]),
        )


@dataclass(frozen=True, eq=False)
class EdgeErrors:
    """
    Errors of E edges about the map's axes, and their derivatives by steps of both ends.

    ``rotation`` (3, E) [rad], ``position`` (3, E) and ``offset`` (3, E) from i to j [map units],
    ``log_scale`` (E,); ``information`` (3, E) as that of the edges, but per map unit².
    """

    rotation: np.ndarray
    position: np.ndarray
    log_scale: np.ndarray
    offset: np.ndarray
    information: np.ndarray

    def squared(self) -> np.ndarray:
        """Return the squared errors (E,) in standard deviations, seven of them per edge."""
        rotation, position, log_scale = self.information
        return (
            rotation * np.sum(self.rotation**2, axis=0)
            + position * np.sum(self.position**2, axis=0)
            + log_scale * self.log_scale**2
        )

    def gradient(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return half the derivatives of ``weights`` (E,) times ``squared`` by i and j, (7, E)."""
        rotation, position, log_scale = weights * self.information
        turn = rotation * self.rotation
        shift = position * self.position
        growth = (log_scale * self.log_scale)[None]
        # Turning or growing i moves where it expects j to be.
        lever = quaternions.cross(self.offset, shift)
        stretch = np.sum(self.offset * shift, axis=0)
        by_i = np.concatenate([-turn - lever, -shift, -growth - stretch])
        return by_i, np.concatenate([turn, shift, growth])

    def hessian(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """
        Return the Gauss-Newton blocks (i, i), (j, j) and (i, j), each (7, 7, E).

        JᵀJ in closed form. A step of j moves its three errors apart from each other, except that a
        rotation that is off by θ already turns by (θ/2) / sin(θ/2) more across its axis.
        """
        rotation, position, log_scale = weights * self.information
        d, count = self.offset, len(self.log_scale)
        angle2 = np.sum(self.rotation**2, axis=0)
        across = 1.0 / np.sinc(0.5 / np.pi * np.sqrt(angle2)) ** 2
        along = np.where(angle2 > 1e-8, (1.0 - across) / np.maximum(angle2, 1e-8), -1.0 / 12.0)
        jj = np.zeros((DOF, DOF, count))
        jj[:3, :3] = rotation * along * self.rotation[:, None] * self.rotation
        jj[_AXES, _AXES] += rotation * across
        jj[_AXES + 3, _AXES + 3] = position
        jj[6, 6] = log_scale
        # [d]x, the matrix of the cross product.
        lever = np.zeros((3, 3, count))
        lever[2, 1], lever[0, 2], lever[1, 0] = position * d
        lever -= lever.swapaxes(0, 1)
        ij = -jj
        ij[:3, 3:6] = -lever
        ij[6, 3:6] = -position * d
        ii = jj.copy()
        square = position * np.sum(d**2, axis=0)
        ii[:3, :3] -= position * d[:, None] * d
        ii[_AXES, _AXES] += square
        ii[:3, 3:6], ii[3:6, :3] = lever, lever.swapaxes(0, 1)
        ii[3:6, 6] = ii[6, 3:6] = position * d
        ii[6, 6] += square
        return ii, jj, ij
