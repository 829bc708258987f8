"""Loops, getting lost and being found: the engine on a simulated network, along a ring."""

from dataclasses import replace
from functools import cache

from da3_ros.engine import Frame, lesson, loop_closing, StreamingEngine, TrackingState
from da3_ros.engine.runner import WindowPrediction
from da3_ros.errors import FrameError
from da3_ros.evaluation.simulated_robot import SimulatedMetricNetwork
from da3_ros.evaluation.simulator import REALISTIC
from da3_ros.geometry.transforms import rigid
from da3_ros.parameter_tree import replaced
from doubles.ring_corridor import CONFIG, on_ring, STEP_NS, Stream
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
import torch

# What is drawn in the world along the first frames, which a map is compared by.
FIRST = range(25)
LAP, FRAMES = 120, 160
KNOWN, UNKNOWN = range(45), range(45, 120)


@cache
def round_the_block(seed: int, revisits: bool) -> Stream:
    """Return more than a lap by a network that turns and grows a little all the time."""
    config = replaced(CONFIG, {'keyframe.revisits': revisits})
    noise = replace(REALISTIC, min_overlap=0.03)
    stream = Stream(on_ring(np.arange(FRAMES) / LAP), noise, seed, config)
    stream.network.turn_deg_per_m, stream.network.growth_per_m = -0.6, 0.003
    return stream.run()


@cache
def kidnapped(seed: int, alias: float = REALISTIC.alias) -> Stream:
    """Return a walk, and another one elsewhere that leads to where the first one began."""
    laps = [*np.linspace(0, 0.3, len(KNOWN)), *np.linspace(0.5, 1.25, 105)]
    return Stream(on_ring(laps), replace(REALISTIC, alias=alias), seed).run()


def test_a_loop_takes_the_drift_out_of_the_map() -> None:
    """Where the way leads over known ground again, and on several ways."""
    end = range(LAP + 15, FRAMES)
    with_loops, without = (
        [round_the_block(seed, on).errors(end, FIRST).mean() for seed in range(2)]
        for on in (True, False)
    )
    assert np.mean(without) > 0.8
    assert np.mean(without) > 5 * np.mean(with_loops)
    for seed in range(2):
        assert round_the_block(seed, True).engine.status.loops_closed >= 1


def test_without_revisits_no_loop_is_closed() -> None:
    for seed in range(2):
        stream = round_the_block(seed, False)
        assert stream.engine.status.loops_closed == 0
        assert stream.told('loop') == []
        assert stream.engine._mapper.map.loops == []


def test_a_loop_is_told_of_and_the_keyframes_with_it() -> None:
    stream = round_the_block(0, True)
    closed = stream.told('A loop is closed')
    assert len(closed) == stream.engine.status.loops_closed
    assert min(closed) > 0.9 * LAP
    assert all(stream.updates[i].keyframes_changed for i in closed)
    assert stream.engine.status.map_parts == 1


def test_without_metres_the_unit_stays_what_it_was() -> None:
    stream = round_the_block(0, True)
    scales = [update.status.scale for update in stream.updates.values()]
    assert stream.told('loop') != [] and set(scales) == {scales[0]}


def test_what_was_measured_in_metres_stays_so_where_the_camera_is() -> None:
    """A loop resizes the newest keyframes; what is published of them goes on as it was."""
    stream = Stream(on_ring(np.arange(FRAMES) / LAP), replace(REALISTIC, min_overlap=0.03), 2)
    stream.network.growth_per_m = 0.005
    truth = stream.network.truth
    stream.engine = StreamingEngine(
        CONFIG, stream.network, metric_runner=SimulatedMetricNetwork(truth)
    )
    stream.run()
    errors = {
        i: np.log(np.nanmedian(view.depth_m / truth.depth_m('', view.stamp_ns, 56, 84)))
        for i, view in stream.views.items()
    }
    closed = stream.told('loop')
    sizes = [abs(np.log(k.size)) for k in stream.engine._mapper.map]
    assert max(sizes) > 0.02
    assert all(stream.updates[i].status.scale_source == 'metric_model' for i in closed)
    for i in closed:
        before = [errors[j] for j in range(i - 8, i) if j in errors]
        after = [errors[j] for j in range(i, i + 4) if j in errors]
        assert abs(np.mean(after) - np.mean(before)) < 0.02
    assert max(abs(error) for error in errors.values()) < 0.1


@pytest.mark.parametrize('make', [lambda: round_the_block(0, True), lambda: kidnapped(0)])
def test_only_what_the_network_is_still_to_see_is_kept_in_full(make) -> None:
    mapper = make().engine._mapper
    mapper.company(1)
    needed = [*mapper.window, *(guest.keyframe for guest in mapper._guests())]
    for k in mapper.map:
        assert k.is_archived is (k not in needed)


def test_what_the_network_has_just_seen_is_in_full_until_the_map_has_taken_it_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever a correction does to the window meanwhile; on a GPU the halves are elsewhere."""
    seen = []

    def refine(known, *others) -> None:
        seen.extend(known)
        assert not any(k.is_archived for k in known)
        original(known, *others)

    original = lesson.refine
    monkeypatch.setattr(lesson, 'refine', refine)
    round_the_block.__wrapped__(0, True)
    assert len(seen) > FRAMES


def test_the_past_of_a_joined_part_is_put_right_with_it() -> None:
    for seed in range(2):
        stream = kidnapped(seed)
        assert stream.told('another part') != []
        assert len(stream.told('are joined')) == 1
        assert stream.engine.status.map_parts == 1
        found = [stream.stamps_ns.index(k.stamp_ns) for k in stream.engine.keyframes]
        assert sum(i in UNKNOWN for i in found) > 10
        assert stream.keyframe_errors(FIRST).max() < 0.6


@pytest.mark.parametrize('seed', range(2))
def test_what_hangs_by_nothing_says_that_it_is_a_guess(seed: int) -> None:
    """And nothing else does: where a view is metres off, that is what its covariance says."""
    stream = kidnapped(seed)
    is_guess = np.array([v.pose_covariance[0, 0] > 1e5 for v in stream.views.values()])
    assert is_guess.any() and not is_guess.all()
    np.testing.assert_array_equal(is_guess, stream.errors(stream.views, FIRST) > 0.5)


@pytest.mark.parametrize('seed', range(2))
def test_the_view_by_which_parts_are_joined_is_where_it_is_published(seed: int) -> None:
    stream = kidnapped(seed)
    (joined,) = stream.told('are joined')
    after = range(joined, joined + 6)
    assert stream.errors(after, FIRST).max() < 0.2


def test_old_keyframes_stay_where_they_were_while_nothing_is_known() -> None:
    laps = [*np.linspace(0, 0.3, 45), *np.linspace(0.5, 0.75, 35)]
    stream = Stream(on_ring(laps), REALISTIC).run(45)
    before = stream.engine.keyframes
    stream.run()
    assert stream.engine.status.map_parts == 2
    for was, now in zip(before, stream.engine.keyframes, strict=False):
        assert was.stamp_ns == now.stamp_ns
        np.testing.assert_allclose(was.map_from_camera, now.map_from_camera, atol=1e-9)


@pytest.mark.parametrize('seed', range(3))
def test_places_that_look_alike_are_not_taken_for_each_other(seed: int) -> None:
    """Most descriptors are those of other places, and the camera is where it never was before."""
    laps = [*np.linspace(0, 0.3, 45), *np.linspace(0.5, 0.8, 50)]
    stream = Stream(on_ring(laps), replace(REALISTIC, alias=0.8), seed).run()
    assert stream.told('are joined') == [] and stream.told('loop') == []
    assert stream.told('known again') == []
    assert stream.engine.status.map_parts == 2


@pytest.mark.parametrize('seed', range(3))
def test_the_dark_is_lost_and_the_light_is_found(seed: int) -> None:
    """Three seconds, on the way back over known ground."""
    laps = [*np.linspace(0, 0.3, 60), *np.linspace(0.3, 0.05, 60)]
    dark = range(75, 105)
    stream = Stream(on_ring(laps), REALISTIC, seed, dark=[(dark[0], dark[-1])]).run(dark.stop)
    assert not set(dark) & stream.views.keys()
    assert stream.engine.status.state is TrackingState.LOST
    stream.run()
    assert min(i for i in stream.views if i >= dark.stop) < dark.stop + 5
    before = stream.errors(range(60, 75), FIRST).mean()
    assert stream.errors(range(dark.stop + 5, 120), FIRST).mean() < max(3 * before, 0.1)
    assert stream.engine.status.map_parts == 1


def test_a_gap_in_time_alone_is_none() -> None:
    """The stamps may leap as far as they like, as long as the camera did not."""
    stamps = [STEP_NS * (i + 1 + (i >= 30) * 36_000) for i in range(50)]
    stream = Stream(on_ring(np.linspace(0, 0.3, 50)), REALISTIC, stamps_ns=stamps).run()
    assert stream.views.keys() == set(range(50))
    assert stream.engine.status.map_parts == 1


def test_a_gap_in_which_the_camera_went_back_is_bridged_by_a_place() -> None:
    laps = [*np.linspace(0, 0.4, 60), *np.linspace(0.02, 0.1, 15)]
    stream = Stream(on_ring(laps), REALISTIC, seed=1).run()
    assert stream.told('known again') != [] and stream.told('another part') == []
    assert stream.errors(range(65, 75), FIRST).max() < 0.2


class Scrambled:
    """A network that puts the keyframes of a window anywhere, and is sure of it."""

    def __init__(self, good) -> None:
        self._good, self._rng = good, np.random.default_rng(0)

    def infer(self, views, depth_views=None) -> WindowPrediction:
        prediction = self._good.infer(views, depth_views)
        poses = prediction.window_from_camera.copy()
        for i in range(len(views) - 1):
            turn = Rotation.random(random_state=self._rng).as_matrix()
            poses[i] = rigid(turn, poses[i][:3, 3] + 3 * self._rng.normal(size=3))
        return replace(prediction, window_from_camera=poses)

    def describe(self, view) -> torch.Tensor:
        return self._good.describe(view)


def test_a_window_that_agrees_with_nothing_changes_nothing() -> None:
    stream = Stream(on_ring(np.linspace(0, 0.3, 50)), REALISTIC).run(40)
    engine = stream.engine
    before = engine.keyframes
    good, engine._runner = engine._runner, Scrambled(engine._runner)
    with pytest.raises(FrameError, match='of the window agrees with the map'):
        stream.push(40)
    assert engine.status.state is TrackingState.LOST
    for was, now in zip(before, engine.keyframes, strict=True):
        np.testing.assert_array_equal(was.map_from_camera, now.map_from_camera)
    engine._runner = good
    stream.next = 41
    stream.run()
    assert stream.errors(range(41, 50), FIRST).max() < 0.2


def test_a_loop_that_is_closed_while_the_view_is_lost_is_told_of_later() -> None:
    """And so are the keyframes that it moved."""
    stream = Stream(on_ring(np.arange(FRAMES) / LAP), replace(REALISTIC, min_overlap=0.03), 2)
    stream.network.turn_deg_per_m = -0.6
    while stream.engine._mapper._closing is None:
        stream.run(stream.next + 1)
        stream.engine.update_map()
    good, stream.engine._runner = stream.engine._runner, Scrambled(stream.engine._runner)
    before = stream.engine.keyframes[-1].map_from_camera
    stream.run(stream.next + 1)
    assert stream.next - 1 not in stream.views
    after = stream.engine.keyframes[-1].map_from_camera
    assert np.linalg.norm(after - before) > 0.05
    stream.engine._runner = good
    at = stream.next
    stream.run(at + 1)
    assert 'loop' in stream.notices[at] and stream.updates[at].keyframes_changed
    stream.run(at + 2)
    assert at + 1 not in stream.told('loop')


def test_a_loop_that_cannot_be_closed_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream goes on, and the next loop is another chance."""

    def fail(*_) -> None:
        raise np.linalg.LinAlgError('singular')

    stream = Stream(on_ring(np.arange(FRAMES) / LAP), replace(REALISTIC, min_overlap=0.03), 2)
    stream.network.turn_deg_per_m = -0.6
    with monkeypatch.context() as patch:
        patch.setattr(loop_closing, 'optimise_pose_graph', fail)
        while not stream.told('not closed'):
            stream.run(stream.next + 1)
    assert stream.engine._mapper.map.loops == []
    assert stream.engine.status.loops_closed == 0
    stream.run()
    assert len(stream.views) >= FRAMES - 2
    assert stream.engine.status.loops_closed > 0


class Blind:
    """A network that knows nothing of any view by itself: its descriptors are no numbers."""

    def __init__(self, good) -> None:
        self._good = good

    def infer(self, views, depth_views=None) -> WindowPrediction:
        prediction = self._good.infer(views, depth_views)
        return replace(prediction, window_from_camera=prediction.window_from_camera * np.nan)

    def describe(self, view) -> torch.Tensor:
        return torch.full_like(self._good.describe(view), torch.nan)


def test_a_network_that_fails_altogether_is_lost_and_no_more() -> None:
    stream = Stream(on_ring(np.linspace(0, 0.3, 60)), REALISTIC).run(30)
    good, stream.engine._runner = stream.engine._runner, Blind(stream.engine._runner)
    for i in range(30, 33):
        with pytest.raises(FrameError):
            stream.push(i)
    stream.engine._runner = good
    stream.next = 33
    stream.run()
    assert stream.views.keys() >= set(range(35, 60))
    assert stream.errors(range(35, 60), FIRST).max() < 0.2


def test_a_reset_that_comes_to_nothing_is_told_of_later() -> None:
    stream = Stream(on_ring(np.linspace(0, 0.1, 30)), REALISTIC).run(25)
    good, stream.engine._runner = stream.engine._runner, Blind(stream.engine._runner)
    with pytest.raises(FrameError):
        stream.push(0)
    assert stream.engine.keyframes == ()
    stream.engine._runner = good
    update = stream.push(1)
    assert update.was_reset and 'went back' in update.reset_reason
    assert not stream.push(2).was_reset


def test_a_part_begins_where_its_camera_is_known_to_be() -> None:
    """In metres, whatever the unit of the map."""
    laps = [*np.linspace(0, 0.25, 30), *np.linspace(0.5, 0.6, 15)]
    config = replaced(CONFIG, {'scale.fixed': 2.0})
    stream = Stream(on_ring(laps), REALISTIC, config=config)
    for i, stamp in enumerate(stream.stamps_ns):
        rgb = np.zeros((56, 84, 3), np.uint8)
        frame = Frame('', stamp, rgb, map_from_camera=stream.poses[i])
        try:
            update = stream.engine.push([frame])
        except FrameError:
            continue
        if 'another part' in update.notice:
            break
    assert i >= 30
    np.testing.assert_allclose(update.views[0].map_from_camera, stream.poses[i], atol=1e-3)


def test_a_camera_in_the_dark_beside_one_that_sees_adds_nothing() -> None:
    stream = Stream(on_ring(np.linspace(0, 0.3, 50)), REALISTIC, dark=[(20, 40)])
    truth = stream.network.truth
    truth.poses['left'] = truth.poses['']
    is_black = stream.network._is_black
    stream.network._is_black = lambda view: view.camera == 'left' and is_black(view)
    rgb = np.zeros((56, 84, 3), np.uint8)
    for stamp in stream.stamps_ns:
        frames = [Frame(c, stamp, rgb, truth.intrinsics(c, stamp, 56, 84)) for c in ('', 'left')]
        update = stream.engine.push(frames)
        seeing = {v.camera for v in update.views}
        assert '' in seeing
        assert 'left' in seeing or stamp in stream.stamps_ns[20:41]
        assert 'left' not in seeing or stamp not in stream.stamps_ns[20:41]
    kept = {k.stamp_ns for k in stream.engine.keyframes if k.camera == 'left'}
    assert not kept & set(stream.stamps_ns[20:41])
