"""Sets of images: which go together, how long they wait, and what becomes of those left over."""

from collections.abc import Callable, Sequence

from da3_ros.config import NodeConfig
from da3_ros.parameter_tree import replaced
from da3_ros.ros.pending import AllSets, Grouping, NewestSets, Pending
from peer import wait_for
import pytest
from rig import image, Rig

MILLISECOND_NS = 1_000_000
CAMERAS = ('front', 'left', 'right')
WAIT_S = 0.05
ROUNDING_S = 1e-6


class Scene:
    """Cameras that send to something pending, while a clock is turned by hand."""

    def __init__(self, kind: type, cameras: Sequence[str] = CAMERAS) -> None:
        self.now = 100.0
        grouping = Grouping(tuple(cameras), 20 * MILLISECOND_NS, WAIT_S, lambda: self.now)
        self.pending: Pending = kind(grouping)
        self.superseded = 0
        self.missing: list[tuple[str, ...]] = []

    def send(self, ms: int, *cameras: str) -> None:
        """Send an image of a moment, of some cameras."""
        for camera in cameras:
            message = image(10**9 + ms * MILLISECOND_NS)
            self.superseded += self.pending.put(camera, message)

    def take(self) -> dict[str, int]:
        """Return the moment of each camera in what is handed out now."""
        taken = self.pending.take()
        self.superseded += taken.superseded
        if taken.messages:
            self.missing.append(taken.missing)
        return {
            name: (m.header.stamp.sec - 1) * 1000 + m.header.stamp.nanosec // MILLISECOND_NS
            for name, m in taken.messages.items()
        }

    def play(self, ms: int, *cameras: str) -> dict[str, int]:
        """Send a set, wait as long as it takes, and return what is handed out."""
        self.send(ms, *cameras)
        self.now += self.pending.wait_s() + ROUNDING_S
        return self.take()


BOTH = pytest.mark.parametrize('kind', [NewestSets, AllSets])


@BOTH
def test_a_complete_set_goes_at_once(kind: type) -> None:
    """Within the slop, in the order of the cameras, whichever comes first."""
    scene = Scene(kind)
    scene.send(15, 'right')
    scene.send(0, 'left')
    assert scene.take() == {} and scene.pending.wait_s() == pytest.approx(WAIT_S)
    scene.send(3, 'front')
    assert scene.pending.wait_s() == 0.0
    taken = scene.take()
    assert taken == {'front': 3, 'left': 0, 'right': 15}
    assert list(taken) == list(CAMERAS)
    assert scene.pending.wait_s() == float('inf') and scene.missing == [()]


@BOTH
def test_one_camera_never_waits(kind: type) -> None:
    scene = Scene(kind, [''])
    for ms in (0, 33, 66):
        scene.send(ms, '')
        assert scene.pending.wait_s() == 0.0
        assert scene.take() == {'': ms}
    assert scene.missing == [(), (), ()] and scene.superseded == 0


@BOTH
def test_a_missing_camera_is_waited_for_so_long_and_counted(kind: type) -> None:
    scene = Scene(kind)
    scene.send(0, 'front', 'left')
    scene.now += 0.9 * WAIT_S
    assert scene.take() == {}
    assert scene.pending.wait_s() == pytest.approx(0.1 * WAIT_S)
    scene.now += 0.2 * WAIT_S
    assert scene.take() == {'front': 0, 'left': 0}
    assert scene.missing == [('right',)]


@BOTH
def test_a_camera_that_is_silent_is_not_waited_for_until_it_is_back(kind: type) -> None:
    """Three sets wait; after that it costs the others nothing, and goes on to be counted."""
    scene = Scene(kind)
    assert [len(scene.play(ms, *CAMERAS)) for ms in (-200, -100, 0)] == [3] * 3
    waits = []
    for index in range(1, 8):
        scene.send(100 * index, 'front', 'left')
        waits.append(scene.pending.wait_s())
        scene.now += waits[-1] + ROUNDING_S
        assert len(scene.take()) == 2
    assert waits == pytest.approx([WAIT_S] * 3 + [0.0] * 4)
    assert scene.missing[3:] == [('right',)] * 7
    assert len(scene.play(800, 'right', 'front', 'left')) == 3
    scene.send(900, 'front', 'left')
    assert scene.pending.wait_s() == pytest.approx(WAIT_S)


@BOTH
def test_a_slow_camera_keeps_nobody_waiting_between_its_images(kind: type) -> None:
    """At a third of the others' rate it is in every third set, and never missing."""
    scene = Scene(kind)
    for index in range(30):
        others = ('right',) if index % 3 == 0 else ()
        scene.send(33 * index, 'front', 'left', *others)
        if index > 3:
            assert scene.pending.wait_s() == 0.0
        scene.now += scene.pending.wait_s() + ROUNDING_S
        assert len(scene.take()) == 2 + len(others)
    assert scene.missing[4:] == [()] * 26


@BOTH
def test_an_image_that_is_late_goes_alone(kind: type) -> None:
    """Nobody is waited for: the others are past its moment, and it is not mixed with them."""
    scene = Scene(kind)
    scene.play(0, *CAMERAS)
    assert scene.play(100, 'front', 'left') == {'front': 100, 'left': 100}
    scene.send(100, 'right')
    assert scene.pending.wait_s() == 0.0
    assert scene.take() == {'right': 100}
    assert scene.missing == [(), ('right',), ()]


def test_the_newest_complete_set_is_the_one_that_goes() -> None:
    scene = Scene(NewestSets)
    for ms in (0, 100, 200):
        scene.send(ms, *CAMERAS)
    assert len(scene.pending) == 3 and scene.superseded == 6
    assert scene.take() == dict.fromkeys(CAMERAS, 200)
    assert scene.take() == {}


def test_a_set_that_gathers_does_not_overtake_one_that_is_complete() -> None:
    scene = Scene(NewestSets)
    scene.send(0, *CAMERAS)
    scene.send(100, 'front', 'left')
    assert scene.take() == dict.fromkeys(CAMERAS, 0)
    scene.send(101, 'right')
    assert scene.take() == {'front': 100, 'left': 100, 'right': 101}
    assert scene.superseded == 0


def test_a_lone_image_does_not_cost_the_others_theirs() -> None:
    """Two cameras have nothing newer than the first set, which therefore goes first."""
    scene = Scene(NewestSets)
    scene.send(0, *CAMERAS)
    scene.send(100, 'front')
    scene.now += 2 * WAIT_S
    assert scene.take() == dict.fromkeys(CAMERAS, 0)
    assert scene.take() == {'front': 100}
    assert scene.superseded == 0


def test_a_camera_never_goes_back() -> None:
    """An image that came late is lost once a newer one of its camera has been handed out."""
    scene = Scene(NewestSets)
    scene.play(0, *CAMERAS)
    scene.send(200, 'front', 'left')
    scene.send(100, 'right')
    scene.send(200, 'right')
    assert scene.take() == dict.fromkeys(CAMERAS, 200)
    assert scene.take() == {} and scene.superseded == 1


def test_who_waited_longest_goes_first_and_nobody_goes_back() -> None:
    """What is left of an older set goes without the image that a newer one has overtaken."""
    scene = Scene(NewestSets)
    scene.play(-100, 'front', 'left')
    scene.send(0, 'front', 'left')
    scene.send(100, 'front', 'right')
    scene.now += 2 * WAIT_S
    assert scene.take() == {'front': 100, 'right': 100}
    assert scene.take() == {'left': 0}
    assert scene.superseded == 1


def test_a_camera_whose_clock_is_off_starves_nobody() -> None:
    """Its images form sets of their own, and each camera has its turn however slow the network."""
    scene = Scene(NewestSets, ['front', 'left'])
    taken = []
    for index in range(20):
        for step in range(3):
            ms = 100 * index + 33 * step
            scene.send(ms, 'front')
            scene.send(ms + 500_000, 'left')
        scene.now += 0.1
        taken.append(scene.take())
    assert sum('front' in t for t in taken) == sum('left' in t for t in taken) == 10


def test_nothing_piles_up_while_the_network_is_busy() -> None:
    scene = Scene(NewestSets)
    for index in range(1000):
        scene.now += 0.005
        scene.send(5 * index, 'front')
    assert len(scene.pending) < 15
    assert scene.superseded + len(scene.pending) == 1000


@BOTH
def test_a_bag_that_starts_again_is_no_reason_to_wait(kind: type) -> None:
    scene = Scene(kind)
    for ms in (50_000, 50_100, 50_200):
        assert len(scene.play(ms, *CAMERAS)) == 3
    for ms in (0, 100):
        assert scene.play(ms, *CAMERAS) == dict.fromkeys(CAMERAS, ms)
    assert scene.missing == [()] * 5


def test_every_image_goes_where_none_may_be_lost() -> None:
    scene = Scene(AllSets)
    sent = [(0, CAMERAS), (100, ('front', 'right')), (200, ('left',)), (300, CAMERAS)]
    for ms, cameras in sent:
        scene.send(ms, *cameras)
    taken = []
    while scene.pending:
        scene.now += scene.pending.wait_s() + ROUNDING_S
        taken.append(scene.take())
    assert taken == [dict.fromkeys(cameras, ms) for ms, cameras in sent]
    assert scene.missing == [(), (), (), ()]  # their images of later moments have come


def test_a_replay_waits_longer() -> None:
    """Nobody is in a hurry there, and sets should be the same each time."""
    config = replaced(NodeConfig(), {'cameras': ('front', 'left'), 'rig.max_wait_s': 0.1})
    assert Grouping.of(config).max_wait_s == pytest.approx(0.1)
    config = replaced(config, {'replay': 'every_frame'})
    assert Grouping.of(config).max_wait_s == pytest.approx(2.0)


def started(make_rig: Callable[..., Rig], **parameters: object) -> Rig:
    """Return a node with two cameras and a set that waits for longer than a test."""
    given = {'cameras': ['front', 'left'], 'rig.max_wait_s': 10.0}
    rig = make_rig(parameters=given | parameters)
    rig.listen('status', '/diagnostics')
    return rig


def test_the_node_hands_the_engine_whole_sets(make_rig: Callable[..., Rig]) -> None:
    """The second image of a set comes late, while the executor answers; both go as one."""
    rig = started(make_rig)
    sizes = []
    push = rig.engine.push
    rig.engine.push = lambda frames: sizes.append([f.camera for f in frames]) or push(frames)
    for _ in range(3):
        stamp = rig.next_stamp_ns()
        rig.publish(image(stamp), 'left/image')
        wait_for(lambda: len(rig.node.worker._inbox._messages) == 1, 'the first to wait')
        assert rig.state() == 'active'
        before = rig.counts().frames_processed
        rig.publish(image(stamp + 5 * MILLISECOND_NS), 'front/image')
        wait_for(lambda before=before: rig.counts().frames_processed == before + 2, 'the set')
    assert sizes == [['front', 'left']] * 3
    assert rig.counts().sets_missed == {} and rig.counts().drops == {}


def test_a_camera_that_dies_is_counted_and_the_other_goes_on(
    make_rig: Callable[..., Rig],
) -> None:
    """In status and diagnostics, and it is no drop of an image."""
    rig = started(make_rig, **{'rig.max_wait_s': 0.02})
    for index in range(8):
        rig.send(topic='front/image')
        wait_for(lambda index=index: rig.counts().frames_processed == index + 1, 'the image')
    assert rig.counts().sets_missed == {'left': 8}
    assert rig.counts().frames_dropped == 0
    rig.heard('status')
    wait_for(lambda: rig.messages['status'][-1].sets_missed.tolist() == [8], 'the last status')
    assert rig.messages['status'][-1].cameras == ['left']

    def is_warned_of() -> bool:
        rig.publish(image(rig.next_stamp_ns()), 'front/image')
        return any('missing' in m.status[0].message for m in rig.messages['/diagnostics'])

    wait_for(is_warned_of, 'a warning of the camera')
    values = {v.key: v.value for v in rig.messages['/diagnostics'][-1].status[0].values}
    assert int(values['missed left']) > 8


def test_a_request_does_not_wait_for_a_set(make_rig: Callable[..., Rig]) -> None:
    rig = started(make_rig)
    rig.publish(image(rig.next_stamp_ns()), 'left/image')
    wait_for(lambda: len(rig.node.worker._inbox._messages) == 1, 'the first to wait')
    assert rig.trigger('reset').success
    assert rig.counts().frames_processed == 0 and len(rig.node.worker._inbox._messages) == 1
