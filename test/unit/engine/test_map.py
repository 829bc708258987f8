"""The map's graph: links, what is forgotten, and what corrections and joins do to it."""

from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.map import Loop, Map
from da3_ros.geometry.transforms import invert, Sim3
from doubles.box_keyframes import descriptor, keyframe
from doubles.box_room import pose_at
import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial.transform import Rotation

HERE = pose_at([0, 0, 0])


def chain(count: int, max_count: int = 100, part: int = 0, first: int = 0) -> Map:
    """Return a map of keyframes along a line, each linked to the two before it."""
    keyframes = Map(max_count)
    extend(keyframes, count, part, first)
    return keyframes


def extend(keyframes: Map, count: int, part: int = 0, first: int = 0) -> None:
    for i in range(first, first + count):
        before = [k for k in keyframes.newest(2) if k.part == part]
        keyframes.add(
            keyframe(pose_at([0.1 * i, 0, 0]), i, part),
            descriptor(i),
            [(k, 0.8 / (rank + 1)) for rank, k in enumerate(before)],
        )


def is_connected(keyframes: Map) -> bool:
    at = {k.view.key: i for i, k in enumerate(keyframes)}
    links = np.array([(at[a], at[b]) for a, b, _ in keyframes.links()])
    graph = coo_matrix((np.ones(len(links)), links.T), (len(at), len(at)))
    return connected_components(graph, directed=False)[0] == 1


def similarity(seed: int, scale: float = 1.3) -> Sim3:
    rng = np.random.default_rng(seed)
    return Sim3(scale, Rotation.random(random_state=rng).as_matrix(), rng.normal(size=3))


def between(first: Keyframe, second: Keyframe) -> Sim3:
    """Return how two keyframes lie in the map now: what a loop measures if nothing is wrong."""
    return Sim3.from_rigid(invert(first.map_from_camera) @ second.map_from_camera)


def assert_same(a: Sim3, b: Sim3) -> None:
    assert a.scale == pytest.approx(b.scale, rel=1e-9)
    np.testing.assert_allclose(a.rotation, b.rotation, atol=1e-9)
    np.testing.assert_allclose(a.translation, b.translation, atol=1e-9)


def test_a_keyframe_is_found_by_its_key_and_the_newest_come_first() -> None:
    keyframes = chain(5)
    assert [k.view.key for k in keyframes] == [0, 1, 2, 3, 4]
    assert [k.view.key for k in keyframes.newest(2)] == [4, 3]
    assert keyframes[3].view.key == 3 and 3 in keyframes and 9 not in keyframes
    assert len(keyframes.places) == len(keyframes) == 5


def test_links_go_both_ways_and_are_listed_once() -> None:
    keyframes = chain(4)
    links = {(a, b): overlap for a, b, overlap in keyframes.links()}
    assert links == {
        (0, 1): 0.8, (0, 2): 0.4, (1, 2): 0.8, (1, 3): 0.4, (2, 3): 0.8,
    }  # fmt: skip
    assert [k.view.key for k in keyframes.neighbours(keyframes[2])] == [1, 3, 0]


def test_a_keyframe_is_linked_to_few_that_see_most_and_to_one_at_least() -> None:
    keyframes = chain(8)
    overlaps = [(k, 0.1 * (1 + k.view.key)) for k in keyframes]
    keyframes.add(keyframe(HERE, 8), descriptor(8), overlaps)
    assert {k.view.key for k in keyframes.neighbours(keyframes[8])} == {3, 4, 5, 6, 7}
    keyframes.add(keyframe(HERE, 9), descriptor(9), [(keyframes[0], 0.0), (keyframes[1], 0.01)])
    assert [k.view.key for k in keyframes.neighbours(keyframes[9])] == [1]


def test_parts_are_not_linked() -> None:
    keyframes = chain(3)
    keyframes.add(keyframe(HERE, 3, part=1), descriptor(3), [(k, 0.9) for k in keyframes])
    assert keyframes.neighbours(keyframes[3]) == []
    assert keyframes.parts == {0, 1}


def test_around_reaches_as_far_as_so_many_links() -> None:
    keyframes = chain(10)
    assert keyframes.around(keyframes[5], 0) == {5}
    assert keyframes.around(keyframes[5], 1) == {3, 4, 5, 6, 7}
    assert keyframes.around(keyframes[5], 2) == set(range(1, 10))
    assert keyframes.around(keyframes[0], 99) == set(range(10))


def test_forgetting_keeps_the_graph_connected_and_goes_on_for_ever() -> None:
    keyframes = chain(20, max_count=12)
    for first in range(20, 200):
        extend(keyframes, 1, first=first)
        assert len(keyframes) == len(keyframes.places) == 12
        assert is_connected(keyframes)
    assert len(keyframes.links()) <= 5 * 12


def test_forgetting_keeps_what_nobody_else_sees() -> None:
    """Of a place that was looked at often much is forgotten, of one looked at once nothing."""
    keyframes = Map(8)
    keyframes.add(keyframe(HERE, 0), descriptor(0), [])
    for i in range(1, 6):  # a way where each sees little of the one before
        keyframes.add(keyframe(HERE, i), descriptor(i), [(keyframes[i - 1], 0.1)])
    for i in range(6, 40):  # and a place where the camera stays
        there = [k for k in keyframes.newest(2) if k.view.key >= 6] or [keyframes[5]]
        overlap = 0.9 if i > 6 else 0.1
        keyframes.add(keyframe(HERE, i), descriptor(i), [(k, overlap) for k in there])
    assert [k.view.key for k in keyframes][:5] == [0, 1, 2, 3, 4]
    assert is_connected(keyframes)


def test_what_is_in_use_is_not_forgotten() -> None:
    keyframes = chain(6, max_count=6)
    used = [keyframes[2], keyframes[3]]
    for i in range(6, 30):
        keyframes.add(keyframe(HERE, i), descriptor(i), [(k, 0.9) for k in used], used)
        assert {2, 3, i} <= {k.view.key for k in keyframes}
        assert len(keyframes) == 6


def test_where_everything_is_in_use_the_map_grows_until_it_is_not() -> None:
    keyframes = chain(3, max_count=3)
    keyframes.add(keyframe(HERE, 3), descriptor(3), [], list(keyframes))
    assert len(keyframes) == 4
    keyframes.add(keyframe(HERE, 4), descriptor(4), [(keyframes[3], 0.5)])
    assert len(keyframes) == 3


def test_loops_go_with_their_keyframes() -> None:
    keyframes = chain(6)
    extend(keyframes, 3, part=1, first=6)
    keyframes.loops += [Loop(4, 0, Sim3.identity()), Loop(8, 6, Sim3.identity())]
    keyframes.forget_part(1)
    assert [(loop.first, loop.second) for loop in keyframes.loops] == [(4, 0)]
    assert keyframes.parts == {0} and len(keyframes) == len(keyframes.places) == 6
    keyframes.clear()
    assert keyframes.loops == [] and len(keyframes) == len(keyframes.places) == 0


def test_a_correction_takes_each_keyframe_where_it_belongs() -> None:
    keyframes = chain(4)
    before = {k.view.key: (k.map_from_camera, k.depth) for k in keyframes}
    moves = {key: similarity(key, 1.0 + 0.1 * key) for key in range(4)}
    keyframes.move(moves)
    for key, (pose, depth) in before.items():
        moved = keyframes[key]
        np.testing.assert_allclose(moved.map_from_camera, moves[key].apply_to_pose(pose))
        assert moved.depth.allclose(depth * moves[key].scale)
        assert moved.size == pytest.approx(moves[key].scale)


def test_keyframes_that_came_later_go_with_the_one_they_share_most_with() -> None:
    keyframes = chain(8)
    was = {k.view.key: k.map_from_camera for k in keyframes}
    keyframes.move({key: similarity(key) for key in range(5)})
    for key in (5, 6, 7):  # each through the one before it, back to number 4
        expected = similarity(4).apply_to_pose(was[key])
        np.testing.assert_allclose(keyframes[key].map_from_camera, expected)


def test_a_correction_of_one_part_leaves_the_others() -> None:
    keyframes = chain(4)
    extend(keyframes, 4, part=1, first=4)
    was = {k.view.key: k.map_from_camera for k in keyframes}
    keyframes.move({key: similarity(key) for key in range(4)})
    for key in range(4, 8):
        np.testing.assert_array_equal(keyframes[key].map_from_camera, was[key])
        assert keyframes[key].size == 1.0


def test_joining_takes_one_part_as_a_whole() -> None:
    keyframes = chain(4)
    extend(keyframes, 4, part=1, first=4)
    was = {k.view.key: k.map_from_camera for k in keyframes}
    keyframes.join(0, 1, similarity(0, 0.5))
    assert keyframes.parts == {0}
    for key in range(4):
        np.testing.assert_array_equal(keyframes[key].map_from_camera, was[key])
    for key in range(4, 8):
        expected = similarity(0, 0.5).apply_to_pose(was[key])
        np.testing.assert_allclose(keyframes[key].map_from_camera, expected)
        assert keyframes[key].size == 0.5


def test_loops_that_a_joined_part_brings_along_still_fit_it() -> None:
    """They are in its unit, which becomes another."""
    keyframes = chain(4)
    extend(keyframes, 4, part=1, first=4)
    keyframes.loops += [
        Loop(3, 0, between(keyframes[3], keyframes[0])),
        Loop(7, 4, between(keyframes[7], keyframes[4])),
    ]
    keyframes.join(0, 1, similarity(0, 0.5))
    for loop in keyframes.loops:
        expected = between(keyframes[loop.first], keyframes[loop.second])
        assert_same(loop.first_from_second, expected)


def test_loops_still_fit_a_map_that_they_have_corrected() -> None:
    """Each camera's unit is another after the correction."""
    keyframes = chain(4)
    moves = {key: similarity(key, 1.0 + 0.1 * key) for key in range(4)}
    node = {k.view.key: moves[k.view.key] @ Sim3.from_rigid(k.map_from_camera) for k in keyframes}
    keyframes.loops.append(Loop(3, 0, node[3].inverse() @ node[0]))
    keyframes.move(moves)
    assert_same(keyframes.loops[0].first_from_second, between(keyframes[3], keyframes[0]))
