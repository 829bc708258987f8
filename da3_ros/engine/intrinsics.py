"""Intrinsics of cameras that publish none: the network's own, steadied over the stream."""

import numpy as np

# Views after which the average keeps a constant weight, so that a zoom is still followed.
_MEMORY = 30


class IntrinsicsEstimate:
    """
    Running mean of the focal lengths that the network sees for one camera.

    The network's guess moves by a few percent from view to view. A camera's lens does not, so the
    mean is both nearer the truth and steadier for whoever unprojects with it. The principal point
    is the network's, the centre of the image.
    """

    def __init__(self) -> None:
        """Start with no view seen."""
        self._log_focal = np.zeros(2)
        self._views = 0

    def update(self, predicted: np.ndarray) -> np.ndarray:
        """Take one more predicted K (3, 3) and return the K to use."""
        self._views = min(self._views + 1, _MEMORY)
        log_focal = np.log(predicted[[0, 1], [0, 1]])
        self._log_focal += (log_focal - self._log_focal) / self._views
        intrinsics = predicted.copy()
        intrinsics[[0, 1], [0, 1]] = np.exp(self._log_focal)
        return intrinsics
