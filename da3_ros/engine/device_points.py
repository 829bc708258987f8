"""
The points of a view on a GPU, made there: one kernel, and one download while the network works.

What makes them of a ``View`` in NumPy, for the CPU and as the definition, is ``ros.clouds``.
H rows, W columns of the depth image, thinned by the stride where a comment says h, w.
"""

from da3_ros.config import NodeConfig
from da3_ros.engine.device_view import DeviceView
from da3_ros.model.acceleration import has_triton
import numpy as np
import torch


def makes_points(device: torch.device) -> bool:
    """Tell whether the points of a view on a device can be made there."""
    return device.type == 'cuda' and has_triton(device)


class DevicePoints:
    """
    Makes the points of views on their GPU; for one thread, any thread.

    On a stream of its own, and it waits for no other. It need not: a view's tensors are complete
    when it leaves the engine, since ``push`` has waited for the download of its depth. So the
    download of points runs beside the next frame's network, whose stream nobody waits for; the
    kernel goes ahead of what that has queued. Tensors cannot be given to another use meanwhile:
    the caller holds the view until the points are here.
    """

    def __init__(self) -> None:
        self._stream: torch.cuda.Stream | None = None
        self._made = self._here = torch.empty(0, 0, 4, dtype=torch.int32)

    @torch.inference_mode()
    def of(
        self,
        view: DeviceView,
        intrinsics: np.ndarray,
        map_from_camera: np.ndarray | None,
        config: NodeConfig,
    ) -> np.ndarray:
        """
        Return the points (h, w, 4) float32 of a view, x y z and the colour as PCL packs it.

        ``intrinsics`` (3, 3) are in pixels of its depth. The points are in the optical frame, or
        in the map if there is a ``map_from_camera`` (4, 4); NaN where ``config.depth`` or
        ``config.points`` leave them out. Valid until the next call.
        """
        from da3_ros.engine.point_kernel import write_points  # imports Triton

        stride = config.points.stride
        shape = tuple(-(-side // stride) for side in view.depth.shape)
        device = view.depth.device
        if device.type != 'cuda':  # Triton's interpreter
            self._provide(shape, device)
            write_points(view, intrinsics, map_from_camera, config, self._made)
            return self._made.numpy().view(np.float32)
        if self._stream is None or self._stream.device != device:
            self._stream = torch.cuda.Stream(device, priority=-1)
        with torch.cuda.stream(self._stream):
            self._provide(shape, device)
            write_points(view, intrinsics, map_from_camera, config, self._made)
            self._here.copy_(self._made, non_blocking=True)
        self._stream.synchronize()
        return self._here.numpy().view(np.float32)

    def _provide(self, shape: tuple[int, int], device: torch.device) -> None:
        """Have buffers of a shape (h, w) on the device, and here, where the GPU can write."""
        if self._made.shape[:2] == shape and self._made.device == device:
            return
        self._made = torch.empty(*shape, 4, dtype=torch.int32, device=device)
        self._here = self._made
        if device.type == 'cuda':
            self._here = torch.empty(*shape, 4, dtype=torch.int32, pin_memory=True)


def warm_up_points(device: torch.device) -> None:
    """Make the point of a view of one pixel: the kernel is compiled when it is first used."""
    pixel = torch.ones(1, 1, device=device)
    DevicePoints().of(
        DeviceView(pixel, pixel, pixel.expand(3, 1, 1)), np.eye(3), None, NodeConfig()
    )
