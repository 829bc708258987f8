"""
The Gaussian head: from the taps and the pictures to one 3D Gaussian of each pixel.

    four taps ─ pyramid ─ decoder ─ resize to the image ─┬─ output ─ 38 numbers of each pixel
    picture ─ three 3x3 convolutions ────────────────────┘

Shapes: M images, P = ph * pw patches, F features, H x W pixels.
"""

from da3_ros.model.dpt_head import (
    add_uv_embedding,
    conv3x3,
    Decoder,
    DepthOutput,
    DptHead,
    resize,
)
from da3_ros.model.gaussians import RAW_CHANNELS
from da3_ros.model.presets import ModelConfig
from torch import nn, Tensor


class GaussianHead(DptHead):
    """A dense head without a norm on the taps, which sees the picture too (spec §8)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, token_norm=False, has_uv=True)
        features, half = config.head_features, config.head_features // 2
        self.decoder = Decoder(features, neck=conv3x3(features, half))
        self.picture = nn.Sequential(
            conv3x3(3, half // 4),
            nn.GELU(),
            conv3x3(half // 4, half // 2),
            nn.GELU(),
            conv3x3(half // 2, half),
            nn.GELU(),
        )
        self.raw_output = DepthOutput(half, channels=RAW_CHANNELS)

    def forward(
        self, features: tuple[Tensor, ...], images: Tensor, grid: tuple[int, int]
    ) -> Tensor:
        """Four taps (M, P, 2C) and their images (M, 3, H, W) -> (M, H, W, 38), float32."""
        x = resize(self.decoder(self.pyramid(features, grid)), self.image_size(grid))
        x = x + self.picture(images.to(x.dtype))
        return self.raw_output(add_uv_embedding(x, grid[1] / grid[0])).permute(0, 2, 3, 1)
