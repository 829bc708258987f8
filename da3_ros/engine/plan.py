"""
What is computed for a new frame, and from what: the stages of one step over static buffers.

    images ─ prefix ─ tokens ─ enter ─ entered ─ mix ─ features ─ heads ─┬─ depth, confidence
    (new views)       (kept)   (role)  (kept)                            └─ cameras

``tokens`` depend on a frame alone and ``entered`` on the frame and its role, so both are kept for
as long as a view stays in the window (spec §13). All after that depends on every view of the
window. Of the last block only what the heads read is computed, and the depth head runs for the
views that are asked for; the rays not at all.

A stage reads and writes the buffers and nothing else. Its shapes are fixed by its arguments, it
never waits for the device, and it may run twice: it can be replayed as a CUDA graph.

Shapes: V views of a window, v views with depth, n new views, S slots, N tokens and P patches of a
view, C channels of the trunk, H W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from da3_ros.engine.stages import beside
from da3_ros.model.camera_head import decode_cameras
from da3_ros.model.da3 import AnyViewNetwork, VIEWS_PER_HEAD_PASS
import torch
from torch import Tensor

CAMERA_NUMBERS = 21  # camera_from_world (3, 4), then intrinsics (3, 3)


@dataclass(frozen=True)
class Capacity:
    """The most ``views`` of a window, the most of them ``dense`` (with depth) and ``new``."""

    views: int
    dense: int = 1
    new: int = 1

    def holds(self, other: 'Capacity') -> bool:
        """Tell whether another capacity fits into this one."""
        return other.views <= self.views and other.dense <= self.dense and other.new <= self.new

    def grown_to(self, other: 'Capacity') -> 'Capacity':
        """Return the least capacity that holds both."""
        return Capacity(
            max(self.views, other.views), max(self.dense, other.dense), max(self.new, other.new)
        )


class WindowPlan:
    """
    The stages for one network and one size of images, and the buffers between them.

    Inputs: ``images`` (n, 3, H, W) and ``new_slots`` (n,); ``reference_slot`` (1,) and
    ``other_slots`` (V,) of views in a new role; ``window_slots`` (V,), ``dense_views`` (v,)
    positions in the window; ``poses`` (1, V, 4, 4) and ``intrinsics`` (1, V, 3, 3) of known
    cameras. Outputs: ``depth``, ``confidence`` (v, H, W) and ``cameras`` (V, 21). Buffers are as
    long as the capacity allows; stages use their heads.
    """

    def __init__(self, net: AnyViewNetwork, size: tuple[int, int], capacity: Capacity) -> None:
        """Allocate everything for (H, W) images."""
        config, patch = net.config, net.config.patch_size
        self.net, self.size, self.capacity = net, size, capacity
        self.grid = size[0] // patch, size[1] // patch
        self.device = net.backbone.cls_token.device
        patches = self.grid[0] * self.grid[1]
        self.sequence = patches + 1
        views, dense, new = capacity.views, capacity.dense, capacity.new
        self.images = self._zeros(new, 3, *size)
        lengths = new, 1, views, views, dense
        self._indices = torch.zeros(sum(lengths), dtype=torch.long, device=self.device)
        parts = self._indices.split(lengths)
        self.new_slots, self.reference_slot, self.other_slots = parts[:3]
        self.window_slots, self.dense_views = parts[3:]
        self._beside = torch.cuda.Stream(self.device) if self.device.type == 'cuda' else None
        self.poses = torch.eye(4, device=self.device).repeat(1, views, 1, 1)
        self.intrinsics = torch.eye(3, device=self.device).repeat(1, views, 1, 1)
        self.tokens = self._zeros(views, self.sequence, config.embed_dim)
        self.entered = torch.zeros_like(self.tokens)
        self.features = tuple(self._zeros(dense, patches, config.tap_dim) for _ in range(4))
        self.camera_features = self._zeros(views, config.tap_dim)
        self.cameras = self._zeros(views, CAMERA_NUMBERS)
        self.depth = self._zeros(dense, *size)
        self.confidence = self._zeros(dense, *size)

    def point_to(
        self,
        *,
        new: Sequence[int],
        turned: dict[bool, Sequence[int]],
        window: Sequence[int],
        dense: Sequence[int],
    ) -> None:
        """
        Send all indices of a window to the device in one copy that nobody waits for.

        Args:
            new: for ``new_slots``.
            turned: slots of views in a new role, by whether that is the reference.
            window: for ``window_slots``.
            dense: for ``dense_views``.

        """
        buffers = (
            *(self.new_slots, self.reference_slot, self.other_slots),
            *(self.window_slots, self.dense_views),
        )
        indices: list[int] = []
        for buffer, given in zip(buffers, (new, turned[True], turned[False], window, dense)):
            indices += (*given, *[0] * (len(buffer) - len(given)))
        # The allocator of pinned memory lends none again before copies from it are done.
        pinned = torch.tensor(indices, pin_memory=self.device.type == 'cuda')
        self._indices.copy_(pinned, non_blocking=True)

    def prefix(self, new: int) -> None:
        """Run what looks at one view only: ``images`` -> ``tokens`` at ``new_slots``."""
        prefix = self.net.backbone.prefix(self.images[None, :new])
        self.tokens.index_copy_(0, self.new_slots[:new], prefix.tokens[0])

    def enter(self, turned: int, is_reference: bool) -> None:
        """Give views their role: ``tokens`` -> ``entered``, both at the slots of that role."""
        backbone = self.net.backbone
        slots = (self.reference_slot if is_reference else self.other_slots)[:turned]
        role = backbone.camera_token[:, 0 if is_reference else 1]  # (1, C)
        tokens = self.tokens.index_select(0, slots)[None]  # (1, n, N, C)
        entered = backbone.enter(tokens, role.expand(1, turned, -1), self.grid)
        self.entered.index_copy_(0, slots, entered[0])

    def mix(self, views: int, dense: int, posed: bool) -> None:
        """
        Run the blocks that mix views -> ``features``, ``camera_features``.

        From ``entered``, or with known poses from ``tokens``: a pose's token depends on the poses
        of the whole window.
        """
        backbone, slots = self.net.backbone, self.window_slots[:views]
        if posed:
            poses, intrinsics = self.poses[:, :views], self.intrinsics[:, :views]
            camera_tokens = self.net.camera_encoder(poses, intrinsics, self.size)
            tokens = self.tokens.index_select(0, slots)[None]  # (1, V, N, C)
            x = backbone.enter(tokens, camera_tokens, self.grid)
        else:
            x = self.entered.index_select(0, slots)[None]
        reading = backbone.read(x, self.dense_views[:dense], self.grid)
        for buffer, feature in zip(self.features, reading.features, strict=True):
            buffer[:dense].copy_(feature[0])
        self.camera_features[:views].copy_(reading.cameras[0])

    def heads(self, views: int, dense: int) -> None:
        """Run both heads; they need nothing of each other, and the camera decoder is narrow."""
        with beside(self._beside, lambda: self.decode(views)):
            self.dense(dense)

    def decode(self, views: int) -> None:
        """Decode the cameras: ``camera_features`` -> ``cameras``."""
        encoding = self.net.camera_decoder(self.camera_features[None, :views])
        decoded = decode_cameras(encoding, self.size)
        flat = (decoded.camera_from_world.flatten(2), decoded.intrinsics.flatten(2))
        self.cameras[:views].copy_(torch.cat(flat, dim=-1)[0])

    def dense(self, dense: int) -> None:
        """Run the depth head: ``features`` -> ``depth``, ``confidence``."""
        head = self.net.head
        for start in range(0, dense, VIEWS_PER_HEAD_PASS):
            part = slice(start, min(start + VIEWS_PER_HEAD_PASS, dense))
            pyramid = head.pyramid(tuple(f[part] for f in self.features), self.grid)
            depth = head.depth(pyramid, self.grid)
            self.depth[part].copy_(depth.values)
            self.confidence[part].copy_(depth.confidence)

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, device=self.device)
