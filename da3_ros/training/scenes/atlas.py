"""
The texture atlas: many square tileable textures with mip levels, sampled without aliasing.

The renderer knows nothing of where textures come from: an atlas is made of any (T, 3, S, S) linear
albedo images, painted (`patterns.py`) or photographed.

Legend: T textures, S side in texels, K texels of one texture with all its levels.
"""

from __future__ import annotations

from dataclasses import dataclass

from da3_ros.errors import InputError
import torch
from torch.nn.functional import avg_pool2d


@dataclass(frozen=True)
class Atlas:
    """`texels` (T K, 4): linear albedo and relief (luminance over the texture's mean, about 1)."""

    texels: torch.Tensor
    side: int

    @property
    def levels(self) -> int:
        """Number of mip levels, the single texel included."""
        return self.side.bit_length()

    @property
    def texels_per_texture(self) -> int:
        """K: texels of all levels of one texture."""
        return (4 * self.side * self.side - 1) // 3

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Atlas:
        """Move the texels; half precision is enough for 8-bit pictures."""
        return Atlas(self.texels.to(device=device, dtype=dtype), self.side)

    def albedo(
        self, texture: torch.Tensor, uv: torch.Tensor, footprint: torch.Tensor
    ) -> torch.Tensor:
        """
        Trilinear albedo (..., 3) of texture indices (...) at tile coordinates `uv` (2, ...).

        `footprint` (...) is the length in tiles over which to average.
        """
        level = (footprint * self.side).clamp_min(1e-6).log2_().clamp_(0, self.levels - 1)
        fine = level.floor()
        texels = self._bilinear(texture, uv, fine, self.texels)
        coarse = self._bilinear(texture, uv, (fine + 1).clamp_max_(self.levels - 1), self.texels)
        return torch.lerp(texels, coarse, (level - fine).unsqueeze(-1))[..., :3]

    def relief(
        self, texture: torch.Tensor, uv: torch.Tensor, footprint: torch.Tensor
    ) -> torch.Tensor:
        """
        Relative luminance (...), 1 on average, of the nearest mip level that is fine enough.

        It fades to 1 where the footprint approaches a tile, so levels do not show.
        """
        level = (footprint * self.side).clamp_min(1e-6).log2_().clamp_(0, self.levels - 1)
        value = self._bilinear(texture, uv, level.round(), self.texels[:, 3:])[..., 0]
        return torch.lerp(value, torch.ones_like(value), (footprint * 4).clamp(0, 1))

    def _bilinear(
        self,
        texture: torch.Tensor,
        uv: torch.Tensor,
        level: torch.Tensor,
        texels: torch.Tensor,
    ) -> torch.Tensor:
        """Bilinear values (..., C) at integral `level`; coordinates wrap around."""
        level = level.to(torch.int32)
        side = torch.bitwise_right_shift(torch.full_like(level, self.side), level)
        # Levels start after all finer ones: (4 S^2 - 4 side^2) / 3.
        start = texture * self.texels_per_texture + (4 * self.side**2 - 4 * side * side) // 3
        x, y = (uv - uv.floor()) * side - 0.5
        x_low, y_low = x.floor(), y.floor()
        wx, wy = (x - x_low).unsqueeze(-1), (y - y_low).unsqueeze(-1)
        last = side - 1  # sides are powers of two, so & wraps
        left, top = x_low.to(torch.int32) & last, y_low.to(torch.int32) & last
        right, bottom = (left + 1) & last, (top + 1) & last
        upper, lower = start + top * side, start + bottom * side
        values = texels.dtype if texels.dtype.itemsize > 2 else wx.dtype

        def fetch(index: torch.Tensor) -> torch.Tensor:
            found = texels.index_select(0, index.flatten()).to(values)
            return found.unflatten(0, index.shape)

        above = torch.lerp(fetch(upper + left), fetch(upper + right), wx.to(values))
        below = torch.lerp(fetch(lower + left), fetch(lower + right), wx.to(values))
        return torch.lerp(above, below, wy.to(values))


def build_atlas(images: torch.Tensor) -> Atlas:
    """
    Make an atlas of (T, 3, S, S) float linear-albedo images in [0, 1]; S a power of two.

    Images should tile; mip levels are box-filtered in linear light. Raises `InputError`.
    """
    side = images.shape[-1]
    if images.dim() != 4 or images.shape[1] != 3 or images.shape[2] != side:
        raise InputError(f'Atlas images must be (T, 3, S, S), got {tuple(images.shape)}.')
    if side & (side - 1):
        raise InputError(f'Atlas images must have a power of two as side, got {side} texels.')
    luminance = images.mean(1, keepdim=True)
    relief = luminance / luminance.mean((2, 3), keepdim=True).clamp_min(1e-3)
    level = torch.cat([images, relief], 1)
    levels = []
    while True:
        levels.append(level.flatten(2))
        if level.shape[-1] == 1:
            break
        level = avg_pool2d(level, 2)
    texels = torch.cat(levels, 2).transpose(1, 2)  # (T, K, 4)
    return Atlas(texels.reshape(-1, 4).contiguous(), side)
