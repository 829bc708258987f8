"""
The runner for streams: what is the same from frame to frame is computed once.

It follows ``WindowPlan``: on a GPU its stages are CUDA graphs, elsewhere they are called. In
float32 both give what ``EagerRunner`` gives, to rounding.
"""

from collections.abc import Callable, Sequence
import functools
import logging

from da3_ros.config import EngineConfig
from da3_ros.engine.attention import AttentionChoice
from da3_ros.engine.device import downloaded
from da3_ros.engine.places import place_descriptor
from da3_ros.engine.plan import Capacity, WindowPlan
from da3_ros.engine.runner import homogeneous, known_cameras, spread, WindowPrediction, WindowView
from da3_ros.engine.slots import SlotTable
from da3_ros.engine.stages import DirectStages, GraphStages, Stages
from da3_ros.geometry.transforms import invert
from da3_ros.model.acceleration import accelerate, Blocks
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.presets import HEAD_DIM
import torch

_log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]  # (windows prepared, windows in all)


class GraphRunner:
    """
    Predicts windows of a stream with cached prefixes and, on a GPU, captured graphs.

    Any window is served. What was prepared is served at once; other shapes are prepared when they
    first come, with a line in the log. Images of a new size start anew.
    """

    def __init__(
        self,
        net: AnyViewNetwork,
        views: int,
        graphs: bool = True,
        blocks: Blocks = 'fused',
        posed: bool = False,
    ) -> None:
        """
        Take a network on its device, and the size of the window.

        ``graphs`` captures CUDA graphs where there is a GPU; ``blocks`` tells how those of the
        network run, which is changed in place; ``posed`` that windows come with known poses too.
        """
        self._net = accelerate(net, blocks)
        self._device = net.backbone.cls_token.device
        self._graphs = graphs and self._device.type == 'cuda'
        if self._device.type == 'cuda':  # on a CPU it makes no difference
            net.head.to(memory_format=torch.channels_last)
        self._poses = (False, True) if posed else (False,)
        self._capacity = Capacity(views)
        self._plan: WindowPlan | None = None
        self._slots = SlotTable(views)
        self.stages: Stages = DirectStages()
        self._expected: tuple[Capacity, ...] = ()

    @classmethod
    def of(cls, config: EngineConfig, net: AnyViewNetwork) -> 'GraphRunner':
        """Return the runner that a configuration asks for."""
        blocks = 'compiled' if config.compile else 'fused'
        posed = config.pose_prior != 'none'
        return cls(net, config.window.size, config.cuda_graphs, blocks, posed)

    @torch.inference_mode()
    def prepare(
        self,
        size: tuple[int, int],
        expected: Sequence[Capacity],
        progress: Progress | None = None,
    ) -> None:
        """
        Allocate for (H, W) images, and run each of the ``expected`` windows once.

        That captures and compiles on a GPU; on a CPU the first of them is enough. Put the full
        window first: a compiler takes its sizes as constants, and those that follow as variables.
        Should images of another size come, the same is done for them.
        """
        self._expected = tuple(expected)
        for window in self._expected:
            self._capacity = self._capacity.grown_to(window)
        self._start(size, progress)

    def _start(self, size: tuple[int, int], progress: Progress | None = None) -> None:
        """Make a plan for a size of images that knows no views, and prepare what is expected."""
        _log.info('Planning for images of %d x %d: %s', size[1], size[0], self._capacity)
        self._plan = None  # frees its buffers first
        self.stages = self._new_stages()
        self._plan = WindowPlan(self._net, size, self._capacity)
        self._slots = SlotTable(self._capacity.views)
        expected = self._expected if self._graphs else self._expected[:1]
        for done, window in enumerate(expected):
            self._plan.point_to(
                new=range(window.new),
                turned={True: [0], False: range(window.new)},
                window=range(window.views),
                dense=[at % window.views for at in range(window.dense)],
            )
            self._run_prefix(window.new)
            self._run_enter(window.new, is_reference=False)
            self._run_enter(1, is_reference=True)
            for posed in self._poses:
                self._run_window(window.views, window.dense, posed)
            if progress is not None:
                progress(done + 1, len(expected))

    def release(self, expected: Sequence[Capacity]) -> None:
        """Give back all buffers and graphs; the next image prepares for ``expected`` windows."""
        self._plan, self.stages = None, DirectStages()
        self._expected = tuple(expected)
        self._capacity = functools.reduce(Capacity.grown_to, self._expected)
        self._slots = SlotTable(self._capacity.views)

    @torch.inference_mode()
    def infer(
        self, views: Sequence[WindowView], depth_views: Sequence[int] | None = None
    ) -> WindowPrediction:
        """Predict a window; poses go to the network when every view has one."""
        dense = list(range(len(views)) if depth_views is None else depth_views)
        try:
            return self._infer(views, dense)
        except BaseException:  # what is marked as kept may not have been computed
            self._slots = SlotTable(self._slots.capacity)
            raise

    def _infer(self, views: Sequence[WindowView], dense: Sequence[int]) -> WindowPrediction:
        self._provide(tuple(views[0].image.shape[-2:]), Capacity(len(views), len(dense)))
        placement = self._slots.place([view.key for view in views])
        plan = self._plan
        poses, intrinsics = known_cameras(views)
        turned: dict[bool, list[int]] = {True: [], False: []}
        if poses is not None:
            plan.poses[:, : len(views)].copy_(poses)
            plan.intrinsics[:, : len(views)].copy_(intrinsics)
        else:  # the first view is the reference
            are_reference = [at == 0 for at in range(len(views))]
            turned = self._slots.turn(placement.slots, are_reference)
        new = [placement.slots[i] for i in placement.missing]
        plan.point_to(
            new=new[: plan.capacity.new], turned=turned, window=placement.slots, dense=dense
        )
        self._take_in([views[i] for i in placement.missing], new)
        for is_reference, changed in turned.items():
            if changed:
                self._run_enter(len(changed), is_reference)
        self._run_window(len(views), len(dense), posed=poses is not None)
        return self._collect(len(views), dense)

    @torch.inference_mode()
    def describe(self, view: WindowView) -> torch.Tensor:
        """
        Return the place descriptor (D,) of a view, from its tokens if they are kept.

        Otherwise the prefix runs outside the plan, which goes on knowing the views it knows.
        """
        slot = self._slots.find(view.key)
        if slot is not None:
            return place_descriptor(self._plan.tokens[slot])
        image = view.image[None, None].to(self._device)
        return place_descriptor(self._net.backbone.prefix(image).tokens[0, 0])

    def _provide(self, size: tuple[int, int], needed: Capacity) -> None:
        """Make a plan that is large enough, unless there is one."""
        is_large_enough = self._capacity.holds(needed)
        self._capacity = self._capacity.grown_to(needed)
        if self._plan is None or self._plan.size != size or not is_large_enough:
            self._start(size)

    def _new_stages(self) -> Stages:
        if not self._graphs:
            return DirectStages()
        net = self._net
        attention = AttentionChoice(net.config.heads, HEAD_DIM, net.dtype, self._device)
        return GraphStages(self._device, attention)

    def _take_in(self, views: Sequence[WindowView], slots: Sequence[int]) -> None:
        """Compute the prefixes of new views, as many at a time as the plan has room for."""
        plan = self._plan
        room = plan.capacity.new
        for start in range(0, len(views), room):
            part = views[start : start + room]
            for at, view in enumerate(part):
                plan.images[at].copy_(view.image)
            if start:  # the plan was told of the first of them
                plan.new_slots[: len(part)].copy_(torch.tensor(slots[start : start + room]))
            self._run_prefix(len(part))

    def _run_prefix(self, new: int) -> None:
        plan = self._plan
        self.stages.run(plan.prefix, new, attends=(new, plan.sequence))

    def _run_enter(self, turned: int, is_reference: bool) -> None:
        plan = self._plan
        self.stages.run(plan.enter, turned, is_reference, attends=(turned, plan.sequence))

    def _run_window(self, views: int, dense: int, posed: bool) -> None:
        plan = self._plan
        self.stages.run(plan.mix, views, dense, posed, attends=(1, views * plan.sequence))
        self.stages.run(plan.heads, views, dense, attends=None)

    def _collect(self, views: int, dense: Sequence[int]) -> WindowPrediction:
        """Copy the results out of the buffers, which the next window writes over."""
        plan = self._plan
        kept = plan.depth[: len(dense)].clone(), plan.confidence[: len(dense)].clone()
        depth, confidence, cameras = downloaded(*kept, plan.cameras[:views])  # the one wait
        cameras = cameras.double()
        return WindowPrediction(
            depth=spread(depth, dense, views),
            confidence=spread(confidence, dense, views),
            window_from_camera=invert(homogeneous(cameras[:, :12].view(-1, 3, 4))),
            intrinsics=cameras[:, 12:].view(-1, 3, 3).numpy(),
            on_device=dict(zip(dense, zip(*kept, strict=True), strict=True)),
        )
