"""
Match supervision: two attention heads of the first cross-view blocks learn where things reappear.

Where a patch's surface point appears in other views is known from depth and poses. One head is
trained, by cross-entropy, to put its mass among the *other* views' tokens there; a second one to
put it, among all tokens, on the reference view. Its own logits are recomputed from the block's
input, so neither the network nor its compiled parts know of it.

Shapes: B windows, V views, Q views whose patches are looked for (all of them or some), P = ph * pw
patches of a view, N = 1 + P tokens, T = V * N tokens of a window, D channels of a head.
"""

from types import TracebackType
from typing import NamedTuple

from da3_ros.model.camera_head import invert_rigid
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.layers import Block, rotate
from da3_ros.model.presets import HEAD_DIM
from da3_ros.model.tables import global_rope
from da3_ros.training.data import Windows
import torch
from torch import Tensor
import torch.nn.functional as F

SUPERVISED_BLOCKS = 2
ANY_VIEW_HEAD = 0
REFERENCE_HEAD = 1
# A point is hidden if it lies this much (relative) behind what the other view sees.
HIDDEN_BEHIND = 0.04


class Matches(NamedTuple):
    """
    Where each patch's centre, of the views looked for, appears in each view.

    Attributes:
        view: (Q,) the views that the patches are of.
        patch: (B, Q, P, V, 4) the four patches around it in the second view, row-major.
        share: (B, Q, P, V, 4) bilinear weights, summing to 1.
        seen: (B, Q, P, V) bool: visible there, and the views differ.

    """

    view: Tensor
    patch: Tensor
    share: Tensor
    seen: Tensor


def find_matches(windows: Windows, patch_size: int, chosen: Tensor | None = None) -> Matches:
    """Project the centre of each patch of ``chosen`` views (None: all) into all other views."""
    views, height, width = windows.depth_m.shape[1:]
    rows, columns = height // patch_size, width // patch_size
    device = windows.depth_m.device
    y, x = (torch.arange(n, device=device) * patch_size + patch_size // 2 for n in (rows, columns))
    if chosen is None:
        chosen = torch.arange(views, device=device)
    depth = windows.depth_m[..., y[:, None], x].flatten(2).index_select(1, chosen)  # (B, Q, P)
    k = windows.intrinsics.index_select(1, chosen)
    column = ((x + 0.5) - k[..., 0, 2, None]) / k[..., 0, 0, None]  # (B, Q, pw)
    row = ((y + 0.5) - k[..., 1, 2, None]) / k[..., 1, 1, None]
    ray = torch.stack(
        (
            column[:, :, None].expand(-1, -1, rows, -1),
            row[..., None].expand(-1, -1, -1, columns),
            torch.ones_like(column[:, :, None]).expand(-1, -1, rows, -1),
        ),
        -1,
    ).flatten(2, 3)  # (B, Q, P, 3)
    world_from_camera = windows.world_from_camera.index_select(1, chosen)
    points = ray * depth.nan_to_num()[..., None]
    points = (world_from_camera[:, :, None, :3, :3] * points[..., None, :]).sum(-1)
    points = points + world_from_camera[:, :, None, :3, 3]  # (B, Q, P, 3) in the world
    other = invert_rigid(windows.world_from_camera)[:, None, None]  # (B, 1, 1, V, 3, 4)
    seen_from = (other[..., :3] * points[:, :, :, None, None]).sum(-1) + other[..., 3]
    k = windows.intrinsics[:, None, None]
    z = seen_from[..., 2]
    in_front = z > 0.05
    safe = torch.where(in_front, z, 1.0)
    u = seen_from[..., 0] / safe * k[..., 0, 0] + k[..., 0, 2]  # (B, Q, P, V)
    v = seen_from[..., 1] / safe * k[..., 1, 1] + k[..., 1, 2]
    inside = in_front & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    pixel = v.clamp(0, height - 1).long() * width + u.clamp(0, width - 1).long()
    surface = windows.depth_m.flatten(2)[:, None].expand(-1, len(chosen), -1, -1)  # (B,Q,V,HW)
    surface = surface.gather(3, pixel.transpose(2, 3)).transpose(2, 3)
    in_sight = (z - surface).abs() < HIDDEN_BEHIND * z  # False where the surface is NaN
    differ = chosen[:, None, None] != torch.arange(views, device=device)  # (Q, 1, V)
    seen = inside & in_sight & depth.isfinite()[..., None] & differ
    places = _bilinear(u / patch_size - 0.5, v / patch_size - 0.5, rows, columns)
    return Matches(chosen, *places, seen)


def _bilinear(x: Tensor, y: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Four neighbours (..., 4) of places in patches, and their shares; clamped at the border."""
    x, y = x.clamp(0, columns - 1), y.clamp(0, rows - 1)
    left, top = x.floor().clamp(max=max(0, columns - 2)), y.floor().clamp(max=max(0, rows - 2))
    across, down = x - left, y - top
    first = (top * columns + left).long()
    patch = torch.stack((first, first + 1, first + columns, first + columns + 1), -1)
    share = torch.stack(
        (
            (1 - across) * (1 - down),
            across * (1 - down),
            (1 - across) * down,
            across * down,
        ),
        -1,
    )
    return patch, share


def head_logits(block: Block, x: Tensor, head: int, views: int, chosen: Tensor) -> Tensor:
    """Attention logits (B, Q P, T) of one head of a cross-view block on its input (B, T, C)."""
    attention = block.attn
    dim = attention.proj.weight.shape[0]
    normed = block.norm1(x).to(attention.qkv.weight.dtype)
    rope = global_rope(views, x.shape[1] // views - 1, HEAD_DIM, x.device)
    q, k = (
        F.linear(
            normed,
            attention.qkv.weight[start : start + HEAD_DIM],
            attention.qkv.bias[start : start + HEAD_DIM],
        )
        for start in (head * HEAD_DIM, dim + head * HEAD_DIM)
    )
    q = rotate(attention.q_norm(q)[:, None], rope)[:, 0]
    k = rotate(attention.k_norm(k)[:, None], rope)[:, 0]
    q = q.unflatten(1, (views, -1)).index_select(1, chosen)
    patches = q[:, :, 1:].flatten(1, 2)  # (B, Q P, D)
    half = normed.dtype
    return (patches.to(half) @ k.to(half).transpose(1, 2)).float() * HEAD_DIM**-0.5


def match_loss(logits: Tensor, matches: Matches, only_reference: bool) -> Tensor:
    """
    Cross-entropy between a head's attention (B, Q P, T) and the true matches, mean over queries.

    With ``only_reference`` the target is the match in view 0 and all tokens compete; without, it
    is the mean over all views that see the point, and a view's own tokens do not compete (a patch
    cannot tell itself from its match).
    """
    views = matches.seen.shape[-1]
    tokens = logits.shape[-1] // views
    logits = logits.unflatten(1, (len(matches.view), -1))  # (B, Q, P, T)
    token = matches.patch + 1 + tokens * torch.arange(views, device=logits.device)[:, None]
    at_match = logits.gather(3, token.flatten(3)).unflatten(3, token.shape[3:])  # (B,Q,P,V,4)
    at_match = (at_match * matches.share).sum(-1)  # (B, Q, P, V)
    seen = matches.seen
    if only_reference:
        seen = seen & (torch.arange(views, device=logits.device) == 0)
    else:
        view = torch.arange(views, device=logits.device)
        own = matches.view[:, None, None] == view.repeat_interleave(tokens)  # (Q, 1, T)
        logits = logits.masked_fill(own, -1e4)
    count = seen.sum(-1)
    target = (at_match * seen).sum(-1) / count.clamp_min(1)
    loss = logits.logsumexp(-1) - target
    has_match = count > 0
    return torch.where(has_match, loss, 0).sum() / has_match.sum().clamp_min(1)


class MatchSupervision:
    """Remembers the inputs of the supervised blocks while the network runs; a ``with`` block."""

    def __init__(self, net: AnyViewNetwork) -> None:
        """Choose the first cross-view blocks of the network."""
        backbone = net.backbone
        supervised = [i for i in range(len(backbone.blocks)) if backbone.is_global(i)]
        self._blocks = [backbone.blocks[i] for i in supervised[:SUPERVISED_BLOCKS]]
        self._inputs: list[Tensor] = []
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> 'MatchSupervision':
        """Start to listen."""
        self._inputs = []
        self._hooks = [
            block.register_forward_pre_hook(lambda _, args: self._inputs.append(args[0]))
            for block in self._blocks
        ]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop to listen; the inputs stay until the next time."""
        for hook in self._hooks:
            hook.remove()

    def loss(self, matches: Matches) -> Tensor:
        """Mean match loss () of both heads of all supervised blocks; 0 for single views."""
        views = matches.seen.shape[-1]
        if views == 1:
            return sum(x.sum() for x in self._inputs) * 0.0
        heads = {REFERENCE_HEAD, ANY_VIEW_HEAD} & set(range(self._blocks[0].attn.heads))
        terms = [
            match_loss(
                head_logits(block, x, head, views, matches.view), matches, head == REFERENCE_HEAD
            )
            for block, x in zip(self._blocks, self._inputs)
            for head in sorted(heads)
        ]
        return sum(terms) / len(terms)
