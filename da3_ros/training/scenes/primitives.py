"""
Where a ray enters and leaves a convex primitive, in the primitive's unit frame.

Every function takes the ray's origin and direction as three components each, in a frame scaled so
that the box is [-1, 1]^3, the cylinder's radius and half height are 1 and the ellipsoid is the
unit sphere. Origins broadcast against directions. Each returns (t_enter, t_exit), in units of the
direction's length (z-depth when the camera-frame direction has z = 1): the ray meets the primitive
where t_enter <= t_exit, and starts outside of it where t_enter > 0.

Directions may be zero in any component, of either sign: no branch, no NaN.
"""

from __future__ import annotations

import torch

Components = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

# Below every direction component that matters, and far above float32's smallest reciprocal.
TINY = 1e-9


def signed_reciprocal(x: torch.Tensor) -> torch.Tensor:
    """1 / x with |x| held above TINY; the sign survives, that of zero included."""
    return x.abs().clamp_min_(TINY).reciprocal_().copysign_(x)


def _slab(origin: torch.Tensor, direction: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(-t_enter, t_exit) of the slab |x| <= 1."""
    magnitude = direction.abs().clamp_min_(TINY).reciprocal_()
    middle = magnitude.copysign(direction).mul_(origin)  # minus the t of the slab's middle
    return magnitude + middle, magnitude.sub_(middle)


def cross_box(origin: Components, direction: Components) -> tuple[torch.Tensor, torch.Tensor]:
    """Interval inside [-1, 1]^3 (slab method)."""
    minus_enter, leave = _slab(origin[0], direction[0])
    for axis in (1, 2):
        near, far = _slab(origin[axis], direction[axis])
        minus_enter = torch.minimum(minus_enter, near)
        leave = torch.minimum(leave, far)
    return minus_enter.neg_(), leave


def cross_cylinder(origin: Components, direction: Components) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Interval inside the capped cylinder x^2 + y^2 <= 1, |z| <= 1.

    A direction along the axis is treated as if it had a component of 1e-6 in a fourth, orthogonal
    dimension: it then meets the circle's infinite extrusion exactly when it starts inside.
    """
    fourth = TINY**2 * 1e6  # squared length of that component: 1e-12
    ox, oy, oz = origin
    dx, dy, dz = direction
    length2 = (dx * dx).addcmul_(dy, dy).add_(fourth)
    cross = (dy * ox).sub_(dx * oy)
    radial2 = ox * ox + oy * oy
    discriminant = length2.addcmul(cross, cross, value=-1).sub_(fourth * radial2)
    middle = (dx * ox).add_(dy * oy).div_(length2).neg_()
    half = discriminant.clamp_min(0).sqrt_().div_(length2)
    minus_enter, leave = _slab(oz, dz)
    enter = torch.maximum(middle - half, minus_enter.neg_())
    leave = torch.minimum(middle.add_(half), leave)
    return enter, leave.masked_fill_(discriminant < 0, -torch.inf)


def cross_ellipsoid(
    origin: Components, direction: Components
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Interval inside the unit sphere.

    The closest point to the centre is found first and the half chord from its distance, which
    keeps float32 exact to 1e-7 of the distance where b^2 - 4ac loses half of its digits.
    """
    ox, oy, oz = origin
    dx, dy, dz = direction
    length2 = (dx * dx).addcmul_(dy, dy).addcmul_(dz, dz)
    middle = (dx * ox).add_(dy * oy).add_(dz * oz).div_(length2).neg_()
    gap2 = (dx * middle).add_(ox).square_()
    gap2 += (dy * middle).add_(oy).square_()
    gap2 += (dz * middle).add_(oz).square_()
    chord2 = gap2.neg_().add_(1)
    half = chord2.clamp_min(0).div_(length2).sqrt_()
    enter = middle - half
    return enter, middle.add_(half).masked_fill_(chord2 < 0, -torch.inf)
