"""What a network says about a set of views."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Prediction:
    """
    One forward pass over B windows of V views of H x W pixels; all float32, on the device.

    Everything is up to one unknown scale per window, except where ``scale`` is given.

    Attributes:
        depth: (B, V, H, W), along the optical axis. With ``depth_views``, only those views.
        depth_conf: (B, V, H, W), 1 and above. With ``depth_views``, only those views.
        camera_from_world: (B, V, 3, 4). The world is the reference view's camera, as predicted:
            the reference's own pose is near the identity, not exactly it.
        intrinsics: (B, V, 3, 3), pixels of the network's input.
        rays: (B, V, h, w, 6) if asked for: direction (not unit length) and origin of each pixel's
            ray in the world, at 8/14 of the image's resolution.
        ray_conf: (B, V, h, w) if asked for, 1 and above.
        sky: sky score of the monocular and metric networks; None for any-view networks.
        scale: metres per unit, from the nested network; None for the others.

    """

    depth: Tensor
    depth_conf: Tensor
    camera_from_world: Tensor
    intrinsics: Tensor
    rays: Tensor | None = None
    ray_conf: Tensor | None = None
    sky: Tensor | None = None
    scale: Tensor | None = None
