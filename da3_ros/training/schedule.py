"""What changes while training runs, as a function of how far it is."""

import math
from typing import NamedTuple

from da3_ros.training.config import TrainConfig


class Rates(NamedTuple):
    """
    Numbers of one step.

    ``lr`` learning rate; ``ema`` share of the weights' average that stays; ``ease`` share of the
    full range of motion; ``match`` weight of match supervision; ``active`` 1, or 0 to change
    nothing.
    """

    lr: float
    ema: float
    ease: float
    match: float
    active: float = 1.0


def rates_at(config: TrainConfig, step: int, progress: float) -> Rates:
    """Return the rates of step ``step`` at ``progress`` (0 to 1) of the whole plan."""
    progress = min(max(progress, 0.0), 1.0)
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    cosine = 0.5 + 0.5 * math.cos(math.pi * progress)
    floor = config.final_lr_share
    done = min(1.0, progress / config.curriculum) if config.curriculum else 1.0
    fall = config.final_match_weight - config.match_weight
    return Rates(
        lr=config.lr * warm * (floor + (1 - floor) * cosine),
        ema=min(config.ema, (step + 1) / (step + 10)),
        ease=0.3 + 0.7 * done,
        match=config.match_weight + fall * progress,
    )
