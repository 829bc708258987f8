"""
Show which kernels the time of a new frame goes into.

    python -m benchmarks.kernels [--model large] [--runner fused] [--top 30]

One line for each kernel: milliseconds and launches of a step, summed over its launches. What is
missing up to the total is time in which the device waits.
"""

import argparse
import time

from da3_ros.engine.device import resolve_device, resolve_precision
from da3_ros.tools.bench_subjects import Case, make_network, make_runner, RunnerSubject
import torch
from torch.profiler import profile, ProfilerActivity

_STEPS = 10


def main() -> None:
    """Profile some steps and print the table."""
    parser = argparse.ArgumentParser(description='Which kernels the time of a frame goes into.')
    parser.add_argument('--model', default='large')
    parser.add_argument('--views', type=int, default=8)
    parser.add_argument('--dense', type=int, default=1)
    parser.add_argument('--size', type=int, nargs=2, default=(504, 280))
    parser.add_argument('--runner', default='fused', choices=('cached', 'fused', 'compiled'))
    parser.add_argument('--device', default='cuda')
    parser.add_argument('--top', type=int, default=30)
    arguments = parser.parse_args()
    device = resolve_device(arguments.device)
    case = Case(arguments.model, arguments.views, 1, arguments.dense, *arguments.size)
    net = make_network(case.model, resolve_precision('auto', device), device)
    runner = make_runner(arguments.runner, case, net)
    subject = RunnerSubject(arguments.runner, case, runner, device)
    subject.step()
    is_gpu = device.type == 'cuda'
    activities = [ProfilerActivity.CUDA if is_gpu else ProfilerActivity.CPU]
    start = time.perf_counter()
    with profile(activities=activities) as profiler:
        for _ in range(_STEPS):
            subject.step()
    elapsed_ms = (time.perf_counter() - start) * 1e3 / _STEPS
    attribute = 'self_device_time_total' if is_gpu else 'self_cpu_time_total'
    rows = [
        (getattr(event, attribute) / 1e3 / _STEPS, event.count / _STEPS, event.key)
        for event in profiler.key_averages()
    ]
    rows.sort(reverse=True)
    launches = sum(count for _, count, _ in rows)
    busy_ms = sum(ms for ms, _, _ in rows)
    print(f'{torch.__version__}, {case}, {arguments.runner}')
    print(f'{elapsed_ms:.2f} ms a step while profiled, {busy_ms:.2f} in {launches:.0f} launches')
    for ms, count, name in rows[: arguments.top]:
        print(f'{ms:8.3f} ms {count:7.1f}  {name[:110]}')


if __name__ == '__main__':
    main()
