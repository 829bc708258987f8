"""
What draws 3D Gaussians: the package's own renderer, or gsplat's on a CUDA device.

gsplat (Ye et al. 2025, version 1.5) is none of the package's dependencies; it is taken where it is
installed. Both have the same conventions and constants.
"""

from collections.abc import Callable
from importlib.util import find_spec

from da3_ros.errors import ConfigError
from da3_ros.evaluation.splatting import render
from da3_ros.model.gaussians import Gaussians
import torch
from torch import Tensor

AUTO = 'auto'
_DEGREE = 2  # of the spherical harmonics
Renderer = Callable[[Gaussians, Tensor, Tensor, tuple[int, int]], Tensor]


def chosen_renderer(name: str, device: torch.device) -> str:
    """
    Return the name in ``RENDERERS`` of what draws on a device; ``auto`` takes gsplat if it can.

    Raises:
        ConfigError: if gsplat is asked for by name, and it is not there or the device not CUDA.

    """
    lacks = []
    if device.type != 'cuda':
        lacks.append(f'the device is {device.type}')
    if find_spec('gsplat') is None:
        lacks.append('gsplat is not installed')
    if name == AUTO:
        return 'torch' if lacks else 'gsplat'
    if name == 'gsplat' and lacks:
        raise ConfigError(
            f'The renderer is gsplat, but {" and ".join(lacks)}; expected both a CUDA device and '
            'gsplat 1.5, or the renderer torch.'
        )
    return name


@torch.inference_mode()
def render_with_gsplat(
    gaussians: Gaussians, camera_from_world: Tensor, intrinsics: Tensor, size: tuple[int, int]
) -> Tensor:
    """
    Return the picture (3, H, W), on black, as ``splatting.render`` does.

    Raises:
        ConfigError: if gsplat is installed without its CUDA kernels.

    """
    import gsplat

    view = torch.eye(4, device=gaussians.means.device)
    view[:3] = camera_from_world[:3]
    try:
        pictures, _, _ = gsplat.rasterization(
            means=gaussians.means.float(),
            quats=gaussians.rotations.float(),
            scales=gaussians.scales.float(),
            opacities=gaussians.opacities.float(),
            colors=gaussians.harmonics.float().mT.contiguous(),
            viewmats=view[None],
            Ks=intrinsics.float()[None],
            width=size[1],
            height=size[0],
            sh_degree=_DEGREE,
        )
    except (AttributeError, ImportError) as error:
        # gsplat is imported without its kernels too; they are None then, or a file that lacks.
        raise ConfigError(
            f'gsplat found no CUDA kernels of its own ({error}); build them with the CUDA '
            'toolkit, or choose the renderer torch.'
        ) from error
    return pictures[0].permute(2, 0, 1)


RENDERERS: dict[str, Renderer] = {'torch': render, 'gsplat': render_with_gsplat}
