"""Sequences in the package's own layout: what ``da3_ros.evaluation.sequences`` reads."""

from functools import partial
from pathlib import Path

from da3_ros.evaluation.datasets.dataset import Dataset, Scene
from da3_ros.evaluation.depth import resize_nearest
from da3_ros.evaluation.frame_choice import Spread
from da3_ros.evaluation.sequences import read_sequence, Sequence
from da3_ros.evaluation.surface_rules import (
    OUTDOORS,
    SampledSurface,
    seen_surface,
    SENSED_ROOM,
)
from da3_ros.evaluation.tsdf import DepthView
import numpy as np

# With less of a picture's depth known there is no surface to compare: a LiDAR's dots.
_DENSE = 0.2
# Where half of all that is seen is farther away, the rule of the outdoors holds.
_ROOM_M = 5.0


def _scenes(root: Path) -> list[str]:
    if (root / 'poses.txt').is_file():
        return ['.']
    return sorted(path.parent.name for path in root.glob('*/poses.txt'))


def _view(sequence: Sequence, frame: int) -> DepthView:
    """Return a frame's true depth, which may be coarser than its picture."""
    height, width = sequence.rgb(frame).shape[:2]
    pose = sequence.world_from_camera[frame]
    return DepthView(sequence.depth_m(frame), (width, height), sequence.intrinsics[frame], pose)


def _is_valid(sequence: Sequence, frame: int) -> np.ndarray:
    height, width = sequence.rgb(frame).shape[:2]
    return resize_nearest(np.isfinite(sequence.depth_m(frame)), height, width)


def _surface(sequence: Sequence, rule: object, frames: list[int]) -> SampledSurface:
    return seen_surface([_view(sequence, frame) for frame in frames], rule)


def _read(root: Path, name: str) -> Scene:
    folder = root / name
    sequence = read_sequence(folder)
    parts = {}
    if sequence.depth_paths:
        parts['depth_m'] = sequence.depth_m
        first = sequence.depth_m(0)
        if np.isfinite(first).mean() >= _DENSE:
            rule = SENSED_ROOM if np.nanmedian(first) < _ROOM_M else OUTDOORS
            parts['is_valid'] = partial(_is_valid, sequence)
            parts['surface'] = partial(_surface, sequence, rule)
    return Scene(
        name=folder.resolve().name,
        world_from_camera=sequence.world_from_camera,
        intrinsics=sequence.intrinsics,
        rgb=sequence.rgb,
        **parts,
    )


SEQUENCE = Dataset(
    'sequence',
    'images, depth, poses.txt and intrinsics.json, or folders of these',
    _scenes,
    _read,
    Spread(),
)
