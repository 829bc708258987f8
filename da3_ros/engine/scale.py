"""The size of the map: what one of its units is, and who says so."""

from da3_ros.config import ScaleConfig
from da3_ros.errors import FrameError
import torch


class MapScale:
    """
    Chooses the unit of a new map; every later window is registered to that unit.

    ``source`` none makes the median depth of the first view 1: the map is up to scale. ``fixed``
    takes the user's word for the metres in a network unit of the first window.
    """

    def __init__(self, config: ScaleConfig) -> None:
        """Take the configured source."""
        self._config = config

    @property
    def source(self) -> str:
        """Name of the source, as published."""
        return self._config.source

    @property
    def is_metric(self) -> bool:
        """Whether one unit of the map is one metre."""
        return self._config.source != 'none'

    def map_from_network(self, depth: torch.Tensor) -> float:
        """
        Return map units per network unit for the first view's depth (H, W).

        Raises:
            FrameError: if the depth has no finite, positive median.

        """
        if self._config.source == 'fixed':
            return self._config.fixed
        valid = depth[torch.isfinite(depth) & (depth > 0)]
        median = float(valid.median()) if len(valid) else 0.0
        if not median > 0:
            raise FrameError(
                'frame_registration',
                'The network gave no valid depth for the first view; the map waits for the next.',
            )
        return 1.0 / median
