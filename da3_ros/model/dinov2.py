"""
The trunk: a DINOv2 transformer in which some blocks attend across all views.

    images ─ patches + position ─ single-view blocks ─ prefix (exact per frame, can be kept)
                                                          │
    role or pose token of each view ── into token 0 ──────┤
                                                          │
                          single-view and cross-view blocks in turn ─ taps at four of them

Shapes: B batch, V views, N tokens of a view = 1 class (later camera) slot + P patches, C channels.
"""

from collections.abc import Sequence
from typing import NamedTuple

from da3_ros.model.layers import Block, LayerNorm, Mlp, SwiGlu
from da3_ros.model.presets import HEAD_DIM, ModelConfig
from da3_ros.model.tables import global_rope, local_rope, Rope
import torch
from torch import nn, Tensor
import torch.nn.functional as F

POSITION_OFFSET = 0.1  # in patches; the trained weights expect the table resized with it


class Prefix(NamedTuple):
    """
    What the trunk knows of each view alone; depends on no other view and on no role.

    Attributes:
        tokens: (B, V, N, C), input of block ``alt_start``.
        class_tokens: (B, V, C), input of block ``alt_start - 1``, by which a reference is chosen.

    """

    tokens: Tensor
    class_tokens: Tensor


class Tap(NamedTuple):
    """Tokens at one out layer, (B, V, N, C) each: after the last single-view block, and there."""

    local: Tensor
    mixed: Tensor


class Reading(NamedTuple):
    """
    What the heads read of the taps, and nothing else.

    Attributes:
        features: the dense head's input, four of (B, v, P, 2C), for some of the views.
        cameras: the camera decoder's input, (B, V, 2C).

    """

    features: tuple[Tensor, ...]
    cameras: Tensor


def resize_position_table(table: Tensor, rows: int, columns: int) -> Tensor:
    """
    Resize a learned position table (1, 1 + S*S, C) to (1, 1 + rows * columns, C).

    Bicubic without antialiasing. The kernel samples by the scale factors, which carry an offset
    of 0.1 patches (DINOv2 did so to dodge a rounding error, and weights learned with it).
    """
    side = int((table.shape[1] - 1) ** 0.5)
    grid = table[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2)  # (1, C, S, S)
    scales = ((rows + POSITION_OFFSET) / side, (columns + POSITION_OFFSET) / side)
    grid = F.interpolate(grid, scale_factor=scales, mode='bicubic', align_corners=False)
    assert grid.shape[-2:] == (rows, columns)
    return torch.cat((table[:, :1], grid.flatten(2).transpose(1, 2)), dim=1)


def _random_parameter(*shape: int, std: float) -> nn.Parameter:
    """Return a normally distributed parameter."""
    values = torch.empty(shape)
    # On the meta device there is nothing to fill, and trying imports SymPy: seconds at each start.
    return nn.Parameter(values if values.is_meta else values.normal_(std=std))


def select_views(x: Tensor, views: Sequence[int]) -> Tensor:
    """(B, V, ...) -> (B, v, ...); needs no index tensor, so nothing is sent to the device."""
    if list(views) == list(range(x.shape[1])):
        return x
    return torch.stack([x[:, view] for view in views], dim=1)


class DinoV2(nn.Module):
    """The trunk: of an any-view network, or of one that sees each view alone."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim, patch = config.embed_dim, config.patch_size
        self.config = config
        self.patch_embed = nn.Conv2d(3, dim, kernel_size=patch, stride=patch)
        self.cls_token = _random_parameter(1, 1, dim, std=0.02)
        if config.is_any_view:
            self.camera_token = _random_parameter(1, 2, dim, std=1.0)  # reference, others
        self.pos_embed = _random_parameter(1, 1 + config.position_grid**2, dim, std=0.02)
        self.blocks = nn.ModuleList(self._block(config, i) for i in range(config.depth))
        self.norm = LayerNorm(dim, eps=1e-5)
        self._position_tables: dict[tuple[int, ...], Tensor] = {}

    @staticmethod
    def _block(config: ModelConfig, index: int) -> Block:
        ffn = Mlp if config.ffn == 'mlp' else SwiGlu
        return Block(
            config.embed_dim,
            config.heads,
            ffn(config.embed_dim, config.ffn_dim),
            norm_eps=1e-6,
            qk_norm=index >= config.qk_norm_start,
        )

    def is_global(self, index: int) -> bool:
        """Whether block ``index`` attends across views."""
        return index >= self.config.alt_start and index % 2 == 1

    # -- per view -----------------------------------------------------------------------------

    def prefix(self, images: Tensor) -> Prefix:
        """
        Run everything that looks at one view only: (B, V, 3, H, W) -> Prefix.

        The result for a frame is the same in every window, so it may be computed once and kept.
        """
        batch, views, _, height, width = images.shape
        grid = height // self.config.patch_size, width // self.config.patch_size
        x = self.embed(images.flatten(0, 1), grid)
        for i in range(self.config.alt_start - 1):
            x = self._run_local(i, x, grid)
        class_tokens = x[:, 0]
        x = self._run_local(self.config.alt_start - 1, x, grid)
        return Prefix(x.unflatten(0, (batch, views)), class_tokens.unflatten(0, (batch, views)))

    def single_view_features(self, images: Tensor) -> tuple[Tensor, ...]:
        """
        Run all blocks of a single-view network: (M, 3, H, W) -> the dense head's input.

        Returns:
            Four taps (M, P, C), normed, in the order of ``out_layers``.

        """
        height, width = images.shape[-2:]
        grid = height // self.config.patch_size, width // self.config.patch_size
        x, taps = self.embed(images, grid), []
        for i in range(self.config.depth):
            x = self._run_local(i, x, grid)
            if i in self.config.out_layers:
                taps.append(self.norm(x[:, 1:]))
        return tuple(taps)

    def embed(self, images: Tensor, grid: tuple[int, int]) -> Tensor:
        """Patches plus class token plus position: (M, 3, H, W) -> (M, N, C), float32."""
        # A convolution that steps by its own size is a product, and libraries are better at those.
        side, weight = self.config.patch_size, self.patch_embed.weight
        patches = images.to(weight.dtype).unflatten(3, (-1, side)).unflatten(2, (-1, side))
        patches = patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)  # (M, P, 3 * 14 * 14)
        patches = F.linear(patches, weight.flatten(1), self.patch_embed.bias)  # (M, P, C)
        patches = patches.to(self.cls_token.dtype)
        cls = self.cls_token.expand(len(patches), -1, -1)
        return torch.cat((cls, patches), dim=1) + self.position_table(*grid)

    def position_table(self, rows: int, columns: int) -> Tensor:
        """Return the position table for a patch grid, (1, N, C); kept while weights are frozen."""
        side = self.config.position_grid
        if (rows, columns) == (side, side):
            return self.pos_embed
        training = torch.is_grad_enabled() and self.pos_embed.requires_grad
        if training or self.pos_embed.is_inference():
            return resize_position_table(self.pos_embed, rows, columns)
        # An optimiser step or a load changes the version or the address.
        key = (rows, columns, self.pos_embed.data_ptr(), self.pos_embed._version)
        if key not in self._position_tables:
            stale = [old for old in self._position_tables if old[2:] != key[2:]]
            for old in stale:
                del self._position_tables[old]
            with torch.inference_mode(False), torch.no_grad():
                self._position_tables[key] = resize_position_table(self.pos_embed, rows, columns)
        return self._position_tables[key]

    # -- across views -------------------------------------------------------------------------

    def role_tokens(self, reference: Tensor, views: int) -> Tensor:
        """
        Camera tokens when no pose is known: (B,) index of the reference -> (B, V, C).

        The role is all that tells the views apart: trading places between views and moving the
        token of the reference are the same thing, so views keep the order they came in.
        """
        is_reference = torch.arange(views, device=reference.device) == reference[:, None]
        return torch.where(
            is_reference[..., None], self.camera_token[:, :1], self.camera_token[:, 1:]
        )

    def suffix(
        self, tokens: Tensor, camera_tokens: Tensor, grid: tuple[int, int]
    ) -> tuple[Tap, ...]:
        """
        Run the blocks that mix views.

        Args:
            tokens: (B, V, N, C), ``Prefix.tokens`` of the views of a window in any order.
            camera_tokens: (B, V, C), from ``role_tokens`` or the camera encoder; they replace
                the class tokens.
            grid: rows and columns of patches.

        Returns:
            The four taps, in the order of ``out_layers``.

        """
        return self.mix(self.enter(tokens, camera_tokens, grid), grid)

    def enter(self, tokens: Tensor, camera_tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """
        Give each view its camera token, and run what is left before views first see each other.

        (B, V, N, C) and (B, V, C) -> (B, V, N, C). Depends on a view and its token alone: for a
        view that keeps its role the result may be kept.
        """
        x = torch.cat((camera_tokens.to(tokens.dtype)[:, :, None], tokens[:, :, 1:]), dim=2)
        for i in range(self.config.alt_start, self.first_global):
            x = self._run_local(i, x.flatten(0, 1), grid).unflatten(0, x.shape[:2])
        return x

    def mix(self, x: Tensor, grid: tuple[int, int]) -> tuple[Tap, ...]:
        """Run the blocks from the first that mixes views on: (B, V, N, C) -> the four taps."""
        local, taps = x, []
        for i in range(self.first_global, self.config.depth):
            local, x = self._advance(i, local, x, grid)
            if i in self.config.out_layers:
                taps.append(Tap(local, x))
        return tuple(taps)

    def read(self, x: Tensor, views: Tensor, grid: tuple[int, int]) -> Reading:
        """
        Run the same blocks for what the heads read: all cameras, and ``views`` (v,) densely.

        The last block computes nothing else. Its other tokens are keys and values only.
        """
        local, features = x, []
        last = self.config.out_layers[-1]
        for i in range(self.first_global, last):
            local, x = self._advance(i, local, x, grid)
            if i in self.config.out_layers:
                features.append(self.tap_patches(local, x, views))
        count, tokens = x.shape[1:3]
        places = torch.arange(count * tokens, device=x.device).view(count, tokens)
        rows = torch.cat((places[:, 0], places[views, 1:].flatten()))  # (V + v P,)
        rope = self._global_rope(last, count, tokens, x.device)
        mixed = self.blocks[last](x.flatten(1, 2), rope, rows)  # (B, V + v P, C)
        patches = mixed[:, count:].unflatten(1, (len(views), tokens - 1))
        features.append(self.tap_patches(local, patches, views))
        cameras = torch.cat((local[:, :, 0], mixed[:, :count]), dim=-1)
        return Reading(tuple(features), cameras)

    @property
    def first_global(self) -> int:
        """The first block that attends across views."""
        return self.config.alt_start | 1

    def _advance(
        self, index: int, local: Tensor, x: Tensor, grid: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Run one block; returns the output of the last single-view block, and of this one."""
        if self.is_global(index):
            return local, self._run_global(index, x)
        x = self._run_local(index, x.flatten(0, 1), grid).unflatten(0, x.shape[:2])
        return x, x

    def _run_local(self, index: int, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attend inside each view: (B*V, N, C) -> same."""
        has_rope = index >= self.config.rope_start
        rope = local_rope(*grid, HEAD_DIM, x.device) if has_rope else None
        return self.blocks[index](x, rope)

    def _run_global(self, index: int, x: Tensor) -> Tensor:
        """Attend across the views: (B, V, N, C) -> same."""
        views, tokens = x.shape[1:3]
        rope = self._global_rope(index, views, tokens, x.device)
        return self.blocks[index](x.flatten(1, 2), rope).unflatten(1, (views, tokens))

    def _global_rope(
        self, index: int, views: int, tokens: int, device: torch.device
    ) -> Rope | None:
        if index < self.config.rope_start:
            return None
        return global_rope(views, tokens - 1, HEAD_DIM, device)

    # -- what the heads read ------------------------------------------------------------------

    def patch_features(self, tap: Tap, views: Sequence[int] | None = None) -> Tensor:
        """Return the dense head's input, (B, v, P, 2C): the local half raw, the other normed."""
        local, mixed = (half if views is None else select_views(half, views) for half in tap)
        return self._dense_input(local[:, :, 1:], mixed[:, :, 1:])

    def tap_patches(self, local: Tensor, mixed: Tensor, views: Tensor) -> Tensor:
        """
        Return the dense head's input for ``views`` (v,), (B, v, P, 2C): see ``patch_features``.

        The halves of a tap are (B, V, N, C); ``mixed`` may be of those patches alone,
        (B, v, P, C).
        """
        if mixed.shape[2] == local.shape[2]:
            mixed = mixed[:, views, 1:]
        return self._dense_input(local[:, views, 1:], mixed)

    def _dense_input(self, local: Tensor, mixed: Tensor) -> Tensor:
        """Patches of a tap, (B, v, P, C) twice -> (B, v, P, 2C)."""
        return torch.cat((local, self.norm(mixed)), dim=-1)

    def camera_features(self, tap: Tap) -> Tensor:
        """Return the camera decoder's input, (B, V, 2C): both camera slots, not normed."""
        return torch.cat((tap.local[:, :, 0], tap.mixed[:, :, 0]), dim=-1)
