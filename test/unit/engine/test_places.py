"""Places: what is alike is found, whatever all views have in common; both runners agree on it."""

import dataclasses

from da3_ros.engine.graph_runner import GraphRunner
from da3_ros.engine.places import place_descriptor, PlaceIndex
from da3_ros.engine.runner import EagerRunner, WindowView
from da3_ros.model.da3 import AnyViewNetwork
from doubles.miniatures import TINY
from hypothesis import given, settings, strategies
import pytest
import torch
from torch.nn.functional import normalize

CHANNELS = 48


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def descriptors(count: int, seed: int = 0) -> torch.Tensor:
    """Return unit vectors (count, D) that are nearly one and the same, as those of a trunk are."""
    common = 10.0 * random(CHANNELS, seed=1)
    return normalize(common + random(count, CHANNELS, seed=seed), dim=1)


def plain_similarities(known: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """Return what the index should say (K,), computed as it is defined."""
    mean = known.double().mean(dim=0)
    return normalize(known.double() - mean, dim=1) @ normalize(query.double() - mean, dim=0)


def filled(vectors: torch.Tensor) -> PlaceIndex:
    index = PlaceIndex()
    for key, vector in enumerate(vectors):
        index.add(key, vector)
    return index


@pytest.mark.parametrize('count', [5, 63, 64, 65, 300])
def test_similarity_is_the_cosine_without_the_mean_of_the_map(count: int) -> None:
    known, query = descriptors(count), descriptors(1, seed=2)[0]
    found = filled(known).query(query, count)
    expected = plain_similarities(known, query)
    assert [key for key, _ in found] != list(range(count))
    assert sorted(key for key, _ in found) == list(range(count))
    for key, similarity in found:
        assert similarity == pytest.approx(float(expected[key]), abs=5e-3)
    values = [similarity for _, similarity in found]
    assert values == sorted(values, reverse=True)


def test_the_same_place_stands_out_from_what_all_have_in_common() -> None:
    known = descriptors(200)
    again = normalize(known[17] + 0.005 * random(CHANNELS, seed=3), dim=0)
    assert float((known @ again).min()) > 0.95, 'as they are, all look alike'
    (first, best), (_, second) = filled(known).query(again, 2)
    assert first == 17
    assert best > 0.8 > 0.7 > second


def test_excluded_views_are_left_out() -> None:
    known = descriptors(20)
    index = filled(known)
    found = index.query(known[3], 20, excluded=[3, 4, 99])
    assert sorted(key for key, _ in found) == sorted(set(range(20)) - {3, 4})
    assert index.query(known[3], 5, excluded=range(20)) == []


ACTIONS = strategies.lists(
    strategies.tuples(strategies.booleans(), strategies.integers(0, 9)), max_size=40
)


@settings(deadline=None)
@given(ACTIONS)
def test_after_any_history_the_index_knows_what_was_not_removed(
    actions: list[tuple[bool, int]],
) -> None:
    index, expected = PlaceIndex(), {}
    for step, (is_added, key) in enumerate(actions):
        if is_added:
            expected[key] = descriptors(1, seed=step)[0]
            index.add(key, expected[key])
        else:
            expected.pop(key, None)
            index.remove(key)
    assert len(index) == len(expected)
    found = index.query(descriptors(1, seed=99)[0], 10)
    assert sorted(key for key, _ in found) == sorted(expected)
    if len(expected) > 2:
        keys = sorted(expected)
        similarity = plain_similarities(
            torch.stack([expected[key] for key in keys]), descriptors(1, seed=99)[0]
        )
        for key, value in found:
            assert value == pytest.approx(float(similarity[keys.index(key)]), abs=2e-2)


def test_room_is_used_again() -> None:
    index = filled(descriptors(60))
    capacity = len(index._matrix)
    for key in range(60, 400):
        index.remove(key - 60)
        index.add(key, descriptors(1, seed=key)[0])
    assert len(index._matrix) == capacity
    index.clear()
    assert index.query(descriptors(1)[0], 3) == []
    index.add(0, normalize(random(7), dim=0))  # of another network
    assert len(index) == 1


@pytest.mark.parametrize('count', [1, 2])
def test_little_to_compare_with_is_no_error(count: int) -> None:
    known = descriptors(count)
    for _, similarity in filled(known).query(known[0], 3):
        assert -1.0 <= similarity <= 1.0


def test_a_descriptor_forgets_where_in_the_image_things_are() -> None:
    tokens = random(13, CHANNELS)
    descriptor = place_descriptor(tokens)
    assert descriptor.shape == (2 * CHANNELS,) and descriptor.dtype == torch.float32
    assert float(descriptor.norm()) == pytest.approx(1.0)
    shuffled = torch.cat((tokens[:1], tokens[1:].flip(0)))
    torch.testing.assert_close(place_descriptor(shuffled), descriptor)
    torch.testing.assert_close(place_descriptor(3.0 * tokens), descriptor)
    for changed in (0, 5):  # the class token, and a patch
        other = tokens.clone()
        other[changed] += 1.0
        assert not torch.allclose(place_descriptor(other), descriptor, atol=1e-3)


def view(key: int, height: int = 42, width: int = 56) -> WindowView:
    return WindowView(key, 'front', key, random(3, height, width, seed=key))


@pytest.fixture(scope='module')
def net() -> AnyViewNetwork:
    torch.manual_seed(0)
    net = AnyViewNetwork(dataclasses.replace(TINY, name='even')).eval().requires_grad_(False)
    for block in net.backbone.blocks:
        for name, parameter in block.named_parameters():
            if name.endswith('gamma'):
                parameter.fill_(0.5)
    return net


def test_runners_agree_on_views_in_and_out_of_the_window(net: AnyViewNetwork) -> None:
    runner, eager = GraphRunner(net, views=3), EagerRunner(net)
    torch.testing.assert_close(runner.describe(view(9)), eager.describe(view(9)))  # no plan yet
    runner.infer([view(0), view(1), view(2)])
    for key in (2, 0, 1, 7):
        torch.testing.assert_close(runner.describe(view(key)), eager.describe(view(key)))
    torch.testing.assert_close(runner.describe(view(8, 56, 42)), eager.describe(view(8, 56, 42)))
    assert not torch.allclose(eager.describe(view(0)), eager.describe(view(1)), atol=1e-3)


def test_a_view_of_the_window_is_described_without_its_image(net: AnyViewNetwork) -> None:
    runner, views = GraphRunner(net, views=3), [view(0), view(1)]
    runner.infer(views)
    bare = dataclasses.replace(views[1], image=torch.empty(0))
    torch.testing.assert_close(runner.describe(bare), EagerRunner(net).describe(views[1]))


def test_describing_leaves_the_window_alone(net: AnyViewNetwork) -> None:
    runner, windows = GraphRunner(net, views=2), ([view(0), view(1)], [view(0), view(2)])
    for views in windows:
        runner.describe(view(5))
        runner.describe(views[0])
        expected = EagerRunner(net).infer(views).depth
        torch.testing.assert_close(runner.infer(views).depth, expected, rtol=1e-4, atol=1e-5)
        runner.describe(view(6))
        assert {v.key for v in views} == set(runner._slots._slots)
