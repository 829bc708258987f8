"""Spreading the error of a loop over the map, in a thread beside the stream."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.map import Loop, Map
from da3_ros.engine.scale.depths import median_depth
from da3_ros.geometry.pose_graph import optimise_pose_graph, PoseGraphEdges
from da3_ros.geometry.sim3_batch import Sim3Batch
from da3_ros.geometry.transforms import Sim3
import numpy as np

# What a window knows of two of its keyframes: rotation, position as a share of the depth of the
# scene, logarithm of scale. A loop is the mean of a few windows; the links of a keyframe are of
# the same few windows all of them, so each counts for a part.
_ROTATION_RAD, _POSITION, _LOG = 0.01, 0.01, 0.01
_LOOP_FACTOR = 0.5
_LINK_SHARE = 1.0 / 3.0
# Loops that the rest of the graph contradicts, down to this weight, are taken back.
_MIN_WEIGHT = 0.1
# Mean squared error of all edges, in standard deviations, beyond which a loop does not belong to
# the map: drift is spread over many links, but a place that only looks the same tears at them.
_MOST_STRESS = 10.0


@dataclass(frozen=True)
class Correction:
    """
    What a closed loop does to the map.

    ``now_from_then`` by key of keyframe; ``rejected`` are the loops that do not fit the others.
    """

    now_from_then: Mapping[int, Sim3]
    rejected: tuple[Loop, ...]


class LoopCloser:
    """Optimises a snapshot of the map while the stream goes on; one at a time."""

    def __init__(self) -> None:
        """Start idle."""
        self._executor = ThreadPoolExecutor(1, 'da3_loop_closer')
        self._job: Future[Correction] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a correction is on its way."""
        return self._job is not None

    def start(self, keyframes: Map, part: int) -> None:
        """Begin to correct a part of the map, as it is now."""
        job = _Snapshot.of(keyframes, part)
        self._job = self._executor.submit(job.correction)

    def finish(self) -> Correction | None:
        """Return the correction that was begun, waiting for it; None if there was none."""
        job, self._job = self._job, None
        return job.result() if job else None

    def cancel(self) -> None:
        """Forget what was begun."""
        self._job = None


@dataclass(frozen=True)
class _Snapshot:
    """A part of the map as it was: keys, where they are, and what connects them."""

    keys: tuple[int, ...]
    map_from_keyframe: Sim3Batch
    edges: PoseGraphEdges
    loops: tuple[Loop, ...]

    @classmethod
    def of(cls, keyframes: Map, part: int) -> '_Snapshot':
        """Take one; nothing of it changes with the map."""
        mine = [k for k in keyframes if k.part == part]
        at = {k.view.key: i for i, k in enumerate(mine)}
        links = [link for link in keyframes.links() if link[0] in at and link[1] in at]
        loops = [loop for loop in keyframes.loops if loop.first in at and loop.second in at]
        nodes = Sim3Batch.from_rigid(np.stack([k.map_from_camera for k in mine]))
        ends = [(at[a], at[b]) for a, b, _ in links]
        ends += [(at[loop.first], at[loop.second]) for loop in loops]
        pairs = np.array(ends)
        first, second = pairs[: len(links)].T
        measured = nodes[first].inverse() @ nodes[second]
        measured = measured.joined(Sim3Batch.stack([x.first_from_second for x in loops]))
        scene = _scenes(mine)[pairs[:, 0]]
        sigma = np.stack(
            [np.full_like(scene, _ROTATION_RAD), _POSITION * scene, np.full_like(scene, _LOG)], 1
        )
        information = sigma**-2.0
        shares = _LINK_SHARE * np.array([overlap for _, _, overlap in links])
        information[: len(links)] *= shares[:, None]
        information[len(links) :] /= _LOOP_FACTOR**2
        is_loop = np.arange(len(pairs)) >= len(links)
        edges = PoseGraphEdges(pairs, measured, information, is_loop)
        return cls(tuple(at), nodes, edges, tuple(loops))

    def correction(self) -> Correction:
        """Optimise; the newest loop is taken back if the map can't be bent so far."""
        result = optimise_pose_graph(self.map_from_keyframe, self.edges)
        if not result.cost <= _MOST_STRESS * len(self.edges.nodes):
            return Correction({}, self.loops[-1:])
        now_from_then = result.map_from_node @ self.map_from_keyframe.inverse()
        weights = result.weights[self.edges.is_loop]
        rejected = [x for x, w in zip(self.loops, weights, strict=True) if w < _MIN_WEIGHT]
        moves = {key: now_from_then.one(i) for i, key in enumerate(self.keys)}
        return Correction(moves, tuple(rejected))


def _scenes(keyframes: Sequence[Keyframe]) -> np.ndarray:
    """Return how far the scene is in each keyframe, as far as in the others where none is seen."""
    depths = np.array([median_depth(k.depth) for k in keyframes])
    seen = depths[depths > 0]
    return np.where(depths > 0, depths, np.median(seen) if len(seen) else 1.0)
