"""
How long a network takes to load and what memory that needs, measured on files of random weights.

    python -m benchmarks.loading large giant nested --dtype bfloat16

Each file is written as the official ones are, in float32, in a temporary folder, and removed
afterwards. The loading happens in a process of its own. "own memory" is what that process holds
beyond the file's pages, which the system may take back at any time; it starts from what Python and
PyTorch need.
"""

import argparse
import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import threading
import time

from da3_ros.model.layout import official_shapes
from da3_ros.model.presets import METRIC, NESTED, NetworkConfig, PRESETS
from da3_ros.model.weights import build_network
import numpy as np
import torch

NETWORKS: dict[str, NetworkConfig] = {**PRESETS, 'metric': METRIC, 'nested': NESTED}
_SAMPLE_S = 0.005


def write_random(config: NetworkConfig, folder: Path) -> int:
    """Write a file in the official layout, tensor by tensor; returns its size in bytes."""
    with torch.device('meta'):
        shapes = official_shapes(build_network(config), config)
    header, offset = {}, 0
    for key, shape in shapes.items():
        size = 4 * int(np.prod(shape))
        offsets = [offset, offset + size]
        header[key] = {'dtype': 'F32', 'shape': list(shape), 'data_offsets': offsets}
        offset += size
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    rng = np.random.default_rng(0)
    path = folder / 'model.safetensors'
    with path.open('wb') as file:
        file.write(len(text).to_bytes(8, 'little') + text)
        for shape in shapes.values():
            file.write((0.02 * rng.standard_normal(shape, dtype=np.float32)).tobytes())
    (folder / 'config.json').write_text(json.dumps({'model_name': config.name}))
    return path.stat().st_size


def forget_file(path: Path) -> None:
    """Ask the system to drop a file from its cache, so that the disk is read."""
    with path.open('rb') as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def own_memory_mib() -> float:
    """Return the anonymous memory of this process."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith('RssAnon')) / 1024


def load(folder: Path, device: str, dtype: torch.dtype) -> dict[str, float]:
    """Load a network and return seconds and MiB."""
    from da3_ros.model import load_model

    samples, done = [own_memory_mib()], threading.Event()

    def sample() -> None:
        while not done.wait(_SAMPLE_S):
            samples.append(own_memory_mib())

    sampler = threading.Thread(target=sample)
    sampler.start()
    started = time.perf_counter()
    net = load_model(folder, device, dtype)
    elapsed_s = time.perf_counter() - started
    done.set()
    sampler.join()
    parameters = sum(p.numel() * p.element_size() for p in net.parameters())
    on_gpu = torch.cuda.max_memory_allocated() / 2**20 if device != 'cpu' else 0.0
    return {
        'seconds': elapsed_s,
        'weights_mib': parameters / 2**20,
        'own_before_mib': samples[0],
        'own_peak_mib': max(samples),
        'gpu_peak_mib': on_gpu,
    }


def main() -> None:
    """Measure each network, first from disk, then from the system's cache."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('networks', nargs='+', choices=NETWORKS)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--dtype', default='bfloat16', choices=('float32', 'bfloat16', 'float16'))
    parser.add_argument('--load', type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load:
        print(json.dumps(load(arguments.load, arguments.device, getattr(torch, arguments.dtype))))
        return
    print('network  file GiB  cache  seconds  weights  own peak less before  GPU peak [MiB]')
    for name in arguments.networks:
        with tempfile.TemporaryDirectory(prefix='da3-loading-') as folder:
            size = write_random(NETWORKS[name], Path(folder))
            for cache in ('cold', 'warm'):
                if cache == 'cold':
                    forget_file(Path(folder) / 'model.safetensors')
                row = _in_own_process(name, folder, arguments)
                growth = row['own_peak_mib'] - row['own_before_mib']
                print(
                    f'{name:7}  {size / 2**30:8.2f}  {cache}   {row["seconds"]:7.2f}  '
                    f'{row["weights_mib"]:7.0f}  {growth:20.0f}  {row["gpu_peak_mib"]:14.0f}'
                )


def _in_own_process(name: str, folder: str, arguments: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, '-m', 'benchmarks.loading', name, '--load', folder]
    command += ['--device', arguments.device, '--dtype', arguments.dtype]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


if __name__ == '__main__':
    main()
