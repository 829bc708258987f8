"""What ``da3 evaluate --benchmark`` takes; apart, so that help needs no network."""

import argparse
from pathlib import Path

SYNTHETIC = 'synthetic'
BENCHMARKS = (
    *('eth3d', '7scenes', 'scannetpp', 'hiroom', 'dtu', 'dtu64', 'tum', 'kitti', 'euroc'),
    *('sequence', SYNTHETIC),
)
NOVEL_VIEWS = 'novel_views'
MODES = ('pose', 'depth', 'recon_unposed', 'recon_posed', NOVEL_VIEWS)


def add_benchmark_options(parser: argparse.ArgumentParser) -> None:
    """Add the options beside ``--benchmark`` itself."""
    group = parser.add_argument_group('benchmarks')
    group.add_argument('--data', type=Path, metavar='DIR', help='where the benchmark lies')
    group.add_argument(
        '--mode',
        nargs='+',
        choices=MODES,
        default=list(MODES[:-1]),
        help='what is measured; what a scene has no truth for is left out',
    )
    group.add_argument(
        '--scenes', nargs='+', default=[], metavar='NAME', help='these scenes alone'
    )
