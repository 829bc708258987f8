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
# What is measured if no mode is named, of networks that see many views and of those that see one.
MODES_OF_MANY, MODES_OF_ONE = MODES[:-1], ('depth',)
RENDERERS = ('auto', 'torch', 'gsplat')


def add_benchmark_options(parser: argparse.ArgumentParser) -> None:
    """Add the options beside ``--benchmark`` itself."""
    group = parser.add_argument_group('benchmarks')
    group.add_argument('--data', type=Path, metavar='DIR', help='where the benchmark lies')
    group.add_argument(
        '--mode',
        nargs='+',
        choices=MODES,
        help='what is measured, if not all but novel_views, or depth of networks that see each '
        'view alone; what a scene has no truth for is left out',
    )
    group.add_argument(
        '--renderer',
        choices=RENDERERS,
        default=RENDERERS[0],
        help='what draws novel_views; auto: gsplat where it is installed, on a CUDA device',
    )
    group.add_argument(
        '--scenes', nargs='+', default=[], metavar='NAME', help='these scenes alone'
    )
