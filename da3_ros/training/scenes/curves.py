"""Curves in free space: random polylines, smoothing, pushing out of obstacles, arc length.

Legend: N points of a curve, F frames.
"""

from __future__ import annotations

import math

import torch
from torch.nn.functional import conv1d, pad

from da3_ros.training.scenes.clearance import clearance_m
from da3_ros.training.scenes.scene import Scenes

LANES = 96  # candidate waypoints tried at a time


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
    points = low + torch.rand(LANES, 3, generator=generator) * (high - low)
    if height is None:
        top = min(1.9, float(high[2]) - margin - 0.1)
        points[:, 2] = 0.8 + (top - 0.8) * torch.rand(LANES, generator=generator)
    else:
        points[:, 2] = height
    return points[clearance_m(scene, points) > margin]


def random_polyline(
    scene: Scenes,
    length_m: float,
    margin: float,
    planar: bool,
    closed: bool,
    shrink: float,
    step_m: float,
    generator: torch.Generator,
) -> torch.Tensor | None:
    """Polyline (N, 3) of free legs at least `length_m` long (closed: three legs or more).

    `shrink` scales the longest leg of 4 m. None when the search gets stuck.
    """
    height = float(0.35 + 0.85 * torch.rand((), generator=generator)) if planar else None
    found = _candidates(scene, margin, height, generator)
    if len(found) == 0:
        return None
    corners, pieces, total = [found[0]], [], 0.0
    legs = 0
    for _ in range(60):
        ready = total >= length_m if not closed else (legs >= 3 and total >= 0.7 * length_m)
        if ready and not closed:
            break
        options = [corners[0]] if ready else list(_candidates(scene, margin, height, generator))
        here = corners[-1]
        leg = None
        for option in options:
            distance = float((option - here).norm())
            if not 0.3 * shrink < distance < 4.0 * shrink + (2.0 if ready else 0.0):
                continue
            leg = _segment(here, option, step_m)
            if bool((clearance_m(scene, leg) > margin * 0.8).all()):
                break
            leg = None
        if leg is None and not ready:
            continue
        if leg is not None:
            pieces.append(leg)
            total += float((option - here).norm())
            legs += 1
            if ready:
                return torch.cat(pieces)
            corners.append(option)
        else:  # cannot close from here: wander on
            onward = _candidates(scene, margin, height, generator)
            corners = _wander(scene, corners, onward, pieces, margin, step_m)
    if closed or total < length_m:
        return None
    return torch.cat([*pieces, corners[-1][None]])


def _wander(
    scene: Scenes,
    corners: list[torch.Tensor],
    options: torch.Tensor,
    pieces: list[torch.Tensor],
    margin: float,
    step_m: float,
) -> list[torch.Tensor]:
    """Add one free leg towards the first option that can be reached."""
    for option in options:
        leg = _segment(corners[-1], option, step_m)
        if bool((clearance_m(scene, leg) > margin * 0.8).all()):
            pieces.append(leg)
            return [*corners, option]
    return corners


def push_clear(
    scene: Scenes, curve: torch.Tensor, margin: float, planar: bool, rounds: int = 8
) -> torch.Tensor:
    """Move points (N, 3) up the clearance's slope until they are `margin` clear, if they can be."""
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
