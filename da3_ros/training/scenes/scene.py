"""
Scenes as tensors: what the renderer reads, for many scenes at once.

Legend: B scenes, R surfaces (rows), L lights. Metres, world frame with z up.

Rows 0-5 are the shell (the room's faces, or the ground and a far box outdoors); then come the
slots of `Slots`, in this order: boxes, decals (thin boxes that cast no shadow), cylinders,
ellipsoids. Unused slots hold a speck far below the ground, which no ray reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from da3_ros.errors import InputError
import torch

SHELL_FACES = 6
GROUND_FACE = 4


@dataclass(frozen=True)
class Slots:
    """How many primitives of each kind every scene has room for (static shapes)."""

    boxes: int = 36
    decals: int = 18
    cylinders: int = 12
    ellipsoids: int = 11

    @property
    def solids(self) -> int:
        """Number of boxes and decals together: both are boxes to a ray."""
        return self.boxes + self.decals

    @property
    def total(self) -> int:
        """Number of primitive slots."""
        return self.solids + self.cylinders + self.ellipsoids

    @property
    def rows(self) -> int:
        """Number of surface rows: the shell's faces and every slot."""
        return SHELL_FACES + self.total


@dataclass(frozen=True)
class Scenes:
    """
    B scenes with the same slots; every tensor leads with B.

    Geometry: `world_from_local` (B, R, 3, 3) rotations, `centre` (B, R, 3), `half_extent`
    (B, R, 3): box half sizes; (radius_x, radius_y, half height) of a cylinder along local z; the
    semi-axes of an ellipsoid. Shell rows have local z along the inward normal.
    Shell: `shell_low`, `shell_high` (B, 3) corners; `is_outdoor` (B,) 1.0 where only the ground
    face exists.
    Surface: `texture`, `detail`, `stain` (B, R) indices into the atlas; `uv_scale`, `uv_offset`
    (B, R, 3) tiles per metre and tiles; `detail_from_uv`, `stain_from_uv` (B, R, 2, 2);
    `detail_gain`, `stain_gain`, `gloss`, `emission` (B, R); `tint` (B, R, 3) linear albedo factor.
    Light: `light_position`, `light_colour` (B, L, 3), `light_reach_m` (B, L) distance at which a
    light has fallen to half; light 0 casts shadows; `ambient_up`, `ambient_down`, `sky_zenith`,
    `sky_horizon` (B, 3).
    Where cameras may go: `walk_low`, `walk_high` (B, 3).
    """

    slots: Slots
    world_from_local: torch.Tensor
    centre: torch.Tensor
    half_extent: torch.Tensor
    shell_low: torch.Tensor
    shell_high: torch.Tensor
    is_outdoor: torch.Tensor
    texture: torch.Tensor
    detail: torch.Tensor
    stain: torch.Tensor
    uv_scale: torch.Tensor
    uv_offset: torch.Tensor
    detail_from_uv: torch.Tensor
    stain_from_uv: torch.Tensor
    detail_gain: torch.Tensor
    stain_gain: torch.Tensor
    gloss: torch.Tensor
    emission: torch.Tensor
    tint: torch.Tensor
    light_position: torch.Tensor
    light_colour: torch.Tensor
    light_reach_m: torch.Tensor
    ambient_up: torch.Tensor
    ambient_down: torch.Tensor
    sky_zenith: torch.Tensor
    sky_horizon: torch.Tensor
    walk_low: torch.Tensor
    walk_high: torch.Tensor

    def __len__(self) -> int:
        return self.centre.shape[0]

    def __getitem__(self, index: slice | torch.Tensor) -> Scenes:
        """Pick scenes by a slice or an index tensor (B',); the result leads with B'."""
        return self._map(lambda tensor: tensor[index])

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Scenes:
        """Move every tensor; `dtype` applies to the floating ones."""

        def move(tensor: torch.Tensor) -> torch.Tensor:
            wanted = dtype if tensor.is_floating_point() else None
            return tensor.to(device=device, dtype=wanted)

        return self._map(move)

    def with_textures(self, index_of: torch.Tensor) -> Scenes:
        """Renumber the textures: new index = index_of[old index]."""
        renumbered = ('texture', 'detail', 'stain')
        return self._map(
            lambda tensor, name: index_of[tensor] if name in renumbered else tensor, named=True
        )

    def _map(self, change, named: bool = False) -> Scenes:
        tensors = {f.name: getattr(self, f.name) for f in fields(self) if f.name != 'slots'}
        changed = {k: change(v, k) if named else change(v) for k, v in tensors.items()}
        return Scenes(slots=self.slots, **changed)


def stack_scenes(scenes: Sequence[Scenes]) -> Scenes:
    """Join batches of scenes along B. Raises `InputError` when their slots differ."""
    if not scenes:
        raise InputError('stack_scenes got no scenes; give at least one.')
    slots = scenes[0].slots
    for other in scenes:
        if other.slots != slots:
            raise InputError(
                f'Scenes to stack must share their slots: got {slots}, {other.slots}.'
            )
    names = [f.name for f in fields(Scenes) if f.name != 'slots']
    joined = {name: torch.cat([getattr(s, name) for s in scenes]) for name in names}
    return Scenes(slots=slots, **joined)
