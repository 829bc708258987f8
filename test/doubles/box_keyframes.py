"""Keyframes of the box room, as if a network without errors had seen it."""

from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.preprocess import normalise
from da3_ros.engine.runner import WindowView
from doubles.box_room import box_depth
import numpy as np
import torch

WIDTH, HEIGHT = 56, 42
K = np.array([[40.0, 0.0, 28.0], [0.0, 40.0, 21.0], [0.0, 0.0, 1.0]])


def keyframe(pose: np.ndarray, key: int = 0, part: int = 0) -> Keyframe:
    """Return the keyframe that a camera at a pose (4, 4) makes, in metres; noise for a picture."""
    depth = torch.from_numpy(box_depth(pose, K, HEIGHT, WIDTH)).float()
    rgb = np.random.default_rng(key).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    view = WindowView(key, '', 100_000_000 * (key + 1), normalise(rgb))
    return Keyframe(view, rgb, K, depth, torch.ones_like(depth), pose, part=part)


def descriptor(key: int, size: int = 64) -> torch.Tensor:
    """Return a descriptor (D,) of unit length that looks like no other key's."""
    noise = torch.randn(size, generator=torch.Generator().manual_seed(key))
    return noise / noise.norm()
