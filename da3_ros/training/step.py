"""
One training step: draw windows, run the network, take the gradient, update.

Plain functions on static buffers. ``Captured`` replays such a function as a CUDA graph; on a
CPU it is called as it is.
"""

from collections.abc import Callable
import math
from typing import Generic, TypeVar

from da3_ros.model.camera_head import invert_rigid, normalise_poses
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.dinov2 import Tap
from da3_ros.training.config import TrainConfig
from da3_ros.training.data import Windows
from da3_ros.training.losses import (
    camera_errors,
    depth_residual,
    losses,
    masked_mean,
    Outputs,
)
from da3_ros.training.matching import find_matches, MatchSupervision
from da3_ros.training.optimiser import Optimiser
from da3_ros.training.schedule import Rates
from da3_ros.training.targets import make_targets
import torch
from torch import Tensor

WARMUPS = 3
METRICS = (
    'loss',
    *('depth', 'gradient', 'ray', 'point', 'camera', 'match'),
    *('log_depth_error', 'rotation_error', 'centre_error', 'fov_error'),
)

Result = TypeVar('Result')


def predict(net: AnyViewNetwork, windows: Windows, chosen: Tensor | None = None) -> Outputs:
    """
    Run the network with view 0 as the reference; windows marked ``known`` are told the cameras.

    The same parts in the same order as ``AnyViewNetwork.forward``, but cameras stay encoded and
    each window of the batch has either a role or a camera token. Depth and rays are those of the
    ``chosen`` views (v,), all windows alike; None: of all of them.
    """
    images, backbone = windows.images, net.backbone
    size = images.shape[-2], images.shape[-1]
    grid = size[0] // net.config.patch_size, size[1] // net.config.patch_size
    tokens, class_tokens = backbone.prefix(images)
    first = torch.zeros(len(images), dtype=torch.long, device=images.device)
    roles = backbone.role_tokens(first, images.shape[1])
    world_from_camera = windows.world_from_camera
    poses = normalise_poses(invert_rigid(world_from_camera)).camera_from_reference
    told = net.camera_encoder(poses, windows.intrinsics, size)
    camera_tokens = torch.where(windows.known[:, None, None], told, roles)
    taps = backbone.suffix(tokens, camera_tokens, grid)
    cameras = net.camera_decoder(backbone.camera_features(taps[-1]))
    if chosen is not None:
        taps = tuple(Tap(*(half.index_select(1, chosen) for half in tap)) for tap in taps)
    depth, rays = net.dense(taps, grid, rays=True)
    return Outputs(depth.values, depth.confidence, rays.values, rays.confidence, cameras)


def choose_views(views: int, share: float, device: torch.device) -> Tensor:
    """Draw the views (v,) of a step that are compared pixel by pixel: a share, at least one."""
    count = max(1, math.ceil(share * views))
    return torch.rand(views, device=device).argsort()[:count]


class Trainer:
    """
    The network, its optimiser and what a step measures.

    Attributes:
        metrics: (M,) sums since the last ``zero_``, named by ``names``.
        names: ``METRICS``, the modules whose gradient norms follow, and 'steps'.
        rates: (5,) on the device, the fields of ``Rates``; written before each step.

    """

    def __init__(self, net: AnyViewNetwork, optimiser: Optimiser, config: TrainConfig) -> None:
        self._net, self._optimiser, self._config = net, optimiser, config
        device = optimiser.masters.device
        self._supervision = MatchSupervision(net)
        self.names = (*METRICS, *(f'|{module}|' for module in optimiser.modules), 'steps')
        self.metrics = torch.zeros(len(self.names), device=device)
        self.rates = torch.zeros(len(Rates._fields), device=device)

    def learn(self, windows: Windows) -> None:
        """Take the gradient on windows; it goes to the optimiser, the losses into ``metrics``."""
        rates = Rates(*self.rates.unbind())
        views, device = windows.images.shape[1], windows.images.device
        chosen = choose_views(views, self._config.compared_share, device)
        targets = make_targets(windows, self._net.config.patch_size).of_views(chosen)
        with self._supervision:
            outputs = predict(self._net, windows, chosen)
        terms = losses(outputs, targets, self._config)
        matches = find_matches(windows, self._net.config.patch_size, chosen)
        match = self._supervision.loss(matches)
        total = sum(terms.values()) + rates.match * match
        gradients = torch.autograd.grad(total, self._optimiser.parameters)
        self._optimiser.take(gradients)
        with torch.no_grad():
            values = (
                *(total, *terms.values(), match),
                masked_mean(depth_residual(outputs, targets).abs(), targets.valid),
                *(error.mean() for error in camera_errors(outputs, targets)),
            )
            measured = torch.stack([v.float() for v in values])
            self.metrics[: len(METRICS)].add_(measured * rates.active)

    @torch.no_grad()
    def update(self) -> None:
        """Step along the gradient that ``learn`` left; its norms go into ``metrics``."""
        rates = Rates(*self.rates.unbind())
        norms = self._optimiser.step(rates.lr, rates.ema, rates.active)
        measured = torch.cat((norms, torch.ones_like(norms[:1])))
        self.metrics[len(METRICS) :].add_(measured * rates.active)


class Captured(Generic[Result]):
    """
    A function of no arguments on static buffers, captured as a CUDA graph and replayed.

    On a CPU it is simply called. ``result`` is what the function returned; replays overwrite it.
    """

    def __init__(
        self, function: Callable[[], Result], device: torch.device, pool: object = None
    ) -> None:
        """Warm up on a side stream and capture; ``function`` runs ``WARMUPS`` + 1 times."""
        self._function, self._graph = function, None
        self.result: Result | None = None
        if device.type != 'cuda':
            return
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARMUPS):
                function()
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=pool):
            self.result = function()

    def __call__(self) -> Result:
        """Run once more."""
        if self._graph is None:
            self.result = self._function()
        else:
            self._graph.replay()
        return self.result
