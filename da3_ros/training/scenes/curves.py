"""
Curves in free space: random polylines, smoothing, pushing out of obstacles, arc length.

Legend: N points of a curve, F frames.
"""

from __future__ import annotations

from dataclasses import dataclass
import math

from da3_ros.training.scenes.clearance import clearance_m
from da3_ros.training.scenes.scene import Scenes
import torch
from torch.nn.functional import conv1d, pad

CANDIDATES = 96  # waypoints drawn at a time


@dataclass(frozen=True)
class Plan:
    """
    What a polyline must be: about `length_m` long in the end, `margin_m` clear, flat or closed.

    `step_m` is the distance between its points.
    """

    length_m: float
    margin_m: float
    planar: bool
    closed: bool
    step_m: float = 0.05

    def longest_m(self, shrink: float) -> float:
        """Length of the longest leg tried."""
        return shrink * min(4.0, max(0.6, self.length_m / 3))


def _filtered(values: torch.Tensor, closed: bool, sigma: float) -> torch.Tensor:
    """Gaussian filter along N of (N, C); ends of open curves are mirrored around themselves."""
    reach = min(int(3 * sigma) + 1, len(values) - 1)
    if reach < 1:
        return values
    offsets = torch.arange(-reach, reach + 1, dtype=values.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, -1)
    rows = values.T[:, None]  # (C, 1, N)
    if closed:
        rows = pad(rows, (reach, reach), mode='circular')
    else:
        head = 2 * rows[..., :1] - rows[..., 1 : reach + 1].flip(-1)
        tail = 2 * rows[..., -1:] - rows[..., -reach - 1 : -1].flip(-1)
        rows = torch.cat([head, rows, tail], -1)
    return conv1d(rows, kernel)[:, 0].T


def smoothed(curve: torch.Tensor, closed: bool, sigma: float) -> torch.Tensor:
    """Curve (N, 3) after a Gaussian filter of `sigma` points; open ends stay in place."""
    return _filtered(curve, closed, sigma)


def smooth_noise(
    frames: int, period: int, closed: bool, generator: torch.Generator
) -> torch.Tensor:
    """Smooth random signal (F,) of about unit amplitude that changes over `period` frames."""
    margin = 0 if closed else 2 * period
    white = torch.randn(frames + 2 * margin, 1, generator=generator)
    sigma = period / 3
    smooth = _filtered(white, closed, sigma)[margin : margin + frames, 0]
    # White noise of unit variance keeps 1 / (2 sqrt(pi) sigma) of it.
    return (smooth * math.sqrt(2 * math.sqrt(math.pi) * sigma) * 0.6).clamp(-1.5, 1.5)


def _segment(start: torch.Tensor, end: torch.Tensor, step_m: float) -> torch.Tensor:
    """Evenly spaced points (N, 3) from start (included) to end (not included)."""
    count = max(1, math.ceil(float((end - start).norm()) / step_m))
    return start + (end - start) * (torch.arange(count) / count)[:, None]


def _candidates(
    scene: Scenes, margin: float, height: float | None, generator: torch.Generator
) -> torch.Tensor:
    """Random free points (N', 3): at one height, or between knee and eye."""
    low, high = scene.walk_low[0], scene.walk_high[0]
    points = low + torch.rand(CANDIDATES, 3, generator=generator) * (high - low)
    if height is None:
        top = min(1.9, float(high[2]) - margin - 0.1)
        points[:, 2] = 0.8 + (top - 0.8) * torch.rand(CANDIDATES, generator=generator)
    else:
        points[:, 2] = height
    return points[clearance_m(scene, points) > margin]


def _free_leg(
    scene: Scenes, corners: list[torch.Tensor], ends: torch.Tensor, plan: Plan, longest_m: float
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """First of `ends` (N', 3) reached by a free straight leg without a U-turn, and the leg."""
    start = corners[-1]
    for end in ends:
        distance = float((end - start).norm())
        if not 0.25 * longest_m < distance < longest_m:
            continue
        if len(corners) > 1 and float((end - start) @ (start - corners[-2])) < 0:
            continue
        leg = _segment(start, end, plan.step_m)
        # Corners are rounded and pushed clear later: legs may be a little tighter.
        if bool((clearance_m(scene, leg) > 0.8 * plan.margin_m).all()):
            return end, leg
    return None


def random_polyline(
    scene: Scenes, plan: Plan, shrink: float, generator: torch.Generator
) -> torch.Tensor | None:
    """
    Polyline (N, 3) of free legs; None when the search gets stuck.

    `shrink` in (0, 1] scales the longest leg.
    """
    height = float(0.35 + 0.85 * torch.rand((), generator=generator)) if plan.planar else None
    found = _candidates(scene, plan.margin_m, height, generator)
    if len(found) == 0:
        return None
    longest_m = plan.longest_m(shrink)
    corners, legs, total_m = [found[0]], [], 0.0
    for _ in range(60):
        if plan.closed and len(legs) >= 3 and total_m >= 0.6 * plan.length_m:
            home = _free_leg(scene, corners, corners[:1], plan, 1.6 * longest_m)
            if home is not None:
                return torch.cat([*legs, home[1]])
            if len(legs) > 8:
                return None
        elif not plan.closed and total_m >= plan.length_m:
            return torch.cat([*legs, corners[-1][None]])
        options = _candidates(scene, plan.margin_m, height, generator)
        onward = _free_leg(scene, corners, options, plan, longest_m)
        if onward is not None:
            total_m += float((onward[0] - corners[-1]).norm())
            corners.append(onward[0])
            legs.append(onward[1])
    return None


def push_clear(
    scene: Scenes, curve: torch.Tensor, margin: float, planar: bool, rounds: int = 8
) -> torch.Tensor:
    """Move points (N, 3) up the clearance's slope until they are `margin` clear, if possible."""
    axes = torch.eye(3)[: 2 if planar else 3] * 0.01
    for _ in range(rounds):
        distance = clearance_m(scene, curve)
        lacking = (margin - distance).clamp(0, 0.1)
        if not bool(lacking.any()):
            break
        slope = torch.stack(
            [clearance_m(scene, curve + a) - clearance_m(scene, curve - a) for a in axes], 1
        )
        slope = slope / slope.norm(dim=1, keepdim=True).clamp_min(1e-6)
        curve = curve.clone()
        curve[:, : len(axes)] += slope * lacking[:, None] * 1.1
    return curve


def headings_of(tangent: torch.Tensor, closed: bool, sigma: float) -> torch.Tensor:
    """Yaw (F,) of tangents (F, 3), unwrapped and filtered over `sigma` frames."""
    yaw = torch.atan2(tangent[:, 1], tangent[:, 0])
    ends = torch.cat([yaw, yaw[:1]]) if closed else yaw
    turns = torch.remainder(ends[1:] - ends[:-1] + math.pi, 2 * math.pi) - math.pi
    unwrapped = yaw[0] + torch.cat([torch.zeros(1), turns.cumsum(0)])
    trend = torch.zeros(len(unwrapped))
    if closed:  # a loop turns by whole turns, which a periodic filter may not see
        trend = torch.linspace(0, 1, len(unwrapped)) * (unwrapped[-1] - unwrapped[0])
    rest = (unwrapped - trend)[: len(yaw), None]
    return _filtered(rest, closed, sigma)[:, 0] + trend[: len(yaw)]


def arc_lengths(curve: torch.Tensor, closed: bool) -> torch.Tensor:
    """Distance travelled at each point (N,); for closed curves also back at the start (N + 1,)."""
    ends = torch.cat([curve, curve[:1]]) if closed else curve
    steps = (ends[1:] - ends[:-1]).norm(dim=1)
    return torch.cat([torch.zeros(1), steps.cumsum(0)])


def points_at(
    curve: torch.Tensor, arc: torch.Tensor, travelled: torch.Tensor, closed: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions (F, 3) and smooth unit tangents (F, 3) at distances `travelled` (F,)."""
    if len(curve) == 1:
        ahead = torch.tensor([1.0, 0.0, 0.0]).expand(len(travelled), 3)
        return curve.expand(len(travelled), 3).clone(), ahead
    ends = torch.cat([curve, curve[:1]]) if closed else curve
    steps = _filtered(ends[1:] - ends[:-1], closed, 5.0)
    index = (torch.searchsorted(arc, travelled, right=True) - 1).clamp(0, len(ends) - 2)
    span = (arc[index + 1] - arc[index]).clamp_min(1e-9)
    share = ((travelled - arc[index]) / span).clamp(0, 1)[:, None]
    position = torch.lerp(ends[index], ends[index + 1], share)
    onward = (index + 1) % len(steps) if closed else (index + 1).clamp_max(len(steps) - 1)
    tangent = torch.lerp(steps[index], steps[onward], share)
    return position, tangent / tangent.norm(dim=1, keepdim=True).clamp_min(1e-9)
