"""How the stages of a plan are run: called as they are, or captured once and replayed."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
import logging
import time
from typing import Protocol

from da3_ros.engine.attention import AttentionChoice
import torch

# Runs before a capture: compilers compile, libraries tune, tables are made.
_WARM_UP_RUNS = 3

_log = logging.getLogger(__name__)

Stage = Callable[..., None]


class Stages(Protocol):
    """Anything that runs stages."""

    def run(self, stage: Stage, *arguments: Hashable, attends: tuple[int, int] | None) -> None:
        """
        Run ``stage(*arguments)``.

        ``attends`` tells which attention it spends its time in: sequences and tokens of each.
        """
        ...


class DirectStages:
    """Calls each stage: the plain twin of ``GraphStages``."""

    def run(
        self, stage: Stage, *arguments: Hashable, attends: tuple[int, int] | None = None
    ) -> None:
        """Call the stage."""
        stage(*arguments)


class GraphStages:
    """
    Captures each stage as a CUDA graph when it is first run with its arguments, then replays.

    All graphs share one pool of memory: they run one after the other, and what has to outlive one
    of them lies in the plan's buffers.
    """

    def __init__(self, device: torch.device, attention: AttentionChoice) -> None:
        """Take the device of the plan's buffers, and what chooses how attention is computed."""
        self._device = device
        self._attention = attention
        self._graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}
        self._pool = torch.cuda.graph_pool_handle()
        # One for all captures: libraries keep a workspace for each stream.
        self._stream = torch.cuda.Stream(device)

    def run(
        self, stage: Stage, *arguments: Hashable, attends: tuple[int, int] | None = None
    ) -> None:
        """Replay the stage; the first time capture it, which takes seconds where it compiles."""
        key = (stage.__name__, arguments)
        if key not in self._graphs:
            start = time.perf_counter()
            with self._attention.fastest(attends):
                self._graphs[key] = self._captured(stage, arguments)
            elapsed = time.perf_counter() - start
            _log.info('Captured %s%s in %.2f s', stage.__name__, arguments, elapsed)
        self._graphs[key].replay()

    def _captured(self, stage: Stage, arguments: tuple[Hashable, ...]) -> torch.cuda.CUDAGraph:
        """Capture a stage; what it computes meanwhile is what a replay would."""
        stream = self._stream
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream), _tuned_convolutions():
            for _ in range(_WARM_UP_RUNS):
                stage(*arguments)
            stream.synchronize()
            graph = torch.cuda.CUDAGraph()
            # Other threads, such as a publisher's, may go on using the device meanwhile.
            with torch.cuda.graph(
                graph, pool=self._pool, stream=stream, capture_error_mode='thread_local'
            ):
                stage(*arguments)
        torch.cuda.current_stream(self._device).wait_stream(stream)
        return graph


@contextmanager
def beside(stream: torch.cuda.Stream | None, work: Callable[[], None]) -> Iterator[None]:
    """
    Have a GPU do ``work`` on a stream of its own while it does what the block asks for.

    Inside a capture they become branches of the graph. The work is launched last: what the block
    tunes is tuned undisturbed. Without a stream it is done after the block.
    """
    if stream is None:
        yield
        work()
        return
    current = torch.cuda.current_stream(stream.device)
    stream.wait_stream(current)
    try:
        yield
        with torch.cuda.stream(stream):
            work()
    finally:  # a capture cannot end, not even in an error, before its branches have met
        current.wait_stream(stream)


@contextmanager
def _tuned_convolutions() -> Iterator[None]:
    """Let cuDNN time its algorithms on the first run of each shape."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
