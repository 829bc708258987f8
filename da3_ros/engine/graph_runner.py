"""
The runner for streams: what is the same from frame to frame is computed once.

It follows ``WindowPlan``: on a GPU its stages are CUDA graphs, elsewhere they are called. In
float32 both give what ``EagerRunner`` gives, to rounding.
"""

from collections.abc import Callable, Sequence
import logging

from da3_ros.engine.attention import AttentionChoice
from da3_ros.engine.plan import Capacity, WindowPlan
from da3_ros.engine.runner import homogeneous, known_cameras, spread, WindowPrediction, WindowView
from da3_ros.engine.slots import Placement, SlotTable
from da3_ros.engine.stages import DirectStages, GraphStages, Stages
from da3_ros.geometry.transforms import invert
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.presets import HEAD_DIM
import torch

_log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]  # (shapes done, shapes in all)


class GraphRunner:
    """
    Predicts windows of a stream with cached prefixes and, on a GPU, captured graphs.

    Any window is served. What was prepared is served at once; other shapes are prepared when they
    first come, with a line in the log. Images of a new size start anew.
    """

    def __init__(self, net: AnyViewNetwork, views: int, graphs: bool = True) -> None:
        """Take a network on its device, the size of the window, and whether to capture graphs."""
        self._net = net
        self._device = net.backbone.cls_token.device
        self._graphs = graphs and self._device.type == 'cuda'
        self._capacity = Capacity(views)
        self._plan: WindowPlan | None = None
        self._slots = SlotTable(views)
        self._stages: Stages = DirectStages()

    @torch.inference_mode()
    def prepare(
        self, size: tuple[int, int], new: int = 1, dense: int = 1, progress: Progress | None = None
    ) -> None:
        """
        Allocate and capture for (H, W) images, ``new`` of them at a time, for every window size.

        ``dense`` is how many views get depth in a full window. The full window comes first, so
        that a compiler knows its sizes as constants and the others as variables.
        """
        self._provide(size, Capacity(max(self._capacity.views, new + 1), dense, new))
        plan = self._plan
        windows = range(plan.capacity.views, new - 1, -1)
        for done, views in enumerate(windows):
            plan.window_slots[:views].copy_(torch.arange(views))
            plan.dense_views[:dense].copy_(torch.arange(dense) % views)
            self._run_prefix(new)
            self._run_enter(new, is_reference=False)
            self._run_enter(1, is_reference=True)
            self._run_window(views, min(views, dense), posed=False)
            if progress is not None:
                progress(done + 1, len(windows))
        self._slots.clear()

    @torch.inference_mode()
    def infer(
        self, views: Sequence[WindowView], depth_views: Sequence[int] | None = None
    ) -> WindowPrediction:
        """Predict a window; poses go to the network when every view has one."""
        dense = list(range(len(views)) if depth_views is None else depth_views)
        placement = self._place(views, len(dense))
        plan = self._plan
        for at, i in enumerate(placement.missing):
            plan.images[at].copy_(views[i].image)
        if placement.missing:
            _fill(plan.new_slots, [placement.slots[i] for i in placement.missing])
            self._run_prefix(len(placement.missing))
        poses, intrinsics = known_cameras(views)
        if poses is not None:
            plan.poses[:, : len(views)].copy_(poses)
            plan.intrinsics[:, : len(views)].copy_(intrinsics)
        else:
            self._take_roles(placement.slots)
        _fill(plan.window_slots, placement.slots)
        _fill(plan.dense_views, dense)
        self._run_window(len(views), len(dense), posed=poses is not None)
        return self._collect(len(views), len(dense))

    def _place(self, views: Sequence[WindowView], dense: int) -> Placement:
        """Find the views' slots, after making sure that there are enough of everything."""
        size = tuple(views[0].image.shape[-2:])
        keys = [view.key for view in views]
        self._provide(size, Capacity(len(views), dense))
        placement = self._slots.place(keys)
        if len(placement.missing) > self._plan.capacity.new:
            self._provide(size, Capacity(len(views), dense, len(placement.missing)))
            placement = self._slots.place(keys)
        return placement

    def _provide(self, size: tuple[int, int], needed: Capacity) -> None:
        """Make a plan that is large enough; a new one knows no views."""
        if self._plan is not None and self._plan.size == size:
            if self._plan.capacity.holds(needed):
                return
        self._capacity = self._capacity.grown_to(needed)
        _log.info('Planning for images of %d x %d: %s', size[1], size[0], self._capacity)
        self._plan = None  # frees its buffers first
        self._stages = self._new_stages()
        self._plan = WindowPlan(self._net, size, self._capacity)
        self._slots = SlotTable(self._capacity.views)

    def _new_stages(self) -> Stages:
        if not self._graphs:
            return DirectStages()
        net = self._net
        attention = AttentionChoice(net.config.heads, HEAD_DIM, net.dtype, self._device)
        return GraphStages(self._device, attention)

    def _take_roles(self, slots: Sequence[int]) -> None:
        """Let the views that are new, or in a new role, enter: the first one is the reference."""
        turned = self._slots.turn(slots, [at == 0 for at in range(len(slots))])
        for is_reference, changed in turned.items():
            if changed:
                _fill(self._plan.turned_slots, changed)
                self._run_enter(len(changed), is_reference)

    def _run_prefix(self, new: int) -> None:
        plan = self._plan
        self._stages.run(plan.prefix, new, attends=(new, plan.sequence))

    def _run_enter(self, turned: int, is_reference: bool) -> None:
        plan = self._plan
        self._stages.run(plan.enter, turned, is_reference, attends=(turned, plan.sequence))

    def _run_window(self, views: int, dense: int, posed: bool) -> None:
        plan = self._plan
        self._stages.run(plan.mix, views, dense, posed, attends=(1, views * plan.sequence))
        self._stages.run(plan.decode, views, attends=None)
        self._stages.run(plan.dense, dense, attends=None)

    def _collect(self, views: int, dense: int) -> WindowPrediction:
        """Copy the results out of the buffers, which the next window writes over."""
        plan = self._plan
        at = plan.dense_views[:dense]
        cameras = plan.cameras[:views].double().cpu()  # the one wait for the device
        return WindowPrediction(
            depth=spread(plan.depth[:dense], at, views),
            confidence=spread(plan.confidence[:dense], at, views),
            window_from_camera=invert(homogeneous(cameras[:, :12].view(-1, 3, 4))),
            intrinsics=cameras[:, 12:].view(-1, 3, 3).numpy(),
        )


def _fill(buffer: torch.Tensor, indices: Sequence[int]) -> None:
    """Write indices to the head of a buffer on the device."""
    buffer[: len(indices)].copy_(torch.tensor(indices))
