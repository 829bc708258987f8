"""Batches of similarities do what the single ones do."""

from collections.abc import Callable

from da3_ros.geometry.sim3_batch import Sim3Batch
from da3_ros.geometry.transforms import Sim3
from doubles.rings import random_batch
import numpy as np
import pytest


def assert_same(got: Sim3Batch, expected: list[Sim3]) -> None:
    assert len(got) == len(expected)
    for k, one in enumerate(expected):
        np.testing.assert_allclose(got.one(k).scale, one.scale, atol=1e-12)
        np.testing.assert_allclose(got.one(k).rotation, one.rotation, atol=1e-12)
        np.testing.assert_allclose(got.one(k).translation, one.translation, atol=1e-12)


def test_products_and_inverses_are_those_of_each() -> None:
    rng = np.random.default_rng(0)
    a, b = random_batch(rng, 5), random_batch(rng, 5)
    assert_same(a @ b, [a.one(k) @ b.one(k) for k in range(5)])
    assert_same(a.inverse(), [a.one(k).inverse() for k in range(5)])
    assert_same(a.inverse() @ a, [Sim3.identity()] * 5)


def test_a_batch_of_one_goes_with_any() -> None:
    rng = np.random.default_rng(1)
    one, many = random_batch(rng, 1), random_batch(rng, 4)
    assert_same(one @ many, [one.one(0) @ many.one(k) for k in range(4)])


@pytest.mark.parametrize('count', [0, 3])
def test_stacking_and_taking_apart_are_inverse(count: int) -> None:
    singles = [random_batch(np.random.default_rng(k), 1).one(0) for k in range(count)]
    assert_same(Sim3Batch.stack(singles), singles)


def test_rigid_poses_have_scale_one() -> None:
    poses = np.stack([np.eye(4), np.diag([-1.0, -1.0, 1.0, 1.0])])
    batch = Sim3Batch.from_rigid(poses)
    assert_same(batch, [Sim3.from_rigid(pose) for pose in poses])


@pytest.mark.parametrize(
    'pick',
    [lambda x: x[1:3], lambda x: x[np.array([1, 2])], lambda x: x[np.array([0, 1, 1, 0]) > 0]],
)
def test_a_part_is_a_batch(pick: Callable[[Sim3Batch], Sim3Batch]) -> None:
    batch = random_batch(np.random.default_rng(2), 4)
    assert_same(pick(batch), [batch.one(1), batch.one(2)])


def test_where_takes_from_either() -> None:
    rng = np.random.default_rng(3)
    a, b = random_batch(rng, 2), random_batch(rng, 2)
    assert_same(a.where(np.array([True, False]), b), [a.one(0), b.one(1)])
