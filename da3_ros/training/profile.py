"""How fast training would be here: what to know before a long run, in one short sitting."""

from dataclasses import replace
import gc
import statistics
import time

from da3_ros.training.cameras import sample_cameras
from da3_ros.training.compiled import load_cache, save_cache
from da3_ros.training.config import Bucket, TrainConfig
from da3_ros.training.journal import Journal
from da3_ros.training.loop import Leg, open_pool, Run
from da3_ros.training.pool import ScenePool
from da3_ros.training.scenes.catalogue import PaintedTextures
from da3_ros.training.scenes.make import make_scenes, SceneConfig
from da3_ros.training.scenes.render import Render, render, RenderConfig
from da3_ros.training.step import Captured
import torch

REPEATS = 12


def _agreement(pool: ScenePool, device: torch.device) -> dict[str, float]:
    """Compare renders of the same views on the CPU and on ``device``."""
    scenes = make_scenes(range(4), SceneConfig(textures=PaintedTextures(1)))
    torch.manual_seed(0)
    cameras = sample_cameras(scenes, 2, 84, 112, torch.ones(()))
    atlas = pool.atlas.to('cpu', torch.float32)
    look = RenderConfig(112, 84, 1)
    seen: list[Render] = [
        render(scenes.to(d), atlas.to(d), *(x.to(d) for x in cameras), look)
        for d in (torch.device('cpu'), device)
    ]
    one, other = (s.depth_m.cpu().nan_to_num(0) for s in seen)
    same = seen[0].surface == seen[1].surface.cpu()
    error = ((one - other).abs() / one.clamp_min(0.1))[same]
    colour = (seen[0].colour - seen[1].colour.cpu()).abs().amax(2)[same]
    return {
        'same_surface': float(same.float().mean()),
        'depth_error_max': float(error.max()),
        'colour_error_mean': float(colour.mean()),
    }


def _median_ms(captured: Captured, device: torch.device) -> float:
    """Median time of a call."""
    times = []
    for _ in range(REPEATS):
        if device.type == 'cuda':
            torch.cuda.synchronize()
        started = time.perf_counter()
        captured()
        if device.type == 'cuda':
            torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times)


def _measure(
    run: Run, bucket: Bucket, config: TrainConfig, leg: Leg, memory: object
) -> dict[str, float]:
    """Prepare one bucket in a graph memory pool and time it; the optimiser stands still."""
    if leg.device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats()
    started = time.monotonic()
    draw, learn = run.prepare(bucket, memory)
    prepared = time.monotonic() - started
    drawing, learning = _median_ms(draw, leg.device), _median_ms(learn, leg.device)
    views = config.windows(bucket) * bucket.views
    found = {
        'views': views,
        'draw_ms': drawing,
        'learn_ms': learning,
        'views/s': 1e3 * views / (drawing + learning),
        'prepare_s': prepared,
    }
    if leg.device.type == 'cuda':
        found['GiB'] = torch.cuda.max_memory_reserved() / 2**30
    return found


def profile(config: TrainConfig, leg: Leg) -> None:
    """Print the renderer's agreement, then what each bucket costs; then train to the leg's end."""
    started = time.monotonic()
    journal = Journal(leg.state_dir / 'log.jsonl' if leg.state_dir else None)
    try:
        with open_pool(config, leg) as pool:
            journal.write('pool', 0, {'seconds': time.monotonic() - started})
            journal.write('renderer', 0, _agreement(pool, leg.device))
            plain = Run(config, replace(leg, compile=False), pool, journal)
            first = config.buckets[0]
            memory = torch.cuda.graph_pool_handle() if leg.device.type == 'cuda' else None
            journal.write('as written', 0, _measure(plain, first, config, leg, memory))
            del plain
            gc.collect()
            torch.cuda.empty_cache()
            if leg.compile_cache is not None:
                load_cache(leg.compile_cache)
            run = Run(config, leg, pool, journal)
            for bucket in config.buckets:
                found = _measure(run, bucket, config, leg, memory)
                journal.write(f'{bucket.views}x{bucket.height}x{bucket.width}', 0, found)
            if leg.compile_cache is not None:
                save_cache(leg.compile_cache)
            if leg.minutes is not None:
                run.go(started + 60 * leg.minutes)
    finally:
        journal.close()
