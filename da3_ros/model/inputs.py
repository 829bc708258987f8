"""What a network accepts: every rule about its arguments, each with its sentence."""

from collections.abc import Sequence

from da3_ros.errors import InputError
from da3_ros.model.reference import check_strategy
import torch
from torch import Tensor

POSE_SOURCES = ('camera', 'rays')


def check_options(reference: str, pose_from: str) -> None:
    """Raise InputError for an unknown reference strategy or source of poses."""
    check_strategy(reference)
    if pose_from not in POSE_SOURCES:
        raise InputError(
            f"Unknown pose_from '{pose_from}': expected one of {', '.join(POSE_SOURCES)}."
        )


def check_images(images: Tensor, patch_size: int, dtype: torch.dtype) -> None:
    """Raise InputError unless images are (B, V, 3, H, W), normalised floats, sides in patches."""
    if images.ndim != 5 or images.shape[2] != 3:
        raise InputError(f'images: expected (B, V, 3, H, W), got {tuple(images.shape)}.')
    if not all(images.shape):
        raise InputError(f'images: expected at least one view, got {tuple(images.shape)}.')
    if images.dtype not in (torch.float32, dtype):
        expected = 'torch.float32' if dtype == torch.float32 else f'torch.float32 or {dtype}'
        raise InputError(
            f'images: expected {expected}, got {images.dtype}; '
            'scale to [0, 1] and normalise by mean and standard deviation first.'
        )
    height, width = images.shape[-2:]
    if height % patch_size or width % patch_size:
        raise InputError(
            f'images: height and width must be multiples of {patch_size}, '
            f'got {height} x {width}; resize them first.'
        )


def check_cameras(
    images: Tensor, camera_from_world: Tensor | None, intrinsics: Tensor | None
) -> None:
    """Raise InputError unless known cameras come in full, one for each view, or not at all."""
    if camera_from_world is None and intrinsics is None:
        return
    if camera_from_world is None or intrinsics is None:
        given, missing = ('intrinsics', 'camera_from_world')
        if intrinsics is None:
            given, missing = missing, given
        raise InputError(
            f'Known cameras need camera_from_world and intrinsics together: '
            f'{given} was given without {missing}.'
        )
    batch, views = images.shape[:2]
    if tuple(camera_from_world.shape) not in ((batch, views, 4, 4), (batch, views, 3, 4)):
        raise InputError(
            f'camera_from_world: expected ({batch}, {views}, 4, 4) or ({batch}, {views}, 3, 4) '
            f'to go with the images, got {tuple(camera_from_world.shape)}.'
        )
    if not camera_from_world.is_floating_point():
        raise InputError(f'camera_from_world: expected floats, got {camera_from_world.dtype}.')
    check_intrinsics(images, intrinsics)


def check_intrinsics(images: Tensor, intrinsics: Tensor | None) -> None:
    """Raise InputError unless intrinsics are floats (B, V, 3, 3), or None."""
    if intrinsics is None:
        return
    batch, views = images.shape[:2]
    if tuple(intrinsics.shape) != (batch, views, 3, 3):
        raise InputError(
            f'intrinsics: expected ({batch}, {views}, 3, 3) to go with the images, '
            f'got {tuple(intrinsics.shape)}.'
        )
    if not intrinsics.is_floating_point():
        raise InputError(f'intrinsics: expected floats, got {intrinsics.dtype}.')


def check_depth_views(depth_views: Sequence[int], views: int) -> None:
    """Raise InputError unless the indices name one or more different views."""
    if not len(depth_views) or not _are_different(depth_views, views):
        raise InputError(
            f'depth_views: expected different indices of the {views} views, '
            f'got {list(depth_views)}.'
        )


def check_gaussian_views(
    gaussian_views: Sequence[int],
    views: int,
    depth_views: Sequence[int] | None,
    has_gaussians: bool,
) -> None:
    """Raise InputError unless there is a Gaussian head, and depth, for all views asked for."""
    if not len(gaussian_views):
        return
    if not has_gaussians:
        raise InputError(
            'gaussian_views: this network has no Gaussian head; use DA3-GIANT or '
            'DA3NESTED-GIANT-LARGE.'
        )
    with_depth = {i % views for i in (range(views) if depth_views is None else depth_views)}
    is_subset = {i % views for i in gaussian_views} <= with_depth
    if not _are_different(gaussian_views, views) or not is_subset:
        raise InputError(
            f'gaussian_views: expected different indices of the views with depth, '
            f'{sorted(with_depth)}, got {list(gaussian_views)}.'
        )


def _are_different(indices: Sequence[int], views: int) -> bool:
    in_range = all(-views <= i < views for i in indices)
    return in_range and len({i % views for i in indices}) == len(indices)
