"""
One window of a benchmark: what the network sees, and every score of what it says.

Modes: ``pose``, areas under the recall of relative poses; ``depth``, of the whole window after one
median scale; ``recon_unposed``, the surface that depth and poses make, brought to the truth by its
cameras; ``recon_posed``, the surface of a network that was told the true cameras.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import cache

from da3_ros.errors import InputError
from da3_ros.evaluation.datasets.dataset import Scene
from da3_ros.evaluation.depth import at_truth, depth_metrics
from da3_ros.evaluation.inference import Inferred, SceneNetwork
from da3_ros.evaluation.pose import pair_errors, pose_aucs
from da3_ros.evaluation.ransac_alignment import ransac_similarity
from da3_ros.evaluation.surface_rules import TrueSurface
from da3_ros.evaluation.surface_scores import NOTHING, SurfaceScores
from da3_ros.evaluation.trajectory import is_static
from da3_ros.evaluation.tsdf import DepthView
from da3_ros.geometry.cameras import scale_intrinsics
import numpy as np

MODES = ('pose', 'depth', 'recon_unposed', 'recon_posed')
# With fewer views there are no baselines to tell a scale from.
_FEWEST_FOR_POSES = 2


def modes_of(scene: Scene, frames: Sequence[int]) -> tuple[str, ...]:
    """Return the modes that a scene has the truth for; cameras in one place tell no scale."""
    has_poses = len(frames) >= _FEWEST_FOR_POSES
    has_scale = has_poses and not is_static(scene.world_from_camera[list(frames)])
    possible = {
        'pose': has_poses,
        'depth': scene.depth_m is not None,
        'recon_unposed': has_scale and scene.surface is not None,
        'recon_posed': has_scale and scene.surface is not None,
    }
    return tuple(mode for mode in MODES if possible[mode])


def window_scores(
    scene: Scene, frames: Sequence[int], modes: Sequence[str], network: SceneNetwork
) -> dict[str, float]:
    """
    Return the scores of some frames of a scene, of those modes that it has the truth for.

    Names: ``auc3`` ... ``auc30``; ``abs_rel``, ``delta1``; ``f1``, ``chamfer``, ``accuracy``,
    ``completeness``, ``precision`` and ``recall`` with ``recon_unposed_`` or ``recon_posed_``
    before them. What is not defined is left out.

    Raises:
        InputError: if a file of the scene is missing or can't be read.

    """
    frames = list(frames)
    modes = [mode for mode in modes if mode in modes_of(scene, frames)]
    if not modes:
        return {}
    sizes: dict[int, tuple[int, int]] = {}
    true_poses = scene.world_from_camera[frames]
    surface = cache(lambda: scene.surface(frames))  # large, and of no use to some windows
    scores: dict[str, float] = {}
    if set(modes) - {'recon_posed'}:
        inferred = network.infer(_pictures(scene, frames, sizes))
        if 'pose' in modes:
            scores |= pose_aucs(pair_errors(inferred.world_from_camera, true_poses))
        if 'depth' in modes:
            scores |= _depth_scores(scene, frames, inferred)
        if 'recon_unposed' in modes:
            found = _unposed_surface(scene, frames, inferred, sizes, surface)
            scores |= _named('recon_unposed', found)
    if 'recon_posed' in modes:
        k = scene.intrinsics[frames]
        inferred = network.infer(_pictures(scene, frames, sizes), true_poses, k)
        views = _views(scene, frames, inferred, sizes, true_poses, k, 1.0)
        scores |= _named('recon_posed', surface().score(views, True))
    return scores


def _pictures(
    scene: Scene, frames: Sequence[int], sizes: dict[int, tuple[int, int]]
) -> Iterator[np.ndarray]:
    """Read pictures one by one, for all at once may be gigabytes, and note (width, height)."""
    for frame in frames:
        picture = scene.rgb(frame)
        sizes[frame] = picture.shape[1], picture.shape[0]
        yield picture


def _depth_scores(scene: Scene, frames: Sequence[int], inferred: Inferred) -> dict[str, float]:
    """Score the depth of a window where the truth is known, at the truth's pixels."""
    pairs = [
        at_truth(depth, scene.depth_m(frame))
        for frame, depth in zip(frames, inferred.depth, strict=True)
    ]
    predicted, true = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    found = depth_metrics(predicted, true, 'median')
    return {'abs_rel': found.abs_rel, 'delta1': found.delta1} if found.pixels else {}


def _unposed_surface(
    scene: Scene,
    frames: Sequence[int],
    inferred: Inferred,
    sizes: dict[int, tuple[int, int]],
    surface: Callable[[], TrueSurface],
) -> SurfaceScores:
    """Bring depth and predicted cameras to the truth, and score the surface that they make."""
    if is_static(inferred.world_from_camera):
        return NOTHING
    true_from_own = ransac_similarity(inferred.world_from_camera, scene.world_from_camera[frames])
    poses = true_from_own.apply_to_pose(inferred.world_from_camera)
    k = np.stack(
        [
            scale_intrinsics(own, depth.shape[::-1], sizes[frame])
            for own, depth, frame in zip(inferred.intrinsics, inferred.depth, frames, strict=True)
        ]
    )
    views = _views(scene, frames, inferred, sizes, poses, k, true_from_own.scale)
    return surface().score(views, False)


def _views(
    scene: Scene,
    frames: Sequence[int],
    inferred: Inferred,
    sizes: dict[int, tuple[int, int]],
    poses: np.ndarray,
    intrinsics: np.ndarray,
    scale: float,
) -> list[DepthView]:
    """Return what is fused: depth in the truth's unit, at the size of the pictures."""
    views = []
    for i, frame in enumerate(frames):
        is_valid = scene.is_valid(frame) if scene.is_valid is not None else None
        size = sizes[frame]
        if is_valid is not None and is_valid.shape != size[::-1]:
            raise InputError(
                f'Picture {frame} of {scene.name} is {size[0]} x {size[1]} pixels, and its truth '
                f'{is_valid.shape[1]} x {is_valid.shape[0]}; expected the same.'
            )
        depth = inferred.depth[i] * np.float32(scale)
        views.append(DepthView(depth, size, intrinsics[i], poses[i], is_valid))
    return views


def _named(mode: str, found: SurfaceScores) -> dict[str, float]:
    """Return the scores of a surface that are defined, with the mode before their names."""
    return {f'{mode}_{name}': v for name, v in asdict(found).items() if not np.isnan(v)}
