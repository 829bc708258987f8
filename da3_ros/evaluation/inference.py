"""Running a network over pictures of one scene, as the benchmark does: view 0 is the reference."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat

from da3_ros.engine.preprocess import preprocess
from da3_ros.engine.runner import EagerRunner, homogeneous, WindowView
from da3_ros.errors import ConfigError
from da3_ros.evaluation.ransac_alignment import ransac_similarity
from da3_ros.evaluation.trajectory import align, is_static
from da3_ros.geometry.transforms import invert, Sim3
from da3_ros.model import Prediction
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.gaussians import Gaussians
import numpy as np
import torch

# With fewer known poses than this all of them make the scale.
_RANSAC_FROM = 10


@dataclass(frozen=True)
class Inferred:
    """
    What a network makes of V pictures, in a gauge of its own.

    ``depth`` one (h, w) float32 a picture, of the whole picture, NaN where the network did not
    look; ``world_from_camera`` (V, 4, 4); ``intrinsics`` (V, 3, 3) in pixels of the depth.
    """

    depth: tuple[np.ndarray, ...]
    world_from_camera: np.ndarray
    intrinsics: np.ndarray


class SceneNetwork:
    """A network with what it takes to show it pictures from files."""

    def __init__(
        self,
        net: AnyViewNetwork,
        device: torch.device,
        resolution: int,
        pose_from: str = 'camera',
    ) -> None:
        """Take a network; ``resolution`` is the longer side of what it sees, in pixels."""
        self._runner = EagerRunner(net)
        self._has_gaussians = net.gaussian_head is not None
        self._device = device
        self.resolution = resolution
        self._pose_from = pose_from

    def infer(
        self,
        pictures: Iterable[np.ndarray],
        world_from_camera: np.ndarray | None = None,
        intrinsics: np.ndarray | None = None,
    ) -> Inferred:
        """
        Predict depth and cameras of pictures (H, W, 3) uint8, which may differ in size.

        With known cameras (V, 4, 4) and K (V, 3, 3) in pixels of the pictures, depth is in the
        unit of these, and they are what is returned.
        """
        views, borders = self._views(pictures, world_from_camera, intrinsics)
        prediction = self._runner.predict(views, pose_from=self._pose_from)
        depth = prediction.depth[0].float().cpu().numpy()
        whole = []
        for image, (left, top, right, bottom) in zip(depth, borders, strict=True):
            sides = ((top, bottom), (left, right))
            whole.append(np.pad(image, sides, constant_values=np.nan))
        poses = window_from_camera(prediction)
        k = prediction.intrinsics[0].double().cpu().numpy()
        if world_from_camera is not None:
            scale = scale_of_known(poses, world_from_camera)
            whole = [image / np.float32(scale) for image in whole]
            poses = world_from_camera
            k = np.stack([view.intrinsics for view in views])
        k = k.copy()
        k[:, :2, 2] += [border[:2] for border in borders]
        return Inferred(tuple(whole), poses, k)

    def gaussians(
        self,
        pictures: Iterable[np.ndarray],
        world_from_camera: np.ndarray,
        intrinsics: np.ndarray,
    ) -> tuple[Gaussians, Sim3]:
        """
        Return the Gaussians (N,) of pictures with known cameras, and ``window_from_world``.

        Raises:
            ConfigError: if the network has no Gaussian head.

        """
        if not self._has_gaussians:
            raise ConfigError(
                'The network has no Gaussian head; novel views need DA3-GIANT or '
                'DA3NESTED-GIANT-LARGE as the model.'
            )
        views, _ = self._views(pictures, world_from_camera, intrinsics)
        prediction = self._runner.predict(views, gaussian_views=range(len(views)))
        predicted = window_from_camera(prediction)
        every = prediction.gaussians.select(0)
        flat = Gaussians(*(getattr(every, n).flatten(0, 2) for n in every.__dataclass_fields__))
        return flat, ransac_similarity(world_from_camera, predicted)

    def _views(
        self,
        pictures: Iterable[np.ndarray],
        world_from_camera: np.ndarray | None,
        intrinsics: np.ndarray | None,
    ) -> tuple[list[WindowView], list[tuple[int, int, int, int]]]:
        """Return views of one size, the smallest, and what is cut off each at left, top, ..."""
        given = repeat(None) if intrinsics is None else intrinsics
        poses = repeat(None) if world_from_camera is None else world_from_camera
        seen = [preprocess(rgb, self.resolution, intrinsics=k) for rgb, k in zip(pictures, given)]
        height = min(s.image.shape[1] for s in seen)
        width = min(s.image.shape[2] for s in seen)
        views, borders = [], []
        for i, (one, pose) in enumerate(zip(seen, poses)):
            top, left = (one.image.shape[1] - height) // 2, (one.image.shape[2] - width) // 2
            image = one.image[:, top : top + height, left : left + width].to(self._device)
            k = one.intrinsics
            if k is not None:
                k = k.copy()
                k[:2, 2] -= left, top
            views.append(WindowView(i, '', i, image, k, pose))
            right, bottom = one.image.shape[2] - width - left, one.image.shape[1] - height - top
            borders.append((left, top, right, bottom))
        return views, borders


def window_from_camera(prediction: Prediction) -> np.ndarray:
    """Return the predicted poses (V, 4, 4) float64 of one window."""
    return invert(homogeneous(prediction.camera_from_world[0]))


def scale_of_known(predicted: np.ndarray, known: np.ndarray) -> float:
    """
    Return the units of a prediction in one unit of the known cameras, both (V, 4, 4).

    NaN where one of both says that the cameras are all in one place: nobody can tell.
    """
    if is_static(predicted) or is_static(known):
        return float('nan')
    if len(known) < _RANSAC_FROM:
        return align(known, predicted).scale
    return ransac_similarity(known, predicted).scale
