"""Assembling one scene: primitives with materials are added until their slots are full."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
import math
import random

from da3_ros.training.scenes.catalogue import TextureSource
from da3_ros.training.scenes.materials import draw_material, Material, REPEATED
from da3_ros.training.scenes.scene import Scenes, SHELL_FACES, Slots
import torch

Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]

IDENTITY: Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
# Where unused primitives lie: far below everything.
BURIED_M = -1.0e4
# Columns: the face's u axis, v axis and inward normal; rows 2 axis + (1 for the high side).
SHELL_AXES: tuple[Matrix, ...] = (
    ((0, 0, 1), (-1, 0, 0), (0, 1, 0)),
    ((0, 0, -1), (1, 0, 0), (0, 1, 0)),
    ((1, 0, 0), (0, 0, 1), (0, 1, 0)),
    ((-1, 0, 0), (0, 0, -1), (0, 1, 0)),
    IDENTITY,
    ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
)


def turn(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> Matrix:
    """Rotation Rz(yaw) Ry(pitch) Rx(roll), radians."""
    cy, sy = math.cos(yaw), math.sin(yaw)
    cp, sp = math.cos(pitch), math.sin(pitch)
    cr, sr = math.cos(roll), math.sin(roll)
    return (
        (cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr),
        (sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr),
        (-sp, cp * sr, cp * cr),
    )


def times(matrix: Matrix, vector: Vector) -> Vector:
    """Matrix times vector."""
    x, y, z = (sum(a * b for a, b in zip(row, vector)) for row in matrix)
    return x, y, z


@dataclass(frozen=True)
class Frame:
    """Pose of a compound: parts are given in it."""

    at: Vector = (0.0, 0.0, 0.0)
    rotation: Matrix = IDENTITY

    def place(self, point: Vector) -> Vector:
        """Map a point of the compound into the world."""
        x, y, z = (a + b for a, b in zip(self.at, times(self.rotation, point)))
        return x, y, z


@dataclass(frozen=True)
class Row:
    """One surface: pose, size and look, in the layout of `Scenes`."""

    world_from_local: Matrix
    centre: Vector
    half_extent: Vector
    texture: int
    detail: int
    stain: int
    uv_scale: Vector
    uv_offset: Vector
    detail_from_uv: tuple[float, ...]
    stain_from_uv: tuple[float, ...]
    detail_gain: float
    stain_gain: float
    gloss: float
    emission: float
    tint: Vector


@dataclass
class SceneBuilder:
    """Collects the surfaces of one scene; what finds no free slot is left out."""

    slots: Slots
    rng: random.Random
    textures: TextureSource
    rows: dict[str, list[Row]] = field(
        default_factory=lambda: {'boxes': [], 'decals': [], 'cylinders': [], 'ellipsoids': []}
    )
    wear: list[int] = field(default_factory=list)
    looks: dict[str, list[Material]] = field(default_factory=dict)
    lamps: list[Vector] = field(default_factory=list)

    def __post_init__(self) -> None:
        # A few wear textures per scene: each is one more picture to paint.
        self.wear = [self.rng.choice(self.textures.with_role('wear')) for _ in range(5)]

    def material(self, role: str, tile_m: float | None = 1.0, gloss: float = 0.0) -> Material:
        """
        Draw a material of that role, or take one that the scene has already.

        `tile_m` None fits a texture to the face; a plain surface keeps its own scale.
        """
        known = self.looks.setdefault(role, [])
        if known and self.rng.random() < REPEATED.get(role, 0.0):
            look = self.rng.choice(known)
        else:
            look = draw_material(self.rng, self.textures, role)
            known.append(look)
        fits_face = look.tile_m is None and tile_m is None
        return replace(look, tile_m=None if fits_face else tile_m or 1.0, gloss=gloss)

    def box(self, frame: Frame, centre: Vector, size: Vector, material: Material) -> None:
        """Add a box by its centre and full size in `frame`."""
        half = tuple(0.5 * max(length, 2e-3) for length in size)
        self._add('boxes', frame, centre, half, material)

    def decal(self, frame: Frame, centre: Vector, size: Vector, material: Material) -> None:
        """Add a thin box that casts no shadow, such as a picture on a wall."""
        self._add('decals', frame, centre, tuple(0.5 * length for length in size), material)

    def cylinder(
        self, frame: Frame, centre: Vector, radius: float, height: float, material: Material
    ) -> None:
        """Add a cylinder along the frame's z."""
        self._add('cylinders', frame, centre, (radius, radius, 0.5 * height), material)

    def ellipsoid(self, frame: Frame, centre: Vector, radii: Vector, material: Material) -> None:
        """Add an ellipsoid by its semi-axes."""
        self._add('ellipsoids', frame, centre, radii, material)

    def free(self, kind: str) -> int:
        """Count the slots of a kind that are still empty."""
        return getattr(self.slots, kind) - len(self.rows[kind])

    def _add(
        self, kind: str, frame: Frame, centre: Vector, half: Vector, material: Material
    ) -> None:
        if self.free(kind) > 0:
            self.rows[kind].append(
                self._row(frame.rotation, frame.place(centre), half, material, kind)
            )

    def _row(
        self, rotation: Matrix, centre: Vector, half: Vector, material: Material, kind: str
    ) -> Row:
        rng = self.rng
        if material.tile_m is None:
            scale = tuple(0.5 / length for length in half)
            offset, detail_gain, stain_gain = (0.5, 0.5, 0.5), 0.0, 0.0
        else:
            scale = (1 / material.tile_m,) * 3
            across = rng.random()
            offset = (across, across, rng.random())
            detail_gain = material.wear * rng.uniform(0.1, 0.5)
            stain_gain = material.wear * rng.uniform(0.1, 0.6)
        tile = material.tile_m or 1.0
        return Row(
            rotation,
            centre,
            half,
            material.texture,
            rng.choice(self.wear),
            rng.choice(self.wear),
            scale,
            offset,
            _similarity(rng.uniform(0, 6.28), tile / rng.uniform(0.15, 0.6)),
            _similarity(rng.uniform(0, 6.28), tile / rng.uniform(2.3, 7.0)),
            detail_gain,
            stain_gain,
            material.gloss,
            material.emission,
            material.tint,
        )

    def shell(self, low: Vector, high: Vector, faces: list[Material]) -> list[Row]:
        """Rows of the room's six faces, by axis and side (walls -x +x -y +y, floor, ceiling)."""
        middle = [0.5 * (a + b) for a, b in zip(low, high)]
        rows = []
        for face, material in enumerate(faces):
            centre = list(middle)
            centre[face // 2] = (low, high)[face % 2][face // 2]
            rows.append(
                self._row(SHELL_AXES[face], tuple(centre), (1.0, 1.0, 1.0), material, 'shell')
            )
        assert len(rows) == SHELL_FACES
        return rows

    def finish(self, low: Vector, high: Vector, faces: list[Material], **scene: object) -> Scenes:
        """Make the scene's tensors (B = 1); `scene` holds the fields that are not per surface."""
        rows = self.shell(low, high, faces)
        unused = Row(
            IDENTITY, (0.0, 0.0, BURIED_M), (1e-3,) * 3, rows[0].texture, rows[0].detail,
            rows[0].stain, (1.0,) * 3, (0.0,) * 3, (1.0, 0.0, 0.0, 1.0), (1.0, 0.0, 0.0, 1.0),
            0.0, 0.0, 0.0, 0.0, (1.0,) * 3,
        )  # fmt: skip
        for kind, added in self.rows.items():
            rows += added + [unused] * self.free(kind)
        table = {f.name: torch.tensor([[getattr(r, f.name) for r in rows]]) for f in fields(Row)}
        for name in ('detail_from_uv', 'stain_from_uv'):
            table[name] = table[name].unflatten(-1, (2, 2))
        rest = {name: torch.tensor([value], dtype=torch.float32) for name, value in scene.items()}
        return Scenes(
            slots=self.slots,
            shell_low=torch.tensor([low], dtype=torch.float32),
            shell_high=torch.tensor([high], dtype=torch.float32),
            **table,
            **rest,
        )


def _similarity(angle: float, scale: float) -> tuple[float, ...]:
    """Row-major 2 x 2 rotation times scale."""
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    return (c, -s, s, c)
