"""The demo as a film to look at: image, depth, and the cloud as it grows, in one animated GIF."""

from pathlib import Path

import cv2
from da3_ros.ros.recording import RecordedFrame, Recording
from da3_ros.tools.cloud_picture import draw_cloud, draw_line, Eye, looking_at
from da3_ros.tools.colours import colours
from da3_ros.tools.comparison import Comparison
from da3_ros.tools.film import Film
import numpy as np

_WIDTH, _HEIGHT = 600, 300
_SIDE = 200  # the pictures' width
_GAP = 4
# As many pictures a second as the film has, times this; the last one stays for so long [s].
_SPEED, _LAST_S = 2.5, 1.5
# The eye swings by that much to either side of behind the camera, and looks down by that much.
_SWING_DEG, _DOWN_DEG = 14.0, 26.0
_COLOURS = 224
_PATH, _NEWEST, _KEYFRAME = (90, 240, 160), (110, 215, 255), (240, 200, 90)


def write_moving_picture(
    path: Path, film: Film, recording: Recording, comparison: Comparison
) -> None:
    """Write the film; nothing when there is no frame."""
    if not recording.frames:
        return
    pictures = _Pictures(film, recording, comparison)
    frames = [pictures.frame(i) for i in range(len(recording.frames))]
    step_ns = np.median(np.diff(film.stamps_ns)) if len(film) > 1 else 1e8
    durations = [max(20, round(step_ns / 1e6 / _SPEED))] * len(frames)
    durations[-1] = round(1000 * _LAST_S)
    write_gif(path, frames, durations)


def write_gif(path: Path, frames: list[np.ndarray], durations_ms: list[int]) -> None:
    """
    Write pictures (H, W, 3) uint8 as an animated GIF that repeats.

    All share one palette and are not dithered: what does not change costs nothing then.
    """
    from PIL import Image

    shown = np.concatenate(frames[:: max(1, len(frames) // 8)])
    palette = Image.fromarray(shown).quantize(_COLOURS, Image.Quantize.MEDIANCUT)
    images = [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    ]
    images[0].save(
        path, save_all=True, append_images=images[1:], duration=durations_ms, loop=0, optimize=True
    )


class _Pictures:
    """Draws the frames of the film."""

    def __init__(self, film: Film, recording: Recording, comparison: Comparison) -> None:
        self._film = film
        self._frames = recording.frames
        self._comparison = comparison
        self._poses = dict(zip(recording.keyframe_stamps_ns, recording.keyframes, strict=True))
        depth = np.stack([frame.depth_m for frame in self._frames])
        self._range = np.log(np.nanpercentile(depth, (1, 99)))
        places = np.stack([self._pose(frame)[:3, 3] for frame in self._frames])
        points = np.concatenate([self._cloud(i)[0][::37] for i in range(0, len(self._frames), 4)])
        low, high = np.percentile(points, (4, 96), axis=0)
        self._target = 0.6 * (low + high) / 2 + 0.4 * places.mean(0)
        self._distance = 1.35 * np.linalg.norm(high - low) / 2 + 0.4
        ahead = np.sum([self._pose(frame)[:3, 2] for frame in self._frames], axis=0)
        self._up = np.array([0.0, 0.0, 1.0])  # REP 103
        self._ahead = ahead - self._up * (ahead @ self._up)

    def frame(self, i: int) -> np.ndarray:
        """Return the picture (H, W, 3) uint8 of the i-th recorded frame."""
        view = self._frames[i]
        size = (_SIDE, (_HEIGHT - _GAP) // 2)
        image = cv2.resize(
            self._film.rgb[self._comparison.indices[i]], size, interpolation=cv2.INTER_AREA
        )
        depth = cv2.resize(self._coloured(view.depth_m), size, interpolation=cv2.INTER_AREA)
        gap = np.zeros((_HEIGHT - 2 * size[1], _SIDE, 3), np.uint8)
        side = np.concatenate([image, gap, depth])
        return np.concatenate([side, np.zeros((_HEIGHT, _GAP, 3), np.uint8), self._map(i)], axis=1)

    def _map(self, i: int) -> np.ndarray:
        """Return the map as it was known at the i-th frame."""
        width = _WIDTH - _SIDE - _GAP
        turn = np.radians(_SWING_DEG) * np.sin(2 * np.pi * i / max(len(self._frames) - 1, 1))
        right = np.cross(self._ahead, self._up)
        flat = np.cos(turn) * self._ahead + np.sin(turn) * right
        flat = flat / np.linalg.norm(flat)
        direction = flat - np.tan(np.radians(_DOWN_DEG)) * self._up
        eye = Eye(
            looking_at(self._target, direction, self._up, self._distance),
            0.9 * width,
            width,
            _HEIGHT,
        )
        now = self._frames[i].stamp_ns
        shown = [j for j in range(i) if self._frames[j].stamp_ns in self._poses] + [i]
        clouds = [self._cloud(j) for j in shown]
        picture = draw_cloud(eye, *(np.concatenate(parts) for parts in zip(*clouds, strict=True)))
        way = np.stack([self._pose(frame)[:3, 3] for frame in self._frames[: i + 1]])
        draw_line(picture, eye, way, _PATH, 2)
        for stamp, pose in self._poses.items():
            if stamp <= now:
                draw_line(picture, eye, self._frustum(pose, 0.1), _KEYFRAME)
        draw_line(picture, eye, self._frustum(self._pose(self._frames[i]), 0.2), _NEWEST)
        return picture

    def _pose(self, frame: RecordedFrame) -> np.ndarray:
        """Return where a frame is believed to be: keyframes in the end."""
        return self._poses.get(frame.stamp_ns, frame.map_from_camera)

    def _cloud(self, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return points (N, 3) in the map, colours (N, 3) uint8 and sizes (N,) of a frame."""
        frame = self._frames[i]
        pose = self._pose(frame)
        height, width = frame.depth_m.shape
        rgb = self._film.rgb[self._comparison.indices[i]]
        rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
        is_point = np.isfinite(frame.points[..., 2])
        points = frame.points[is_point]
        sizes = 2.8 * points[:, 2] / frame.intrinsics[0, 0]
        return points @ pose[:3, :3].T + pose[:3, 3], rgb[is_point], sizes

    def _frustum(self, pose: np.ndarray, size: float) -> np.ndarray:
        """Return the line (N, 3) in the map that draws a camera in one go."""
        k = self._frames[0].intrinsics
        x, y = k[0, 2] / k[0, 0], k[1, 2] / k[1, 1]
        a, b, c, d = (-x, -y, 1), (x, -y, 1), (x, y, 1), (-x, y, 1)
        eye = (0, 0, 0)
        line = size * np.array([a, b, c, d, a, eye, b, c, eye, d], float)
        return line @ pose[:3, :3].T + pose[:3, 3]

    def _coloured(self, depth_m: np.ndarray) -> np.ndarray:
        """Return depth as colours, near is warm."""
        low, high = self._range
        share = 1.0 - np.clip((np.log(depth_m) - low) / (high - low), 0.0, 1.0)
        return colours(share, cv2.COLORMAP_TURBO)
