"""Loops close, wrong ones are let go, and what nothing was measured of stays where it is."""

from dataclasses import replace
import time

from da3_ros.errors import InputError
from da3_ros.geometry.pose_graph import optimise_pose_graph, PoseGraphEdges, PoseGraphResult
from da3_ros.geometry.sim3_batch import Sim3Batch
from doubles.rings import random_batch, Ring, ring
import numpy as np
import pytest


def assert_same(got: Sim3Batch, expected: Sim3Batch, atol: float) -> None:
    np.testing.assert_allclose(got.scale, expected.scale, atol=atol)
    np.testing.assert_allclose(got.rotation, expected.rotation, atol=atol)
    np.testing.assert_allclose(got.translation, expected.translation, atol=atol)


def closed(graph: Ring, **arguments) -> PoseGraphResult:
    result = optimise_pose_graph(graph.drifted, graph.edges, **arguments)
    assert result.converged
    return result


def picked(edges: PoseGraphEdges, mask: np.ndarray) -> PoseGraphEdges:
    return PoseGraphEdges(
        edges.nodes[mask], edges.i_from_j[mask], edges.information[mask], edges.is_loop[mask]
    )


def stacked(a: Sim3Batch, b: Sim3Batch) -> Sim3Batch:
    return Sim3Batch.stack([batch.one(k) for batch in (a, b) for k in range(len(batch))])


def together(a: PoseGraphEdges, b: PoseGraphEdges) -> PoseGraphEdges:
    return PoseGraphEdges(
        np.concatenate([a.nodes, b.nodes]),
        stacked(a.i_from_j, b.i_from_j),
        np.concatenate([a.information, b.information]),
        np.concatenate([a.is_loop, b.is_loop]),
    )


def loops(nodes: list[tuple[int, int]], i_from_j: Sim3Batch) -> PoseGraphEdges:
    count = len(nodes)
    return PoseGraphEdges(
        np.array(nodes), i_from_j, np.full((count, 3), 1e4), np.ones(count, dtype=bool)
    )


def joined(a: Ring, b: Ring) -> tuple[Sim3Batch, PoseGraphEdges]:
    """Return two graphs as one of two parts."""
    shifted = replace(b.edges, nodes=b.edges.nodes + len(a.truth))
    return stacked(a.drifted, b.drifted), together(a.edges, shifted)


@pytest.mark.parametrize('drift_deg', [5.0, 60.0, 120.0])
def test_exact_measurements_give_the_truth_from_afar(drift_deg: float) -> None:
    graph = ring(60, loops=2, noise=0.0)
    start = ring(60, noise=0.5, drift_deg=drift_deg, growth=1.5).drifted
    result = optimise_pose_graph(start, graph.edges)
    assert result.converged
    assert result.cost < 1e-3
    assert_same(result.map_from_node, graph.truth, atol=1e-3)


def test_what_is_right_already_stays() -> None:
    graph = ring(60, noise=0.0)
    result = optimise_pose_graph(graph.truth, graph.edges)
    assert result.steps == 0
    assert_same(result.map_from_node, graph.truth, atol=1e-9)


@pytest.mark.parametrize('seed', range(3))
def test_loops_take_drift_away(seed: int) -> None:
    graph = ring(300, loops=3, noise=0.2, drift_deg=20.0, growth=1.1, seed=seed)
    result = closed(graph)
    np.testing.assert_array_equal(result.weights, 1.0)
    assert graph.error(result.map_from_node) < graph.error(graph.drifted) / 3


def test_noise_costs_what_it_should() -> None:
    graph = ring(200, loops=3)
    freedom = 7 * (len(graph.edges.nodes) - 199)
    assert closed(graph).cost == pytest.approx(freedom, rel=0.1)


@pytest.mark.parametrize(('neighbours', 'loops'), [(1, 1), (4, 1), (6, 10)])
def test_a_large_error_converges(neighbours: int, loops: int) -> None:
    graph = ring(1000, neighbours, loops, noise=0.3, drift_deg=90.0, growth=1.3)
    result = closed(graph)
    assert result.steps <= 12
    np.testing.assert_array_equal(result.weights, 1.0)
    assert graph.error(result.map_from_node) < 0.2 * graph.error(graph.drifted)


@pytest.mark.parametrize(('loops', 'drift_deg'), [(60, 20.0), (10, 90.0)])
def test_loops_that_go_everywhere_are_closed_too(loops: int, drift_deg: float) -> None:
    graph = ring(
        200, 4, loops, noise=0.3, drift_deg=drift_deg, growth=1.2, is_tangled=True, seed=1
    )
    result = closed(graph)
    np.testing.assert_array_equal(result.weights, 1.0)
    assert graph.error(result.map_from_node) < 0.1 * graph.error(graph.drifted)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('wrong', [1, 3])
def test_wrong_loops_among_right_ones_leave_no_trace(wrong: int, seed: int) -> None:
    graph = ring(300, 4, 8 + wrong, noise=0.5, drift_deg=10.0, growth=1.05, wrong=wrong, seed=seed)
    result = closed(graph)
    is_wrong = np.arange(len(graph.edges.nodes)) >= len(graph.edges.nodes) - wrong
    np.testing.assert_array_equal(result.weights[is_wrong], 0.0)
    np.testing.assert_array_equal(result.weights[~is_wrong], 1.0)
    without = optimise_pose_graph(graph.drifted, picked(graph.edges, ~is_wrong))
    difference = result.map_from_node.translation - without.map_from_node.translation
    assert np.abs(difference).max() < 0.05 * graph.error(graph.drifted)


def test_the_whole_graph_may_be_moved_turned_and_resized() -> None:
    graph = ring(100, loops=6, noise=0.5, drift_deg=20.0, growth=1.1, wrong=1)
    new_from_map = Sim3Batch(
        np.array([7.0]),
        random_batch(np.random.default_rng(1), 1).rotation,
        np.array([[300.0, -200.0, 500.0]]),
    )
    before = closed(graph)
    after = optimise_pose_graph(new_from_map @ graph.drifted, graph.edges)
    assert_same(after.map_from_node, new_from_map @ before.map_from_node, atol=1e-5)
    np.testing.assert_allclose(after.weights, before.weights, atol=1e-6)
    assert after.cost == pytest.approx(before.cost)


def test_direction_and_order_of_edges_do_not_matter() -> None:
    graph = ring(100, loops=3, noise=0.1, drift_deg=10.0)
    order = np.random.default_rng(2).permutation(len(graph.edges.nodes))
    shuffled = replace(graph, edges=picked(graph.edges, order))
    assert_same(closed(shuffled).map_from_node, closed(graph).map_from_node, atol=1e-4)
    names = np.random.default_rng(3).permutation(100)
    renamed = replace(graph.edges, nodes=np.argsort(names)[graph.edges.nodes])
    result = optimise_pose_graph(graph.drifted[names], renamed, fixed=[int(np.argsort(names)[0])])
    assert_same(result.map_from_node, closed(graph).map_from_node[names], atol=1e-4)


def test_fixed_nodes_and_other_parts_stay_bit_for_bit() -> None:
    a = ring(50, loops=2, noise=0.5, drift_deg=20.0)
    b = ring(40, loops=2, noise=0.5, drift_deg=20.0, seed=1)
    start, edges = joined(a, b)
    result = optimise_pose_graph(start, edges, fixed=[0, 7])
    assert result.converged
    stays = np.isin(np.arange(90), [0, 7]) | (np.arange(90) >= 50)
    for got, before in (
        (result.map_from_node.scale, start.scale),
        (result.map_from_node.rotation, start.rotation),
        (result.map_from_node.translation, start.translation),
    ):
        np.testing.assert_array_equal(got[stays], before[stays])
        assert not np.any(np.all(got[~stays] == before[~stays], axis=tuple(range(1, got.ndim))))
    alone = optimise_pose_graph(a.drifted, a.edges, fixed=[0, 7])
    assert_same(result.map_from_node[:50], alone.map_from_node, atol=1e-6)


def test_a_loop_may_be_all_that_holds_a_part() -> None:
    a, b = ring(30, noise=0.1), ring(20, noise=0.1, seed=1)
    start, edges = joined(a, b)
    link = random_batch(np.random.default_rng(4), 1)
    result = optimise_pose_graph(start, together(edges, loops([(29, 30)], link)))
    assert result.converged
    got = result.map_from_node
    assert_same(got[29:30].inverse() @ got[30:31], link, atol=1e-3)


@pytest.mark.parametrize('size', [2, 200])
def test_a_part_that_only_contradictions_hold_stays_too(size: int) -> None:
    a, b = ring(300, 4, 10, noise=0.3, drift_deg=10.0), ring(size, 4, 0, noise=0.3)
    start, edges = joined(a, b)
    links = random_batch(np.random.default_rng(5), 2)
    links.translation[:] *= 100.0
    result = optimise_pose_graph(start, together(edges, loops([(10, 300), (200, 300)], links)))
    assert result.converged
    np.testing.assert_array_equal(result.weights[-2:], 0.0)
    assert_same(result.map_from_node[300:], b.drifted, atol=0.0)
    assert_same(result.map_from_node[:300], closed(a).map_from_node, atol=1e-2)


def test_without_edges_nothing_happens() -> None:
    graph = ring(10)
    nothing = picked(graph.edges, np.zeros(len(graph.edges.nodes), dtype=bool))
    result = optimise_pose_graph(graph.drifted, nothing)
    assert_same(result.map_from_node, graph.drifted, atol=0.0)
    assert result.converged
    assert result.cost == 0.0


def test_same_input_same_output() -> None:
    graph = ring(200, loops=5, drift_deg=10.0, wrong=1)
    first, second = closed(graph), closed(graph)
    assert_same(first.map_from_node, second.map_from_node, atol=0.0)
    np.testing.assert_array_equal(first.weights, second.weights)


def test_a_loop_among_a_thousand_keyframes_takes_no_second() -> None:
    graph = ring(1000, 4, 10, noise=0.3, drift_deg=10.0, growth=1.05)
    begin = time.process_time()
    closed(graph)
    assert time.process_time() - begin < 1.0  # about 0.035 s on one idle core


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'nodes': np.zeros((3, 2), dtype=int)}, 'i_from_j.scale has shape'),
        ({'nodes': [[0, 1, 2]]}, 'nodes has shape'),
        ({'nodes': [[0.0, 1.0]]}, 'integers'),
        ({'nodes': [[0, 5]]}, 'in 0 to 4'),
        ({'nodes': [[-1, 0]]}, 'in 0 to 4'),
        ({'nodes': [[3, 3]]}, 'Edge 0 goes from node 3 to itself'),
        ({'information': np.ones((1, 2))}, 'information has shape'),
        ({'information': np.array([[1.0, 0.0, 1.0]])}, 'from 0.0 to 1.0'),
        ({'information': np.array([[1.0, np.nan, 1.0]])}, 'from nan'),
        ({'is_loop': np.ones(2, dtype=bool)}, 'is_loop has shape'),
    ],
)
def test_edges_that_make_no_sense_are_refused(changes: dict, message: str) -> None:
    nodes = ring(5).truth
    sound = PoseGraphEdges(np.array([[0, 1]]), nodes[1:2], np.ones((1, 3)), np.array([False]))
    optimise_pose_graph(nodes, sound)
    with pytest.raises(InputError, match=message):
        optimise_pose_graph(nodes, replace(sound, **changes))


def test_nodes_that_make_no_sense_are_refused() -> None:
    graph = ring(5)
    for fixed, message in (([], 'at least one'), ([5], 'fixed holds'), ([0.5], 'integers')):
        with pytest.raises(InputError, match=message):
            optimise_pose_graph(graph.truth, graph.edges, fixed=fixed)
    for changes, message in (
        ({'scale': -graph.truth.scale}, 'above 0'),
        ({'scale': np.ones(4)}, 'shape'),
        ({'rotation': np.full((5, 3, 3), np.nan)}, 'finite'),
        ({'translation': np.zeros((5, 4))}, 'shape'),
    ):
        with pytest.raises(InputError, match=message):
            optimise_pose_graph(replace(graph.truth, **changes), graph.edges)
