"""
The networks that see each view alone: monocular depth and metric depth, both with a sky score.

    images ─ backbone (no block mixes views) ─ four taps ─ pyramid ─ decoder ─┬─ depth
                                                                              └─ sky

Shapes: B batch, V views, M = B * V images, H x W pixels, P = ph * pw patches, C channels.
"""

from da3_ros.model.dinov2 import DinoV2
from da3_ros.model.dpt_head import conv3x3, Decoder, DepthOutput, DptHead, resize
from da3_ros.model.inputs import check_images, check_intrinsics
from da3_ros.model.metric_scale import metres_per_unit
from da3_ros.model.network import Network
from da3_ros.model.prediction import Prediction
from da3_ros.model.presets import ModelConfig
import torch
from torch import Tensor
import torch.nn.functional as F

VIEWS_PER_PASS = 8  # bounds the memory of the dense head


class SkyDptHead(DptHead):
    """
    Depth and sky score from one decoder.

    Unlike the head of the any-view networks it neither norms the taps nor adds the UV embedding,
    and it says nothing of its confidence (spec §5.2).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, token_norm=False, has_uv=False)
        features, half = config.head_features, config.head_features // 2
        self.depth_decoder = Decoder(features, neck=conv3x3(features, half))
        self.depth_output = DepthOutput(half, channels=1)
        self.sky_output = DepthOutput(half, channels=1)

    def forward(
        self, features: tuple[Tensor, ...], grid: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Four taps (M, P, C) of a patch grid -> depth and sky score, (M, H, W) each."""
        x = resize(self.depth_decoder(self.pyramid(features, grid)), self.image_size(grid))
        return self.depth_output(x)[:, 0].exp(), F.relu(self.sky_output(x)[:, 0])


class SingleViewNetwork(Network):
    """
    Depth and sky of one view at a time, for any number of them; no cameras, no confidence.

    The monocular network's depth has an unknown scale that is each view's own. The metric
    network's is canonical: metres as a camera of 300 px focal length would see them. Where the
    official code differs:

    - It never turns canonical depth into metres, nor marks it metric. Here ``intrinsics`` do.
    - It overwrites the depth of the sky. Here depth is what the network said, with the score of
      the sky beside it; ``sky.fill_sky`` does the other.
    - Its head fails on a batch of two windows of more than eight views. Here it does not.
    """

    config: ModelConfig

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.backbone = DinoV2(config)
        self.head = SkyDptHead(config)

    def forward(self, images: Tensor, intrinsics: Tensor | None = None) -> Prediction:
        """
        Predict depth and sky.

        Args:
            images: (B, V, 3, H, W), normalised, H and W multiples of 14.
            intrinsics: (B, V, 3, 3) in pixels of these images: the metric network's depth then
                is in metres, and ``scale`` (B, V) says what it was multiplied by. The monocular
                network has no use for them.

        Raises:
            InputError: if an argument has the wrong shape, type or value.

        """
        patch = self.config.patch_size
        check_images(images, patch, self.dtype)
        check_intrinsics(images, intrinsics)
        grid = images.shape[-2] // patch, images.shape[-1] // patch
        parts = [
            self.head(self.backbone.single_view_features(part), grid)
            for part in images.flatten(0, 1).split(VIEWS_PER_PASS)
        ]
        depth, sky = (
            torch.cat(maps).unflatten(0, images.shape[:2]) for maps in zip(*parts, strict=True)
        )
        if intrinsics is None or self.config.canonical_focal_px is None:
            return Prediction(depth=depth, sky=sky)
        scale = metres_per_unit(intrinsics, self.config.canonical_focal_px)
        return Prediction(depth=depth * scale[..., None, None], sky=sky, scale=scale)
