"""
The nested network: an any-view network, and a metric one that gives it its scale.

    images ─┬─ any_view ─ depth, confidence, cameras ─────────────────┐
            └─ metric ─ canonical depth ─ x focal / 300 ─ metres ─ scale ─ all of it in metres

Shapes: B windows, V views, H x W pixels.
"""

from collections.abc import Sequence
from dataclasses import replace

from da3_ros.errors import InputError
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.dinov2 import select_views
from da3_ros.model.inputs import check_intrinsics
from da3_ros.model.metric_scale import window_scale
from da3_ros.model.network import Network
from da3_ros.model.prediction import Prediction
from da3_ros.model.presets import NestedConfig
from da3_ros.model.single_view import SingleViewNetwork
import torch
from torch import Tensor


class NestedNetwork(Network):
    """
    Depth and cameras of any number of views in metres.

    The two branches are whole networks and may be run by themselves: ``any_view`` for every
    window, ``metric`` now and then.

    Where the official code differs: it takes the focal length that the any-view branch predicts
    even where intrinsics are given; one scale for all windows of a batch; raises where there is
    nothing but sky; leaves the Gaussians unscaled; and overwrites the sky's depth and confidence,
    which ``sky.fill_sky`` does on demand here.
    """

    config: NestedConfig

    def __init__(self, config: NestedConfig) -> None:
        super().__init__(config)
        self.any_view = AnyViewNetwork(config.any_view)
        self.metric = SingleViewNetwork(config.metric)

    def forward(
        self,
        images: Tensor,
        camera_from_world: Tensor | None = None,
        intrinsics: Tensor | None = None,
        depth_views: Sequence[int] | None = None,
        **options: object,
    ) -> Prediction:
        """
        Predict depth, cameras and sky, all in metres.

        Args:
            images: (B, V, 3, H, W), normalised, H and W multiples of 14.
            camera_from_world: known poses, as for ``AnyViewNetwork``; they need intrinsics.
            intrinsics: (B, V, 3, 3) in pixels of these images. They may come without poses: then
                they only tell the metric branch the focal length.
            depth_views: views to predict depth for; the scale comes from these alone.
            options: more options of ``AnyViewNetwork``.

        Returns:
            ``scale`` (B,) is what depth and translations were multiplied by: metres per unit of
            the any-view branch. Where it is NaN, for want of anything but sky, they are as that
            branch said.

        Raises:
            InputError: if an argument has the wrong shape, type or value.

        """
        check_intrinsics(images, intrinsics)
        if camera_from_world is not None and intrinsics is None:
            raise InputError('camera_from_world was given without intrinsics: give both.')
        prediction = self.any_view(
            images,
            camera_from_world,
            None if camera_from_world is None else intrinsics,
            depth_views=depth_views,
            **options,
        )
        focal_from = prediction.intrinsics if intrinsics is None else intrinsics
        if depth_views is not None:
            images, focal_from = (select_views(x, depth_views) for x in (images, focal_from))
        metric = self.metric(images, focal_from)
        scale = window_scale(prediction.depth, prediction.depth_conf, metric.depth, metric.sky)
        return replace(
            _scaled(prediction, torch.where(scale.isnan(), 1.0, scale)),
            sky=metric.sky,
            scale=scale,
        )


def _scaled(prediction: Prediction, scale: Tensor) -> Prediction:
    """Multiply every length of a prediction by (B,)."""
    rotation, translation = prediction.camera_from_world.split((3, 1), dim=-1)
    translation = translation * scale[:, None, None, None]
    rays = prediction.rays
    if rays is not None:
        directions, origins = rays.split(3, dim=-1)
        rays = torch.cat((directions, origins * scale[:, None, None, None, None]), dim=-1)
    gaussians = prediction.gaussians
    return replace(
        prediction,
        depth=prediction.depth * scale[:, None, None, None],
        camera_from_world=torch.cat((rotation, translation), dim=-1),
        rays=rays,
        gaussians=None if gaussians is None else gaussians.scaled(scale),
    )
