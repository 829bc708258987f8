"""Some of many, evenly over all."""

import numpy as np


def evenly(count: int, most: int) -> list[int]:
    """Return at most so many of the places 0 to ``count`` - 1, the first and the last included."""
    places = np.linspace(0, count - 1, min(most, count)).round().astype(int)
    return sorted(set(places.tolist()))
