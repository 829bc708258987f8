"""ETH3D, high-resolution multi-view, training scenes: DSLR pictures and a laser-scanned mesh."""

from pathlib import Path

from da3_ros.errors import InputError
from da3_ros.evaluation.datasets.colmap import read_colmap
from da3_ros.evaluation.datasets.dataset import Dataset, folders, needed, Scene, with_frames
from da3_ros.evaluation.datasets.true_points import true_points
from da3_ros.evaluation.frame_choice import Sampled
from da3_ros.evaluation.sequences import read_grey, read_rgb
from da3_ros.evaluation.surface_rules import OUTDOORS, SampledSurface
import numpy as np

# Without meadow and terrace, as the benchmark has it.
_SCENES = (
    *('courtyard', 'electro', 'kicker', 'pipes', 'relief', 'delivery_area', 'facade'),
    *('office', 'playground', 'relief_2', 'terrains'),
)
# Numbers of pictures, first and last, that the benchmark leaves out for their odd rotations.
_LEFT_OUT = {
    'delivery_area': ((711, 714),),
    'electro': ((9289, 9293), (9298, 9298)),
    'playground': ((587, 592),),
    'relief': ((427, 438),),
    'relief_2': ((458, 468),),
}
# What a mask's pixels are where nothing can be known.
_MASKED = 1


def _scenes(root: Path) -> list[str]:
    return folders(root, _SCENES)


def _read(root: Path, name: str) -> Scene:
    folder = root / name
    cameras, pictures = read_colmap(needed(folder / 'dslr_calibration_jpg'))
    ends = tuple(f'{number}.JPG' for a, b in _LEFT_OUT.get(name, ()) for number in range(a, b + 1))
    images = folder / 'images'
    used = [
        p
        for p in pictures
        if not p.name.endswith(ends) and p.camera in cameras and (images / p.name).is_file()
    ]
    with_frames(folder, len(used))
    names = [Path(p.name).name for p in used]
    sizes = [cameras[p.camera].size for p in used]

    def depth_m(frame: int) -> np.ndarray:
        width, height = sizes[frame]
        path = needed(folder / 'ground_truth_depth' / 'dslr_images' / names[frame])
        depth = np.fromfile(path, np.float32)
        if depth.size != width * height:
            raise InputError(f'{path} has {depth.size} depths; expected {width} x {height}.')
        depth = depth.reshape(height, width)
        return np.where(np.isfinite(depth) & (depth > 0), depth, np.nan)

    def is_valid(frame: int) -> np.ndarray | None:
        valid = None
        if (folder / 'ground_truth_depth' / 'dslr_images' / names[frame]).is_file():
            valid = np.isfinite(depth_m(frame))
        path = folder / 'masks_for_images' / 'dslr_images' / f'{Path(names[frame]).stem}.png'
        if path.is_file():
            seen = read_grey(path) != _MASKED
            valid = seen if valid is None else valid & seen
        return valid

    return Scene(
        name=name,
        world_from_camera=np.stack([p.world_from_camera for p in used]),
        intrinsics=np.stack([cameras[p.camera].matrix() for p in used]),
        rgb=lambda frame: read_rgb(images / used[frame].name),
        depth_m=depth_m,
        is_valid=is_valid,
        surface=lambda frames: SampledSurface(
            true_points(needed(folder / 'combined_mesh.ply')), OUTDOORS
        ),
    )


ETH3D = Dataset(
    'eth3d',
    'SCENE/images, SCENE/dslr_calibration_jpg and SCENE/combined_mesh.ply, SCENE like courtyard',
    _scenes,
    _read,
    Sampled(),
)
