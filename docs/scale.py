"""
Plot how the scale of the map comes to be known, from each source, in docs/scale.png.

    python docs/scale.py            the plot, and a table of errors after 20 keyframes
    python docs/scale.py --seeds 8  over more streams

Each stream is a walk through a room on a simulated network: depth errors of 3 %, outliers, and a
gauge of its own for each window.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from da3_ros.config import EngineConfig
from da3_ros.evaluation.simulated_robot import (
    RobotNoise,
    SimulatedMetricNetwork,
    SimulatedRobot,
)
from da3_ros.evaluation.simulated_stream import FURNISHED_ROOM, Moment, play, winding_walk
from da3_ros.evaluation.simulator import NetworkSimulator, Noise
from da3_ros.evaluation.truth import RoomTruth
from da3_ros.geometry.transforms import rigid
from da3_ros.parameter_tree import replaced
import matplotlib
import numpy as np
import torch
from tqdm import tqdm

matplotlib.use('Agg')

SIZE = (112, 84)
K = np.array([[80.0, 0.0, 56.0], [0.0, 80.0, 42.0], [0.0, 0.0, 1.0]])
STEP_NS = 100_000_000
FRAMES = 150
BASELINE_M = 0.4
PICTURE = Path(__file__).with_name('scale.png')
NOISE = Noise(depth_bias=0.03, outliers=0.05, translation=0.003, rotation_deg=0.1, persistent=0.3)


@dataclass(frozen=True)
class Source:
    """A source as it is simulated."""

    title: str
    cameras: tuple[str, ...] = ('',)
    has: dict = field(default_factory=dict)
    noise: RobotNoise = RobotNoise()
    metric: dict | None = None
    config: dict = field(default_factory=dict)


SOURCES = {
    'rig': Source('rig: two cameras, 0.4 m apart', ('left', 'right'), {'has_extrinsics': True}),
    'odometry': Source(
        'odometry: 2 % drift, 0.15 s late',
        has={'has_odometry': True},
        noise=RobotNoise(odometry_drift=0.02, lag_ns=150_000_000),
    ),
    'metric_model': Source('metric network: 10 % noise', metric={'field': 0.1}),
    'depth_sensor': Source(
        'depth sensor: 500 points, 2 % noise',
        has={'has_ranges': True},
        noise=RobotNoise(range_noise=0.02),
        config={'scale.depth_sensor': 'point_cloud'},
    ),
}


def stream(source: Source, seed: int) -> Iterator[Moment]:
    """Play one stream with one source."""
    stamps = [(i + 1) * STEP_NS for i in range(FRAMES)]
    right = rigid(np.eye(3), np.array([BASELINE_M, 0.0, 0.0]))
    offsets = {'': np.eye(4), 'left': np.eye(4), 'right': right}
    walk = winding_walk(FRAMES)
    poses = {
        camera: {s: pose @ offsets[camera] for s, pose in zip(stamps, walk, strict=True)}
        for camera in source.cameras
    }
    truth = RoomTruth(FURNISHED_ROOM, poses, K, SIZE)
    robot = SimulatedRobot(truth, source.noise, seed=seed, **source.has)
    metric = source.metric
    metric_runner = metric and SimulatedMetricNetwork(truth, seed=seed, **metric)
    config = replaced(
        EngineConfig(),
        {
            'device': 'cpu',
            'resolution': SIZE[0],
            'keyframe.max_overlap': 0.9,
            'keyframe.min_parallax_deg': 3.0,
            **source.config,
        },
    )
    network = NetworkSimulator(truth, NOISE, seed)
    return play(network, config, stamps, SIZE, source.cameras, robot, metric_runner)


def draw(streams: dict[str, list[list[Moment]]]) -> None:
    """Draw the error of the scale against time, with the spread that was published."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(8.0, 4.8), sharex=True, sharey=True)
    for (name, played), axis in zip(streams.items(), axes.flat, strict=True):
        for i, moments in enumerate(played):
            seconds = np.array([m.stamp_ns for m in moments]) * 1e-9
            error = 100.0 * np.array([m.log_error for m in moments])
            axis.plot(seconds, error, color=f'C{i}', linewidth=1.0)
        spread = 100.0 * np.array([m.status.scale_spread for m in played[0]])
        axis.fill_between(seconds, -spread, spread, color='0.88', label='published spread')
        axis.axhline(0.0, color='0.5', linewidth=0.5)
        axis.set_title(SOURCES[name].title, fontsize=9)
        axis.set_ylim(-12.0, 12.0)
    axes[0, 0].legend(fontsize=8, loc='upper right')
    figure.supxlabel('time [s]', fontsize=9)
    figure.supylabel('error of the scale [%]', fontsize=9)
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=110, metadata={'Software': None})


def main() -> None:
    """Play, print and draw."""
    parser = argparse.ArgumentParser(description='Plot the scale against time for each source.')
    parser.add_argument('--seeds', type=int, default=3, help='streams a source')
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    streams: dict[str, list[list[Moment]]] = {name: [] for name in SOURCES}
    for name, seed in tqdm([(name, seed) for name in SOURCES for seed in range(seeds)]):
        streams[name].append(list(stream(SOURCES[name], seed)))
    print('source        metric after  error after 20 keyframes [%]   rms  published spread [%]')
    for name, played in streams.items():
        at = [next(m for m in moments if m.status.keyframes >= 20) for moments in played]
        first = max(next(m.status.keyframes for m in ms if m.status.is_metric) for ms in played)
        errors = 100.0 * np.array([m.log_error for m in at])
        listed = ' '.join(f'{e:+.2f}' for e in errors)
        spread = 100.0 * np.mean([m.status.scale_spread for m in at])
        rms = np.sqrt(np.mean(errors**2))
        print(f'{name:13} {first:3} keyframes  {listed:30} {rms:.2f}  {spread:.2f}')
    draw(streams)


if __name__ == '__main__':
    main()
