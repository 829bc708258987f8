"""
Pictures from where no picture was taken, of a network with a Gaussian head: PSNR and SSIM.

After the paper: every eighth frame is a target, and the contexts are those of the others that lie
farthest apart. The network is told the cameras of the contexts.
"""

from da3_ros.engine.preprocess import preprocess
from da3_ros.evaluation.datasets.dataset import Scene
from da3_ros.evaluation.image_quality import psnr, ssim
from da3_ros.evaluation.inference import SceneNetwork
from da3_ros.evaluation.renderers import Renderer
from da3_ros.evaluation.trajectory import is_static
from da3_ros.geometry.transforms import invert
import numpy as np
import torch
from tqdm import tqdm

_EVERY = 8
# Targets of a scene that are rendered.
_MOST_TARGETS = 16


def split_frames(world_from_camera: np.ndarray, contexts: int) -> tuple[list[int], list[int]]:
    """
    Return contexts and targets of frames (F, 4, 4): what is shown, and what is rendered.

    Contexts are chosen farthest first, from the first frame that is no target.
    """
    frames = np.arange(len(world_from_camera))
    targets = frames[_EVERY // 2 :: _EVERY]
    others = np.setdiff1d(frames, targets)
    centres = world_from_camera[others, :3, 3]
    chosen = [0]
    distance = np.linalg.norm(centres - centres[0], axis=1)
    while len(chosen) < min(contexts, len(others)):
        distance[chosen] = -1.0
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(centres - centres[chosen[-1]], axis=1))
    few = np.linspace(0, len(targets) - 1, min(len(targets), _MOST_TARGETS)).round().astype(int)
    return sorted(others[chosen].tolist()), targets[few].tolist()


def novel_view_scores(
    scene: Scene, contexts: int, network: SceneNetwork, render: Renderer
) -> dict[str, float]:
    """
    Return ``psnr`` [dB] and ``ssim``, means over the targets; {} for too few frames.

    Raises:
        ConfigError: if the network has no Gaussian head, or the renderer can't draw.
        InputError: if a file of the scene is missing or can't be read.

    """
    shown, targets = split_frames(scene.world_from_camera, contexts)
    if len(shown) < 2 or not targets or is_static(scene.world_from_camera[shown]):
        return {}
    gaussians, window_from_world = network.gaussians(
        (scene.rgb(frame) for frame in shown),
        scene.world_from_camera[shown],
        scene.intrinsics[shown],
    )
    found = []
    for frame in tqdm(targets, 'render', unit='view', leave=False, delay=2, disable=None):
        seen = preprocess(scene.rgb(frame), network.resolution, intrinsics=scene.intrinsics[frame])
        window_from_camera = window_from_world.apply_to_pose(scene.world_from_camera[frame])
        like = {'dtype': gaussians.means.dtype, 'device': gaussians.means.device}
        picture = render(
            gaussians,
            torch.tensor(invert(window_from_camera), **like),
            torch.tensor(seen.intrinsics, **like),
            seen.rgb.shape[:2],
        )
        truth = torch.from_numpy(seen.rgb).permute(2, 0, 1).to(picture) / 255
        picture = picture.clamp(0, 1)
        found.append((psnr(picture, truth), ssim(picture, truth)))
    means = np.mean(found, axis=0)
    return {'psnr': float(means[0]), 'ssim': float(means[1])}
