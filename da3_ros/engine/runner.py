"""
Running the network over a window of views: the interface, and the plain runner behind it.

Shapes: V views, H W network image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from da3_ros.engine.content import Content
from da3_ros.engine.places import place_descriptor
from da3_ros.geometry.transforms import invert
from da3_ros.model import Prediction
from da3_ros.model.camera_head import normalise_poses
from da3_ros.model.da3 import AnyViewNetwork
import numpy as np
import torch


@dataclass(frozen=True)
class WindowView:
    """
    One view as the network takes it.

    ``key`` is unique to the view for as long as the engine lives, so that what a runner keeps for
    it can be found again. ``image`` (3, H, W) float32, normalised; ``intrinsics`` (3, 3) pixels of
    that image and ``world_from_camera`` (4, 4) where they are known. ``content`` is what a camera
    saw of it, None for all: the rest is padding. ``seen`` (H, W) bool, in main memory, is False
    where the image shows nothing; None: nowhere.
    """

    key: int
    camera: str
    stamp_ns: int
    image: torch.Tensor
    intrinsics: np.ndarray | None = None
    world_from_camera: np.ndarray | None = None
    content: Content | None = None
    seen: torch.Tensor | None = None


@dataclass(frozen=True)
class WindowPrediction:
    """
    What the network says of a window, in a gauge and a scale of the window's own.

    All of it is in main memory, wherever it was predicted: what follows looks at few pixels, and
    to be told of them takes a GPU longer than a CPU to look. ``depth`` and ``confidence`` are V
    images (H, W) float32, a tensor or a tuple of tensors, NaN in the views that no depth was asked
    for; ``window_from_camera`` (V, 4, 4) and ``intrinsics`` (V, 3, 3) are float64.

    ``on_device`` has depth and confidence of views, by their positions, where they were predicted:
    complete, and nothing writes into them any more.
    """

    depth: Sequence[torch.Tensor]
    confidence: Sequence[torch.Tensor]
    window_from_camera: np.ndarray
    intrinsics: np.ndarray
    on_device: Mapping[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)


class Runner(Protocol):
    """Anything that predicts a window; view 0 is the reference, the others have no order."""

    def infer(
        self, views: Sequence[WindowView], depth_views: Sequence[int] | None = None
    ) -> WindowPrediction:
        """
        Predict the cameras of a window, and depth for ``depth_views``, positions in it, or all.

        All images have the same size.
        """
        ...

    def describe(self, view: WindowView) -> torch.Tensor:
        """
        Return what a view looks like, whatever else is in a window: for a ``PlaceIndex``.

        (D,) of unit length, float32 on the CPU; cheap for a view of the last window.
        """
        ...


class EagerRunner:
    """The network, run as it is written: the reference for every faster runner."""

    def __init__(self, net: AnyViewNetwork) -> None:
        """Take a network that already is on its device and in its precision."""
        self._net = net

    def infer(
        self, views: Sequence[WindowView], depth_views: Sequence[int] | None = None
    ) -> WindowPrediction:
        """Predict a window; poses go to the network when every view has one."""
        return window_prediction(self.predict(views, depth_views=depth_views), depth_views)

    @torch.inference_mode()
    def describe(self, view: WindowView) -> torch.Tensor:
        """Return the place descriptor (D,) of a view."""
        return place_descriptor(self._net.backbone.prefix(view.image[None, None]).tokens[0, 0])

    @torch.inference_mode()
    def predict(self, views: Sequence[WindowView], **options: object) -> Prediction:
        """Return all that the network says of a window; ``options`` are those of the network."""
        images = torch.stack([view.image for view in views])[None]  # (1, V, 3, H, W)
        poses, intrinsics = known_cameras(views)
        return self._net(
            images.to(self._net.dtype),
            camera_from_world=poses,
            intrinsics=intrinsics,
            reference='first',
            **options,
        )


def window_prediction(
    prediction: Prediction, depth_views: Sequence[int] | None = None
) -> WindowPrediction:
    """
    Return the part of a network's prediction of one window that the engine works with.

    ``depth_views`` are the positions that its depth is of, None: all of them.
    """
    count = prediction.camera_from_world.shape[1]
    at = range(count) if depth_views is None else depth_views
    return WindowPrediction(
        depth=spread(prediction.depth[0].cpu(), at, count),
        confidence=spread(prediction.depth_conf[0].cpu(), at, count),
        window_from_camera=invert(homogeneous(prediction.camera_from_world[0])),
        intrinsics=prediction.intrinsics[0].double().cpu().numpy(),
    )


def known_cameras(
    views: Sequence[WindowView],
) -> tuple[torch.Tensor, torch.Tensor] | tuple[None, None]:
    """Return camera_from_reference (1, V, 4, 4) and K (1, V, 3, 3), or None twice."""
    if any(view.world_from_camera is None or view.intrinsics is None for view in views):
        return None, None
    world_from_camera = torch.as_tensor(np.stack([view.world_from_camera for view in views]))
    intrinsics = torch.as_tensor(np.stack([view.intrinsics for view in views]))
    normalised = normalise_poses(torch.linalg.inv(world_from_camera)[None])
    device = views[0].image.device
    return normalised.camera_from_reference.float().to(device), intrinsics[None].float().to(device)


def spread(maps: torch.Tensor, at: Sequence[int], views: int) -> Sequence[torch.Tensor]:
    """Return V images with ``maps`` (v, H, W) at the positions ``at`` (v,) and NaN elsewhere."""
    if list(at) == list(range(views)):
        return maps
    nothing = maps.new_full((1, 1), torch.nan).expand(maps.shape[1:])
    given = dict(zip(at, maps, strict=True))
    return tuple(given.get(i, nothing) for i in range(views))


def homogeneous(b_from_a: torch.Tensor) -> np.ndarray:
    """Return (V, 4, 4) float64 NumPy of (V, 3, 4)."""
    matrices = np.tile(np.eye(4), (len(b_from_a), 1, 1))
    matrices[:, :3] = b_from_a.double().cpu().numpy()
    return matrices
