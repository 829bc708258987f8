"""Lifecycle: every order of transitions, failures that can be put right, nothing left behind."""

from collections.abc import Callable
import gc
from pathlib import Path
import random
import resource
import threading
import weakref

from da3_ros.errors import ConfigError
from da3_ros.ros.convert import byte_array
from fake_engine import FakeEngine
from lifecycle_msgs.srv import ChangeState
import numpy as np
import pytest
from rig import image, Rig, wait_for
import torch

TRANSITIONS = {
    ('unconfigured', 'configure'): 'inactive',
    ('inactive', 'activate'): 'active',
    ('active', 'deactivate'): 'inactive',
    ('inactive', 'cleanup'): 'unconfigured',
}

# An image large enough for one that is kept each time to be seen in the memory of the process.
_DATA = byte_array(np.zeros(3 * 2**20, np.uint8))
PICTURE = {'width': 1024, 'height': 1024, 'step': 3072, 'data': _DATA}
PICTURE_MIB = 3


class BuggyEngine(FakeEngine):
    """Fails with a bug while its model is called buggy."""

    def warm_up(self, new: int, progress: object) -> None:
        """Raise what nobody expects."""
        if self.model_name == 'buggy':
            raise ZeroDivisionError('a bug')
        if self.model_name == 'no_gpu':
            raise ConfigError("There is no GPU 'cuda:7' here.")


def trigger(rig: Rig, label: str) -> bool:
    """Make a transition over the wire; True when it succeeded."""
    request = ChangeState.Request()
    request.transition.label = label
    return rig.peer.call(ChangeState, '/da3/change_state', request).success


def entities(rig: Rig) -> tuple[int, ...]:
    """Count what the node holds, and its threads."""
    node = rig.node
    held = (node.publishers, node.subscriptions, node.timers, node.services, node.clients)
    threads = [t for t in threading.enumerate() if t.name.startswith('da3_')]
    return (*(len(list(kind)) for kind in held), len(threads))


def resident_mib() -> float:
    """Return the memory of this process that is in RAM [MiB]."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def test_autostart_brings_the_node_up(make_rig: Callable[..., Rig]) -> None:
    """Without it, the node waits."""
    assert make_rig().state() == 'active'


def test_without_autostart_the_node_waits(make_rig: Callable[..., Rig]) -> None:
    """And has loaded nothing."""
    rig = make_rig(is_active=False)
    assert rig.state() == 'unconfigured'
    assert rig.engines == []


def test_cleanup_gives_the_memory_of_the_gpu_to_others(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the engine is gone; PyTorch would keep it for the next one, also when there is none."""
    rig = make_rig()
    rig.send()
    engine = rig.engines.pop()
    engine.device = torch.device('cuda', 3)
    alive = weakref.ref(engine)
    del engine
    freed = []
    monkeypatch.setattr(
        'da3_ros.ros.engine_keeper.empty_cache', lambda device: freed.append((device, alive()))
    )
    assert trigger(rig, 'deactivate') and not freed
    assert trigger(rig, 'cleanup')
    assert freed == [(torch.device('cuda', 3), None)]


def test_any_order_of_transitions_leaks_nothing(make_rig: Callable[..., Rig]) -> None:
    """Allowed ones succeed, others are refused, and every state holds what it held before."""
    rig = make_rig(is_active=False)
    state, held = 'unconfigured', {'unconfigured': entities(rig)}
    choice = random.Random(0)
    for _ in range(100):
        label = choice.choice([label for _, label in TRANSITIONS])
        target = TRANSITIONS.get((state, label))
        assert trigger(rig, label) == (target is not None)
        state = target or state
        assert rig.state() == state
        assert held.setdefault(state, entities(rig)) == entities(rig), state
        if state == 'active':
            rig.send()
    assert len(held) == 3


@pytest.mark.skipif(not Path('/proc/self/statm').exists(), reason='needs Linux to tell memory')
def test_a_node_that_is_brought_up_again_and_again_does_not_grow(
    make_rig: Callable[..., Rig],
) -> None:
    """Neither in memory nor in threads, and no engine outlives its cleanup."""
    rig = make_rig(is_active=False)
    held, engines, memory_mib = entities(rig), [], []
    for _ in range(25):
        assert trigger(rig, 'configure') and trigger(rig, 'activate')
        if 'image' in rig._publishers:
            wait_for(rig._publishers['image'].get_subscription_count, 'the subscription')
        rig.send(image(rig.next_stamp_ns(), **PICTURE))
        assert trigger(rig, 'deactivate') and trigger(rig, 'cleanup')
        engines.append(weakref.ref(rig.engines.pop()))
        assert entities(rig) == held
        memory_mib.append(resident_mib())
    gc.collect()
    assert all(engine() is None for engine in engines)
    assert memory_mib[-1] - memory_mib[4] < 10 * PICTURE_MIB, memory_mib


@pytest.mark.parametrize('steps', [[], ['configure'], ['configure', 'activate']])
def test_shutdown_from_every_state(make_rig: Callable[..., Rig], steps: list[str]) -> None:
    """Everything is given back; destroying the node twice is no error."""
    rig = make_rig(is_active=False)
    before = entities(rig)
    for step in steps:
        assert trigger(rig, step)
    assert rig.node.trigger_shutdown().name == 'SUCCESS'
    assert rig.state() == 'finalized'
    assert entities(rig) == before


def test_a_deactivated_node_is_silent_and_keeps_its_map(rig: Rig) -> None:
    """It goes on with the same map when it is active again."""
    for _ in range(4):
        rig.send()
    rig.heard('points', 4)
    assert trigger(rig, 'deactivate')
    rig._publishers['image'].publish(image(rig.next_stamp_ns()))
    assert trigger(rig, 'activate')
    wait_for(rig._publishers['image'].get_subscription_count, 'the subscription')
    rig.send()
    assert len(rig.heard('points', 5)) == 5
    assert len(rig.engines) == 1 and len(rig.engine.keyframes) == 2


def test_a_frame_in_the_network_is_not_published_after_deactivate(rig: Rig) -> None:
    """Deactivate does not wait for it."""
    rig.send()
    rig.heard('points', 1)
    rig.engine.gate.clear()
    rig.publish(image(rig.next_stamp_ns()), 'image')
    wait_for(lambda: rig.engine.is_pushing, 'the engine to take it')
    rig.publish(image(rig.next_stamp_ns()), 'image')
    wait_for(lambda: rig.counts().frames_received == 3, 'the image to wait')
    assert trigger(rig, 'deactivate')
    rig.engine.gate.set()
    wait_for(lambda: rig.counts().frames_processed == 2, 'the engine')
    assert rig.counts().drops == {'frame_deactivated': 1}
    assert rig.counts().frames_published == 1
    assert trigger(rig, 'activate')
    rig.send()
    assert len(rig.heard('points', 2)) == 2


def test_cleanup_leaves_a_busy_network_behind(rig: Rig) -> None:
    """A transition ends within about a second, and the node can be configured again."""
    rig.engine.gate.clear()
    rig.publish(image(rig.next_stamp_ns()), 'image')
    wait_for(lambda: rig.engine.is_pushing, 'the engine to take it')
    assert trigger(rig, 'deactivate') and trigger(rig, 'cleanup')
    assert trigger(rig, 'configure') and trigger(rig, 'activate')
    assert len(rig.engines) == 2
    wait_for(rig._publishers['image'].get_subscription_count, 'the subscription')
    rig.send()
    assert len(rig.engine.frames) == 1


@pytest.mark.parametrize(
    ('model', 'sentence'),
    [('missing', 'There are no weights at'), ('no_gpu', "There is no GPU 'cuda:7' here.")],
)
def test_a_configuration_that_fails_can_be_put_right(
    make_rig: Callable[..., Rig], capfd: pytest.CaptureFixture, model: str, sentence: str
) -> None:
    """FAILURE with one sentence, no traceback; the diagnostics say it too."""
    rig = make_rig(parameters={'model': model}, engine=BuggyEngine, is_active=False)
    rig.listen('/diagnostics')
    before = entities(rig)
    assert not trigger(rig, 'configure')
    assert rig.state() == 'unconfigured' and entities(rig) == before
    log = capfd.readouterr().err
    assert sentence in log and 'Traceback' not in log
    wait_for(
        lambda: any(sentence in m.status[0].message for m in rig.messages['/diagnostics']),
        'the diagnostics',
    )
    assert rig.messages['/diagnostics'][-1].status[0].level == b'\x02'
    rig.node.set_parameters([rig.parameter('model', 'embedded')])
    assert trigger(rig, 'configure') and trigger(rig, 'activate')
    rig.send()


def test_a_bug_in_a_transition_is_logged_and_everything_released(
    make_rig: Callable[..., Rig], capfd: pytest.CaptureFixture
) -> None:
    """ERROR, on_error, and back to unconfigured."""
    rig = make_rig(parameters={'model': 'buggy'}, engine=BuggyEngine, is_active=False)
    before = entities(rig)
    assert not trigger(rig, 'configure')
    assert rig.state() == 'unconfigured' and entities(rig) == before
    log = capfd.readouterr().err
    assert 'Traceback' in log and 'ZeroDivisionError: a bug' in log
    assert rig.node.problem == 'ZeroDivisionError: a bug'
    rig.node.set_parameters([rig.parameter('model', 'embedded')])
    assert trigger(rig, 'configure')


def test_a_failed_autostart_leaves_the_node_waiting(make_rig: Callable[..., Rig]) -> None:
    """The process stays and answers."""
    rig = make_rig(parameters={'model': 'missing', 'autostart': True}, is_active=False)
    wait_for(lambda: 'no weights' in rig.node.problem, 'the failure')
    assert rig.state() == 'unconfigured'
    rig.node.set_parameters([rig.parameter('model', 'embedded')])
    assert trigger(rig, 'configure')


def test_the_network_is_warm_before_the_first_image(rig: Rig) -> None:
    """Configure is when waiting is expected."""
    assert rig.engine.warm
