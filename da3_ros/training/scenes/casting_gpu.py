"""
Casting rays on a GPU: the fast twin of `casting`, one kernel for a whole picture.

Slots that a view cannot see are left out view by view, on the device. The results are those of the
plain functions but for rounding, and silhouettes that it moves.

Legend: B scenes, V views, M = B V, P slots, H W pixels.
"""

from __future__ import annotations

from da3_ros.training.scenes.culling import in_use, in_view
from da3_ros.training.scenes.rays import Rays, rotate
from da3_ros.training.scenes.scene import Scenes, SHELL_FACES, Slots
import torch
import triton
import triton.language as tl

BLOCK = 256
TINY = tl.constexpr(1e-9)
# Squared length of the fourth component of a direction: see `primitives.cross_cylinder`.
FOURTH = tl.constexpr(1e-12)
FACES = tl.constexpr(SHELL_FACES)


@triton.jit
def _signed(magnitude, sign):
    return tl.where(sign < 0, -magnitude, magnitude)


@triton.jit
def _slab(origin, direction):
    """Where a ray enters and leaves |x| <= 1."""
    reach = 1.0 / tl.maximum(tl.abs(direction), TINY)
    middle = -_signed(reach, direction) * origin
    return middle - reach, middle + reach


@triton.jit
def _box(ox, oy, oz, dx, dy, dz):
    enter, leave = _slab(ox, dx)
    near, far = _slab(oy, dy)
    enter, leave = tl.maximum(enter, near), tl.minimum(leave, far)
    near, far = _slab(oz, dz)
    return tl.maximum(enter, near), tl.minimum(leave, far)


@triton.jit
def _cylinder(ox, oy, oz, dx, dy, dz):
    length2 = dx * dx + dy * dy + FOURTH
    cross = dy * ox - dx * oy
    discriminant = length2 - cross * cross - FOURTH * (ox * ox + oy * oy)
    middle = -(dx * ox + dy * oy) / length2
    half = tl.sqrt(tl.maximum(discriminant, 0.0)) / length2
    near, far = _slab(oz, dz)
    leave = tl.where(discriminant < 0, -1e30, tl.minimum(middle + half, far))
    return tl.maximum(middle - half, near), leave


@triton.jit
def _ellipsoid(ox, oy, oz, dx, dy, dz):
    length2 = dx * dx + dy * dy + dz * dz
    middle = -(dx * ox + dy * oy + dz * oz) / length2
    gx, gy, gz = dx * middle + ox, dy * middle + oy, dz * middle + oz
    chord2 = 1.0 - (gx * gx + gy * gy + gz * gz)
    half = tl.sqrt(tl.maximum(chord2, 0.0) / length2)
    return middle - half, tl.where(chord2 < 0, -1e30, middle + half)


@triton.jit
def _crossing(table, x, y, z, KIND: tl.constexpr):
    """Enter and leave of one slot; its 12 numbers are a matrix (row-major) and an origin."""
    dx = tl.load(table + 0) * x + tl.load(table + 1) * y + tl.load(table + 2) * z
    dy = tl.load(table + 3) * x + tl.load(table + 4) * y + tl.load(table + 5) * z
    dz = tl.load(table + 6) * x + tl.load(table + 7) * y + tl.load(table + 8) * z
    ox, oy, oz = tl.load(table + 9), tl.load(table + 10), tl.load(table + 11)
    if KIND == 0:
        enter, leave = _box(ox, oy, oz, dx, dy, dz)
    elif KIND == 1:
        enter, leave = _cylinder(ox, oy, oz, dx, dy, dz)
    else:
        enter, leave = _ellipsoid(ox, oy, oz, dx, dy, dz)
    return enter, leave


@triton.jit
def _camera_kernel(
    x_ptr, y_ptr, shell_ptr, slot_ptr, order_ptr, start_ptr, count_ptr, depth_ptr, row_ptr,
    width, height, near_m, SLOTS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """First surface of each pixel's ray; program (block of pixels, view)."""
    view = tl.program_id(1)
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < width * height
    x = tl.load(x_ptr + view * width + pixel % width, mask=inside, other=0.0)
    y = tl.load(y_ptr + view * height + pixel // width, mask=inside, other=0.0)
    depth = tl.full((BLOCK,), 1e30, tl.float32)
    row = tl.zeros((BLOCK,), tl.int32)
    shell = shell_ptr + view * 15
    for axis in tl.static_range(3):
        towards = (
            tl.load(shell + 3 * axis) * x
            + tl.load(shell + 3 * axis + 1) * y
            + tl.load(shell + 3 * axis + 2)
        )
        upward = towards >= 0
        bound = tl.where(upward, tl.load(shell + 12 + axis), tl.load(shell + 9 + axis))
        reached = bound * _signed(1.0 / tl.maximum(tl.abs(towards), TINY), towards)
        row = tl.where(reached < depth, 2 * axis + upward.to(tl.int32), row)
        depth = tl.minimum(depth, reached)
    for kind in tl.static_range(3):
        first = tl.load(start_ptr + kind)
        for k in range(tl.load(count_ptr + view * 3 + kind)):
            slot = tl.load(order_ptr + view * SLOTS + first + k)
            table = slot_ptr + (view * SLOTS + slot) * 12
            enter, leave = _crossing(table, x, y, 1.0, kind)
            seen = (enter <= tl.minimum(leave, depth)) & (enter > near_m)
            depth = tl.where(seen, enter, depth)
            row = tl.where(seen, FACES + slot, row)
    at = view.to(tl.int64) * width * height + pixel
    tl.store(depth_ptr + at, depth, mask=inside)
    tl.store(row_ptr + at, row, mask=inside)


@triton.jit
def _shadow_kernel(
    point_ptr, normal_ptr, light_ptr, slot_ptr, order_ptr, start_ptr, count_ptr, dark_ptr,
    pixels, stride, offset_m, SLOTS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Whether a slot keeps the light from each point; program (block of points, scene)."""
    scene = tl.program_id(1)
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < pixels
    at = scene.to(tl.int64) * pixels + pixel
    light = light_ptr + scene * 3
    x = tl.load(point_ptr + at, mask=inside, other=0.0) - tl.load(light)
    y = tl.load(point_ptr + stride + at, mask=inside, other=0.0) - tl.load(light + 1)
    z = tl.load(point_ptr + 2 * stride + at, mask=inside, other=0.0) - tl.load(light + 2)
    x += tl.load(normal_ptr + at, mask=inside, other=0.0) * offset_m
    y += tl.load(normal_ptr + stride + at, mask=inside, other=0.0) * offset_m
    z += tl.load(normal_ptr + 2 * stride + at, mask=inside, other=0.0) * offset_m
    dark = tl.zeros((BLOCK,), tl.int32)
    for kind in tl.static_range(3):
        first = tl.load(start_ptr + kind)
        for k in range(tl.load(count_ptr + scene * 3 + kind)):
            slot = tl.load(order_ptr + scene * SLOTS + first + k)
            enter, leave = _crossing(slot_ptr + (scene * SLOTS + slot) * 12, x, y, z, kind)
            dark = tl.where((enter <= tl.minimum(leave, 1.0)) & (enter > 0), 1, dark)
    tl.store(dark_ptr + at, dark.to(tl.int8), mask=inside)


def _ordered(visited: torch.Tensor, slots: Slots) -> tuple[torch.Tensor, ...]:
    """Slots (N, P), of each kind those to visit first; kinds' starts (3,); counts (N, 3)."""
    ends = (slots.solids, slots.solids + slots.cylinders, slots.total)
    starts = (0, *ends[:2])
    order, counts = [], []
    for start, end in zip(starts, ends):
        part = visited[:, start:end]
        order.append(part.int().argsort(dim=1, descending=True, stable=True) + start)
        counts.append(part.sum(1))
    place = torch.arange(slots.total, device=visited.device)
    first = torch.stack([place[start] for start in starts])
    return (
        torch.cat(order, 1).int().contiguous(),
        first.int(),
        torch.stack(counts, 1).int().contiguous(),
    )


def _slot_table(matrix: torch.Tensor, origin: torch.Tensor) -> torch.Tensor:
    """(..., P, 3, 3) and (..., P, 3) as (..., P, 12)."""
    return torch.cat([matrix.flatten(-2), origin], -1).contiguous()


@torch.compiler.disable
def cast_rays(
    scenes: Scenes, rays: Rays, unit_from_world: torch.Tensor, near_m: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `casting.cast_rays`; `unit_from_world` (B, P, 3, 3)."""
    batch, views = rays.origin.shape[:2]
    height, width = rays.y.shape[-2], rays.x.shape[-1]
    offset = rays.origin[:, :, None] - scenes.centre[:, None, SHELL_FACES:]  # (B, V, P, 3)
    origin = (unit_from_world[:, None] * offset.unsqueeze(-2)).sum(-1)
    matrix = rotate(unit_from_world[:, None], rays.world_from_camera[:, :, None])
    slot_table = _slot_table(matrix, origin)
    shell = torch.cat(
        [
            rays.world_from_camera.flatten(-2),
            scenes.shell_low[:, None] - rays.origin,
            scenes.shell_high[:, None] - rays.origin,
        ],
        -1,
    ).contiguous()
    x, y = rays.x.contiguous(), rays.y.contiguous()
    edges = (x[..., 0, 0], x[..., 0, -1], y[..., 0, 0], y[..., -1, 0])
    visited = in_view(scenes, rays.origin, rays.world_from_camera, edges).flatten(0, 1)
    order, first, counts = _ordered(visited, scenes.slots)
    depth = torch.empty(batch, views, height, width, device=x.device)
    row = torch.empty(depth.shape, dtype=torch.int32, device=x.device)
    _camera_kernel[(triton.cdiv(height * width, BLOCK), batch * views)](
        x, y, shell, slot_table, order, first, counts, depth, row,
        width, height, near_m, scenes.slots.total, BLOCK,
    )  # fmt: skip
    return depth, row


@torch.compiler.disable
def cast_shadows(
    scenes: Scenes,
    points: torch.Tensor,
    normals: torch.Tensor,
    unit_from_world: torch.Tensor,
    offset_m: float,
) -> torch.Tensor:
    """As `casting.cast_shadows`; `unit_from_world` (B, P, 3, 3)."""
    position = scenes.light_position[:, 0].contiguous()  # (B, 3)
    offset = position[:, None] - scenes.centre[:, SHELL_FACES:]
    origin = (unit_from_world * offset.unsqueeze(-2)).sum(-1)
    slots = scenes.slots
    place = torch.arange(slots.total, device=points.device)
    solid = (place < slots.boxes) | (place >= slots.solids)
    order, first, counts = _ordered(in_use(scenes) & solid, slots)
    points, normals = points.contiguous(), normals.contiguous()
    dark = torch.empty(points.shape[1:], dtype=torch.int8, device=points.device)
    pixels = dark[0].numel()
    _shadow_kernel[(triton.cdiv(pixels, BLOCK), len(scenes))](
        points, normals, position, _slot_table(unit_from_world, origin), order, first, counts,
        dark, pixels, dark.numel(), offset_m, slots.total, BLOCK,
    )  # fmt: skip
    return dark.bool()
