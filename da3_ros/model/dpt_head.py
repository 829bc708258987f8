"""
The dense head: one pyramid of features, and on it a depth branch and a ray branch.

    four taps ─ norm ─ 1x1 ─ resize to 4x, 2x, 1x, 1/2 ─ 3x3 ─ pyramid
    pyramid ─ fuse coarse to fine ─ neck ─ resize to the image ─ output ─ depth, confidence
    pyramid ─ fuse coarse to fine ─ neck ───────────────────────── output ─ rays, confidence

Shapes: M images, P = ph * pw patches, F features, H, W the network's input size in pixels.
Rays have 8/14 of the image's resolution: h = 8 ph, w = 8 pw.
"""

from typing import NamedTuple

from da3_ros.model.layers import LayerNorm
from da3_ros.model.presets import ModelConfig
from da3_ros.model.tables import uv_embedding
from torch import nn, Tensor
import torch.nn.functional as F

OUTPUT_FEATURES = 32

Pyramid = tuple[Tensor, Tensor, Tensor, Tensor]  # (M, F, ., .) each, finest first


class DenseOutput(NamedTuple):
    """A dense map and its confidence (1 and above), both float32."""

    values: Tensor
    confidence: Tensor


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear; the centres of the corner pixels stay where they are."""
    return F.interpolate(x, size=size, mode='bilinear', align_corners=True)


def add_uv_embedding(x: Tensor, aspect: float) -> Tensor:
    """Tell each pixel of (M, F, h, w) where in the image it lies; ``aspect`` is W / H."""
    return x + uv_embedding(*x.shape[1:], aspect, x.device, x.dtype)


def conv3x3(inputs: int, outputs: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """Return a 3x3 convolution that keeps the size (at stride 1)."""
    return nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=bias)


class ResidualUnit(nn.Module):
    """x + conv(relu(conv(relu(x))))."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(features, features)
        self.conv2 = conv3x3(features, features)

    def forward(self, x: Tensor) -> Tensor:
        """(M, F, h, w) -> same."""
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


class Fusion(nn.Module):
    """Merge a coarser level with a lateral one, refine, and resize to the next finer level."""

    def __init__(self, features: int, has_lateral: bool) -> None:
        super().__init__()
        self.lateral_unit = ResidualUnit(features) if has_lateral else None
        self.output_unit = ResidualUnit(features)
        self.out_conv = nn.Conv2d(features, features, kernel_size=1)

    def forward(self, top: Tensor, lateral: Tensor | None, size: tuple[int, int]) -> Tensor:
        """(M, F, h, w), twice -> (M, F, *size)."""
        if self.lateral_unit is not None:
            top = top + self.lateral_unit(lateral)
        # Both are linear and the weights of a resize sum to one, so the official order, resize
        # first, gives the same for four times the work.
        return resize(self.out_conv(self.output_unit(top)), size)


class Decoder(nn.Module):
    """Four fusions, coarse to fine, and the neck behind them."""

    def __init__(self, features: int, neck: nn.Module) -> None:
        super().__init__()
        self.fusions = nn.ModuleList(Fusion(features, has_lateral=k < 3) for k in range(4))
        self.neck = neck

    def forward(self, pyramid: Pyramid) -> Tensor:
        """Pyramid -> (M, F/2, 8 ph, 8 pw)."""
        finest = pyramid[0].shape[-2] * 2, pyramid[0].shape[-1] * 2
        sizes = (finest, *(tuple(level.shape[-2:]) for level in pyramid[:3]))
        x = self.fusions[3](pyramid[3], None, sizes[3])
        for k in (2, 1, 0):
            x = self.fusions[k](x, pyramid[k], sizes[k])
        return self.neck(x)


class RayOutput(nn.Module):
    """Features -> six ray channels and the logarithm of the confidence less one."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv = conv3x3(features, OUTPUT_FEATURES)
        self.norm = LayerNorm(OUTPUT_FEATURES, eps=1e-5)
        self.last = nn.Conv2d(OUTPUT_FEATURES, 7, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """(M, F/2, h, w) -> (M, 7, h, w) in float32."""
        x = self.norm(self.conv(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.last(F.relu(x))


class DepthOutput(nn.Module):
    """Features -> the logarithms of depth and of the confidence less one, or other channels."""

    def __init__(self, features: int, channels: int = 2) -> None:
        super().__init__()
        self.conv = conv3x3(features, OUTPUT_FEATURES)
        self.last = nn.Conv2d(OUTPUT_FEATURES, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """(M, F/2, H, W) -> (M, channels, H, W) in float32."""
        return self.last(F.relu(self.conv(x)).to(self.last.weight.dtype))


class DptHead(nn.Module):
    """
    What all dense heads of the family start with: four taps to one pyramid of features.

    The heads differ in two ways besides their branches: ``token_norm`` is a LayerNorm on the taps,
    shared by the four; ``has_uv`` adds the UV embedding.
    """

    def __init__(self, config: ModelConfig, *, token_norm: bool, has_uv: bool) -> None:
        super().__init__()
        features, channels = config.head_features, config.head_channels
        self.patch_size = config.patch_size
        self.has_uv = has_uv
        self.norm = LayerNorm(config.tap_dim, eps=1e-5) if token_norm else nn.Identity()
        self.projects = nn.ModuleList(nn.Conv2d(config.tap_dim, c, 1) for c in channels)
        self.resizers = nn.ModuleList(
            (
                nn.ConvTranspose2d(channels[0], channels[0], kernel_size=4, stride=4),
                nn.ConvTranspose2d(channels[1], channels[1], kernel_size=2, stride=2),
                nn.Identity(),
                conv3x3(channels[3], channels[3], stride=2),
            )
        )
        self.laterals = nn.ModuleList(conv3x3(c, features, bias=False) for c in channels)

    def pyramid(self, features: tuple[Tensor, ...], grid: tuple[int, int]) -> Pyramid:
        """Four taps (M, P, 2C or C) of a patch grid (ph, pw) -> four levels, finest first."""
        aspect = grid[1] / grid[0]
        levels = []
        for tap, project, resizer, lateral in zip(
            features, self.projects, self.resizers, self.laterals
        ):
            x = self.norm(tap).to(project.weight.dtype)
            x = project(x.transpose(1, 2).unflatten(2, grid))  # (M, ., ph, pw)
            if self.has_uv:
                x = add_uv_embedding(x, aspect)
            levels.append(lateral(resizer(x)))  # (M, F, ., .)
        return tuple(levels)

    def image_size(self, grid: tuple[int, int]) -> tuple[int, int]:
        """Return (H, W) of the image that was cut into a patch grid (ph, pw)."""
        return grid[0] * self.patch_size, grid[1] * self.patch_size


class DualDptHead(DptHead):
    """
    The dense head of the any-view networks.

    ``pyramid`` is shared; ``depth`` and ``rays`` read it independently, so that each need only
    run when, and for the views for which, its result is wanted.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, token_norm=True, has_uv=True)
        features, half = config.head_features, config.head_features // 2
        # No activation between the five convolutions of the ray neck, as in the official network.
        ray_neck = nn.Sequential(
            conv3x3(features, half),
            conv3x3(half, features),
            conv3x3(features, half),
            conv3x3(half, features),
            conv3x3(features, half),
        )
        self.depth_decoder = Decoder(features, neck=conv3x3(features, half))
        self.depth_output = DepthOutput(half)
        self.ray_decoder = Decoder(features, neck=ray_neck)
        self.ray_output = RayOutput(half)

    def depth(self, pyramid: Pyramid, grid: tuple[int, int]) -> DenseOutput:
        """Pyramid -> depth (M, H, W) along the optical axis, and its confidence."""
        x = resize(self.depth_decoder(pyramid), self.image_size(grid))
        logits = self.depth_output(add_uv_embedding(x, grid[1] / grid[0]))  # (M, 2, H, W)
        return DenseOutput(logits[:, 0].exp(), logits[:, 1].exp() + 1)

    def rays(self, pyramid: Pyramid, grid: tuple[int, int]) -> DenseOutput:
        """
        Pyramid -> rays (M, h, w, 6) and their confidence (M, h, w).

        The first three channels point along the pixel's ray in the reference view's frame (not
        unit length), the last three are the camera's centre there.
        """
        x = add_uv_embedding(self.ray_decoder(pyramid), grid[1] / grid[0])
        logits = self.ray_output(x)  # (M, 7, h, w)
        return DenseOutput(logits[:, :6].permute(0, 2, 3, 1), logits[:, 6].exp() + 1)
