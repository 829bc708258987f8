"""Taking times for ``da3 bench``: what each subject needs for a new frame, stage by stage."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
import statistics
import time

from da3_ros.engine.device_preprocess import DevicePreprocess
from da3_ros.engine.graph_runner import GraphRunner
from da3_ros.engine.preprocess import preprocess
from da3_ros.model.flops import FlopCounter
from da3_ros.model.presets import PRESETS
from da3_ros.tools.bench_subjects import (
    Case,
    forget,
    make_network,
    make_runner,
    OFFICIAL,
    OfficialSubject,
    reset_peak,
    RunnerSubject,
    Subject,
    synchronize,
    TimedStages,
)
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

STAGES = ('prefix', 'enter', 'mix', 'heads')
_WARM_UP_STEPS = 3
_CAMERA_WIDTH = 1280


@dataclass
class Row:
    """
    What was measured of one subject in one case.

    ``total_ms`` is the time from images on the device to results on it, ``stages_ms`` what the
    stages take when each is waited for, ``preprocess_ms`` a camera's picture of 1280 pixels to the
    device. ``limit_ms`` is what has to be computed at the rate of a plain matrix product.
    """

    case: Case
    runner: str
    total_ms: float
    stages_ms: dict[str, float] = field(default_factory=dict)
    preprocess_ms: float = 0.0
    tflop: float = 0.0
    limit_ms: float = 0.0
    memory_gib: float = 0.0
    prepare_s: float = 0.0
    baseline: str = ''
    ratio: float = 1.0

    def as_json(self) -> dict[str, object]:
        """Return everything as one flat dictionary."""
        values = asdict(self)
        return values.pop('case') | values


def stage_flops(case: Case) -> dict[str, float]:
    """Return the operations of each stage of a step, in TFLOP."""
    count = FlopCounter(PRESETS[case.model], (case.height // 14, case.width // 14))
    return {
        'prefix': count.prefix(case.new) / 1e12,
        'enter': count.enter(case.new) / 1e12,
        'mix': count.mix(case.views, len(case.dense_views)) / 1e12,
        'heads': (count.cameras(case.views) + count.depth(len(case.dense_views))) / 1e12,
    }


def product_rate(dtype: torch.dtype, device: torch.device) -> float:
    """Return the rate of a plain matrix product here, in TFLOP/s: the pace that nothing beats."""
    side, repeats = (8192, 12) if device.type == 'cuda' else (512, 200)
    x, y = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    times = []
    for _ in range(repeats):
        synchronize(device)
        start = time.perf_counter()
        x @ y
        synchronize(device)
        times.append(time.perf_counter() - start)
    return 2 * side**3 / min(times) / 1e12


def preprocess_ms(case: Case, device: torch.device) -> float:
    """Return the time from a camera's picture to the network's input on the device."""
    height = round(_CAMERA_WIDTH * case.height / case.width)
    shape = height, _CAMERA_WIDTH, 3
    rgb = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    run = DevicePreprocess(device) if device.type == 'cuda' else preprocess
    times = []
    for _ in range(6):
        start = time.perf_counter()
        run(rgb, max(case.width, case.height))
        synchronize(device)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def step_times_ms(subjects: Sequence[Subject], steps: int) -> list[float]:
    """Return the median time of a step of each; they take turns, so that all see the same load."""
    times: list[list[float]] = [[] for _ in subjects]
    bar = tqdm(range(_WARM_UP_STEPS + steps), 'bench', unit='step', leave=False, disable=None)
    for i in bar:
        for subject, own in zip(subjects, times, strict=True):
            start = time.perf_counter()
            subject.step()
            if i >= _WARM_UP_STEPS:
                own.append((time.perf_counter() - start) * 1e3)
    return [statistics.median(own) for own in times]


class Bench:
    """Measures cases on one device in one precision."""

    def __init__(
        self,
        device: torch.device,
        dtype: torch.dtype,
        make_official: Callable[[str, torch.device], nn.Module | None],
        steps: int,
    ) -> None:
        """Take where and how to measure, and measure how fast a matrix product is there."""
        self._device, self._dtype, self._steps = device, dtype, steps
        self._make_official = make_official
        self.tflop_per_s = product_rate(dtype, device)
        is_gpu = device.type == 'cuda'
        name = torch.cuda.get_device_name(device) if is_gpu else 'CPU'
        self.about = {
            'device': name if is_gpu else f'{name}, {torch.get_num_threads()} threads',
            'torch': torch.__version__,
            'dtype': str(dtype).removeprefix('torch.'),
            'tflop_per_s': self.tflop_per_s,
        }

    @property
    def machine(self) -> str:
        """What the numbers hold for."""
        return '{device}, PyTorch {torch}, {dtype}'.format(**self.about)

    def measure(self, case: Case, runners: Sequence[str]) -> list[Row]:
        """
        Measure the official network, where there is one, and each runner.

        On a GPU one after the other, so that the memory is each one's own; on a CPU they take
        turns, since what else runs there would tell them apart.
        """
        names = [OFFICIAL, *runners]
        groups = [[name] for name in names] if self._device.type == 'cuda' else [names]
        rows: list[Row] = []
        for group in groups:
            forget(self._device)
            subjects = [s for s in (self._subject(name, case) for name in group) if s]
            totals = step_times_ms(subjects, self._steps)
            rows += [self._row(case, *pair) for pair in zip(subjects, totals, strict=True)]
            subjects.clear()
        for row in rows:
            row.baseline, row.ratio = rows[0].runner, rows[0].total_ms / row.total_ms
        return rows

    def _subject(self, name: str, case: Case) -> Subject | None:
        if name == OFFICIAL:
            official = self._make_official(case.model, self._device)
            return None if official is None else OfficialSubject(official, case, self._device)
        start = time.perf_counter()
        net = make_network(case.model, self._dtype, self._device)
        reset_peak(self._device)  # random weights were in float32 at first; those of files are not
        subject = RunnerSubject(name, case, make_runner(name, case, net), self._device)
        subject.prepare_s = time.perf_counter() - start
        return subject

    def _row(self, case: Case, subject: Subject, total_ms: float) -> Row:
        tflop = sum(stage_flops(case).values())
        row = Row(case, subject.name, total_ms, tflop=tflop)
        row.limit_ms = tflop / self.tflop_per_s * 1e3
        if self._device.type == 'cuda':
            row.memory_gib = torch.cuda.max_memory_allocated(self._device) / 2**30
        if isinstance(subject, RunnerSubject):
            row.prepare_s = subject.prepare_s
            row.preprocess_ms = preprocess_ms(case, self._device)
            if isinstance(subject.runner, GraphRunner):
                row.stages_ms = self._stage_times_ms(subject.runner, subject)
        return row

    def _stage_times_ms(self, runner: GraphRunner, subject: Subject) -> dict[str, float]:
        """Return the median time of each stage of a step, each waited for."""
        timed = TimedStages(runner.stages, self._device)
        runner.stages, plain = timed, runner.stages
        for _ in range(self._steps):
            subject.step()
        runner.stages = plain
        return {name: statistics.median(times) for name, times in timed.times_ms.items()}
