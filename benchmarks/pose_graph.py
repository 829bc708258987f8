"""
Measure how long the pose graph takes to close loops, in processor time of one thread.

    OMP_NUM_THREADS=1 PYTHONPATH=test python -m benchmarks.pose_graph [--nodes 100 300 1000 3000]
        [--loops 1 10 30] [--neighbours 4] [--repeat 9]

A ring of keyframes, each tied to its last few, drifts by 10 degrees and 5 %. One row of a table
for each number of nodes and loops: steps and median milliseconds with loops from the end of the
walk to its beginning, with one of them wrong, and with loops between any two keyframes.
"""

import argparse
import time

from da3_ros.geometry.pose_graph import optimise_pose_graph
from doubles.rings import Ring, ring
import numpy as np

_CASES = {'at the end': {}, 'one wrong': {'wrong': 1}, 'anywhere': {'is_tangled': True}}


def measure(graph: Ring, repeat: int) -> str:
    """Return steps and median time of one graph, and a mark if it did not converge."""
    times_ms = []
    for _ in range(repeat):
        begin = time.process_time()
        result = optimise_pose_graph(graph.drifted, graph.edges)
        times_ms.append(1e3 * (time.process_time() - begin))
    failed = '' if result.converged else ' (not converged)'
    return f'{result.steps} / {np.median(times_ms):.0f} ms{failed}'


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0].strip())
    parser.add_argument('--nodes', type=int, nargs='+', default=[100, 300, 1000, 3000])
    parser.add_argument('--loops', type=int, nargs='+', default=[1, 10, 30])
    parser.add_argument('--neighbours', type=int, default=4)
    parser.add_argument('--repeat', type=int, default=9)
    arguments = parser.parse_args()
    print(f'| nodes | loops | {" | ".join(_CASES)} |\n|---|---|{"---|" * len(_CASES)}')
    for nodes in arguments.nodes:
        for loops in arguments.loops:
            graphs = [
                ring(
                    *(nodes, arguments.neighbours, loops),
                    **{'noise': 0.3, 'drift_deg': 10.0, 'growth': 1.05, **case},
                )
                if loops > 1 or not case.get('wrong')
                else None
                for case in _CASES.values()
            ]
            cells = [measure(g, arguments.repeat) if g else '' for g in graphs]
            print(f'| {nodes} | {loops} | {" | ".join(cells)} |', flush=True)


if __name__ == '__main__':
    main()
