"""
Which view is the reference: the one whose camera frame the predicted poses are given in.

The choice looks at one class token per view, (B, V, C), taken before the views first see each
other. Fewer than three views: the first one.
"""

from collections.abc import Callable

from da3_ros.errors import InputError
import torch
from torch import Tensor
import torch.nn.functional as F

MIN_VIEWS_TO_CHOOSE = 3


def first(class_tokens: Tensor) -> Tensor:
    """Index 0."""
    return class_tokens.new_zeros(class_tokens.shape[0], dtype=torch.long)


def middle(class_tokens: Tensor) -> Tensor:
    """Index V // 2."""
    batch, views = class_tokens.shape[:2]
    return class_tokens.new_full((batch,), views // 2, dtype=torch.long)


def saddle_balanced(class_tokens: Tensor) -> Tensor:
    """Pick the view whose similarity, norm and variance all lie nearest to mid-range."""
    direction, similarity = _similarity(class_tokens)
    others = class_tokens.shape[1] - 1
    measures = torch.stack(
        (
            similarity.sum(dim=-1) / others,
            class_tokens.norm(dim=-1),
            direction.var(dim=-1),
        )
    )  # (3, B, V)
    low = measures.amin(dim=-1, keepdim=True)
    high = measures.amax(dim=-1, keepdim=True)
    relative = (measures - low) / (high - low + 1e-8)
    return (relative - 0.5).abs().sum(dim=0).argmin(dim=-1)


def saddle_sim_range(class_tokens: Tensor) -> Tensor:
    """
    Pick the view whose similarities to the others spread the widest.

    A view's similarity to itself counts as 0 and takes part in the range.
    """
    _, similarity = _similarity(class_tokens)
    return (similarity.amax(dim=-1) - similarity.amin(dim=-1)).argmax(dim=-1)


def _similarity(class_tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Return unit tokens (B, V, C) and their cosines (B, V, V) less the identity."""
    direction = F.normalize(class_tokens, dim=-1, eps=0.0)
    cosines = direction @ direction.transpose(1, 2)
    return direction, cosines - torch.eye(cosines.shape[-1], device=cosines.device)


STRATEGIES: dict[str, Callable[[Tensor], Tensor]] = {
    'first': first,
    'middle': middle,
    'saddle_balanced': saddle_balanced,
    'saddle_sim_range': saddle_sim_range,
}


def check_strategy(name: str) -> None:
    """Raise InputError unless ``name`` is a strategy."""
    if name not in STRATEGIES:
        raise InputError(
            f"Unknown reference strategy '{name}': expected one of {', '.join(STRATEGIES)}."
        )


def choose_reference(class_tokens: Tensor, strategy: str) -> Tensor:
    """
    Return the index of the reference view of each batch element, (B,), without a host sync.

    Args:
        class_tokens: (B, V, C), ``Prefix.class_tokens``.
        strategy: a key of ``STRATEGIES``.

    Raises:
        InputError: if there is no such strategy.

    """
    check_strategy(strategy)
    if class_tokens.shape[1] < MIN_VIEWS_TO_CHOOSE:
        return first(class_tokens)
    return STRATEGIES[strategy](class_tokens.float())
