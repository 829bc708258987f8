"""What a network says about a set of views."""

from dataclasses import dataclass

from da3_ros.model.gaussians import Gaussians
from torch import Tensor


@dataclass(frozen=True)
class Prediction:
    """
    One forward pass over B windows of V views of H x W pixels; all float32, on the device.

    Everything is up to one unknown scale per window (per view for the monocular network), except
    where ``scale`` is given: then all lengths are in metres.

    Attributes:
        depth: (B, V, H, W), along the optical axis. With ``depth_views``, only those views.
        depth_conf: (B, V, H, W), 1 and above. With ``depth_views``, only those views. None for
            single-view networks, as are the cameras.
        camera_from_world: (B, V, 3, 4). The world is the reference view's camera, as predicted:
            the reference's own pose is near the identity, not exactly it.
        intrinsics: (B, V, 3, 3), pixels of the network's input.
        rays: (B, V, h, w, 6) if asked for: direction (not unit length) and origin of each pixel's
            ray in the world, at 8/14 of the image's resolution.
        ray_conf: (B, V, h, w) if asked for, 1 and above.
        sky: (B, V, H, W), sky score, for ``sky.is_sky``; None for any-view networks. With
            ``depth_views``, only those views.
        scale: metres per unit that the network spoke of, which all lengths are multiplied by
            already: (B,) from the nested network, NaN where it could not tell, (B, V) from the
            metric network given intrinsics, else None.
        gaussians: (B, v, H, W) in the world, of the ``gaussian_views``, if any.

    """

    depth: Tensor
    depth_conf: Tensor | None = None
    camera_from_world: Tensor | None = None
    intrinsics: Tensor | None = None
    rays: Tensor | None = None
    ray_conf: Tensor | None = None
    sky: Tensor | None = None
    scale: Tensor | None = None
    gaussians: Gaussians | None = None
