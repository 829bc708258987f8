"""
Training: from a configuration to a checkpoint, in as many legs as it takes.

    pool of scenes ─ WindowSource ─ Labels ─ windows ─ Trainer ─ optimiser  (all on the device)
    step, elapsed time ─ rates ───────────────┘          │
                                        metrics ── journal, every few seconds

What a step draws depends on the seed, the step and the rank alone, so a resumed run goes on as if
it had never stopped. Under torchrun every rank draws its own windows from its own scenes, and the
gradients are averaged.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
import os
from pathlib import Path
import random
import time

from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.training.checkpoint import (
    export,
    has_state,
    load_state,
    Progress,
    save_state,
    saved_progress,
)
from da3_ros.training.compiled import compile_network, compiled_renderer, load_cache, save_cache
from da3_ros.training.config import Bucket, TrainConfig
from da3_ros.training.data import Windows, WindowSource
from da3_ros.training.heldout import held_out_windows, HeldOutConfig
from da3_ros.training.initial import initial_network
from da3_ros.training.journal import Journal
from da3_ros.training.labels import Labels, read_teacher
from da3_ros.training.optimiser import Optimiser
from da3_ros.training.pool import PoolConfig, ScenePool
from da3_ros.training.ranks import Ranks
from da3_ros.training.scenes.catalogue import PaintedTextures, TextureSource
from da3_ros.training.scenes.make import SceneConfig
from da3_ros.training.scenes.photographs import FolderTextures, MixedTextures
from da3_ros.training.scenes.render import render
from da3_ros.training.schedule import Rates, rates_at
from da3_ros.training.step import Captured, Trainer
from da3_ros.training.validation import validate
import torch

# Steps that the host may be ahead of the device.
AHEAD = 6
# More scenes than a rank ever draws; those of a few dozen ranks stay below the held-out seeds.
SEEDS_OF_A_RANK = 20_000_000
VALIDATED = ((1, False), (4, False), (8, False), (4, True))


@dataclass(frozen=True)
class Leg:
    """
    One sitting of a run.

    ``minutes`` of wall-clock time it may take, compilation included (None: to the plan's end);
    ``state_dir`` holds the whole state between legs, ``export_to`` receives the averaged weights.
    ``stop_after_steps`` ends the sitting there (None: at the plan's end); ``compile_cache`` is a
    file that keeps compiled kernels from one machine to the next. ``ranks`` tells which of the
    processes that share the run this is. ``is_cut`` says, between steps, that the sitting must end
    now: its state is saved and nothing more is measured.
    """

    device: torch.device
    state_dir: Path | None = None
    export_to: Path | None = None
    minutes: float | None = None
    compile: bool = True
    workers: int = 0
    stop_after_steps: int | None = None
    compile_cache: Path | None = None
    ranks: Ranks = Ranks()
    is_cut: Callable[[], bool] = lambda: False


def build(
    config: TrainConfig, device: torch.device, resumes: bool = False
) -> tuple[AnyViewNetwork, Optimiser]:
    """Make the network in its initial state, in training precision, with its optimiser."""
    net = initial_network(config, resumes)
    masters = [p.detach().clone() for p in net.parameters()]
    net = net.to(device)
    if device.type == 'cuda':
        net = net.store_in(torch.bfloat16)
        net.head.to(memory_format=torch.channels_last)  # as the trunk's tokens lie in memory
    return net, Optimiser(net, masters, config)


def textures_of(config: TrainConfig) -> TextureSource:
    """
    Give the textures of a run: painted ones, and photographs where it names a folder of them.

    Raises:
        InputError: if the folder is missing or empty, or a picture in it is damaged.

    """
    painted = PaintedTextures(config.texture_variants)
    if not config.textures:
        return painted
    photographs = FolderTextures.open(config.textures)
    return MixedTextures(painted, photographs, config.photograph_share)


def open_pool(config: TrainConfig, leg: Leg, step: int = 0) -> ScenePool:
    """Make the pool of scenes as it is at ``step``."""
    cores = (os.cpu_count() or 1) // leg.ranks.size
    workers = leg.workers or (min(14, cores) if leg.device.type == 'cuda' else 0)
    shape = PoolConfig(
        config.scenes,
        config.new_scenes_per_step,
        config.seed + SEEDS_OF_A_RANK * leg.ranks.rank,
        workers,
        config.texture_side,
    )
    return ScenePool(shape, SceneConfig(textures=textures_of(config)), leg.device, step)


def choose_bucket(config: TrainConfig, step: int) -> Bucket:
    """Draw the shape of a step's windows; a function of the seed and the step."""
    weights = [bucket.share for bucket in config.buckets]
    return random.Random(f'{config.seed} {step}').choices(config.buckets, weights)[0]


class Run:
    """A run in one sitting; use ``train``."""

    def __init__(self, config: TrainConfig, leg: Leg, pool: ScenePool, journal: Journal) -> None:
        self._config, self._leg, self._pool, self._journal = config, leg, pool, journal
        resumes = leg.state_dir is not None and has_state(leg.state_dir)
        self._net, self._optimiser = build(config, leg.device, resumes)
        self.progress = Progress()
        if resumes:
            self.progress = load_state(leg.state_dir, self._optimiser)
        self._judge = AnyViewNetwork(config.network).to(leg.device).eval()
        self._renderer = render
        self._labels = Labels(config.corrupted_share, read_teacher(config.teacher, leg.device))
        torch.backends.cudnn.benchmark = True  # shapes are few and fixed
        if leg.compile and leg.device.type == 'cuda':
            compile_network(self._net)
            self._renderer = compiled_renderer()
        self.trainer = Trainer(self._net, self._optimiser, config)
        self._ease = self.trainer.rates[Rates._fields.index('ease')]
        self._steps: dict[Bucket, tuple[Captured, Captured]] = {}
        self._ranks = leg.ranks
        self.trainer.rates.zero_()
        self._update = Captured(self.trainer.update, leg.device)
        self._in_flight: deque[tuple[torch.cuda.Event, ...]] = deque()
        self._times_ms = [0.0, 0.0]  # rendering, training
        self._heldout: Windows | None = None
        torch.manual_seed(config.seed)

    # -- one step -----------------------------------------------------------------------------

    def prepare(self, bucket: Bucket, pool: object = None) -> tuple[Captured, Captured]:
        """Compile and capture the steps of a bucket; leaves weights and state as they are."""
        self.trainer.rates.zero_()
        self._ease.fill_(1.0)
        source = WindowSource(
            self._pool.scenes,
            self._pool.atlas,
            bucket,
            self._config.windows(bucket),
            self._config.samples_per_side,
            self._config.known_pose_share,
            self._renderer,
        )
        draw = Captured(lambda: self._labels(source(self._ease)), self._leg.device, pool)
        if self._leg.device.type == 'cuda':
            draw()
        learn = Captured(lambda: self.trainer.learn(draw.result), self._leg.device, pool)
        self._steps[bucket] = draw, learn
        return draw, learn

    def prepare_all(self, say: Callable[[str], None]) -> None:
        """Prepare every bucket, the largest first so that the others fit into its memory."""
        cuda = self._leg.device.type == 'cuda'
        pool = torch.cuda.graph_pool_handle() if cuda else None
        for bucket in sorted(self._config.buckets, key=lambda b: -b.height * b.width):
            started = time.monotonic()
            self.prepare(bucket, pool)
            if cuda:
                used = torch.cuda.max_memory_reserved() / 2**30
                took = time.monotonic() - started
                say(f'prepared {bucket} in {took:.0f} s, {used:.0f} GiB')

    def step(self, fraction: float) -> int:
        """Take one step at ``fraction`` of the plan; returns the views it saw."""
        config, device = self._config, self._leg.device
        number = self.progress.step
        self._pool.advance(number)
        bucket = choose_bucket(config, number)
        draw, learn = self._steps[bucket]
        rates = torch.tensor(rates_at(config, number, fraction))
        if device.type == 'cuda':
            rates = rates.pin_memory()
        self.trainer.rates.copy_(rates, non_blocking=True)
        # Philox is counter-based: neighbouring seeds give unrelated numbers.
        step_seed = config.seed * 1_000_003 + number
        torch.manual_seed(step_seed * self._ranks.size + self._ranks.rank)
        events = self._event()
        draw()
        events += self._event()
        learn()
        self._ranks.average_(self._optimiser.gradient)
        self._update()
        self._throttle(events + self._event())
        views = config.windows(bucket) * bucket.views * self._ranks.size
        self.progress = replace(self.progress, step=number + 1, views=self.progress.views + views)
        return views

    def _event(self) -> tuple[torch.cuda.Event, ...]:
        if self._leg.device.type != 'cuda':
            return ()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return (event,)

    def _throttle(self, events: tuple[torch.cuda.Event, ...]) -> None:
        """Wait for the step ``AHEAD`` before this one, and add up its times."""
        if not events:
            return
        self._in_flight.append(events)
        if len(self._in_flight) > AHEAD:
            start, middle, end = self._in_flight.popleft()
            end.synchronize()
            self._times_ms[0] += start.elapsed_time(middle)
            self._times_ms[1] += middle.elapsed_time(end)

    # -- what is said and kept ----------------------------------------------------------------

    def measures(self, views_per_s: float) -> dict[str, float]:
        """Means since the last call; waits for the device once every few seconds."""
        sums = self.trainer.metrics.tolist()
        self.trainer.metrics.zero_()
        count = max(1.0, sums[-1])
        means = {name: value / count for name, value in zip(self.trainer.names[:-1], sums)}
        drawing, learning = self._times_ms
        self._times_ms = [0.0, 0.0]
        means['views/s'] = views_per_s
        if drawing + learning:
            means['rendering'] = drawing / (drawing + learning)
        means['refused'] = float(self._optimiser.progress[1])
        return {'step': float(self.progress.step), **means}

    def validate(self) -> None:
        """Score the averaged weights on held-out windows."""
        config = self._config
        if config.validation_scenes == 0 or not self._ranks.is_first:
            return
        if self._heldout is None:
            shape = HeldOutConfig(config.validation_scenes)
            if config.model == 'tiny':
                shape = HeldOutConfig(config.validation_scenes, 4, 56, 70, 1, 32, 1)
            self._heldout = held_out_windows(shape, self._leg.device)
        self._optimiser.load_average(self._judge)
        most = 1 if config.monocular else self._heldout.images.shape[1]
        for views, known in VALIDATED:
            if views <= most:
                scores = validate(self._judge, self._heldout, views, known)
                kind = f'held-out N={views}{" known" if known else ""}'
                self._journal.write(kind, self._fraction(), scores)

    def save(self) -> None:
        """Write the state and the export, if they are wanted; one rank does it for all."""
        if not self._ranks.is_first:
            return
        if self._leg.state_dir is not None:
            save_state(self._leg.state_dir, self._optimiser, self.progress, self._config)
        if self._leg.export_to is not None:
            export(self._leg.export_to, self._optimiser, self._net)

    def _fraction(self) -> float:
        config, progress = self._config, self.progress
        if config.steps:
            return progress.step / config.steps
        return progress.elapsed_s / (60 * config.minutes)

    def go(self, deadline_s: float) -> None:
        """Train until the plan or the leg ends, whichever is first."""
        config = self._config
        now = logged = validated = saved = time.monotonic()
        last = float('inf') if self._leg.stop_after_steps is None else self._leg.stop_after_steps
        views = 0
        try:
            while self.progress.step < last:
                # The first rank's clock is everybody's; past the plan means stop.
                ends = now >= deadline_s or self._leg.is_cut()
                fraction = self._ranks.agree(1.0 if ends else self._fraction())
                if fraction >= 1:
                    break
                views += self.step(fraction)
                before, now = now, time.monotonic()
                elapsed = self.progress.elapsed_s + now - before
                self.progress = replace(self.progress, elapsed_s=elapsed)
                if now - logged >= config.log_every_s:
                    measures = self.measures(views / (now - logged))
                    self._journal.write('train', self._fraction(), measures)
                    logged, views = now, 0
                if now - saved >= config.save_every_s:
                    self.save()
                    saved = time.monotonic()
                if now - validated >= config.validate_every_s:
                    self.validate()
                    validated = time.monotonic()
        finally:
            self.save()
        if not self._leg.is_cut():
            self.validate()


def train(config: TrainConfig, leg: Leg) -> Progress:
    """
    Train in one sitting; call again with the same ``state_dir`` to go on.

    Raises:
        WeightsError: if the state directory holds the state of another network.

    """
    started = time.monotonic()
    deadline_s = started + 60 * leg.minutes if leg.minutes is not None else float('inf')
    step = saved_progress(leg.state_dir).step if leg.state_dir else 0
    journal = Journal(leg.state_dir and leg.state_dir / 'log.jsonl', leg.ranks.is_first)
    try:
        with open_pool(config, leg, step) as pool:
            run = Run(config, leg, pool, journal)
            if leg.compile_cache is not None:
                load_cache(leg.compile_cache)
            run.prepare_all(lambda text: journal.write(text, 0.0, {}))
            if leg.compile_cache is not None:
                save_cache(leg.compile_cache)
            journal.write('ready', 0.0, {'seconds': time.monotonic() - started})
            run.go(deadline_s)
            return run.progress
    finally:
        journal.close()
