"""Ground truth of EuRoC MAV: ``#timestamp [ns], p x y z [m], q w x y z, ...``, a state a line."""

from pathlib import Path

from da3_ros.errors import InputError
from da3_ros.geometry.transforms import pose_from_quaternion
import numpy as np

# Stamp, position and quaternion; velocities and biases follow.
_FIELDS = 8


def read_euroc(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """
    Read the poses of a ``state_groundtruth_estimate0/data.csv``.

    They are the body's, which is the IMU's, and not a camera's: where a camera sits on it stands
    in other files. Its z axis looks ahead as a camera's does.

    Returns:
        Stamps (F,) int64 nanoseconds and poses world_from_body (F, 4, 4) float64.

    Raises:
        InputError: if a line has not at least eight numbers.

    """
    stamps, poses = [], []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        fields = line.split(',')
        if not line.strip() or line.startswith('#'):
            continue
        try:
            stamp, values = int(fields[0]), np.array(fields[1:_FIELDS], dtype=np.float64)
        except ValueError:
            values = np.empty(0)
        if values.shape != (_FIELDS - 1,):
            raise InputError(
                f"Line {number} of {path} is '{line}'; expected 'stamp,px,py,pz,qw,qx,qy,qz,...'."
            )
        stamps.append(stamp)
        poses.append(pose_from_quaternion(values[:3], np.roll(values[3:], -1)))
    return np.array(stamps, dtype=np.int64), np.array(poses).reshape(-1, 4, 4)
