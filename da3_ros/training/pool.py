"""
A pool of scenes on the device that is renewed while training runs.

Scenes are made on the CPU, a few thousand a second with some workers; the pool holds the newest
ones and every window picks one at random. What the pool holds at a step is a function of the step
alone, so a resumed run sees the same scenes.
"""

from collections.abc import Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
import multiprocessing
from types import TracebackType

from da3_ros.training.scenes.atlas import Atlas, build_atlas
from da3_ros.training.scenes.catalogue import TextureSource
from da3_ros.training.scenes.make import make_scenes, SceneConfig
from da3_ros.training.scenes.scene import Scenes
import numpy as np
import torch

CHUNK = 64  # scenes renewed at a time


@dataclass(frozen=True)
class PoolConfig:
    """
    ``size`` scenes of which ``new_per_step`` are renewed each step, from seeds after ``seed``.

    ``workers`` processes make them; with 0, a thread of this process does.
    """

    size: int = 4096
    new_per_step: float = 4.0
    seed: int = 0
    workers: int = 0
    texture_side: int = 256


def _make(seeds: Sequence[int], config: SceneConfig) -> dict[str, np.ndarray]:
    """Make scenes as arrays, which travel between processes as plain bytes."""
    torch.set_num_threads(1)
    scenes = make_scenes(seeds, config)
    return {f.name: getattr(scenes, f.name).numpy() for f in fields(Scenes) if f.name != 'slots'}


def _paint(textures: TextureSource, numbers: Sequence[int], side: int) -> np.ndarray:
    torch.set_num_threads(1)
    return textures.images(numbers, side).numpy()


def _executor(workers: int) -> Executor:
    if workers == 0:
        return ThreadPoolExecutor(1)
    # A forked child of a process that uses CUDA would be broken.
    return ProcessPoolExecutor(workers, multiprocessing.get_context('spawn'))


class ScenePool(AbstractContextManager):
    """Scenes and textures that windows are drawn from; use it in a ``with`` block."""

    def __init__(
        self, config: PoolConfig, scene_config: SceneConfig, device: torch.device, step: int = 0
    ) -> None:
        """Paint the textures and make the scenes that the pool holds at ``step``."""
        self._config = config
        self._scene_config = scene_config
        self._executor = _executor(config.workers)
        self._chunks = -(-config.size // CHUNK)
        self._made = self._due(step)
        textures = scene_config.textures
        share = max(1, len(textures) // (4 * max(1, config.workers)))
        pictures = [
            self._executor.submit(
                _paint,
                textures,
                range(at, min(at + share, len(textures))),
                config.texture_side,
            )
            for at in range(0, len(textures), share)
        ]
        first = self._made - self._chunks
        futures = [self._submit(chunk) for chunk in range(first, self._made)]
        chunks = {(first + i) % self._chunks: f.result() for i, f in enumerate(futures)}
        self.scenes = self._assemble([chunks[i] for i in range(self._chunks)], device)
        painted = torch.from_numpy(np.concatenate([f.result() for f in pictures]))
        half = torch.float16 if device.type == 'cuda' else torch.float32
        self.atlas: Atlas = build_atlas(painted).to(device, half)
        self._next: Future = self._submit(self._made)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the workers."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def __len__(self) -> int:
        """Count the scenes in the pool."""
        return self._chunks * CHUNK

    def advance(self, step: int) -> None:
        """Renew what is due at ``step``, in place: addresses stay, so captured graphs do too."""
        while self._made < self._due(step):
            arrays, slot = self._next.result(), self._made % self._chunks
            for name, array in arrays.items():
                tensor = getattr(self.scenes, name)
                fresh = torch.from_numpy(array)
                if tensor.is_cuda:
                    fresh = fresh.pin_memory()
                tensor[slot * CHUNK : (slot + 1) * CHUNK].copy_(fresh, non_blocking=True)
            self._made += 1
            self._next = self._submit(self._made)

    def _due(self, step: int) -> int:
        """Count the chunks made before ``step``, the first filling of the pool included."""
        return self._chunks + int(step * self._config.new_per_step) // CHUNK

    def _submit(self, chunk: int) -> Future:
        start = self._config.seed + chunk * CHUNK
        return self._executor.submit(_make, range(start, start + CHUNK), self._scene_config)

    def _assemble(self, chunks: Sequence[dict[str, np.ndarray]], device: torch.device) -> Scenes:
        tensors = {
            name: torch.from_numpy(np.concatenate([chunk[name] for chunk in chunks])).to(device)
            for name in chunks[0]
        }
        return Scenes(slots=self._scene_config.slots, **tensors)
