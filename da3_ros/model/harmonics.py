"""
Real spherical harmonics up to degree 2, as 3D Gaussian splatting orders and signs them.

Shapes: K = 9 functions, N directions.
"""

import torch
from torch import Tensor

HARMONICS = 9
# Constants of the real spherical harmonics of degree 0, 1 and 2.
_C0 = 0.28209479177387814
_C1 = 0.4886025119029199
_C2 = (1.0925484305920792, 0.31539156525252005, 0.5462742152960396)


def harmonics_at(directions: Tensor) -> Tensor:
    """Return the values (..., 9) of all functions in unit directions (..., 3)."""
    x, y, z = directions.unbind(-1)
    return torch.stack(
        (
            torch.full_like(x, _C0),
            -_C1 * y,
            _C1 * z,
            -_C1 * x,
            _C2[0] * x * y,
            -_C2[0] * y * z,
            _C2[1] * (3 * z * z - 1),
            -_C2[0] * x * z,
            _C2[2] * (x * x - y * y),
        ),
        dim=-1,
    )


def rotation_of_harmonics(rotation: Tensor) -> Tensor:
    """
    Return what turns coefficients along with the body they belong to: (..., 3, 3) -> (..., 9, 9).

    A function f on the sphere becomes f(R^T d). The functions of one degree span a space that
    rotations do not leave, so the new coefficients are found exactly by comparing old and new
    values in a few directions; no Wigner matrices are needed.
    """
    # Any directions do in which the nine functions are independent; these are a fixed spiral.
    places = torch.arange(16, dtype=torch.float64)
    z, turn = (2 * places + 1) / 16 - 1, places * 2.399963229728653
    radius = (1 - z * z).sqrt()
    directions = torch.stack((radius * turn.cos(), radius * turn.sin(), z), dim=-1)  # (N, 3)
    fit = torch.linalg.pinv(harmonics_at(directions)).to(rotation.device)  # (9, N)
    turned_back = directions.to(rotation.device) @ rotation.double()  # (..., N, 3)
    return (fit @ harmonics_at(turned_back)).to(rotation.dtype)
