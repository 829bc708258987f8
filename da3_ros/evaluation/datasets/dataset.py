"""What a benchmark is: scenes with truth in one layout on disk, and the rules for them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from da3_ros.errors import InputError
from da3_ros.evaluation.frame_choice import FrameChoice
from da3_ros.evaluation.surface_rules import TrueSurface
import numpy as np


@dataclass(frozen=True)
class Scene:
    """
    F frames of one place; what is large is read when it is asked for.

    ``world_from_camera`` (F, 4, 4) float64, optical frames; ``intrinsics`` (F, 3, 3) pixels of the
    pictures. Of a frame's number, ``rgb`` is the picture (H, W, 3) uint8, ``depth_m`` the true
    depth (h, w), NaN where unknown, and ``is_valid`` (H, W) bool says of which pixels depth is
    fused; both are None where the benchmark has none, and the latter may return None for all
    pixels. ``surface`` is the true surface that some frames could see, None where there is none.
    """

    name: str
    world_from_camera: np.ndarray
    intrinsics: np.ndarray
    rgb: Callable[[int], np.ndarray]
    depth_m: Callable[[int], np.ndarray] | None = None
    is_valid: Callable[[int], np.ndarray | None] | None = None
    surface: Callable[[Sequence[int]], TrueSurface] | None = None

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.world_from_camera)


@dataclass(frozen=True)
class Dataset:
    """
    A benchmark in one layout.

    ``layout`` says in words what a folder holds; ``scenes`` returns the names of the scenes that
    are in a folder; ``read`` opens one; ``frames`` chooses what is seen together; ``unit`` is that
    of the true surface.
    """

    name: str
    layout: str
    scenes: Callable[[Path], Sequence[str]]
    read: Callable[[Path, str], Scene]
    frames: FrameChoice
    unit: str = 'm'

    def names(self, root: Path, wanted: Sequence[str] = ()) -> list[str]:
        """
        Return the scenes of a folder, all or those wanted.

        Raises:
            InputError: if there are none, or not those.

        """
        if not root.is_dir():
            raise InputError(f'{root} is not a folder; expected {self.name}: {self.layout}.')
        found = list(self.scenes(root))
        if not found:
            raise InputError(f'{root} holds no scene of {self.name}; expected {self.layout}.')
        if missing := [name for name in wanted if name not in found]:
            raise InputError(
                f'{root} has no scene {", ".join(missing)}; there are {", ".join(found)}.'
            )
        return [name for name in found if not wanted or name in wanted]


def needed(path: Path) -> Path:
    """Return the path of something that a scene can't do without; ``InputError`` if it lacks."""
    if not path.exists():
        raise InputError(f'{path} is missing; the scene cannot be read without it.')
    return path


def with_frames(root: Path, count: int) -> None:
    """Raise ``InputError`` for a scene none of whose frames has all that it needs."""
    if not count:
        raise InputError(f'{root} has no frame with a picture, a pose and intrinsics.')


def folders(root: Path, names: Sequence[str]) -> list[str]:
    """Return those of the names that are folders in ``root``."""
    return [name for name in names if (root / name).is_dir()]


def inside(root: Path, name: str) -> Path:
    """Return the folder of this name, which an archive may have around everything, or the root."""
    return root / name if (root / name).is_dir() else root
