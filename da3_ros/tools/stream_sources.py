"""What ``da3 evaluate --stream`` plays: rendered laps, sequences, real paths, corridors."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from da3_ros.errors import InputError
from da3_ros.evaluation.courses import BLOCK_M, corridor, room_around
from da3_ros.evaluation.euroc import read_euroc
from da3_ros.evaluation.footage import film_footage, FilmTruth, Footage, sequence_footage
from da3_ros.evaluation.sequences import read_sequence
from da3_ros.geometry.tum import read_tum
from da3_ros.training.scenes.make import held_out_config, held_out_seed
from da3_ros.training.scenes.paths import PathConfig
from da3_ros.training.scenes.sequence import iterate_sequence, SequenceConfig
import numpy as np
from tqdm import tqdm

# Held-out scenes of their own, beside those of the windows.
_FIRST_SCENE = 5000
_FPS = 10.0
# A network that looks at no picture needs no more than its depth.
_SIMULATED_SIZE = (84, 56)
_SIZE = (224, 168)


def streams(arguments: argparse.Namespace) -> Iterator[Footage]:
    """
    Yield the footage that the command line asks for.

    Raises:
        InputError: if a file does not hold what is expected, or has no pictures for a network.

    """
    if (arguments.corridor or arguments.path) and not arguments.simulate:
        raise InputError('--corridor and --path have no pictures; they go with --simulate.')
    size = _SIMULATED_SIZE if arguments.simulate else _SIZE
    if arguments.synthetic:
        for number in range(arguments.streams):
            yield rendered_lap(number, arguments.frames, size)
    if arguments.corridor:
        block_m = tuple(arguments.block or BLOCK_M)
        for number in range(arguments.streams):
            yield corridor(arguments.frames, arguments.laps, number, block_m)
    for path in arguments.sequence or ():
        yield sequence_footage(path.name, read_sequence(path))
    for path in arguments.path or ():
        yield _real_path(path, arguments.frames)


def rendered_lap(number: int, frames: int, size: tuple[int, int]) -> Footage:
    """Render a robot's lap through a held-out scene, ending where it began."""
    config = SequenceConfig(
        seed=held_out_seed(_FIRST_SCENE + number),
        frames=frames,
        width=size[0],
        height=size[1],
        fps=_FPS,
        path=PathConfig(kind='robot', closed=True),
        scene=held_out_config(),
    )
    film = iterate_sequence(config)
    shots = list(tqdm(film, 'render', total=frames, unit='frame', leave=False, disable=None))
    intrinsics = shots[0].intrinsics.numpy().astype(np.float64)
    # The renderer counts pixels from their corners, networks and ROS from their centres.
    intrinsics[:2, 2] -= 0.5
    truth = FilmTruth(
        stamps_ns=np.array([s.stamp_ns for s in shots]),
        poses=np.stack([s.world_from_camera.numpy() for s in shots]).astype(np.float64),
        depths_m=np.stack([s.depth_m.numpy() for s in shots]),
        k=intrinsics,
    )
    return film_footage(f'lap-{number}', truth, np.stack([s.rgb.numpy() for s in shots]))


def _real_path(path: Path, frames: int) -> Footage:
    """
    Return a recorded trajectory, thinned to so many frames, in a room of boxes.

    In a .csv it is EuRoC's, of the vehicle's body: a camera is imagined there.
    """
    _, poses = read_euroc(path) if path.suffix == '.csv' else read_tum(path)
    if len(poses) < frames:
        raise InputError(f'{path} has {len(poses)} poses; expected at least {frames} (--frames).')
    return room_around(path.stem, poses[np.linspace(0, len(poses) - 1, frames).astype(int)])
