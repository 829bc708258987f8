"""Memory that runs out costs one frame and some views of the window, never the map."""

from collections.abc import Callable, Sequence

from da3_ros.config import EngineConfig
from da3_ros.engine import Frame, make_engine, StreamingEngine, Update
from da3_ros.engine.device_faults import is_device_error, is_out_of_memory
from da3_ros.engine.graph_runner import GraphRunner
from da3_ros.engine.plan import Capacity, WindowPlan
from da3_ros.engine.runner import WindowPrediction, WindowView
from da3_ros.engine.window import Window
from da3_ros.errors import DeviceMemoryError, FrameError
from da3_ros.evaluation.simulator import Noise
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.parameter_tree import replaced
from doubles.box_room import arc, RecordingSimulator, relative_error, room_truth
from doubles.miniatures import TINY
import numpy as np
import pytest
import torch

WIDTH, HEIGHT = 112, 84
K = np.array([[80.0, 0.0, 56.0], [0.0, 80.0, 42.0], [0.0, 0.0, 1.0]])
CONFIG = replaced(
    EngineConfig(),
    {'device': 'cpu', 'resolution': WIDTH, 'window.size': 8, 'keyframe.max_overlap': 0.95},
)
STEP_NS = 100_000_000
OUT_OF_MEMORY = torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 20.00 MiB.')


class SmallDevice(RecordingSimulator):
    """Has room for windows of up to ``room`` views; ``raises`` is raised once, by anything."""

    room = 100
    raises: Exception | None = None

    def infer(
        self, views: Sequence[WindowView], depth_views: Sequence[int] | None = None
    ) -> WindowPrediction:
        if len(views) > self.room:
            raise torch.OutOfMemoryError('CUDA out of memory.')
        return super().infer(views, depth_views)

    def describe(self, view: WindowView) -> torch.Tensor:
        if self.raises is not None:
            error, self.raises = self.raises, None
            raise error
        return super().describe(view)


def stream(frames: int) -> tuple[StreamingEngine, SmallDevice, list[Frame], list[np.ndarray]]:
    poses = arc(frames, turn_deg=120.0)
    stamps = [(i + 1) * STEP_NS for i in range(frames)]
    truth = room_truth(dict(zip(stamps, poses, strict=True)), K, (WIDTH, HEIGHT))
    runner = SmallDevice(truth, Noise())
    rgb = np.full((HEIGHT, WIDTH, 3), 99, np.uint8)
    return StreamingEngine(CONFIG, runner), runner, [Frame('', s, rgb, K) for s in stamps], poses


def push_all(engine: StreamingEngine, frames: list[Frame]) -> tuple[list[Update], list[str]]:
    """Return the updates, and what was said of the frames that were lost."""
    updates, said = [], []
    for frame in frames:
        try:
            updates.append(engine.push([frame]))
        except FrameError as error:
            assert error.reason == 'frame_memory'
            said.append(str(error))
    return updates, said


@pytest.mark.parametrize('room', [2, 3, 5])
def test_the_window_shrinks_until_it_fits_and_the_map_stays(room: int) -> None:
    engine, runner, frames, poses = stream(48)
    push_all(engine, frames[:24])
    assert engine.status.views_in_window == 8
    keyframes = len(engine.keyframes)
    runner.room = room
    updates, said = push_all(engine, frames[24:])
    sizes = [size for size in (6, 4, 3, 2) if size >= max(s for s in (2, 3, 4) if s <= room)]
    assert said == [f'Window shrunk to {size}: out of GPU memory.' for size in sizes]
    assert len(updates) == 24 - len(sizes)
    assert {u.status.window_shrunk_to for u in updates} == {sizes[-1]}
    assert not any(u.was_reset for u in updates) and len(engine.keyframes) > keyframes
    views = [u.views[0].map_from_camera for u in updates]
    position, angle = relative_error(views, poses[-len(views) :])
    assert position < 0.02 and angle < 0.5
    engine.reset()
    assert engine.status.window_shrunk_to == sizes[-1]


def test_a_window_that_cannot_shrink_says_so_and_goes_on_when_there_is_room() -> None:
    engine, runner, frames, _ = stream(16)
    push_all(engine, frames[:8])
    runner.room = 1
    _, said = push_all(engine, frames[8:14])
    assert len(said) == 6 and 'window that cannot shrink' in said[-1]
    runner.room = 2
    updates, said = push_all(engine, frames[14:])
    assert len(updates) == 2 and not said


def test_memory_that_runs_out_after_the_network_leaves_no_half_keyframe() -> None:
    """Window and map hold the same keyframes as before."""
    engine, runner, frames, _ = stream(30)
    push_all(engine, frames[:10])
    before = len(engine.keyframes)
    runner.raises = OUT_OF_MEMORY
    for frame in frames[10:]:
        _, said = push_all(engine, [frame])
        if said:
            break
        before = len(engine.keyframes)
    assert said and len(engine.keyframes) == before
    assert all(k.view.key in engine._mapper.map for k in engine._mapper.window)
    updates, said = push_all(engine, frames[-5:])
    assert len(updates) == 5 and not said


def test_memory_that_runs_out_while_the_map_learns_shrinks_the_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The views are out, and the next push is none the worse; by whomever it is asked to learn."""
    engine, _, frames, _ = stream(30)
    push_all(engine, frames[:12])
    size = engine._mapper.window.size

    for ask in (engine.update_map, lambda: engine.push([frames[14]])):
        engine.push([frames[12 if ask == engine.update_map else 13]])
        with monkeypatch.context() as patch:
            patch.setattr('da3_ros.engine.lesson.refine', _run_out_of_memory)
            with pytest.raises(FrameError, match='Window shrunk to') as caught:
                ask()
        assert caught.value.reason == 'frame_memory' and engine._mapper.window.size < size
        size = engine._mapper.window.size
    updates, said = push_all(engine, frames[15:20])
    assert len(updates) == 5 and not said


def test_a_shrunken_window_keeps_its_reference_and_the_youngest() -> None:
    window = Window(8, 2)
    for name in 'abcdefg':
        window.add(name, [0.5] * len(window))
    assert window.shrink(1) == ['b', 'c'] and list(window) == list('adefg')
    assert window.shrink(3) == ['d', 'e'] and list(window) == list('afg')
    assert window.shrink(3) == [] and window.size == 4  # a reference and three cameras
    assert window.shrink(1) == ['f'] and window.size == 3
    assert window.shrink(1) == ['g'] or list(window) == list('ag')


def test_a_runner_that_gave_everything_back_predicts_the_same() -> None:
    torch.manual_seed(0)
    net = AnyViewNetwork(TINY).eval().requires_grad_(False)
    views = [
        WindowView(
            key, '', key, torch.randn(3, 42, 56, generator=torch.Generator().manual_seed(key))
        )
        for key in range(3)
    ]
    runner = GraphRunner(net, views=8)
    expected = runner.infer(views)
    runner.release([Capacity(3, 2), Capacity(2)])
    torch.testing.assert_close(runner.infer(views).depth, expected.depth)


def test_a_runner_trusts_nothing_that_a_failed_window_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    net = AnyViewNetwork(TINY).eval().requires_grad_(False)
    views = [WindowView(key, '', key, torch.randn(3, 42, 56)) for key in range(3)]
    runner = GraphRunner(net, views=3)
    runner.infer(views[:2])
    with monkeypatch.context() as patch:
        patch.setattr(runner, '_run_prefix', lambda new: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            runner.infer(views)
    torch.testing.assert_close(
        runner.infer(views).depth, GraphRunner(net, views=3).infer(views).depth
    )


@pytest.mark.parametrize(('room', 'size'), [(8, 0), (7, 6), (3, 3), (2, 2)])
def test_a_warm_up_shrinks_the_window_until_it_fits(
    monkeypatch: pytest.MonkeyPatch, room: int, size: int
) -> None:
    """And says so in the status; the window is used as it is."""
    monkeypatch.setattr(WindowPlan, '__init__', _with_room_for(room))
    engine = StreamingEngine(CONFIG)
    engine.warm_up(WIDTH, HEIGHT)
    assert engine.status.window_shrunk_to == size
    assert engine._runner._plan.capacity.views == (size or 8)
    rgb = np.full((HEIGHT, WIDTH, 3), 99, np.uint8)
    assert engine.push([Frame('', STEP_NS, rgb, K)]).status.window_shrunk_to == size


def test_a_warm_up_that_never_fits_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the smallest window: a reference, and all the cameras."""
    monkeypatch.setattr(WindowPlan, '__init__', _with_room_for(3))
    engine = StreamingEngine(CONFIG)
    with pytest.raises(DeviceMemoryError, match='GPU with 4 views, the smallest window'):
        engine.warm_up(WIDTH, HEIGHT, new=3)


def test_a_warm_up_that_fails_otherwise_shrinks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = StreamingEngine(CONFIG)
    monkeypatch.setattr(WindowPlan, '__init__', lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        engine.warm_up(WIDTH, HEIGHT)
    assert engine.status.window_shrunk_to == 0


def test_weights_that_do_not_fit_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('da3_ros.engine.streaming.load_networks', _run_out_of_memory)
    with pytest.raises(DeviceMemoryError, match="weights of 'embedded' do not fit"):
        make_engine(CONFIG)


def _with_room_for(views: int) -> Callable[..., None]:
    """Return what makes a plan where there is memory for so many views."""
    make = WindowPlan.__init__

    def limited(plan: WindowPlan, net: object, size: object, capacity: Capacity) -> None:
        if capacity.views > views:
            _run_out_of_memory()
        make(plan, net, size, capacity)

    return limited


def test_errors_are_told_apart() -> None:
    """By their class where there is one, else by what the driver says; a cause counts, too."""
    hidden = RuntimeError('CUDA error: operation failed during capture')
    hidden.__context__ = OUT_OF_MEMORY
    for error in (OUT_OF_MEMORY, hidden, RuntimeError('CUDA error: out of memory\n')):
        assert is_out_of_memory(error) and not is_device_error(error)
    for text in ('CUDA error: an illegal memory access', 'cuDNN error: CUDNN_STATUS_MAPPING'):
        error = RuntimeError(text)
        assert is_device_error(error) and not is_out_of_memory(error)
    if hasattr(torch, 'AcceleratorError'):
        assert is_device_error(torch.AcceleratorError('device-side assert', 710))
    for error in (RuntimeError('a bug'), ValueError('CUDA error: a name')):
        assert not is_device_error(error) and not is_out_of_memory(error)


def test_an_unknown_error_shrinks_nothing() -> None:
    engine, runner, frames, _ = stream(2)
    runner.raises = RuntimeError('a bug')
    with pytest.raises(RuntimeError, match='a bug'):
        engine.push([frames[0]])
    assert engine.status.window_shrunk_to == 0


def test_the_real_runner_goes_on_with_a_smaller_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory runs out in a stage of the network; everything that was allocated is given back."""
    engine = StreamingEngine(CONFIG)
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    frames = [Frame('', (i + 1) * STEP_NS, rgb, K) for i in range(4)]
    push_all(engine, frames[:2])
    with monkeypatch.context() as patch:
        patch.setattr(WindowPlan, 'dense', _run_out_of_memory)
        _, said = push_all(engine, frames[2:3])
    assert said == ['Window shrunk to 6: out of GPU memory.']
    assert engine._runner._plan is None
    updates, said = push_all(engine, frames[3:])
    assert len(updates) == 1 and not said
    assert engine._runner._plan.capacity.views == 6


def _run_out_of_memory(*_: object) -> None:
    raise torch.OutOfMemoryError('CUDA out of memory.')
