"""What a robot knows besides images: where its cameras are, and how far things are."""

from typing import Protocol

import numpy as np

# Images that are this near in time were taken at the same time, for a robot at walking pace.
SIMULTANEOUS_NS = 5_000_000


class Robot(Protocol):
    """
    Answers about a camera at a stamp, in metres; None where, or as long as, nothing is known.

    No answer is waited for: what comes late (odometry that lags behind the images, a scan) is
    asked for again with later frames.
    """

    def odom_from_camera(self, camera: str, stamp_ns: int) -> np.ndarray | None:
        """Return the pose (4, 4) of a camera's optical frame in the odometry frame."""
        ...

    def camera_from_other(
        self, camera: str, stamp_ns: int, other: str, other_stamp_ns: int
    ) -> np.ndarray | None:
        """Return the pose (4, 4) of another camera, at its own stamp, in a camera's frame."""
        ...

    def points_in_camera(self, camera: str, stamp_ns: int) -> np.ndarray | None:
        """Return the points (N, 3) that a depth sensor measured, in a camera's optical frame."""
        ...
