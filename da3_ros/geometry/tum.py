"""Trajectories in the text format of TUM RGB-D: ``t tx ty tz qx qy qz qw`` a line."""

from pathlib import Path

from da3_ros.errors import InputError
from da3_ros.geometry.transforms import pose_from_quaternion, quaternion_xyzw
import numpy as np


def pose_line(stamp_ns: int, world_from_camera: np.ndarray) -> str:
    """Return one line, newline included: seconds with all nine decimals, then the (4, 4) pose."""
    seconds, nanoseconds = divmod(stamp_ns, 10**9)
    numbers = [*world_from_camera[:3, 3], *quaternion_xyzw(world_from_camera[:3, :3])]
    return f'{seconds}.{nanoseconds:09d} ' + ' '.join(f'{n:.9f}' for n in numbers) + '\n'


def write_tum(path: Path, stamps_ns: np.ndarray, world_from_camera: np.ndarray) -> None:
    """Write poses (F, 4, 4) with their stamps (F,) in nanoseconds."""
    lines = [pose_line(int(s), p) for s, p in zip(stamps_ns, world_from_camera, strict=True)]
    path.write_text('# t tx ty tz qx qy qz qw\n' + ''.join(lines))


def read_tum(path: Path, stamps_per_second: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """
    Read a trajectory; ``stamps_per_second`` other than 1 is for stamps that count frames.

    Returns:
        Stamps (F,) int64 nanoseconds and poses world_from_camera (F, 4, 4) float64.

    Raises:
        InputError: if a line has not eight numbers.

    """
    stamps, poses = [], []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0].startswith('#'):
            continue
        try:
            values = np.array(fields[1:], dtype=np.float64)
            stamp_ns = _nanoseconds(fields[0], stamps_per_second)
        except ValueError:
            values = np.empty(0)
        if values.shape != (7,):
            raise InputError(
                f"Line {number} of {path} is '{line}'; expected 't tx ty tz qx qy qz qw'."
            )
        stamps.append(stamp_ns)
        poses.append(pose_from_quaternion(values[:3], values[3:]))
    return np.array(stamps, dtype=np.int64), np.array(poses).reshape(-1, 4, 4)


def _nanoseconds(text: str, stamps_per_second: float) -> int:
    """Return a stamp in whole nanoseconds; plain seconds do not go through a float."""
    if stamps_per_second != 1.0:
        return round(float(text) / stamps_per_second * 1e9)
    seconds, _, fraction = text.partition('.')
    return int(seconds) * 10**9 + int(fraction[:9].ljust(9, '0') or 0)
