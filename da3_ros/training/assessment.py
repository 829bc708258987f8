"""
How good a network is on windows with truth: the full set of numbers, after the benchmark's rules.

Depth after one median scale a window; angles of all pairs of views and the area under their
recall; field of view; and how well the network agrees with itself: the depth of one view, moved
by the predicted poses, against the depth of another.

Shapes: V views, H x W pixels.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
from da3_ros.errors import InputError
from da3_ros.evaluation.baselines import constant_depth, floor_depth
from da3_ros.evaluation.depth import depth_metrics, mean_metrics, resize_nearest
from da3_ros.evaluation.inference import window_from_camera
from da3_ros.evaluation.pose import pair_errors, PairErrors, pose_auc, pose_aucs
from da3_ros.evaluation.sequences import read_sequence
from da3_ros.geometry.cameras import scale_intrinsics
from da3_ros.geometry.transforms import invert
from da3_ros.model.camera_head import normalise_poses
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.prediction import Prediction
from da3_ros.training.data import normalise, Windows
from da3_ros.training.heldout import first_views, held_out_windows, HeldOutConfig
import numpy as np
import torch
from tqdm import tqdm

# Pairs whose baseline is at least this share of the window's median depth.
WIDE_BASELINE = 0.05
# A point is the same surface if the two depths differ less than this; else something is in front.
SAME_SURFACE = 0.25
SYNTHETIC_SIZE = (168, 224)
# The first of the held-out scenes that are measured on.
SYNTHETIC_FIRST = 1000


def synthetic_windows(count: int, views: int, device: torch.device) -> Windows:
    """Render held-out windows at the size of training, on scenes of their own."""
    config = HeldOutConfig(count, views, *SYNTHETIC_SIZE, first=SYNTHETIC_FIRST)
    return held_out_windows(config, device)


def sequence_windows(root: Path, views: int, longer: int, device: torch.device) -> Windows:
    """
    Cut a sequence on disk into windows of ``views`` evenly spaced frames each.

    Raises:
        InputError: if the sequence has fewer frames or no depth.

    """
    sequence = read_sequence(root)
    if len(sequence) < views or not sequence.depth_paths:
        raise InputError(
            f'{root} has {len(sequence)} frames and {len(sequence.depth_paths)} depth images; '
            f'expected at least {views} of both.'
        )
    count = len(sequence) // views
    frames = np.arange(count * views).reshape(views, count).T  # spread over the sequence
    parts = [_read_window(sequence, list(window), longer) for window in frames]
    images, depth, poses, intrinsics = (
        torch.from_numpy(np.stack(x)).float().to(device) for x in zip(*parts)
    )
    known = torch.zeros(count, dtype=torch.bool, device=device)
    return Windows(normalise(images), depth, poses, intrinsics, known)


def _read_window(sequence: object, frames: list[int], longer: int) -> tuple[np.ndarray, ...]:
    """Pictures (V, 3, H, W) in [0, 1], depth (V, H, W), poses and intrinsics of some frames."""
    height, width = sequence.rgb(frames[0]).shape[:2]
    scale = longer / max(height, width)
    to = tuple(max(14, round(side * scale / 14) * 14) for side in (width, height))
    pictures, depths = [], []
    for frame in frames:
        picture = cv2.resize(sequence.rgb(frame), to, interpolation=cv2.INTER_AREA)
        pictures.append(picture.transpose(2, 0, 1) / 255.0)
        depths.append(resize_nearest(sequence.depth_m(frame), to[1], to[0]))
    first = invert(sequence.world_from_camera[frames[0]])
    poses = first @ sequence.world_from_camera[frames]
    intrinsics = [scale_intrinsics(k, (width, height), to) for k in sequence.intrinsics[frames]]
    return np.stack(pictures), np.stack(depths), poses, np.stack(intrinsics)


def assess(
    net: AnyViewNetwork, windows: Windows, views: int, known: bool, pose_from: str = 'camera'
) -> dict[str, float]:
    """Score a network on the first ``views`` views of each window; NaN where nothing compares."""
    windows = first_views(windows, views)
    depth, errors, wide, fov, agreement = [], [], [], [], []
    for truth, prediction in _predictions(net, windows, known, pose_from):
        true_depth = truth.depth_m[0].cpu().numpy()
        predicted = prediction.depth[0].float().cpu().numpy()
        depth.append(depth_metrics(predicted, true_depth, 'median'))
        fov.extend(_fov_errors_deg(prediction, truth))
        if views > 1:
            poses = window_from_camera(prediction)
            true_poses = truth.world_from_camera[0].double().cpu().numpy()
            errors.append(pair_errors(poses, true_poses))
            first, second = np.triu_indices(views, k=1)
            baseline = np.linalg.norm(true_poses[first, :3, 3] - true_poses[second, :3, 3], axis=1)
            wide.append(baseline >= WIDE_BASELINE * np.nanmedian(true_depth))
            agreement.append(_disagreement(predicted, poses, prediction))
    mean = mean_metrics(depth)
    scores = {'abs_rel': mean.abs_rel, 'delta1': mean.delta1, 'fov_deg': float(np.median(fov))}
    if views > 1:
        scores |= _pose_scores(errors, np.concatenate(wide))
        scores['reprojection'] = float(np.nanmean(agreement))
    return scores


def assess_baseline(name: str, windows: Windows, views: int) -> dict[str, float]:
    """Score depth without learning ('constant' or 'floor') under the same alignment."""
    windows = first_views(windows, views)
    height, width = windows.depth_m.shape[-2:]
    depth = []
    for truth, intrinsics in zip(windows.depth_m.cpu().numpy(), windows.intrinsics.cpu().numpy()):
        if name == 'constant':
            predicted = constant_depth(len(truth), height, width)
        else:
            predicted = floor_depth(intrinsics, height, width)
        depth.append(depth_metrics(predicted, truth, 'median'))
    mean = mean_metrics(depth)
    return {'abs_rel': mean.abs_rel, 'delta1': mean.delta1}


def _pose_scores(errors: list[PairErrors], wide: np.ndarray) -> dict[str, float]:
    rotation = np.concatenate([e.rotation_deg for e in errors])
    translation = np.concatenate([e.translation_deg for e in errors])
    scores = pose_aucs(PairErrors(rotation, translation))
    scores['rotation_deg'] = float(np.median(rotation))
    if wide.any():
        scores['direction_deg'] = float(np.median(translation[wide]))
        scores['auc30_wide'] = pose_auc(PairErrors(rotation[wide], translation[wide]), 30)
    return scores


@torch.inference_mode()
def _predictions(
    net: AnyViewNetwork, windows: Windows, known: bool, pose_from: str
) -> Iterator[tuple[Windows, Prediction]]:
    """Run the network as its users do, window by window."""
    count = len(windows.images)
    for i in tqdm(range(count), 'evaluate', unit='window', leave=False, disable=None):
        window = Windows(*(x[i : i + 1] for x in windows))
        cameras = {}
        if known:
            camera_from_world = torch.linalg.inv(window.world_from_camera)
            poses = normalise_poses(camera_from_world).camera_from_reference
            cameras = {'camera_from_world': poses, 'intrinsics': window.intrinsics}
        images = window.images.to(net.dtype)
        yield window, net(images, **cameras, reference='first', pose_from=pose_from)


def _fov_errors_deg(prediction: Prediction, truth: Windows) -> list[float]:
    """Errors of the horizontal field of view of each view."""
    width = truth.images.shape[-1]
    angles = [
        2 * torch.atan(0.5 * width / k[0, :, 0, 0].double().cpu())
        for k in (prediction.intrinsics, truth.intrinsics)
    ]
    return torch.rad2deg((angles[0] - angles[1]).abs()).tolist()


def _disagreement(depth: np.ndarray, poses: np.ndarray, prediction: Prediction) -> float:
    """Median relative difference between depth moved from view to view and the depth there."""
    k = prediction.intrinsics[0].double().cpu().numpy()
    views, height, width = depth.shape
    v, u = np.mgrid[0:height:4, 0:width:4] + 0.5
    found = []
    for i in range(views):
        pixels = np.stack([u, v, np.ones_like(u)]).reshape(3, -1)
        points = np.linalg.inv(k[i]) @ pixels * depth[i, ::4, ::4].reshape(-1)
        for j in range(views):
            if i == j:
                continue
            other_from_one = invert(poses[j]) @ poses[i]
            x, y, z = other_from_one[:3, :3] @ points + other_from_one[:3, 3:]
            z = np.where(z > 1e-6, z, np.nan)
            column, row = k[j][0, 0] * x / z + k[j][0, 2], k[j][1, 1] * y / z + k[j][1, 2]
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            seen = depth[j][row[inside].astype(int), column[inside].astype(int)]
            difference = np.abs(z[inside] / seen - 1)
            found.append(difference[difference < SAME_SURFACE])
    joined = np.concatenate(found)
    return float(np.median(joined)) if len(joined) else float('nan')
