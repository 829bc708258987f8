"""Random trajectories for the tests of this folder."""

from collections.abc import Callable

from da3_ros.geometry.transforms import rigid
import numpy as np
import pytest
from scipy.spatial.transform import Rotation


def _random_poses(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return poses (count, 4, 4) with random orientations and centres within a few metres."""
    rotations = Rotation.random(count, random_state=rng).as_matrix()
    return np.stack([rigid(r, t) for r, t in zip(rotations, rng.normal(size=(count, 3)))])


def _noisy(
    rng: np.random.Generator, poses: np.ndarray, angle_deg: float, metres: float
) -> np.ndarray:
    """Return poses with normal errors of orientation and centre."""
    out = poses.copy()
    turn = Rotation.from_rotvec(np.radians(angle_deg) * rng.normal(size=(len(poses), 3)))
    out[:, :3, :3] = turn.as_matrix() @ poses[:, :3, :3]
    out[:, :3, 3] += metres * rng.normal(size=(len(poses), 3))
    return out


@pytest.fixture(scope='session')
def random_poses() -> Callable:
    """Return a function of a generator and a count that makes poses (count, 4, 4)."""
    return _random_poses


@pytest.fixture(scope='session')
def noisy() -> Callable:
    """Return a function of a generator, poses, degrees and metres that disturbs the poses."""
    return _noisy
