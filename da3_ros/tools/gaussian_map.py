"""
3D Gaussians of the keyframes of a run, and the one file that they become.

What a keyframe's Gaussians are is known when the network sees it; where they lie, only when the
map is finished. Until then they are kept on disk, in the frame of their camera.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
import tempfile

from da3_ros.engine import KeyframePose, View
from da3_ros.engine.runner import EagerRunner, window_prediction, WindowPrediction, WindowView
from da3_ros.errors import ConfigError
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.gaussians import Gaussians
from da3_ros.tools.gaussian_ply import write_gaussians, write_header
import numpy as np
import torch
from tqdm import tqdm

# Gaussians at the border of an image, and of its farthest pixels, are of lower quality: the same
# shares as the official export leaves out.
_BORDER = 8 / 256
_FARTHEST = 0.1
# What is fainter than one step of eight bits is never rendered.
_MIN_OPACITY = 1 / 255


@dataclass(frozen=True)
class CameraGaussians:
    """Gaussians (H, W) in their camera's frame and the depth (H, W), in units of the network."""

    gaussians: Gaussians
    depth: torch.Tensor


class GaussianRunner:
    """Runs a network like the plain runner, and keeps the Gaussians of the newest view."""

    def __init__(self, net: AnyViewNetwork) -> None:
        """
        Take a network that has a Gaussian head.

        Raises:
            ConfigError: if it has none.

        """
        if net.gaussian_head is None:
            raise ConfigError(
                f"'{net.config.name}' has no Gaussian head; --gaussians needs DA3-GIANT or "
                'DA3NESTED-GIANT-LARGE as the model.'
            )
        self._runner = EagerRunner(net)
        self.newest: CameraGaussians | None = None

    def infer(
        self, views: list[WindowView], depth_views: Sequence[int] | None = None
    ) -> WindowPrediction:
        """Predict all views of a window, whatever is asked for; the last one is the newest."""
        prediction = self._runner.predict(views, gaussian_views=[-1])
        camera_from_window = prediction.camera_from_world[0, -1]
        in_window = prediction.gaussians.select((0, 0))
        in_camera = in_window.moved(1.0, camera_from_window[:, :3], camera_from_window[:, 3])
        self.newest = CameraGaussians(in_camera, prediction.depth[0, -1])
        return window_prediction(prediction)

    def describe(self, view: WindowView) -> torch.Tensor:
        """Return the place descriptor (D,) of a view."""
        return self._runner.describe(view)


class GaussianMap:
    """
    Keeps the Gaussians of keyframes, and writes them where these came to lie.

    The engine must run the runner that ``make_runner`` makes.
    """

    def __init__(self) -> None:
        """Make a temporary folder, which ends with the ``with`` block."""
        self._folder = tempfile.TemporaryDirectory(prefix='da3-gaussians-')
        self._kept: dict[tuple[str, int], tuple[Path, int]] = {}
        self._runner: GaussianRunner | None = None

    def make_runner(self, net: AnyViewNetwork) -> GaussianRunner:
        """Make the runner whose Gaussians are kept."""
        self._runner = GaussianRunner(net)
        return self._runner

    def __enter__(self) -> 'GaussianMap':
        """Return the empty map."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what was kept."""
        self._folder.cleanup()

    def keep(self, view: View, map_scale: float) -> None:
        """
        Keep the Gaussians of the newest view, of pixels that the engine has depth for.

        Args:
            view: what the engine made of it.
            map_scale: units that are published per unit of the map, at this moment.

        """
        newest = self._runner.newest
        ratio = view.depth_m / newest.depth.cpu().numpy()
        scale = float(np.nanmedian(ratio)) / map_scale
        zero, identity = torch.zeros(3), torch.eye(3)
        has_depth = torch.from_numpy(np.isfinite(view.depth_m)).to(newest.depth.device)
        gaussians = newest.gaussians.select(worth_keeping(newest) & has_depth).to('cpu')
        gaussians = gaussians.moved(scale, identity, zero)
        path = Path(self._folder.name) / f'{len(self._kept)}.npz'
        np.savez(path, **{f.name: getattr(gaussians, f.name).numpy() for f in fields(gaussians)})
        self._kept[view.camera, view.stamp_ns] = path, len(gaussians.means)

    def write(self, path: Path, keyframes: tuple[KeyframePose, ...]) -> int:
        """
        Write the Gaussians of the keyframes that the map still has; returns how many.

        Args:
            path: the .ply file.
            keyframes: where they are believed to be, in units that are published.

        """
        known = [k for k in keyframes if (k.camera, k.stamp_ns) in self._kept]
        kept = [self._kept[k.camera, k.stamp_ns] for k in known]
        count = sum(number for _, number in kept)
        with path.open('wb') as file:
            write_header(file, count)
            parts = tqdm(
                list(zip(known, kept, strict=True)), 'gaussians', leave=False, disable=None
            )
            for keyframe, (source, _) in parts:
                with np.load(source) as arrays:
                    gaussians = Gaussians(**{n: torch.from_numpy(a) for n, a in arrays.items()})
                pose = torch.from_numpy(keyframe.map_from_camera).float()
                write_gaussians(file, gaussians.moved(keyframe.scale, pose[:3, :3], pose[:3, 3]))
        return count


def worth_keeping(newest: CameraGaussians) -> torch.Tensor:
    """
    Return which Gaussians (H, W) are worth rendering.

    Not those at the border, of the farthest tenth of the pixels, behind the camera or next to
    invisible. (The official export drops all of an image below 32 pixels, whose border is none.)
    """
    gaussians, depth = newest.gaussians, newest.depth
    height, width = depth.shape
    rows, columns = int(_BORDER * height), int(_BORDER * width)
    inside = torch.zeros_like(depth, dtype=torch.bool)
    inside[rows : height - rows, columns : width - columns] = True
    far = depth.flatten().kthvalue(max(1, round((1 - _FARTHEST) * depth.numel()))).values
    is_solid = (gaussians.scales > 0).all(dim=-1) & (gaussians.opacities >= _MIN_OPACITY)
    is_finite = torch.isfinite(gaussians.means).all(dim=-1)
    return inside & (depth <= far) & is_solid & is_finite
