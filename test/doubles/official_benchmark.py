"""The official benchmark's own code from its wheel, without what it needs for meshes alone."""

from collections.abc import Iterator
from contextlib import contextmanager
import importlib
import sys
from types import ModuleType
from unittest import mock

import cv2  # noqa: F401  before modules are put back: a C extension is imported once
import numpy as np
import pytest
import scipy.io  # noqa: F401
from scipy.spatial import cKDTree
import torch  # noqa: F401

# What its modules name at the top: packages that may be absent, and that no test comes to.
_UNUSED = ('imageio', 'plyfile', 'omegaconf')


class PointCloud:
    """What the official scores need of Open3D's cloud."""

    def __init__(self) -> None:
        self.points = np.empty((0, 3))


class Neighbours:
    """What the official evaluation of DTU needs of scikit-learn."""

    def __init__(self, **_: object) -> None:
        self._tree = None

    def fit(self, points: np.ndarray) -> None:
        self._tree = cKDTree(points)

    def radius_neighbors(
        self, points: np.ndarray, radius: float, return_distance: bool
    ) -> list[list[int]]:
        return self._tree.query_ball_point(points, radius)

    def kneighbors(
        self, points: np.ndarray, n_neighbors: int, return_distance: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        return self._tree.query(points, n_neighbors)


def _stand_ins() -> dict[str, object]:
    """Return modules by name for those that are not installed."""
    open3d = mock.MagicMock()
    open3d.geometry.PointCloud = PointCloud
    open3d.utility.Vector3dVector = np.asarray
    learn, neighbours = ModuleType('sklearn'), ModuleType('sklearn.neighbors')
    neighbours.NearestNeighbors = Neighbours
    learn.neighbors = neighbours
    return {
        'open3d': open3d,
        'sklearn': learn,
        'sklearn.neighbors': neighbours,
        **{name: mock.MagicMock() for name in _UNUSED},
    }


@contextmanager
def official(name: str) -> Iterator[ModuleType]:
    """Give a module ``depth_anything_3.<name>``; skip where the wheel is absent."""
    pytest.importorskip('depth_anything_3')
    if not pytest.importorskip('evo.core.trajectory').PosePath3D:
        pytest.skip('evo is a stand-in')
    with mock.patch.dict(sys.modules):
        for module, stand_in in _stand_ins().items():
            try:
                importlib.import_module(module)
            except Exception:  # absent, or without a library that it needs
                sys.modules[module] = stand_in
        try:
            found = importlib.import_module(f'depth_anything_3.{name}')
        except ImportError as error:
            pytest.skip(f'the official benchmark cannot be imported: {error}')
        yield found
