"""A way round a block that closes on itself, and streams of it through an engine."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from da3_ros.config import EngineConfig
from da3_ros.engine import Frame, StreamingEngine, Update, View
from da3_ros.engine.runner import WindowPrediction, WindowView
from da3_ros.errors import FrameError
from da3_ros.evaluation.simulator import NetworkSimulator, Noise
from da3_ros.evaluation.trajectory import align
from da3_ros.evaluation.truth import BoxRoom, RoomTruth
from da3_ros.parameter_tree import replaced
from doubles.box_room import pose_at
import numpy as np
from scipy.spatial.transform import Rotation

SIZE = (84, 56)
K = np.array([[54.0, 0.0, 42.0], [0.0, 54.0, 28.0], [0.0, 0.0, 1.0]])
STEP_NS = 100_000_000
START_NS = 1_000_000_000
# Half sides of block and outer walls, and the circle between them that the camera walks on.
BLOCK_M, OUTER_M, RADIUS_M = 4.0, 7.0, 6.2
CUPBOARDS = 14
CONFIG = replaced(EngineConfig(), {'device': 'cpu', 'resolution': SIZE[0]})


def ring_room(seed: int = 0) -> BoxRoom:
    """Return a square room around a square block, with cupboards along the outer walls."""
    rng = np.random.default_rng(seed)
    boxes = [[[-BLOCK_M, -BLOCK_M, -1.2], [BLOCK_M, BLOCK_M, 1.2]]]
    for i in range(CUPBOARDS):
        axis, side = i % 2, 1 - 2 * (i // 2 % 2)
        middle, depth = rng.uniform(-0.9, 0.9) * OUTER_M, rng.uniform(0.1, 0.5)
        low, high = np.sort([side * OUTER_M, side * (OUTER_M - depth)])
        box = np.empty((2, 3))
        box[:, axis] = low, high
        box[:, 1 - axis] = middle + np.array([-1.0, 1.0]) * rng.uniform(0.2, 0.6)
        box[:, 2] = np.sort(rng.uniform(-1.2, 1.2, 2))
        boxes.append(box.tolist())
    outer = np.array([OUTER_M, OUTER_M, 1.2])
    return BoxRoom(-outer, outer, np.array(boxes))


def on_ring(laps: Iterable[float]) -> list[np.ndarray]:
    """Return cameras that look ahead from where they are after so many laps."""
    return [
        pose_at(
            [RADIUS_M * np.cos(a), RADIUS_M * np.sin(a), 0.05 * np.sin(40 * a)],
            np.degrees(a) + 90.0 + 10.0 * np.sin(6 * a),
        )
        for a in 2 * np.pi * np.asarray(list(laps))
    ]


class BentSimulator(NetworkSimulator):
    """
    A network that makes each view turn too far, the farther it is from the reference.

    So a map drifts as those of real networks do: little by little, always to the same side.
    ``turn_deg_per_m`` is how much, and ``growth_per_m`` how much too large things are seen, as a
    logarithm.
    """

    turn_deg_per_m = 0.0
    growth_per_m = 0.0

    def infer(
        self, views: Sequence[WindowView], depth_views: Sequence[int] | None = None
    ) -> WindowPrediction:
        """Predict a window, bent."""
        straight = super().infer(views, depth_views)
        places = [self.truth.world_from_camera(v.camera, v.stamp_ns)[:3, 3] for v in views]
        signs = np.sign([v.stamp_ns - views[0].stamp_ns for v in views])
        metres = signs * np.linalg.norm(np.array(places) - places[0], axis=1)
        # About the axis that points down in the camera: positive angles turn right.
        turns = Rotation.from_rotvec(np.radians(self.turn_deg_per_m) * metres[:, None] * [0, 1, 0])
        poses = straight.window_from_camera.copy()
        poses[:, :3, :3] = poses[:, :3, :3] @ turns.as_matrix()
        growth = straight.depth.new_tensor(np.exp(self.growth_per_m * metres))
        return replace(
            straight, depth=growth[:, None, None] * straight.depth, window_from_camera=poses
        )


@dataclass
class Stream:
    """
    An engine on a simulated network that is pushed along poses, and what came of it.

    ``poses`` (4, 4) of every frame in the world; ``views`` by index of the frame, where it was
    not lost; ``notices`` likewise. ``next`` is the frame that is pushed next.
    """

    poses: Sequence[np.ndarray]
    noise: Noise
    seed: int = 0
    config: EngineConfig = CONFIG
    dark: Sequence[tuple[int, int]] = ()
    stamps_ns: Sequence[int] = ()
    views: dict[int, View] = field(default_factory=dict)
    updates: dict[int, Update] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the engine."""
        self.stamps_ns = self.stamps_ns or [START_NS + STEP_NS * i for i in range(len(self.poses))]
        by_stamp = dict(zip(self.stamps_ns, self.poses, strict=True))
        truth = RoomTruth(ring_room(self.seed), {'': by_stamp}, K, SIZE)
        blackouts = [(self.stamps_ns[first], self.stamps_ns[last]) for first, last in self.dark]
        self.network = BentSimulator(truth, self.noise, self.seed, blackouts)
        self.engine = StreamingEngine(self.config, self.network)
        self.next = 0

    def run(self, until: int | None = None) -> 'Stream':
        """Push the frames up to one, or all that are left; those that are refused are lost."""
        until = len(self.poses) if until is None else until
        for i in range(self.next, until):
            try:
                update = self.push(i)
            except FrameError:
                continue
            self.updates[i], self.views[i] = update, update.views[0]
        self.next = until
        return self

    def push(self, index: int) -> Update:
        """Push one frame."""
        rgb = np.full((SIZE[1], SIZE[0], 3), index % 251, np.uint8)
        return self.engine.push([Frame('', self.stamps_ns[index], rgb, K)])

    @property
    def notices(self) -> dict[int, str]:
        """What was told, by index of the frame."""
        return {i: u.notice for i, u in self.updates.items() if u.notice}

    def told(self, words: str) -> list[int]:
        """Return the frames whose notice has these words."""
        return [i for i, notice in self.notices.items() if words in notice]

    def errors(self, at: Iterable[int], fixed_by: Iterable[int]) -> np.ndarray:
        """Return position errors [m] of frames, in a world that other frames are aligned to."""
        return self._errors(
            {i: self.views[i].map_from_camera for i in at if i in self.views}, fixed_by
        )

    def keyframe_errors(self, fixed_by: Iterable[int]) -> np.ndarray:
        """Return position errors [m] of the keyframes as they are believed to be now."""
        found = {
            self.stamps_ns.index(k.stamp_ns): k.map_from_camera for k in self.engine.keyframes
        }
        return self._errors(found, fixed_by)

    def _errors(self, found: dict[int, np.ndarray], fixed_by: Iterable[int]) -> np.ndarray:
        fixed = [i for i in fixed_by if i in self.views]
        world_from_map = align(
            np.stack([self.views[i].map_from_camera for i in fixed]),
            np.stack([self.poses[i] for i in fixed]),
            with_rotations=True,
        )
        true = np.stack([self.poses[i][:3, 3] for i in found])
        positions = np.stack([pose[:3, 3] for pose in found.values()])
        return np.linalg.norm(world_from_map.apply(positions) - true, axis=1)
