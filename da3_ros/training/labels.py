"""
What a student learns from: exact truth, corrupted depth, or what a teacher makes of it.

    windows ─ a share of them ─ corrupt ─┬─ no teacher: the corrupted depth is the label
                                         └─ teacher(picture) ─ RANSAC scale, shift ─ dense label

As in the paper: the teacher sees one picture at a time and has learned from clean synthetic depth;
its detail is taken, and its scale and shift come from the measured depth of the same picture.

Shapes: B windows, V views, H x W pixels.
"""

from da3_ros.errors import WeightsError
from da3_ros.model import load_model
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.training.corruption import corrupt
from da3_ros.training.data import Windows
from da3_ros.training.ransac import draw_pixels, fit_scale_shift, SAMPLES
import torch
from torch import Tensor


def read_teacher(source: str, device: torch.device) -> AnyViewNetwork | None:
    """
    Load a teacher in the precision of training; '' is none.

    Raises:
        WeightsError: if the weights are missing or damaged, or not of an any-view network.

    """
    if not source:
        return None
    dtype = torch.bfloat16 if device.type == 'cuda' else torch.float32
    net = load_model(source, device, dtype)
    if not isinstance(net, AnyViewNetwork):
        raise WeightsError(
            f"teacher: '{source}' holds {net.config.name}; expected an any-view network, such as "
            "'da3 train --set monocular=true' makes."
        )
    if device.type == 'cuda':
        net.head.to(memory_format=torch.channels_last)  # as in training
    return net


def aligned(predicted: Tensor, measured_m: Tensor) -> Tensor:
    """
    Bring predicted depth (B, V, H, W) to measured depth, each view by its own scale and shift.

    Returns:
        (B, V, H, W) metres; NaN where the result is not positive, and in views where nothing fits.

    """
    predicted, flat = predicted.flatten(0, 1).flatten(1), measured_m.flatten(0, 1).flatten(1)
    fit = fit_scale_shift(predicted, flat, draw_pixels(flat.isfinite(), SAMPLES))
    depth = fit.scale[:, None] * predicted + fit.shift[:, None]
    good = fit.found[:, None] & (depth > 0)
    return torch.where(good, depth, torch.nan).view_as(measured_m)


class Labels:
    """Replaces the depth of the first ``share`` of the windows; nothing is read back."""

    def __init__(self, share: float, teacher: AnyViewNetwork | None = None) -> None:
        self._share, self._teacher = share, teacher

    @torch.no_grad()
    def __call__(self, windows: Windows) -> Windows:
        """Return windows whose ``depth_m`` is the label; all else stays as it is."""
        count = round(self._share * len(windows.images))
        if count == 0:
            return windows
        truth = windows.depth_m[:count]
        label = corrupt(truth)
        if self._teacher is not None:
            pictures = windows.images[:count].flatten(0, 1)[:, None]  # (B V, 1, 3, H, W)
            predicted = self._teacher(pictures, reference='first').depth[:, 0]
            label = aligned(predicted.float().view_as(truth), label)
            # The paper's teacher knows the sky by a mask of its own; the renderer's stands in.
            label = torch.where(truth.isfinite(), label, torch.nan)
        return windows._replace(depth_m=torch.cat((label, windows.depth_m[count:])))
