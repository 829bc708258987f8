"""
The any-view network of Depth Anything 3.

    known cameras ─ camera_encoder ─┐ (else the role: reference or not)
    images ─ backbone.prefix ───────┴─ backbone.suffix ─ taps ─┬─ head.pyramid ─┬─ head.depth
                                                               │                └─ head.rays
                                                               ├─ camera_decoder ─ cameras
                                                               └─ gaussian_head (giant only)

Shapes: B batch, V views, H x W pixels, P patches of a view, C channels of the trunk.
"""

from collections.abc import Sequence
from dataclasses import replace

from da3_ros.model.camera_head import CameraDecoder, CameraEncoder, Cameras, decode_cameras
from da3_ros.model.dinov2 import DinoV2, select_views, Tap
from da3_ros.model.dpt_head import DenseOutput, DualDptHead
from da3_ros.model.gaussian_head import GaussianHead
from da3_ros.model.gaussians import gaussians_from_raw
from da3_ros.model.inputs import (
    check_cameras,
    check_depth_views,
    check_gaussian_views,
    check_images,
    check_options,
)
from da3_ros.model.network import Network
from da3_ros.model.prediction import Prediction
from da3_ros.model.presets import ModelConfig
from da3_ros.model.ray_pose import cameras_from_rays
from da3_ros.model.reference import choose_reference
import torch
from torch import Tensor

VIEWS_PER_HEAD_PASS = 8  # bounds the memory of the dense head


class AnyViewNetwork(Network):
    """Depth, confidence, rays and cameras of any number of views of one scene."""

    config: ModelConfig

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.backbone = DinoV2(config)
        self.head = DualDptHead(config)
        self.camera_encoder = CameraEncoder(config)
        self.camera_decoder = CameraDecoder(config)
        self.gaussian_head = GaussianHead(config) if config.has_gaussians else None

    def forward(
        self,
        images: Tensor,
        camera_from_world: Tensor | None = None,
        intrinsics: Tensor | None = None,
        reference: str = 'saddle_balanced',
        pose_from: str = 'camera',
        rays: bool = False,
        depth_views: Sequence[int] | None = None,
        gaussian_views: Sequence[int] = (),
    ) -> Prediction:
        """
        Predict depth and cameras; the ray branch runs only if ``rays`` or ``pose_from`` ask.

        Args:
            images: (B, V, 3, H, W), normalised, H and W multiples of 14.
            camera_from_world: known poses (B, V, 4, 4) or (B, V, 3, 4), already expressed
                relative to view 0 and scaled: see ``camera_head.normalise_poses``.
            intrinsics: known intrinsics (B, V, 3, 3) in pixels, with ``camera_from_world``.
            reference: how to choose the reference view where no pose is known: 'first',
                'middle', 'saddle_balanced' or 'saddle_sim_range'. View 0 if there are fewer than
                three views. With known poses view 0 is the origin.
            pose_from: take the cameras from the 'camera' decoder or fit them to the 'rays'.
            rays: return the rays too.
            depth_views: views to predict depth for; None: all of them.
            gaussian_views: views to return a 3D Gaussian of each pixel for; they need depth.

        Raises:
            InputError: if an argument has the wrong shape, type or value.

        """
        check_options(reference, pose_from)
        check_images(images, self.config.patch_size, self.dtype)
        check_cameras(images, camera_from_world, intrinsics)
        if depth_views is not None:
            check_depth_views(depth_views, images.shape[1])
        check_gaussian_views(
            gaussian_views, images.shape[1], depth_views, self.gaussian_head is not None
        )
        size = images.shape[-2], images.shape[-1]
        grid = size[0] // self.config.patch_size, size[1] // self.config.patch_size

        tokens, class_tokens = self.backbone.prefix(images)
        if camera_from_world is None:
            index = choose_reference(class_tokens, reference)
            camera_tokens = self.backbone.role_tokens(index, images.shape[1])
        else:
            camera_tokens = self.camera_encoder(camera_from_world, intrinsics, size)
        taps = self.backbone.suffix(tokens, camera_tokens, grid)

        depth, ray_map = self.dense(taps, grid, rays or pose_from == 'rays', depth_views)
        if pose_from == 'rays':
            cameras = cameras_from_rays(ray_map.values, ray_map.confidence, size)
        else:
            cameras = self.cameras(taps, size)
        prediction = Prediction(
            depth=depth.values,
            depth_conf=depth.confidence,
            camera_from_world=cameras.camera_from_world,
            intrinsics=cameras.intrinsics,
            rays=ray_map.values if rays else None,
            ray_conf=ray_map.confidence if rays else None,
        )
        if not len(gaussian_views):
            return prediction
        return self._with_gaussians(prediction, taps, images, gaussian_views, depth_views)

    def cameras(self, taps: Sequence[Tap], size: tuple[int, int]) -> Cameras:
        """Decode the cameras of all views of a window of (H, W) images."""
        features = self.backbone.camera_features(taps[-1])
        return decode_cameras(self.camera_decoder(features), size)

    def dense(
        self,
        taps: Sequence[Tap],
        grid: tuple[int, int],
        rays: bool,
        depth_views: Sequence[int] | None = None,
    ) -> tuple[DenseOutput, DenseOutput | None]:
        """
        Run the dense head a few views at a time: depth of ``depth_views``, rays of all views.

        Returns:
            Depth and confidence (B, v, H, W); rays (B, V, h, w, 6) and confidence (B, V, h, w).

        """
        batch, views = taps[0].local.shape[:2]
        wanted = [i % views for i in (range(views) if depth_views is None else depth_views)]
        needed = wanted + [i for i in range(views) if rays and i not in wanted]
        depth_parts, ray_parts = [], []
        for start in range(0, len(needed), VIEWS_PER_HEAD_PASS):
            part = needed[start : start + VIEWS_PER_HEAD_PASS]
            features = tuple(self.backbone.patch_features(tap, part) for tap in taps)
            pyramid = self.head.pyramid(tuple(x.flatten(0, 1) for x in features), grid)
            if rays:
                ray_parts.append(_unflatten(self.head.rays(pyramid, grid), batch))
            with_depth = range(len(wanted) - start)[: len(part)]
            if with_depth:
                levels = (select_views(x.unflatten(0, (batch, -1)), with_depth) for x in pyramid)
                pyramid = tuple(x.flatten(0, 1) for x in levels)
                depth_parts.append(_unflatten(self.head.depth(pyramid, grid), batch))
        if not rays:
            return _concatenate(depth_parts), None
        in_order = sorted(range(views), key=needed.__getitem__)
        ray_map = DenseOutput(*(select_views(x, in_order) for x in _concatenate(ray_parts)))
        return _concatenate(depth_parts), ray_map

    def _with_gaussians(
        self,
        prediction: Prediction,
        taps: Sequence[Tap],
        images: Tensor,
        gaussian_views: Sequence[int],
        depth_views: Sequence[int] | None,
    ) -> Prediction:
        """Add the Gaussians of some of the views that have depth, a few views at a time."""
        batch, views, _, height, width = images.shape
        grid = height // self.config.patch_size, width // self.config.patch_size
        with_depth = [i % views for i in (range(views) if depth_views is None else depth_views)]
        wanted = [i % views for i in gaussian_views]
        raw = []
        for start in range(0, len(wanted), VIEWS_PER_HEAD_PASS):
            part = wanted[start : start + VIEWS_PER_HEAD_PASS]
            features = tuple(self.backbone.patch_features(tap, part).flatten(0, 1) for tap in taps)
            pictures = select_views(images, part).flatten(0, 1)
            raw.append(self.gaussian_head(features, pictures, grid).unflatten(0, (batch, -1)))
        gaussians = gaussians_from_raw(
            torch.cat(raw, dim=1),
            select_views(prediction.depth, [with_depth.index(i) for i in wanted]),
            select_views(prediction.camera_from_world, wanted),
            select_views(prediction.intrinsics, wanted),
        )
        return replace(prediction, gaussians=gaussians)


def _unflatten(output: DenseOutput, batch: int) -> DenseOutput:
    """(B * v, ...) -> (B, v, ...)."""
    return DenseOutput(*(x.unflatten(0, (batch, -1)) for x in output))


def _concatenate(parts: Sequence[DenseOutput]) -> DenseOutput:
    """Join parts along the views."""
    if len(parts) == 1:
        return parts[0]
    return DenseOutput(*(torch.cat(tensors, dim=1) for tensors in zip(*parts)))
