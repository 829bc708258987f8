"""A GPU that runs out of memory, fails, or goes away: what is lost, said and tried."""

from collections.abc import Callable, Sequence
import dataclasses
from types import SimpleNamespace
import weakref

from da3_ros.config import NodeConfig
from da3_ros.engine import Frame, Update
from da3_ros.engine.device_faults import spares_memory
from da3_ros.errors import DeviceError, DeviceMemoryError
from da3_ros.ros.engine_keeper import EngineKeeper
from diagnostic_msgs.msg import DiagnosticStatus
from fake_engine import FakeEngine
from lifecycle_msgs.srv import ChangeState
import pytest
from rclpy.logging import get_logger
from rig import image, Rig, wait_for
import torch

ILLEGAL = 'CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be ...'


class SmallEngine(FakeEngine):
    """Shrinks its window as a real one does."""

    shrunk_to = 0

    @spares_memory
    def push(self, frames: Sequence[Frame]) -> Update:
        """Tell of the window, too."""
        update = super().push(frames)
        self.status = dataclasses.replace(self.status, window_shrunk_to=self.shrunk_to)
        return update

    def shrink(self, newest: int) -> int:
        """Take a view fewer than 8 from the first time on."""
        self.shrunk_to = 7
        return self.shrunk_to


class TightEngine(FakeEngine):
    """Warms up with a smaller window; one model never does."""

    def warm_up(self, new: int, progress: object) -> None:
        """Shrink, or give up."""
        if self.model_name == 'large':
            raise DeviceMemoryError('There is too little memory.')
        self.status = dataclasses.replace(self.status, window_shrunk_to=6)

    def push(self, frames: Sequence[Frame]) -> Update:
        """Stay as small."""
        update = super().push(frames)
        self.status = dataclasses.replace(self.status, window_shrunk_to=6)
        return update


class FragileEngine(FakeEngine):
    """Cannot be made on a device that is gone; remembers how often it was, and beside whom."""

    tries = 0
    is_gone = False
    before: Callable[[], FakeEngine | None] | None = None
    was_alone = False

    def __init__(self, *args: object, **parts: object) -> None:
        """Fail where the device is gone."""
        kind = type(self)
        kind.tries += 1
        kind.was_alone = kind.before is not None and kind.before() is None
        if self.is_gone:
            raise RuntimeError('CUDA error: no CUDA-capable device is detected')
        super().__init__(*args, **parts)


@pytest.fixture
def fragile() -> type:
    """Return a class of engines whose device is a device of this test's own."""
    return type('Fragile', (FragileEngine,), {})


def illegal_access() -> Exception:
    """Return what PyTorch raises after a kernel went astray."""
    kind = getattr(torch, 'AcceleratorError', RuntimeError)
    return kind(ILLEGAL, 700) if kind is not RuntimeError else kind(ILLEGAL)


def break_device(rig: Rig) -> None:
    """Lose a frame to the device."""
    rig.engine.raises = illegal_access()
    rig.send()


def said(rig: Rig, words: str) -> DiagnosticStatus:
    """Wait for diagnostics with these words."""

    def find() -> DiagnosticStatus | None:
        return next((m.status[0] for m in diagnostics if words in m.status[0].message), None)

    diagnostics = rig.messages['/diagnostics']
    return wait_for(find, f'{words!r} in the diagnostics')


def test_out_of_memory_costs_a_frame_and_a_view_of_the_window(
    make_rig: Callable[..., Rig], capfd: pytest.CaptureFixture
) -> None:
    """Log, counts and diagnostics say so; the same engine goes on with its map."""
    rig = make_rig(engine=SmallEngine)
    rig.listen('points', '/diagnostics')
    for _ in range(4):
        rig.send()
    rig.engine.raises = torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB.')
    rig.send()
    assert rig.counts().drops == {'frame_memory': 1}
    rig.send()
    assert len(rig.heard('points', 5)) == 5
    assert len(rig.engines) == 1 and len(rig.engine.keyframes) == 2
    log = capfd.readouterr().err
    assert 'Window shrunk to 7: out of GPU memory.' in log and 'Traceback' not in log
    status = said(rig, 'Window shrunk to 7: out of GPU memory.')
    assert status.level == DiagnosticStatus.WARN
    assert ('dropped frame_memory', '1') in {(v.key, v.value) for v in status.values}


def test_a_window_that_shrank_at_configure_is_said(
    make_rig: Callable[..., Rig], capfd: pytest.CaptureFixture
) -> None:
    """The node is active, and log and diagnostics tell."""
    rig = make_rig(engine=TightEngine)
    rig.listen('/diagnostics')
    rig.send()
    assert said(rig, 'Window shrunk to 6').level == DiagnosticStatus.WARN
    assert 'Window shrunk to 6: out of GPU memory.' in capfd.readouterr().err


def test_a_device_that_has_too_little_memory_is_a_failure_to_configure(
    make_rig: Callable[..., Rig], capfd: pytest.CaptureFixture
) -> None:
    """Unconfigured, with a sentence; not the error state."""
    rig = make_rig(engine=TightEngine, parameters={'model': 'large'}, is_active=False)
    assert rig.node.trigger_configure().name == 'FAILURE'
    assert rig.state() == 'unconfigured' and 'too little memory' in rig.node.problem
    assert 'Traceback' not in capfd.readouterr().err


def test_a_device_that_fails_gets_another_engine(
    make_rig: Callable[..., Rig], capfd: pytest.CaptureFixture
) -> None:
    """The node stays active; the map is lost, and the latched topics say so."""
    rig = make_rig()
    rig.listen('points', 'keyframes')
    for _ in range(4):
        rig.send()
    wait_for(lambda: rig.heard('keyframes')[-1].poses, 'a path')
    break_device(rig)
    wait_for(lambda: not rig.messages['keyframes'][-1].poses, 'an empty path')
    rig.send()
    rig.heard('points', 5)
    assert len(rig.engines) == 2 and len(rig.engine.keyframes) == 1 and rig.engine.warm
    assert rig.state() == 'active' and rig.counts().drops == {'frame_device': 1}
    log = capfd.readouterr().err
    assert 'The map starts anew: the engine was made anew after' in log
    assert 'an illegal memory access' in log and not rig.node._keeper.problem


def test_the_new_engine_has_the_configuration_of_the_moment(rig: Rig) -> None:
    """Not that of the start."""
    rig.node.set_parameters([rig.parameter('keyframe.max_overlap', 0.6)])
    break_device(rig)
    wait_for(lambda: len(rig.engines) == 2, 'another engine')
    rig.send()
    assert rig.engine.config.keyframe.max_overlap == 0.6


def test_the_engine_before_is_gone_when_the_new_one_is_made(
    make_rig: Callable[..., Rig], fragile: type
) -> None:
    """There may be no room for two."""
    rig = make_rig(engine=fragile)
    rig.send()
    engine = rig.engines.pop()
    engine.raises = illegal_access()
    fragile.before = weakref.ref(engine)
    del engine
    rig.send()
    wait_for(lambda: rig.engines, 'another engine')
    assert fragile.was_alone


def test_devices_may_fail_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times a minute, for as long as it takes; a fourth time is too much."""
    keeper = EngineKeeper(FakeEngine, get_logger('test'))
    keeper.make(NodeConfig(), None)
    times = iter([0.0, 20.0, 40.0, 60.0, 80.0, 100.0, 119.0])
    clock = SimpleNamespace(monotonic=lambda: next(times))
    monkeypatch.setattr('da3_ros.ros.engine_keeper.time', clock)
    for _ in range(6):
        keeper.remake(NodeConfig(), 'a fault')
        assert keeper.engine is not None and not keeper.problem
    with pytest.raises(DeviceError, match='failed 4 times within 60 s'):
        keeper.remake(NodeConfig(), 'a fault')
    assert keeper.engine is None and keeper.is_lost


def test_a_device_that_fails_all_the_time_is_given_up(
    make_rig: Callable[..., Rig], fragile: type
) -> None:
    """After three new engines within a minute, through the error state; configure tries again."""
    rig = make_rig(engine=fragile)
    rig.listen('/diagnostics')
    for count in range(1, 4):
        break_device(rig)
        wait_for(lambda count=count: len(rig.engines) == count + 1, 'another engine')
    break_device(rig)
    rig.wait_until('unconfigured')
    assert said(rig, 'failed 4 times within 60 s').level == DiagnosticStatus.ERROR
    assert len(rig.engines) == 4
    configure_and_send(rig)


def test_a_device_that_is_gone_puts_the_node_into_the_error_state(
    make_rig: Callable[..., Rig], fragile: type, capfd: pytest.CaptureFixture
) -> None:
    """The process answers, holds nothing of the device, and can be configured once it is back."""
    rig = make_rig(engine=fragile)
    rig.listen('/diagnostics')
    rig.send()
    fragile.is_gone = True
    break_device(rig)
    rig.wait_until('unconfigured')
    assert fragile.tries == 2
    assert said(rig, 'no CUDA-capable device is detected').level == DiagnosticStatus.ERROR
    assert 'on_deactivate: The device failed with' in capfd.readouterr().err
    assert not rig.trigger('reset').success
    assert not change(rig, 'configure') and rig.state() == 'unconfigured'
    fragile.is_gone = False
    configure_and_send(rig)


def test_a_device_lost_while_inactive_is_the_error_state_too(
    make_rig: Callable[..., Rig], fragile: type
) -> None:
    """The last frame was still in the network when the node was deactivated."""
    rig = make_rig(engine=fragile)
    rig.send()
    fragile.is_gone = True
    rig.engine.raises = illegal_access()
    rig.engine.gate.clear()
    rig.publish(image(rig.next_stamp_ns()), 'image')
    wait_for(lambda: rig.engine.is_pushing, 'the engine to take it')
    assert change(rig, 'deactivate')
    rig.engine.gate.set()
    rig.wait_until('unconfigured')
    assert 'no CUDA-capable device' in rig.node.problem


def change(rig: Rig, label: str) -> bool:
    """Make a transition; tell whether it succeeded."""
    request = ChangeState.Request()
    request.transition.label = label
    return rig.peer.call(ChangeState, '/da3/change_state', request).success


def configure_and_send(rig: Rig) -> None:
    """Bring the node up again and have it take an image."""
    assert change(rig, 'configure') and change(rig, 'activate')
    wait_for(rig._publishers['image'].get_subscription_count, 'the subscription')
    processed = rig.counts().frames_processed
    rig.send()
    assert rig.counts().frames_processed == processed + 1
    assert not rig.node.problem
