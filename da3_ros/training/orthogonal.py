"""
Orthogonal updates for the matrices of the transformer blocks ("Muon", Jordan et al. 2024).

AdamW scales each number of a gradient by itself; here a matrix's whole momentum is replaced by the
nearest matrix with equal singular values, so that a step moves all directions alike and not only
the few that dominate. Its root mean square is a fixed share of the learning rate, about that of
an AdamW step (0.2 in Liu et al. 2025; twice that learned faster here), so both share one learning
rate and one weight decay.

Shapes: n matrices of r x c.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

# Five steps of this odd polynomial bring singular values from (0, 1] near 1.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5
STEP_SIZE = 0.4
TINY = 1e-7


def is_orthogonal_kind(name: str, parameter: Tensor) -> bool:
    """Whether a parameter is a matrix of a transformer block of the trunk."""
    return name.startswith('backbone.blocks.') and parameter.ndim == 2


def orthogonalise(matrices: Tensor) -> Tensor:
    """
    Replace the singular values of (n, r, c) by about 1 (0.7 to 1.2); Newton-Schulz in bfloat16.

    A matrix of zeros stays zero.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.transpose(-2, -1) if tall else matrices
    x = (x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(TINY)).bfloat16()
    a, b, c = COEFFICIENTS
    for _ in range(STEPS):
        gram = x @ x.transpose(-2, -1)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.transpose(-2, -1) if tall else x).float()


def _square_parts(name: str, matrix: Tensor) -> Tensor:
    """Part (3 C, C) of queries, keys and values into its three matrices; (1, r, c) others."""
    parts = 3 if name.endswith('attn.qkv.weight') else 1
    return matrix.unflatten(0, (parts, -1))


def orthogonal_steps(names: Sequence[str], momenta: Sequence[Tensor]) -> list[Tensor]:
    """Turn the momenta (r, c) of parameters into steps of the same shapes, at unit rate."""
    parts = [_square_parts(name, momentum) for name, momentum in zip(names, momenta, strict=True)]
    steps: list[Tensor] = [torch.empty(0)] * len(parts)
    for shape in sorted({part.shape[1:] for part in parts}):
        members = [i for i, part in enumerate(parts) if part.shape[1:] == shape]
        joined = orthogonalise(torch.cat([parts[i] for i in members]))
        joined = joined * (STEP_SIZE * max(shape) ** 0.5)
        for i, step in zip(members, joined.split([len(parts[i]) for i in members])):
            steps[i] = step.flatten(0, 1)
    return steps
