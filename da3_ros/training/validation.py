"""
How good the network is on held-out windows, measured on the device in the middle of a run.

The same numbers as ``da3 evaluate`` gives (depth after one median scale a window, angles of all
pairs of views), in PyTorch so that a validation takes milliseconds.

Shapes: B windows, V views.
"""

from da3_ros.model.camera_head import decode_cameras, matrix_from_quaternion
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.training.data import Windows
from da3_ros.training.heldout import first_views
from da3_ros.training.step import predict
import torch
from torch import Tensor

WINDOWS_PER_PASS = 8
WIDE_BASELINE = 0.05  # of the window's median depth
AUC_DEG = 30


def depth_scores(depth: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """AbsRel and delta 1 (B,) of depth (B, V, H, W) after a median scale; NaN is left out."""
    valid = truth.isfinite()
    predicted = torch.where(valid, depth, torch.nan).flatten(1)
    truth = truth.flatten(1)
    scale = truth.nanmedian(1).values / predicted.nanmedian(1).values
    ratio = predicted * scale[:, None] / truth
    good = torch.maximum(ratio, 1 / ratio) < 1.25
    count = valid.flatten(1).sum(1).clamp_min(1)
    return (ratio - 1).abs().nansum(1) / count, good.sum(1) / count


def pair_angles(world_from_camera: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotation error, direction error (deg) and true baseline (B, pairs) of all pairs of views."""
    first, second = torch.triu_indices(*(2 * [truth.shape[1]]), 1, device=truth.device)

    def motions(poses: Tensor) -> tuple[Tensor, Tensor]:
        rotation = poses[:, first, :3, :3].transpose(-1, -2)
        offset = poses[:, second, :3, 3] - poses[:, first, :3, 3]
        return rotation @ poses[:, second, :3, :3], (rotation @ offset[..., None])[..., 0]

    (turn, move), (true_turn, true_move) = motions(world_from_camera), motions(truth)
    error = (turn.transpose(-1, -2) @ true_turn).double()
    sine = (error - error.transpose(-1, -2)).flatten(-2).norm(dim=-1) / 8**0.5
    cosine = (error.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    across = torch.linalg.cross(move, true_move).norm(dim=-1)
    along = (move * true_move).sum(-1).abs()
    rotation = torch.rad2deg(torch.atan2(sine, cosine)).float()
    direction = torch.rad2deg(torch.atan2(across, along))
    return rotation, direction, true_move.norm(dim=-1)


def auc(worst_deg: Tensor, threshold: int = AUC_DEG) -> Tensor:
    """Area under the recall curve of errors (P,), in bins of one degree."""
    limits = torch.arange(1, threshold + 1, device=worst_deg.device)
    return (worst_deg[:, None] < limits).float().mean(0).mean()


@torch.no_grad()
def validate(net: AnyViewNetwork, windows: Windows, views: int, known: bool) -> dict[str, float]:
    """Score the network on the first ``views`` views of each window, told the cameras or not."""
    windows = first_views(windows, views)
    windows = windows._replace(known=torch.full_like(windows.known, known))
    size = windows.images.shape[-2], windows.images.shape[-1]
    scores: dict[str, list[Tensor]] = {}

    def note(**values: Tensor) -> None:
        for name, value in values.items():
            scores.setdefault(name, []).append(value.flatten())

    for part in zip(*(x.split(WINDOWS_PER_PASS) for x in windows), strict=True):
        part = Windows(*part)
        outputs = predict(net, part)
        abs_rel, delta1 = depth_scores(outputs.depth, part.depth_m)
        cameras = decode_cameras(outputs.cameras, size)
        fov = 2 * torch.atan(size[1] / 2 / cameras.intrinsics[..., 0, 0])
        true_fov = 2 * torch.atan(size[1] / 2 / part.intrinsics[..., 0, 0])
        note(abs_rel=abs_rel, delta1=delta1, fov_deg=torch.rad2deg((fov - true_fov).abs()))
        if views > 1:
            rotation = matrix_from_quaternion(outputs.cameras[..., 3:7])
            poses = torch.cat((rotation, outputs.cameras[..., :3, None]), -1)
            truth = part.world_from_camera
            turn, direction, baseline = pair_angles(poses, truth)
            median = part.depth_m.flatten(1).nanmedian(1).values[:, None]
            note(rotation=turn, direction=direction, wide=baseline > WIDE_BASELINE * median)
    joined = {name: torch.cat(values) for name, values in scores.items()}
    result = {name: joined[name].nanmean() for name in ('abs_rel', 'delta1', 'fov_deg')}
    if views > 1:
        worst = torch.maximum(joined['rotation'], joined['direction'])
        wide = joined['wide']
        result |= {
            'rotation_deg': joined['rotation'].median(),
            'direction_deg': joined['direction'][wide].median(),
            'auc30': auc(worst),
            'auc30_wide': auc(worst[wide]),
        }
    return {name: float(value) for name, value in result.items()}
