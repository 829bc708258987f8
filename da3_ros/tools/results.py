"""What ``da3 infer`` leaves on disk, so written that stopping at any moment leaves it usable."""

from collections.abc import Sequence
import json
from pathlib import Path
import shutil

from da3_ros.engine import View
from da3_ros.errors import InputError
from da3_ros.geometry.tum import pose_line
import numpy as np

# What a folder of results holds; nothing else in it is ever removed.
PARTS = (
    *('frames', 'map', 'outputs', 'poses.txt', 'intrinsics.json'),
    *('gaussians.ply', 'report.html'),
)


class Results:
    """
    A folder with one .npz a frame, all poses, and all intrinsics.

    ``frames/%06d.npz``, numbered as the input is: ``depth`` (h, w) float32, NaN where invalid, in
    metres if ``is_metric`` and else in units of the map; ``confidence`` (h, w) float32, 1 and up;
    ``rgb`` (h, w, 3) uint8; ``intrinsics`` (3, 3) pixels of the depth; ``map_from_camera`` (4, 4);
    ``stamp_ns``; ``is_metric``. ``poses.txt``: TUM format, map_from_camera, optical frames. What
    is not known, poses of a single-view network and its intrinsics, is left out.
    """

    def __init__(self, directory: Path, overwrite: bool = False) -> None:
        """
        Make the folder.

        Raises:
            InputError: if it holds results already and may not be overwritten.

        """
        present = [directory / part for part in PARTS if (directory / part).exists()]
        if present and not overwrite:
            raise InputError(
                f'{directory} already holds results ({present[0].name}); '
                'choose another --output, or --overwrite them.'
            )
        for path in present:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.directory = directory
        self._cameras: list[dict] = []
        (directory / 'frames').mkdir(parents=True)
        self._poses = (directory / 'poses.txt').open('w')
        self._poses.write('# t tx ty tz qx qy qz qw, map_from_camera, optical frame\n')

    def __enter__(self) -> 'Results':
        """Return the open results."""
        return self

    def __exit__(self, *_: object) -> None:
        """Finish what is written as a whole."""
        self._poses.close()
        camera = {'per_image': self._cameras}
        (self.directory / 'intrinsics.json').write_text(json.dumps(camera, indent=1) + '\n')

    def write(self, index: int, views: Sequence[View], is_metric: bool) -> None:
        """Write the views of the input's frame ``index``."""
        for view in views:
            path = self.directory / 'frames' / f'{index:06d}.npz'
            arrays = {
                'depth': view.depth_m,
                'confidence': view.confidence,
                'rgb': view.rgb,
                'intrinsics': view.intrinsics,
                'map_from_camera': view.map_from_camera,
                'stamp_ns': view.stamp_ns,
                'is_metric': is_metric,
            }
            part = path.with_suffix('.part')  # no half of a frame is ever called a frame
            with part.open('wb') as file:
                np.savez(file, **{name: a for name, a in arrays.items() if a is not None})
            part.replace(path)
            if view.map_from_camera is not None:
                self._poses.write(pose_line(view.stamp_ns, view.map_from_camera))
                self._poses.flush()
            if view.intrinsics is not None:
                self._cameras.append(_camera(path.stem, view))


def _camera(name: str, view: View) -> dict:
    """Return the record of a view's intrinsics, pixels of its depth."""
    (fx, _, cx), (_, fy, cy), _ = view.intrinsics.tolist()
    height, width = view.depth_m.shape
    size = {'file': name, 'width': width, 'height': height}
    return size | {'fx': fx, 'fy': fy, 'cx': cx, 'cy': cy}
