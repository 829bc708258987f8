"""A rendered scene with its truth, as the demo uses it: on disk, and as frames for a bag."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from da3_ros.engine import Frame
from da3_ros.evaluation.sequences import write_sequence
from da3_ros.training.scenes.paths import PathConfig
from da3_ros.training.scenes.sequence import iterate_sequence, SequenceConfig
import numpy as np
from tqdm import tqdm

# Long ago, but a time: zero is what ROS takes for "no clock yet".
_START_NS = 1_700_000_000 * 10**9


@dataclass(frozen=True)
class Film:
    """
    F frames with exact truth.

    ``rgb`` (F, H, W, 3) uint8; ``depth_m`` (F, H, W) float32, NaN where there is nothing;
    ``world_from_camera`` (F, 4, 4) optical frames; ``intrinsics`` (3, 3), integer pixels at the
    centres of pixels; ``stamps_ns`` (F,).
    """

    rgb: np.ndarray
    depth_m: np.ndarray
    world_from_camera: np.ndarray
    intrinsics: np.ndarray
    stamps_ns: np.ndarray

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.rgb)

    def frames(self) -> Iterator[Frame]:
        """Yield the frames with their true poses."""
        for i in range(len(self)):
            yield Frame(
                camera='',
                stamp_ns=int(self.stamps_ns[i]),
                rgb=self.rgb[i],
                intrinsics=self.intrinsics,
                map_from_camera=self.world_from_camera[i],
            )

    def write(self, directory: Path) -> None:
        """Write the sequence and its truth as files."""
        write_sequence(
            directory,
            self.rgb,
            self.depth_m,
            self.stamps_ns,
            self.world_from_camera,
            self.intrinsics,
        )


def render_film(frames: int, width: int, height: int, rate_hz: float, seed: int) -> Film:
    """
    Render a walk around the middle of a scene, with a progress bar.

    Raises:
        InputError: if a number is not one that the renderer takes.

    """
    config = SequenceConfig(
        seed=seed,
        frames=frames,
        width=width,
        height=height,
        fps=rate_hz,
        path=PathConfig(kind='orbit', speed_m=0.06, rest_share=0.0),
        start_stamp_ns=_START_NS,
    )
    shots = list(tqdm(iterate_sequence(config), 'render', total=frames, unit='frame'))
    intrinsics = shots[0].intrinsics.numpy().astype(np.float64)
    # The renderer counts pixels from their corners, ROS from their centres.
    intrinsics[:2, 2] -= 0.5
    return Film(
        rgb=np.stack([s.rgb.numpy() for s in shots]),
        depth_m=np.stack([s.depth_m.numpy() for s in shots]),
        world_from_camera=np.stack([s.world_from_camera.numpy() for s in shots]).astype(float),
        intrinsics=intrinsics,
        stamps_ns=np.array([s.stamp_ns for s in shots]),
    )
