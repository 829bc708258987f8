"""Numbers made colours."""

import cv2
import numpy as np


def colours(share: np.ndarray, table: int) -> np.ndarray:
    """Return (H, W, 3) uint8 of numbers (H, W) from 0 to 1 by a colour map of OpenCV; NaN is 0."""
    index = np.nan_to_num(255.0 * share).round().astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(index, table), cv2.COLOR_BGR2RGB)
