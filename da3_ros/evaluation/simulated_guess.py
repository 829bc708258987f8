"""
What a simulated network makes of one view, and what it makes up where it can't know.

Shapes: H W network image.
"""

from collections.abc import Sequence
from typing import NamedTuple

from da3_ros.geometry.transforms import blend, invert, rigid, Sim3
import numpy as np
from scipy.spatial.transform import Rotation
import torch
from torch.nn.functional import interpolate

# What is made up has another scale, and this much of the confidence above 1.
_LOG_SCALE = 0.3
_CONFIDENCE = 0.03
_LOG_DEPTH = 0.5
# Nodes along the longer side of a field that is made up.
_CELLS = 4


class Guess(NamedTuple):
    """Depth (H, W) in metres, confidence (H, W), pose (4, 4) in the world and K (3, 3)."""

    depth: torch.Tensor
    confidence: torch.Tensor
    world_from_camera: np.ndarray
    intrinsics: np.ndarray

    def moved(self, there_from_world: Sim3) -> 'Guess':
        """Return the same elsewhere, and of another size."""
        return self._replace(
            depth=there_from_world.scale * self.depth,
            world_from_camera=there_from_world.apply_to_pose(self.world_from_camera),
        )

    def doubted(self) -> 'Guess':
        """Return the same with next to no confidence."""
        return self._replace(confidence=1.0 + _CONFIDENCE * (self.confidence - 1.0))


def invented(
    intrinsics: np.ndarray,
    size: tuple[int, int],
    around: np.ndarray,
    reach_m: float,
    rng: np.random.Generator,
) -> Guess:
    """Make up a view (H, W): smooth depth about ``reach_m``, within as much of ``around`` (3,)."""
    fields = rng.normal(size=(2, 1, 1, *grid(size, _CELLS)))
    log_depth, log_confidence = (enlarged(field, size) for field in fields)
    return Guess(
        depth=reach_m * (_LOG_DEPTH * log_depth).exp(),
        confidence=1.0 + log_confidence.exp(),
        world_from_camera=rigid(random_rotation(rng), around + reach_m * rng.normal(size=3)),
        intrinsics=intrinsics,
    ).doubted()


def misplaced(
    group: Sequence[Guess], around: np.ndarray, reach_m: float, rng: np.random.Generator
) -> list[Guess]:
    """Take views that belong together somewhere within ``reach_m`` of ``around`` (3,)."""
    scale, rotation = float(np.exp(_LOG_SCALE * rng.normal())), random_rotation(rng)
    centre = np.mean([guess.world_from_camera[:3, 3] for guess in group], axis=0)
    place = around + reach_m * rng.normal(size=3)
    there_from_world = Sim3(scale, rotation, place - scale * rotation @ centre)
    return [guess.moved(there_from_world).doubted() for guess in group]


def followed(
    guesses: Sequence[Guess], given: np.ndarray, true: np.ndarray, share: float
) -> list[Guess]:
    """
    Take views a share of the way to where they are said to be, seen from the first one.

    ``given`` poses (V, 4, 4) are in a frame of any size, ``true`` ones in the world. What a view
    has against its pose is never more than its way: of short ways a network alone knows little.
    """
    told, right = invert(given[0]) @ given, invert(true[0]) @ true
    lengths = [np.linalg.norm(poses[:, :3, 3]) for poses in (told, right)]
    if lengths[0] > 0:
        told[:, :3, 3] *= lengths[1] / lengths[0]
    world_from_first = guesses[0].world_from_camera
    poses = []
    for guess, pose in zip(guesses, told, strict=True):
        seen = invert(world_from_first) @ guess.world_from_camera
        offset = seen[:3, 3] - pose[:3, 3]
        most = np.linalg.norm(pose[:3, 3])
        seen[:3, 3] = pose[:3, 3] + offset * min(1.0, most / max(np.linalg.norm(offset), 1e-12))
        poses.append(world_from_first @ blend(seen, pose, share))
    return [
        guess._replace(world_from_camera=pose) for guess, pose in zip(guesses, poses, strict=True)
    ]


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """Return any rotation (3, 3), each as likely as another."""
    return Rotation.random(random_state=rng).as_matrix()


def grid(shape: tuple[int, int], cells: int) -> tuple[int, int]:
    """Return rows and columns of about square cells, so many along the longer side."""
    longer = max(shape)
    return tuple(max(2, round(cells * side / longer)) for side in shape)


def enlarged(nodes: np.ndarray, shape: tuple[int, int]) -> torch.Tensor:
    """Return a smooth field (H, W) through nodes (1, 1, rows, columns)."""
    field = torch.from_numpy(nodes).float()
    return interpolate(field, tuple(shape), mode='bicubic', align_corners=True)[0, 0]
