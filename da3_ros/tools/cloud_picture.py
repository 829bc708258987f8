"""Point clouds drawn on the CPU, for films: perspective, a depth buffer, edges shaded by depth."""

from dataclasses import dataclass

import cv2
import numpy as np

_ABOVE, _BELOW = np.array([26, 31, 41]), np.array([9, 10, 14])
# How much darker a pixel is for each doubling of the distance to what it stands behind.
_SHADING, _MAX_STEP = 1.1, 0.3
# Points are discs of this many pixels at most, drawn pixel by pixel of the disc, the rim first.
_MAX_RADIUS = 3
_DISC = sorted(
    (
        (dv, du)
        for dv in range(-_MAX_RADIUS, _MAX_RADIUS + 1)
        for du in range(-_MAX_RADIUS, _MAX_RADIUS + 1)
        if dv * dv + du * du <= _MAX_RADIUS**2
    ),
    key=lambda place: -(place[0] ** 2 + place[1] ** 2),
)
# The middle of a point is drawn over rims that are nearer by no more than this.
_SAME_SURFACE = 1.01
_NEIGHBOURS = ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1))


@dataclass(frozen=True)
class Eye:
    """Who looks: ``eye_from_map`` (4, 4) optical, ``focal`` in pixels, the size of the picture."""

    eye_from_map: np.ndarray
    focal: float
    width: int
    height: int

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the pixels (N, 2) of points (N, 3) in the map, and their depth (N,)."""
        in_eye = points @ self.eye_from_map[:3, :3].T + self.eye_from_map[:3, 3]
        depth = in_eye[:, 2]
        with np.errstate(divide='ignore', invalid='ignore'):
            pixels = in_eye[:, :2] / depth[:, None] * self.focal
        return pixels + (self.width / 2, self.height / 2), depth


def looking_at(
    target: np.ndarray, direction: np.ndarray, up: np.ndarray, distance: float
) -> np.ndarray:
    """Return eye_from_map (4, 4) of somebody who looks along ``direction`` at ``target``."""
    forward = direction / np.linalg.norm(direction)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    eye_from_map = np.eye(4)
    eye_from_map[:3, :3] = rotation
    eye_from_map[:3, 3] = -rotation @ (target - distance * forward)
    return eye_from_map


def draw_cloud(eye: Eye, points: np.ndarray, rgb: np.ndarray, size: np.ndarray) -> np.ndarray:
    """
    Return a picture (height, width, 3) uint8 of a cloud.

    ``points`` (N, 3) in the map, ``rgb`` (N, 3) uint8, and ``size`` (N,) of each point in the map.
    """
    pixels, depth = eye.project(points)
    order = np.argsort(-depth, kind='stable')  # the nearest is drawn last
    order = order[depth[order] > 1e-6]
    pixels, depth, rgb = np.floor(pixels[order]).astype(np.int64), depth[order], rgb[order]
    radius = np.clip(0.5 * size[order] * eye.focal / depth, 0.5, _MAX_RADIUS)
    colours = np.zeros((eye.height, eye.width, 3), np.uint8)
    depths = np.full((eye.height, eye.width), np.inf, np.float32)
    for dv, du in _DISC:
        column, row = pixels[:, 0] + du, pixels[:, 1] + dv
        is_seen = radius >= np.hypot(dv, du)
        is_seen &= (column >= 0) & (column < eye.width) & (row >= 0) & (row < eye.height)
        column, row, near, colour = (a[is_seen] for a in (column, row, depth, rgb))
        is_nearest = near <= depths[row, column] * _SAME_SURFACE
        column, row = column[is_nearest], row[is_nearest]
        depths[row, column] = near[is_nearest]
        colours[row, column] = colour[is_nearest]
    return _shaded(colours, depths)


def draw_line(
    picture: np.ndarray, eye: Eye, points: np.ndarray, colour: tuple[int, int, int], width: int = 1
) -> None:
    """Draw a line through points (N, 3) in the map, over what is there."""
    pixels, depth = eye.project(points)
    pixels = np.where(depth[:, None] > 1e-6, pixels, np.nan)
    for a, b in zip(pixels[:-1], pixels[1:], strict=True):
        if np.isfinite([a, b]).all() and np.abs([a, b]).max() < 1e4:
            ends = [tuple(int(round(16 * x)) for x in end) for end in (a, b)]
            cv2.line(picture, *ends, colour, width, cv2.LINE_AA, shift=4)


def _shaded(colours: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """Return colours darkened behind edges, over a background."""
    is_drawn = np.isfinite(depths)
    steps = np.log2(np.where(is_drawn, depths, 1e6))
    total = np.zeros_like(steps)
    for dv, du in _NEIGHBOURS:
        total += np.clip(steps - np.roll(steps, (dv, du), (0, 1)), 0.0, _MAX_STEP)
    light = np.exp(-_SHADING * total)[..., None]
    share = np.linspace(0.0, 1.0, len(colours))[:, None, None]
    background = np.broadcast_to((1 - share) * _ABOVE + share * _BELOW, colours.shape)
    return np.where(is_drawn[..., None], colours * light, background).round().astype(np.uint8)
