"""
Measure what a frame takes beside the network: registration, and what the map does with it.

    OMP_NUM_THREADS=1 python -m benchmarks.mapping [--device cpu] [--width 504] [--window 8]

A walk through a room of boxes on a simulated network, which is not measured, with its tensors on
the device. One JSON row with the median and the 95th percentile of the frames after the first ten.
"""

import argparse
import json

from da3_ros.config import EngineConfig
from da3_ros.engine import Frame, StreamingEngine
from da3_ros.evaluation.simulated_stream import FURNISHED_ROOM, winding_walk
from da3_ros.evaluation.simulator import NetworkSimulator, REALISTIC
from da3_ros.evaluation.truth import RoomTruth
from da3_ros.parameter_tree import replaced
import numpy as np
import torch

_FRAMES, _SKIPPED = 80, 10
_STEP_NS = 100_000_000


def main() -> None:
    """Print the row."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0].strip())
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--width', type=int, default=504)
    parser.add_argument('--window', type=int, default=8)
    arguments = parser.parse_args()
    width, height = arguments.width, round(arguments.width / 1.8)
    k = np.array([[0.7 * width, 0, width / 2], [0, 0.7 * width, height / 2], [0, 0, 1.0]])
    poses = {(i + 1) * _STEP_NS: pose for i, pose in enumerate(winding_walk(_FRAMES))}
    truth = RoomTruth(FURNISHED_ROOM, {'': poses}, k, (width, height))
    settings = {'device': arguments.device, 'resolution': width, 'window.size': arguments.window}
    engine = StreamingEngine(
        replaced(EngineConfig(), settings), NetworkSimulator(truth, REALISTIC)
    )
    rgb = np.zeros((height, width, 3), np.uint8)
    own_ms = []
    for stamp in poses:
        stages = engine.push([Frame('', stamp, rgb, k)]).status.stage_ms
        own_ms.append(stages['registration'] + stages['keyframes'])
    is_gpu = engine.device.type == 'cuda'
    row = {
        'device': torch.cuda.get_device_name(engine.device) if is_gpu else 'CPU',
        'torch': torch.__version__,
        'threads': torch.get_num_threads(),
        'size': f'{width}x{height}',
        'window': arguments.window,
        'median_ms': round(float(np.median(own_ms[_SKIPPED:])), 2),
        'p95_ms': round(float(np.quantile(own_ms[_SKIPPED:], 0.95)), 2),
    }
    print(json.dumps(row))


if __name__ == '__main__':
    main()
