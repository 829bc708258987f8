"""Which frames of a scene the network sees together."""

from dataclasses import dataclass
import random
from typing import Protocol

import numpy as np

_SEED = 42


class FrameChoice(Protocol):
    """Cuts a scene of some frames into windows."""

    def windows(self, frames: int, views: int) -> list[list[int]]:
        """Return the frames of each window, at most ``views``; [] if there are too few."""
        ...


class Sampled:
    """One window: a random sample of all frames, the benchmark's own, draw for draw."""

    def windows(self, frames: int, views: int) -> list[list[int]]:
        """Return one window, of all frames where there are no more than ``views``."""
        order = list(range(frames))
        if frames > views:
            random.Random(_SEED).shuffle(order)
        return [sorted(order[:views])] if frames else []


class First:
    """One window: the first frames."""

    def windows(self, frames: int, views: int) -> list[list[int]]:
        """Return one window; none where there are fewer frames than ``views``."""
        return [list(range(views))] if frames >= views else []


class Spread:
    """Windows of frames that are evenly spread over the whole scene; each frame is in one."""

    def windows(self, frames: int, views: int) -> list[list[int]]:
        """Return as many windows of ``views`` as the frames make."""
        count = frames // views
        return np.arange(count * views).reshape(views, count).T.tolist()


@dataclass(frozen=True)
class Stretches:
    """Up to ``most`` windows along a long recording, of frames ``stride`` apart."""

    stride: int
    most: int = 10

    def windows(self, frames: int, views: int) -> list[list[int]]:
        """Return windows that begin at evenly spaced places."""
        length = (views - 1) * self.stride + 1
        if frames < length:
            return []
        count = min(self.most, frames // length)
        starts = np.linspace(0, frames - length, count).round().astype(int)
        return [list(range(s, s + length, self.stride)) for s in starts.tolist()]
