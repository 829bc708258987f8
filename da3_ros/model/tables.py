"""
Tables that depend on sizes alone: rotary angles and the UV embedding.

Each is made once per size, device and dtype and then kept, so that a forward pass neither
recomputes them nor waits for the device. They are constants: made outside inference mode, they
serve training and inference alike.
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import NamedTuple, ParamSpec, TypeVar

import torch
from torch import Tensor

ROPE_BASE = 100.0
UV_BASE = 100.0
UV_GAIN = 0.1

Arguments = ParamSpec('Arguments')
Table = TypeVar('Table')


def table(function: Callable[Arguments, Table]) -> Callable[Arguments, Table]:
    """
    Keep what ``function`` made for its last 128 sets of arguments.

    That is more than a process uses, so a captured CUDA graph does not outlive a table it reads.
    """

    @lru_cache(maxsize=128)
    @wraps(function)
    def make(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Table:
        with torch.inference_mode(False), torch.no_grad():
            return function(*args, **kwargs)

    return make


class Rope(NamedTuple):
    """Cosine and sine of every rotary angle, (T, D) each, float32."""

    cos: Tensor
    sin: Tensor


def _rope(positions: Tensor, head_dim: int) -> Rope:
    """Angles for integer positions (T, 2), row then column."""
    pairs = head_dim // 4
    exponents = torch.arange(pairs, dtype=torch.float32, device=positions.device) / pairs
    angles = positions[:, :, None].float() * ROPE_BASE**-exponents  # (T, 2, D/4)
    angles = torch.cat((angles, angles), dim=-1).flatten(1)  # (T, D): row | column
    return Rope(angles.cos(), angles.sin())


@table
def local_rope(rows: int, columns: int, head_dim: int, device: torch.device) -> Rope:
    """Rotary angles of one view: the camera slot at (0, 0), patch (i, j) at (i + 1, j + 1)."""
    grid = torch.cartesian_prod(
        torch.arange(1, rows + 1, device=device), torch.arange(1, columns + 1, device=device)
    )  # (P, 2)
    return _rope(torch.cat((grid.new_zeros(1, 2), grid)), head_dim)


@table
def global_rope(views: int, patches: int, head_dim: int, device: torch.device) -> Rope:
    """Rotary angles across views: camera slots at (0, 0), every patch of every view at (1, 1)."""
    one_view = torch.ones(1 + patches, 2, device=device)
    one_view[0] = 0
    return _rope(one_view.repeat(views, 1), head_dim)


class UvAxes(NamedTuple):
    """
    The two parts of a UV embedding: ``columns`` (w, channels/2) and ``rows`` (h, channels/2).

    The first half of the channels depends on the column of a pixel alone, the second on its row.
    """

    columns: Tensor
    rows: Tensor


@table
def uv_axes(
    channels: int,
    height: int,
    width: int,
    aspect: float,
    device: torch.device,
    dtype: torch.dtype,
) -> UvAxes:
    """
    Sine and cosine of where columns and rows lie in the image.

    The image plane is scaled to a unit half-diagonal; ``aspect`` is width / height of what the
    network sees. Each half is sines, then cosines, of falling frequency. Already multiplied by its
    gain of 0.1.
    """
    diagonal = (aspect**2 + 1) ** 0.5

    def along(steps: int, span: float) -> Tensor:
        reach = span * (steps - 1) / steps
        place = torch.linspace(-reach, reach, steps, dtype=torch.float32, device=device)
        exponents = torch.arange(channels // 4, dtype=torch.float32, device=device)
        angles = place[:, None] * UV_BASE ** -(exponents / (channels / 4))  # (steps, channels/4)
        return (UV_GAIN * torch.cat((angles.sin(), angles.cos()), dim=1)).to(dtype)

    return UvAxes(along(width, aspect / diagonal), along(height, 1 / diagonal))


@table
def uv_embedding(
    channels: int,
    height: int,
    width: int,
    aspect: float,
    device: torch.device,
    dtype: torch.dtype,
) -> Tensor:
    """Return the UV embedding of each pixel, (channels, height, width): see ``uv_axes``."""
    columns, rows = uv_axes(channels, height, width, aspect, device, dtype)
    along_x = columns.t()[:, None, :].expand(-1, height, -1)
    along_y = rows.t()[:, :, None].expand(-1, -1, width)
    return torch.cat((along_x, along_y))
