"""
The file format of 3D Gaussian splatting: a binary PLY with one vertex a Gaussian.

The layout is that of the reference implementation, with spherical harmonics of degree 3, which its
loader insists on; ours are of degree 2, the rest is zero. Opacities are stored as logits, scales
as logarithms, harmonics above degree 0 channel by channel.
"""

from typing import BinaryIO

from da3_ros.model.gaussians import Gaussians
from da3_ros.model.harmonics import HARMONICS
import numpy as np
import torch

_REST = 15  # harmonics of degree 1, 2 and 3
_NAMES = (
    *('x', 'y', 'z', 'nx', 'ny', 'nz'),
    *(f'f_dc_{i}' for i in range(3)),
    *(f'f_rest_{i}' for i in range(3 * _REST)),
    'opacity',
    *(f'scale_{i}' for i in range(3)),
    *(f'rot_{i}' for i in range(4)),
)
# Keeps logits finite; a renderer works in steps of 1/255 anyway.
_OPACITY_MARGIN = 1e-6


def write_header(file: BinaryIO, count: int) -> None:
    """Write everything before the first of ``count`` Gaussians."""
    properties = ''.join(f'property float {name}\n' for name in _NAMES)
    file.write(
        f'ply\nformat binary_little_endian 1.0\nelement vertex {count}\n'
        f'{properties}end_header\n'.encode()
    )


def write_gaussians(file: BinaryIO, gaussians: Gaussians) -> None:
    """Append Gaussians (N,) with positive scales."""
    count = len(gaussians.means)
    rest = torch.zeros(count, 3, _REST)
    rest[..., : HARMONICS - 1] = gaussians.harmonics[..., 1:]
    opacities = gaussians.opacities.clamp(_OPACITY_MARGIN, 1 - _OPACITY_MARGIN)
    columns = (
        gaussians.means,
        torch.zeros(count, 3),
        gaussians.harmonics[..., 0],
        rest.flatten(1),
        opacities.logit()[:, None],
        gaussians.scales.log(),
        gaussians.rotations,
    )
    vertices = torch.cat([column.float() for column in columns], dim=1)
    assert vertices.shape == (count, len(_NAMES))
    file.write(vertices.numpy().astype('<f4').tobytes())


def read_gaussians(content: bytes) -> dict[str, np.ndarray]:
    """Return each property (N,) float32 of a file that this module wrote."""
    header, _, data = content.partition(b'end_header\n')
    names = [line.split()[-1].decode() for line in header.splitlines() if b'property' in line]
    vertices = np.frombuffer(data, '<f4').reshape(-1, len(names))
    return dict(zip(names, vertices.T, strict=True))
