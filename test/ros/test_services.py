"""~/reset and ~/save_map."""

from collections.abc import Callable
from pathlib import Path
import threading

from peer import PATIENCE_S
from rig import image, Rig, wait_for


def test_reset_starts_a_new_map(rig: Rig) -> None:
    """The path is empty, and the next image is the first keyframe."""
    for _ in range(4):
        rig.send()
    response = rig.trigger('reset')
    assert response.success and response.message.endswith('.')
    wait_for(lambda: not rig.heard('keyframes')[-1].poses, 'an empty path')
    rig.send()
    wait_for(lambda: len(rig.messages['keyframes'][-1].poses) == 1, 'a new path')


def test_save_map_writes_into_the_configured_directory(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    """A new folder, named in the answer."""
    rig = make_rig(parameters={'save_directory': str(tmp_path / 'maps')})
    rig.send()
    response = rig.trigger('save_map')
    (folder,) = (tmp_path / 'maps').iterdir()
    assert response.success and str(folder) in response.message


def test_save_map_knows_no_home_of_others(make_rig: Callable[..., Rig]) -> None:
    """The answer says so; the node goes on."""
    rig = make_rig(parameters={'save_directory': '~no_such_user/maps'})
    response = rig.trigger('save_map')
    assert not response.success and "'~no_such_user/maps' has no home" in response.message
    rig.send()


def test_save_map_says_why_it_cannot(make_rig: Callable[..., Rig], tmp_path: Path) -> None:
    """Here a file is in the way; the node goes on."""
    (tmp_path / 'maps').write_text('')
    rig = make_rig(parameters={'save_directory': str(tmp_path / 'maps')})
    response = rig.trigger('save_map')
    assert not response.success and 'maps' in response.message
    rig.send()


def test_services_of_an_unconfigured_node_say_so(make_rig: Callable[..., Rig]) -> None:
    """They answer in every state."""
    rig = make_rig(is_active=False)
    for name in ('reset', 'save_map'):
        response = rig.trigger(name)
        assert not response.success and 'configure' in response.message


def test_a_request_waits_for_the_network_and_not_the_executor(rig: Rig) -> None:
    """The node answers others meanwhile; the request runs in the worker, after the frame."""
    rig.send()
    rig.engine.gate.clear()
    rig.publish(image(rig.next_stamp_ns()), 'image')
    wait_for(lambda: rig.engine.is_pushing, 'the engine to take it')
    answers = []
    caller = threading.Thread(target=lambda: answers.append(rig.trigger('reset')))
    caller.start()
    wait_for(lambda: rig.node.worker.has_requests, 'the request to wait')
    assert rig.state() == 'active' and not answers
    rig.engine.gate.set()
    caller.join(PATIENCE_S)
    assert answers[0].success
    assert rig.engine.frames[-1].stamp_ns and rig.engine.keyframes == ()


def test_a_request_is_answered_when_the_node_is_cleaned_up(rig: Rig) -> None:
    """With a sentence, not with silence."""
    rig.engine.gate.clear()
    rig.publish(image(rig.next_stamp_ns()), 'image')
    wait_for(lambda: rig.engine.is_pushing, 'the engine to take it')
    answers = []
    caller = threading.Thread(target=lambda: answers.append(rig.trigger('reset')))
    caller.start()
    wait_for(lambda: rig.node.worker and rig.node.worker.has_requests, 'the request to wait')
    rig.node.trigger_deactivate()
    rig.node.trigger_cleanup()
    caller.join(PATIENCE_S)
    assert not answers[0].success and 'cleaned up' in answers[0].message
